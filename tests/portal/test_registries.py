"""A registry that misbehaves fails the login that it was asked about, and harms no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from actorcred import CheckerUnavailable, LoginDenied, LoginFailed, Policy
from actorcred.actors import Future
from actorcred.sessions.registry import MemoryRegistry
from tests.helpers import Stage


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
