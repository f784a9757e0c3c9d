"""Each descriptor takes as=TEMPLATE, whatever its plugin knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actorcred import AccountError, UnauthorizedLogin
from actorcred.auth.descriptors import DescriptorError, parse_descriptor
from actorcred.auth.registry import from_string
from actorcred.auth.templates import take_avatar_ids
from tests.helpers import Stage


def stage_of(*descriptors: str) -> Stage:
    stage = Stage(checkers=0)
    for descriptor in descriptors:
        stage.portal.register_checker(from_string(descriptor)).get(timeout=10)
    return stage


def test_a_descriptor_without_a_template_has_none() -> None:
    assert take_avatar_ids(parse_descriptor("memory:ann:right")) is None


@pytest.mark.parametrize(
    ("options", "avatar_id"),
    [
        ("as=corp/{name}", "corp/ann"),
        ("as={name}@corp.example", "ann@corp.example"),
        ("as={issuer_name}/{name},issuer_name=corp", "corp/ann"),
        ("as={type}:{name}", "memory:ann"),
        ("as={name}", "ann"),
        (r"as=\[corp\]{name}", "[corp]ann"),
    ],
)
def test_the_plugin_does_not_see_the_template_and_its_users_have_the_ids(
    options: str, avatar_id: str, inline: Any
) -> None:
    stage = stage_of(f"memory[{options}]:ann:right")

    session = stage.login("ann", "right").session
    assert (session.avatar_id, session.identity.avatar_id) == (avatar_id, avatar_id)
    ((checker, name),) = session.identity.vouchers
    assert (checker.actor_class.__name__, name) == ("MemoryChecker", "ann")
    assert session.checker == "MemoryChecker"


@pytest.mark.parametrize(
    ("text", "pointed", "why"),
    [
        ("memory[as=corp/{nme}]:ann:x", "{nme}", "unknown field {nme}"),
        ("cache:(memory[as=a/{name}{x}]:ann:x)", "{x}", "unknown field {x}"),
        (r"memory[as=\[a\]/{b}/{name}]:ann:x", "{b}", "unknown field {b}"),
        ("memory[as=]:ann:x", "]", "needs {name}"),
        ("memory[as={issuer_name}/{name}]:ann:x", "{issuer", "issuer_name=NAME"),
        ("memory[issuer_name=corp]:ann:x", "corp", "is for templates"),
    ],
)
def test_what_is_no_template_is_an_error_with_its_place(text: str, pointed: str, why: str) -> None:
    with pytest.raises(DescriptorError, match=why) as failed:
        from_string(text)
    assert failed.value.position == text.index(pointed)
    caret = str(failed.value).splitlines()[-1]
    assert caret == " " * (2 + text.index(pointed)) + "^"


def test_a_name_that_holds_the_separator_is_refused_with_the_cause_in_the_log(inline: Any) -> None:
    stage = stage_of("memory[as={name}@corp]:ann@corp:right:bob:right")
    with pytest.raises(UnauthorizedLogin):
        stage.login("ann@corp", "right")

    assert stage.events[0].detail.endswith("the name contains '@', which ends it in {name}@corp")
    assert stage.login("bob", "right").session.avatar_id == "bob@corp"


def test_a_removed_account_ends_the_session_of_the_template(tmp_path: Path, inline: Any) -> None:
    checker: Any = from_string("memory[as=corp/{name}]:ann:right").named(avatar_ids="corp/{name}")
    wrapped = from_string("cache[as=all/{name}]:(memory:bob:right)")
    stage = Stage(checkers=0)
    for one in (checker, wrapped):
        stage.portal.register_checker(one).get(timeout=10)
    session = stage.login("ann", "right").session
    assert stage.login("bob", "right").session.avatar_id == "all/bob"
    checker.remove("ann")
    assert not session.is_open
    assert stage.count() == 1


def test_wrappers_keep_a_template_and_add_theirs(inline: Any) -> None:
    stage = stage_of(
        "first[as=all/{name}]:(cache:(memory[as=a+{name}]:ann:right))(memory[as=b+{name}]:bob:right)"
    )

    assert stage.login("ann", "right").session.avatar_id == "all/a+ann"
    assert stage.login("bob", "right").session.avatar_id == "all/b+bob"


def test_a_template_around_another_needs_another_separator(inline: Any) -> None:
    with pytest.raises(DescriptorError, match="would refuse all users of MemoryChecker") as failed:
        from_string("cache[as=all/{name}]:(memory[as=a/{name}]:ann:right)")
    assert failed.value.position == len("cache[as=")


def test_an_error_of_the_checker_passes_the_template(inline: Any) -> None:
    stage = stage_of("memory[as=a/{name}]:ann:right", "anonymous[as=b/{name}]")
    with pytest.raises(UnauthorizedLogin):
        stage.login("ann", "wrong")


MEMORY = "memory:ann:x"


@pytest.mark.parametrize(
    ("texts", "warned"),
    [
        ([MEMORY], False),
        ([MEMORY, "anonymous"], False),
        (["anonymous", MEMORY], False),
        ([MEMORY, MEMORY], True),
        ([MEMORY, "memory[as=a/{name}]:ann:x"], True),
        (["memory[as=a/{name}]:ann:x", "memory[as=b/{name}]:ann:x"], False),
        (["cache:(memory[as=a/{name}]:ann:x)", "cache[as=b/{name}]:(memory:ann:x)"], False),
        ([f"first[same=yes]:({MEMORY})({MEMORY})"], False),
        ([f"first:({MEMORY})({MEMORY})"], True),
        ([f"all:({MEMORY})({MEMORY})"], False),
        ([f"rename[add=corp]:({MEMORY})", "memory[as={name}@corp]:ann:x"], True),
        ([f"rename[add=corp]:({MEMORY})", MEMORY], True),
        ([f"rename[add=corp,as=a/{{name}}]:({MEMORY})", "memory[as=b/{name}]:ann:x"], False),
    ],
)
def test_a_second_store_that_is_not_apart_is_warned_of_once_at_start(
    texts: list[str], warned: bool, inline: Any, caplog: pytest.LogCaptureFixture
) -> None:
    stage_of(*texts)

    warnings = [text for text in caplog.messages if "the same avatar id to two people" in text]
    assert len(warnings) == warned


@pytest.mark.parametrize("wrap", ["{}", "first:{}"])
def test_templates_that_collide_are_refused_at_start_with_both_named(
    wrap: str, inline: Any
) -> None:
    both = ["memory[as=a/{name}]:ann:x", "cache[as=a/b/{name}]:(memory:ann:x)"]
    with pytest.raises(AccountError) as failed:
        if wrap == "{}":
            stage_of(*both)
        else:
            from_string("first:" + "".join(f"({text})" for text in both))
    assert "MemoryChecker (as=a/{name})" in str(failed.value)
    assert "MemoryChecker (as=a/b/{name})" in str(failed.value)


def test_checkers_that_can_never_agree_are_refused_at_start() -> None:
    with pytest.raises(AccountError, match="never agree on an avatar id"):
        from_string("all:(memory[as=a/{name}]:ann:x)(memory[as=b/{name}]:ann:x)")
