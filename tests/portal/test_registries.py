"""A registry that misbehaves fails the login that it was asked about, and harms no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from actorcred import (
    CheckerUnavailable,
    LoginDenied,
    LoginFailed,
    Policy,
    UnauthorizedLogin,
    UsernamePassword,
)
from actorcred.actors import Future
from actorcred.portal.events import LoginRefused
from actorcred.sessions.registry import MemoryRegistry
from tests.helpers import Arena, Stage


class OddRegistry(MemoryRegistry):
    """Answers claims of "odd" by `answer`; those of others as it should."""

    answer: Callable[[OddRegistry], Any]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.claims = 0
        self.released: list[str] = []

    def claim(self, avatar_id: Any, session_id: str, *rest: Any) -> Any:
        if avatar_id != "odd":
            return super().claim(avatar_id, session_id, *rest)
        self.claims += 1
        return self.answer()

    def release(self, avatar_id: Any, session_id: str) -> None:
        self.released.append(avatar_id)
        super().release(avatar_id, session_id)


async def coroutine() -> None:
    """What `async def claim` returns."""


def raises(_: Any) -> Any:
    raise ZeroDivisionError


def ended(registry: OddRegistry) -> Any:
    (session,) = registry.sessions("ann")
    registry.kick(session.id, None, "")
    registry.answer = lambda: session  # type: ignore[method-assign, misc]
    return session


def denied(_: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.settle_error(LoginDenied("full", retry_after=3.0))
    return future


def open_and_alone(registry: OddRegistry) -> Any:
    return registry.sessions("ann")[0]


@pytest.mark.parametrize(
    ("answer", "error", "logged"),
    [
        (lambda _: "garbage", CheckerUnavailable, "must return None, a session with a shared"),
        (lambda _: coroutine(), CheckerUnavailable, "must return None, a session with a shared"),
        (open_and_alone, CheckerUnavailable, "must return None, a session with a shared"),
        (raises, CheckerUnavailable, "ZeroDivisionError"),
        (denied, LoginDenied, ""),
        (lambda _: Future(), CheckerUnavailable, ""),
    ],
)
def test_a_claim_that_is_answered_wrongly_fails_its_login(inline, caplog, answer, error, logged):
    kind = type("Odd", (OddRegistry,), {"answer": answer})
    stage = Stage(registry=kind, login_timeout=5.0)
    ann = stage.login("ann")
    future = stage.begin("odd", "right")
    inline.advance(6)
    with pytest.raises(error):
        future.get(timeout=0)

    assert logged in caplog.text
    assert ann.session.is_open
    assert stage.login("bob").session.is_open
    assert stage.portal.actor_inbox.actor._registry.released == ["odd"]
    assert stage.portal.drain(timeout=1).get(timeout=5) == 2


def test_a_session_that_has_ended_is_claimed_again_once(inline):
    kind = type("Odd", (OddRegistry,), {"answer": ended})
    stage = Stage(registry=kind, policy=Policy.SHARE)
    stage.login("ann")
    with pytest.raises(LoginFailed) as failed:
        stage.login("odd")

    assert isinstance(failed.value, LoginDenied)
    assert failed.value.retry_after
    assert stage.portal.actor_inbox.actor._registry.claims == 2
    assert stage.count() == 0


class FarRegistry(MemoryRegistry):
    """Answers look-ups later, as one that must ask other machines."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.asked: list[Future[Any]] = []

    def count(self) -> Any:
        self.asked.append(Future())
        return self.asked[-1]

    def find(self, session_id: str) -> Any:
        raise LookupError("the store is away")


def test_a_look_up_may_be_answered_later_or_fail_and_the_portal_goes_on(inline):
    stage = Stage(registry=FarRegistry)
    session = stage.login("ann").session
    count = stage.portal.count()
    registry = stage.portal.actor_inbox.actor._registry
    assert not count.done()
    registry.asked[0].settle(7)

    assert count.get(timeout=0) == 7
    with pytest.raises(LookupError):
        stage.portal.session(session.id).get(timeout=0)
    assert stage.portal.sessions("ann").get(timeout=0) == [session]


def test_what_protocols_ask_of_a_portal(inline):
    stage = Stage()
    assert stage.portal.list_interfaces().get(timeout=0) == tuple(Arena.interfaces)
    assert UsernamePassword in stage.portal.list_credentials_interfaces().get(timeout=0)
    assert stage.portal.digest_algorithms().get(timeout=0) is None
    stage.portal.tell_refused(UnauthorizedLogin("a name that no user can have"), "SSH", "ann\x00")
    (refused,) = stage.named(LoginRefused)
    assert (refused.code, refused.credentials) == ("refused", "SSH")
