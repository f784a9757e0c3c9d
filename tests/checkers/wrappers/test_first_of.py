"""Several checkers are asked in turn; the first that says yes lets in."""

from __future__ import annotations

from typing import Any

import pytest

from actorcred import Checker, CheckerUnavailable, UnauthorizedLogin, UsernamePassword
from actorcred.auth.registry import from_string
from actorcred.checkers.memory import MemoryChecker
from actorcred.checkers.wrappers.first_of import FirstOf
from actorcred.errors import LoginDenied, UnknownKey
from actorcred.exchange import ExchangeState, UsernameScram
from actorcred.portal.events import LoginRefused
from tests.helpers import Player, Stage


class Failing(Checker):
    """Says no, in some way."""

    credential_interfaces = (UsernamePassword,)

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def request_avatar_id(self, credentials: Any) -> str:
        raise self.error


class Asked(Checker):
    """Notes which exchange it got as the last one."""

    credential_interfaces = (UsernameScram,)

    def __init__(self, log: list[bool], *, right: bool) -> None:
        super().__init__()
        self.log, self.right = log, right

    def request_avatar_id(self, credentials: Any) -> str:
        self.log.append(credentials.last)
        if not self.right:
            raise UnauthorizedLogin("no")
        return str(credentials.username)


class Scram(UsernameScram):
    username, algorithm, state = "ann", "SHA-256", ExchangeState.NEW

    def verify(self, verifier: Any, decided: Any) -> None: ...
    def pretend(self, decided: Any) -> None: ...
    def respond(self, data: bytes) -> None: ...


def stage_of(*checkers: Any) -> Stage:
    stage = Stage(checkers=0)
    stage.portal.register_checker(FirstOf.start(*checkers)).get(timeout=10)
    return stage


def no(error: Exception) -> Any:
    return Failing.start(error)


def test_users_of_each_come_in(inline: Any) -> None:
    stage = Stage(checkers=0)
    text = "first:(memory:ann:right)(memory:bob:right)"
    stage.portal.register_checker(from_string(text)).get(timeout=10)

    for name in ("ann", "bob"):
        assert stage.login(name, "right").session.avatar_id == name
    with pytest.raises(UnauthorizedLogin):
        stage.login("eve", "right")


@pytest.mark.parametrize(
    ("errors", "kind", "known"),
    [
        ([UnauthorizedLogin("x", known=True), UnauthorizedLogin("y")], UnauthorizedLogin, True),
        ([UnauthorizedLogin("x"), CheckerUnavailable("y")], CheckerUnavailable, False),
        ([UnknownKey("x"), UnknownKey("y")], UnauthorizedLogin, False),
        ([UnknownKey("x"), UnauthorizedLogin("y")], UnauthorizedLogin, False),
        ([LoginDenied("x"), UnauthorizedLogin("y")], LoginDenied, False),
    ],
)
def test_a_refusal_of_all_is_the_worst_of_them(
    inline: Any, errors: list[Exception], kind: type[Exception], known: bool
) -> None:
    stage = stage_of(*(no(error) for error in errors))
    with pytest.raises(kind):
        stage.login("ann", "right")
    (refused,) = stage.named(LoginRefused, 1)

    assert refused.known is known


def test_one_that_is_down_keeps_nobody_out_whom_another_one_knows(inline: Any) -> None:
    users = MemoryChecker.start({"ann": "right"}, plaintext=True)
    stage = stage_of(no(CheckerUnavailable("down")), users)

    assert stage.login("ann", "right").session.avatar_id == "ann"


def test_only_the_last_one_goes_through_an_exchange_with_an_unknown_user(inline: Any) -> None:
    log: list[bool] = []
    stage = stage_of(Asked.start(log, right=False), Asked.start(log, right=True))
    stage.portal.login(Scram(), None, Player).get(timeout=10)

    assert log == [False, True]
