"""Accounts and sources that fail too often have to wait, and many guesses at once take turns."""

from __future__ import annotations

from typing import Any

import pytest

from actorcred import Anonymous, Checker, LoginDenied, UnauthorizedLogin, UsernamePassword
from actorcred.actors import Future
from actorcred.auth.descriptors import DescriptorError
from actorcred.auth.registry import from_string
from actorcred.checkers.wrappers.throttling import ThrottlingChecker
from actorcred.errors import UnknownKey
from tests.helpers import Player, Stage

SOURCE = "192.0.2.1"


class Told(Checker):
    """Says what a test tells it."""

    credential_interfaces = (UsernamePassword, Anonymous)

    def __init__(self, asked: list[Any], answers: dict[str, Any]) -> None:
        super().__init__()
        self.asked, self.answers = asked, answers

    def request_avatar_id(self, credentials: Any) -> Any:
        self.asked.append(credentials)
        answer = self.answers.get(getattr(credentials, "password", ""), "ann")
        if isinstance(answer, Exception):
            raise answer
        return answer


class Case:
    """A throttle around a checker."""

    def __init__(self, **settings: Any) -> None:
        self.asked: list[Any] = []
        self.answers: dict[str, Any] = {
            "wrong": UnauthorizedLogin("wrong"), "key": UnknownKey("another key")
        }  # fmt: skip
        self.stage = Stage(checkers=0, step=0)
        inner = Told.start(self.asked, self.answers)
        throttle = ThrottlingChecker.start(inner, **settings)
        self.stage.portal.register_checker(throttle).get(timeout=10)

    def begin(self, password: str = "right", name: str = "ann", source: str = SOURCE) -> Any:
        credentials = UsernamePassword(name, password, source=source)
        return self.stage.portal.login(credentials, None, Player)

    def fail(self, kind: type[Exception] = UnauthorizedLogin, *what: str) -> Any:
        with pytest.raises(kind) as failed:
            self.begin(*(what or ("wrong",))).get(timeout=10)
        return failed.value


def test_after_free_failures_each_one_costs_more_and_time_makes_it_good(inline: Any) -> None:
    case = Case(step=1.0, free=1, most=60.0)
    case.fail()
    case.fail()
    denied = case.fail(LoginDenied, "right")
    assert denied.retry_after == 1.0
    assert len(case.asked) == 2  # it was not asked
    inline.advance(1.1)
    case.fail()
    assert case.fail(LoginDenied, "right").retry_after == 2.0
    inline.advance(2.1)
    assert case.begin().get(timeout=10).session.avatar_id == "ann"


def test_a_source_has_to_wait_for_all_accounts_and_an_account_for_all_sources(inline: Any) -> None:
    case = Case(step=60.0, free=0)
    case.fail()

    case.fail(LoginDenied, "right", "bob")
    case.fail(LoginDenied, "right", "ann", "198.51.100.1")
    assert case.begin("right", "bob", "198.51.100.1").get(timeout=10)


def test_a_login_forgives_the_account_and_a_key_of_another_is_no_guess(inline: Any) -> None:
    case = Case(step=60.0, free=2)
    for _ in range(5):
        case.fail(UnauthorizedLogin, "key")
    for _ in range(3):
        case.fail(UnauthorizedLogin, "wrong", "ann", "")
        assert case.begin("right", "ann", "").get(timeout=10)


def test_many_guesses_at_once_take_turns_and_the_penalty_meets_those_that_wait(
    inline: Any,
) -> None:
    case, gate = Case(step=60.0, free=1), Future[str]()
    case.answers["slow"] = gate
    first, second = case.begin("slow"), case.begin()
    third = case.begin()
    assert len(case.asked) == 1
    third.cancel()
    gate.settle_error(UnauthorizedLogin("wrong"))
    assert len(case.asked) == 2  # who was cancelled has no turn
    for login in (first,):
        with pytest.raises(UnauthorizedLogin):
            login.get(timeout=10)
    assert second.get(timeout=10).session.avatar_id == "ann"


def test_who_waits_for_a_turn_is_denied_if_the_one_before_was_one_too_many(inline: Any) -> None:
    case, gate = Case(step=60.0, free=0), Future[str]()
    case.answers["slow"] = gate
    first, second = case.begin("slow"), case.begin()
    gate.settle_error(UnauthorizedLogin("wrong"))

    with pytest.raises(UnauthorizedLogin):
        first.get(timeout=10)
    with pytest.raises(LoginDenied):
        second.get(timeout=10)


def test_who_has_no_account_waits_for_nobody(inline: Any) -> None:
    case = Case()

    assert case.stage.portal.login(Anonymous(), None, Player).get(timeout=10)


def test_bounds_that_make_no_sense_are_refused_and_options_are_read(inline: Any) -> None:
    assert from_string("throttle[free=1,step=2,most=3]:(memory:ann:right)").is_alive()
    for options in ("step=0", "free=-1", "most=0"):
        with pytest.raises(DescriptorError, match="must be more than 0, and free 0 or more"):
            from_string(f"throttle[{options}]:(memory:ann:right)")
