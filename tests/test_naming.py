"""Templates of avatar ids: what one is, and which two stores are apart by theirs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcred import AccountError
from actorcred.naming import (
    IdSpace,
    NameRefused,
    TemplateError,
    parse_avatar_ids,
    require_apart,
)

ISSUER = "https://issuer.example"


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("{name}", "ann"),
        ("corp/{name}", "corp/ann"),
        ("{name}@corp.example", "ann@corp.example"),
        ("corp/{name}#x", "corp/ann#x"),
        ("{type}:{name}", "jwt:ann"),
        ("{issuer}|{name}", "https://issuer.example|ann"),
        ("{type}-{issuer}|{name}", "jwt-https://issuer.example|ann"),
    ],
)
def test_a_template_puts_the_name_between_its_texts(template: str, made: str) -> None:
    ids = parse_avatar_ids(template, {"type": "jwt"})

    assert (ids.make("ann", ISSUER), str(ids)) == (made, template)


@pytest.mark.parametrize(
    ("template", "why", "position"),
    [
        ("", "needs {name}, once", 0),
        ("corp/", "needs {name}, once", 0),
        ("{name}/{name}", "needs {name}, once", 7),
        ("corp/{nme}", r"unknown field {nme}; the fields are {name}, {issuer}, {type}", 5),
        ("{issuer_name}/{name}", "needs the option issuer_name=NAME", 0),
        ("{name}/{type}", "fields stand before", 7),
        ("{name}/{issuer}", "fields stand before", 7),
        ("{issuer}/{issuer}/{name}", "can be used once", 9),
        ("corp{name}", "must be separated", 3),
        ("{name}corp", "must be separated", 6),
        ("{type}{name}", "must be separated", 5),
        ("{issuer}{name}", "must be separated", 7),
        ("{name}\u0301x", "must be separated", 6),
        ("a}/{name}", "a brace belongs to a field", 1),
        ("e\u0301/{name}", "normal form NFC", 0),
        ("\n/{name}", "control characters", 0),
    ],
)
def test_what_is_no_template_is_refused_with_its_place(
    template: str, why: str, position: int
) -> None:
    with pytest.raises(TemplateError, match=why) as failed:
        parse_avatar_ids(template, {"type": "jwt"})
    assert failed.value.position == position


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{name}@corp.example", "ann@elsewhere.example"),
        ("corp/{name}", "ops/ann"),
        ("corp={name}", "\u0338ann"),  # it would make the text before it another one
        ("{issuer}/{name}", "a/b"),
    ],
)
def test_a_name_that_holds_the_separator_is_refused(template: str, name: str) -> None:
    with pytest.raises(NameRefused) as failed:
        parse_avatar_ids(template).make(name, ISSUER)
    assert name not in str(failed.value)


def test_a_user_without_an_issuer_has_no_id_of_a_template_with_one() -> None:
    with pytest.raises(NameRefused, match="the checker states none"):
        parse_avatar_ids("{issuer}/{name}").make("ann")


def space(template: str, store: str = "Store") -> IdSpace:
    return IdSpace(store).within(parse_avatar_ids(template))


@pytest.mark.parametrize(
    ("one", "two", "apart"),
    [
        ("a/{name}", "b/{name}", True),
        ("a/{name}", "a/b/{name}", False),
        ("a/{name}", "a/{name}", False),
        ("{name}@a", "{name}@b", True),
        ("{name}@a.b", "{name}@b", True),
        ("{name}.b", "{name}.a.b", False),
        ("a/{name}", "{name}@b", False),
        ("a/{name}@a", "a/{name}@b", True),
        ("{name}", "b/{name}", False),
        ("x/{issuer}/{name}", "x/{name}", False),
        ("x/{issuer}/{name}", "y/{name}", True),
    ],
)
def test_stores_are_apart_by_prefix_or_suffix(one: str, two: str, apart: bool) -> None:
    assert space(one).is_apart_from(space(two)) is apart
    assert space(two).is_apart_from(space(one)) is apart


TEXTS = st.text("ab/@=\u0338", max_size=3)


@given(TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS)
def test_stores_that_are_apart_never_share_an_id(
    prefix: str, suffix: str, other_prefix: str, other_suffix: str, one: str, two: str
) -> None:
    """Nor do two names of one store."""
    try:
        first = parse_avatar_ids(f"{prefix}{{name}}{suffix}")
        second = parse_avatar_ids(f"{other_prefix}{{name}}{other_suffix}")
        ids = first.make(one), second.make(two)
    except ValueError:
        return
    if IdSpace("a").within(first).is_apart_from(IdSpace("b").within(second)):
        assert ids[0] != ids[1]
    try:
        again = first.make(two)
    except ValueError:
        return
    assert (again == ids[0]) is (one == two)


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_two_issuers_never_share_an_id(issuer: str, other: str, one: str, two: str) -> None:
    ids = parse_avatar_ids("{issuer}/{name}")
    try:
        made = ids.make(one, issuer), ids.make(two, other)
    except ValueError:
        return
    assert (made[0] == made[1]) is ((issuer, one) == (other, two))


def test_a_template_around_a_template_has_both_texts() -> None:
    both = space("a/{name}@x").within(parse_avatar_ids("b+{name}#y"))

    assert (both.prefix, both.suffix) == ("b+a/", "@x#y")
    assert str(both) == "Store (as=a/{name}@x in b+{name}#y)"
    assert space("a/{name}").within(parse_avatar_ids("{issuer}|{name}")).prefix == ""


def test_templates_that_collide_are_refused_by_name(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(AccountError) as failed:
        require_apart(
            [(space("b/{name}"),), (space("a/{name}", "One"),)], [space("a/{name}", "Two")]
        )

    assert "checker 2, One (as=a/{name}), and checker 3, Two (as=a/{name})" in str(failed.value)
    assert caplog.messages == []


def test_stores_without_templates_are_named_in_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    require_apart([], [IdSpace("One")])
    require_apart([(space("a/{name}"),)], [space("b/{name}")])
    assert caplog.messages == []
    require_apart([(IdSpace("One"),), (IdSpace("Two"),)], [space("a/{name}", "Three")])

    (message,) = caplog.messages
    assert "checker 1, One (without a template), and checker 3, Three (as=a/{name})" in message
    assert "first[same=yes]" in message
