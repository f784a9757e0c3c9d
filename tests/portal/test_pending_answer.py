"""An answer of a role, which may come at once, too late, or never."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pykka
import pytest

from actorcred import CheckerUnavailable
from actorcred.actors import Actor, Future
from actorcred.portal.pending_answer import Asked, PendingAnswer, is_stop_of
from actorcred.realm import LogOut
from actorcred.service import Question


class Role(Actor):
    """Notes the logouts that it is to call."""

    def __init__(self, log: list[Any]) -> None:
        super().__init__()
        self.log = log

    def _actor_control(self, message: Any) -> Any:
        if isinstance(message, LogOut):
            self.log.append(message.logout)
        elif isinstance(message, Question):
            message.answer.settle("answer")


@pytest.fixture
def log() -> list[Any]:
    return []


@pytest.fixture
def role(inline: Any, log: list[Any]) -> Any:
    return Role.start(log)


def pending(role: Any, *, wanted: bool = True) -> PendingAnswer:
    asker = SimpleNamespace(awaited=None)
    return PendingAnswer(role, asker, lambda attempt, answer: wanted)  # type: ignore[arg-type]


def elsewhere(function: Any, *args: Any) -> None:
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join()


def test_an_answer_at_once_need_not_be_told(role: Any) -> None:
    answer = pending(role)

    assert answer.ask(Question(answer)) is Asked.ANSWERED
    assert answer.get() == "answer"


def test_who_is_down_cannot_be_asked(role: Any) -> None:
    role.stop()
    answer = pending(role)

    assert answer.ask(Question(answer)) is Asked.DOWN
    answer.settle_error(pykka.ActorDeadError("x"))
    with pytest.raises(CheckerUnavailable) as failed:
        answer.get()
    assert failed.value.detail == "Role is down"


@pytest.mark.parametrize("before", [True, False])
def test_work_is_given_up_when_nobody_wants_it(role: Any, before: bool) -> None:
    answer, work = pending(role), Future[Any]()
    for step in (answer.cancel, lambda: answer.started(work)) if before else (
        lambda: answer.started(work), answer.cancel
    ):  # fmt: skip
        step()

    assert work.cancelled()


def test_an_avatar_that_comes_too_late_is_stopped_and_logged_out(role: Any, log: list[Any]) -> None:
    avatar, other = Role.start([]), Role.start([])
    elsewhere(pending(role, wanted=False).settle, (object, avatar, avatar.stop))
    elsewhere(pending(role, wanted=False).settle, (object, other, print))
    elsewhere(pending(role, wanted=False).settle, "no avatar at all")

    assert not avatar.is_alive()
    assert not other.is_alive()
    assert log == [print]
    role.stop()
    elsewhere(pending(role, wanted=False).settle, (object, None, print))


def test_an_avatars_own_stop_is_known_by_whatever_ref(role: Any) -> None:
    avatar, other = Role.start([]), Role.start([])

    assert is_stop_of(avatar.stop, avatar)
    assert is_stop_of(type(avatar)(avatar.actor_inbox).stop, avatar)
    for logout, whose in ((other.stop, avatar), (avatar.tell, avatar), (print, avatar)):
        assert not is_stop_of(logout, whose)
    assert not is_stop_of(avatar.stop, "an object")
