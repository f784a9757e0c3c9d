"""Only a yes is remembered, for its time, and forgotten when the account changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actorcred import Anonymous, BearerToken, Checker, Revocation, UnauthorizedLogin
from actorcred import UsernamePassword as Password
from actorcred.auth.descriptors import DescriptorError
from actorcred.auth.registry import from_string
from actorcred.checkers.wrappers.caching import CachingChecker
from actorcred.identity import Identity
from tests.helpers import Player, Stage


class Counting(Checker):
    """Counts how often it is asked."""

    credential_interfaces = (Password, BearerToken, Anonymous)

    def __init__(self, asked: list[Any], said: dict[str, Any]) -> None:
        super().__init__()
        self.asked, self.said = asked, said

    def request_avatar_id(self, credentials: Any) -> str | Identity:
        self.asked.append(credentials)
        if getattr(credentials, "password", "right") != "right":
            raise UnauthorizedLogin("wrong password")
        name = getattr(credentials, "username", "") or "ann"
        return Identity(name, **self.said) if self.said else name


class Case:
    """A cache around a checker that counts."""

    def __init__(self, *arguments: Any, **said: Any) -> None:
        self.asked: list[Any] = []
        self.checker: Any = Counting.start(self.asked, said)
        self.stage = Stage(checkers=0)
        cache = CachingChecker.start(self.checker, *arguments)
        self.stage.portal.register_checker(cache).get(timeout=10)

    def log_in(self, credentials: Any = None) -> int:
        """Log in; return how often the checker was asked so far."""
        self.identity(credentials)
        return len(self.asked)

    def identity(self, credentials: Any = None) -> Identity:
        """Log in; return the identity of the session."""
        credentials = credentials or Password("ann", "right")
        login = self.stage.portal.login(credentials, None, Player).get(timeout=10)
        return login.session.identity


def test_a_yes_is_remembered_for_its_time_and_a_no_is_not(inline: Any) -> None:
    case = Case(60.0)
    assert [case.log_in() for _ in range(3)] == [1, 1, 1]
    inline.advance(61.0)
    assert case.log_in() == 2
    for asked in (3, 4):
        with pytest.raises(UnauthorizedLogin):
            case.log_in(Password("ann", "wrong"))
        assert len(case.asked) == asked


def test_tokens_are_remembered_and_other_kinds_are_not(inline: Any) -> None:
    case = Case()

    assert [case.log_in(BearerToken("t", "ann")) for _ in range(2)] == [1, 1]
    assert [case.log_in(Anonymous()) for _ in range(2)] == [2, 3]


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ({"methods": frozenset({"pwd", "otp"})}, 2),
        ({"expires": datetime.now(UTC) + HOUR}, 1),
        ({"expires": datetime.max.replace(tzinfo=UTC)}, 1),
    ],
)
def test_a_proof_is_remembered_no_longer_than_it_is_good(
    inline: Any, said: dict[str, Any], asked: int
) -> None:
    case = Case(**said)
    case.log_in()

    assert case.log_in() == asked


def test_a_proof_that_has_ended_lets_nobody_in_and_is_not_remembered(inline: Any) -> None:
    case = Case(expires=datetime.now(UTC) - HOUR)
    for asked in (1, 2):
        with pytest.raises(UnauthorizedLogin):
            case.log_in()
        assert len(case.asked) == asked


def test_a_remembered_login_has_all_that_the_first_one_had(inline: Any) -> None:
    case = Case(
        issuer="https://issuer.example",
        subject="4711",
        attributes={"mail": "ann@example.org"},
        groups=frozenset({"admin"}),
        methods=frozenset({"pwd", "mfa"}),
        authenticated=datetime.now(UTC) - HOUR,
        expires=datetime.now(UTC) + HOUR,
    )
    first = case.identity()

    assert case.identity() == first
    assert first.groups == {"admin"}
    assert first.attributes == {"mail": "ann@example.org"}
    assert len(case.asked) == 1


def test_an_account_that_changes_is_forgotten(inline: Any) -> None:
    case = Case()
    case.log_in()
    case.log_in(Password("bob", "right"))
    case.checker.revoke("ann", Revocation.PASSWORD_CHANGED)

    assert case.log_in(Password("bob", "right")) == 2
    assert case.log_in() == 3


def test_the_oldest_are_forgotten_first(inline: Any) -> None:
    case = Case(60.0, 1)
    case.log_in()
    case.log_in(Password("bob", "right"))

    assert case.log_in(Password("bob", "right")) == 2
    assert case.log_in() == 3


def test_bounds_that_make_no_sense_are_refused_and_options_are_read(inline: Any) -> None:
    assert from_string("cache[seconds=5,entries=10]:(memory:ann:right)").is_alive()
    for options in ("seconds=0", "entries=0"):
        with pytest.raises(DescriptorError, match="must be more than 0"):
            from_string(f"cache[{options}]:(memory:ann:right)")
