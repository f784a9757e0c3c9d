"""What of a token's claims becomes an identity; what is damaged is refused or grants nothing."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcred import UnauthorizedLogin
from actorcred.checkers.bases.facts import LONGEST_FACT, LONGEST_GROUP, MOST_GROUPS
from actorcred.checkers.token_claims import MOST_METHODS, ClaimReader, find_claim
from actorcred.identity import Identity

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
HOUR = 3600
KEYCLOAK = {"realm_access": {"roles": ["admin", "offline_access"]}}


class Case:
    """A reader, and what it has ignored."""

    def __init__(self, groups: str = "", attributes: tuple[str, ...] = ()) -> None:
        self.ignored: dict[str, str] = {}
        self._reader = ClaimReader(
            name="sub",
            groups=groups,
            attributes=attributes,
            leeway=10.0,
            ignored=self.ignored.__setitem__,
        )

    def read(self, **claims: Any) -> Identity:
        made = {"sub": "ann", "exp": NOW.timestamp() + HOUR, **claims}
        return self._reader.identity(made, NOW)


def test_a_token_says_who_it_is_since_when_until_when_and_how() -> None:
    ann = Case().read(
        iss="https://issuer.example",
        auth_time=NOW.timestamp() - HOUR,
        iat=NOW.timestamp(),
        amr=["pwd", "otp", "mfa"],
        scope="read write read",
    )

    assert (ann.avatar_id, ann.issuer, ann.subject) == ("ann", "https://issuer.example", "ann")
    assert ann.authenticated == NOW - timedelta(hours=1)
    assert ann.expires == NOW + timedelta(hours=1, seconds=10)  # with the leeway
    assert ann.methods == {"pwd", "otp", "mfa"}
    assert ann.attributes == {"scope": ("read", "write")}
    assert ann.groups == frozenset()


def test_a_bare_token_proves_no_method_and_is_as_old_as_it_was_issued() -> None:
    bare = Case().read()
    assert (bare.methods, bare.authenticated, bare.issuer) == (frozenset(), None, None)
    assert Case().read(iat=NOW.timestamp() - 5).authenticated == NOW - timedelta(seconds=5)


def test_a_clock_that_is_ahead_a_little_makes_no_proof_of_the_future() -> None:
    assert Case().read(auth_time=NOW.timestamp() + 5).authenticated == NOW
    with pytest.raises(UnauthorizedLogin) as refused:
        Case().read(auth_time=NOW.timestamp() + 11)
    assert refused.value.detail == "the claim auth_time is in the future"


def test_a_number_may_be_the_name_and_the_subject() -> None:
    ann = Case().read(sub=4711)
    assert (ann.avatar_id, ann.subject) == ("4711", "4711")


@pytest.mark.parametrize("claim", ["exp", "auth_time", "iat"])
@pytest.mark.parametrize(
    "value",
    [
        True, "1893456000", "soon", [], {}, 1e300, -1e300, 10**400, math.nan, math.inf,
        253402300800,
    ],
    ids=repr,
)  # fmt: skip
def test_a_time_that_is_damaged_or_huge_is_refused(claim: str, value: object) -> None:
    with pytest.raises(UnauthorizedLogin) as refused:
        Case().read(**{claim: value})
    assert refused.value.detail == f"the claim {claim} is not a time"


@pytest.mark.parametrize("claim", ["iss", "sub"])
@pytest.mark.parametrize("value", ["", [], {}, True, 1.5, "x" * (LONGEST_FACT + 1)], ids=repr)
def test_who_it_is_must_be_a_text(claim: str, value: object) -> None:
    with pytest.raises(UnauthorizedLogin) as refused:
        Case().read(**{claim: value})
    assert claim in refused.value.detail


@pytest.mark.parametrize(
    ("path", "claims", "groups"),
    [
        ("roles", {"roles": ["admin", "staff"]}, {"admin", "staff"}),
        ("scope", {"scope": "read  write"}, {"read", "write"}),
        ("realm_access.roles", KEYCLOAK, {"admin", "offline_access"}),
        ("https://game.example/roles", {"https://game.example/roles": ["a"]}, {"a"}),
        ("a.my.game.roles", {"a": {"my.game": {"roles": ["b"]}}}, {"b"}),
        ("a.b", {"a.b": ["whole"], "a": {"b": ["nested"]}}, {"whole"}),
        ("roles", {}, set()),
        ("realm_access.roles", {"realm_access": ["admin"]}, set()),
        ("realm_access.roles", {"realm_access": {}}, set()),
        ("a.b.c", {"a": {"b": "c"}}, set()),
    ],
)  # fmt: skip
def test_groups_are_from_a_claim_that_may_be_nested(
    path: str, claims: dict[str, Any], groups: set[str]
) -> None:
    case = Case(groups=path)

    assert case.read(**claims).groups == groups
    assert case.ignored == {}


@pytest.mark.parametrize(
    "value",
    [
        5, True, {"admin": 1}, ["admin", 5], ["admin", ""], ["admin", None], ["admin", ["b"]],
        ["admin", "x" * (LONGEST_GROUP + 1)], [f"group{n}" for n in range(MOST_GROUPS + 1)],
    ],
    ids=lambda value: repr(value)[:30],
)  # fmt: skip
def test_groups_that_cannot_be_used_grant_nothing(value: object) -> None:
    case = Case(groups="roles")
    ann = case.read(roles=value, scope=value)

    assert ann.groups == frozenset()
    assert ann.attributes == {}
    assert set(case.ignored) == {"roles", "scope"}
    assert "admin" not in str(case.ignored)


@pytest.mark.parametrize(
    ("value", "methods", "ignored"),
    [
        (["pwd", "urn:example:key"], {"pwd", "urn:example:key"}, False),
        (["pwd", "a b", 5, "", "x" * 33, "\u00e4", None], {"pwd"}, True),
        ("pwd", set(), True),
        ({"pwd": 1}, set(), True),
        (["pwd"] * (MOST_METHODS + 1), set(), True),
        (None, set(), False),
    ],
)
def test_methods_are_names_as_those_of_the_registry(
    value: object, methods: set[str], ignored: bool
) -> None:
    case = Case()

    assert case.read(amr=value).methods == methods
    assert ("amr" in case.ignored) is ignored


def test_attributes_are_plain_values_by_the_names_of_their_claims() -> None:
    case = Case(attributes=("email", "email_verified", "address.country", "tags", "odd", "missing"))
    ann = case.read(
        email="ann@example.org",
        email_verified=True,
        address={"country": "DE", "street": "not asked for"},
        tags=["a", 1],
        odd={"a": "b"},
        phone="not asked for",
    )

    assert ann.attributes == {
        "email": "ann@example.org",
        "email_verified": True,
        "address.country": "DE",
        "tags": ("a", 1),
    }
    assert set(case.ignored) == {"odd"}
    for odd in ("x" * (LONGEST_FACT + 1), [["a"]], [None]):
        assert Case(attributes=("email",)).read(email=odd).attributes == {}


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(["sub", "iss", "exp", "iat", "auth_time", "amr", "scope", "roles", "email"])


@given(st.dictionaries(NAMES, json))
def test_any_claims_are_an_identity_or_refused(claims: dict[str, Any]) -> None:
    case = Case(groups="roles", attributes=("email", "roles"))
    try:
        assert isinstance(case.read(**claims), Identity)
    except UnauthorizedLogin:
        return


def test_a_way_of_any_length_ends() -> None:
    assert find_claim({"a": {}}, "a" + ".a" * 1000) is None
