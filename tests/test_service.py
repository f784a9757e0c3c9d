"""A role answers at once or later, and what goes wrong in a request is that request's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from actorcred import CheckerUnavailable, RestartRole, UnauthorizedLogin
from actorcred.actors import ControlMessage, Future
from actorcred.service import Question, Service


class Role(Service):
    """Does what it is told."""

    def __init__(self, method: Callable[[], Any]) -> None:
        super().__init__()
        self.method = method

    def _actor_control(self, message: ControlMessage) -> Any:
        if isinstance(message, Question):
            self._serve(message, self.method)
        else:
            super()._actor_control(message)


class Answer(Future[Any]):
    """An answer that notes what is under way for it."""

    __slots__ = ("work",)
    work: Future[Any]

    def started(self, work: Future[Any]) -> None:
        self.work = work


def ask(method: Callable[[], Any]) -> tuple[Answer, Any]:
    role, answer = Role.start(method), Answer()
    role.tell(Question(answer))
    return answer, role


def later(future: Future[Any]) -> Callable[[], Any]:
    async def method() -> Any:
        return await future

    return method


def fail(error: BaseException) -> Callable[[], Any]:
    def method() -> Any:
        raise error

    return method


def failed(error: BaseException) -> Future[Any]:
    future: Future[Any] = Future()
    future.settle_error(error)
    return future


def test_an_answer_comes_at_once_or_by_a_future_or_a_coroutine(inline: Any) -> None:
    assert ask(lambda: "ann")[0].get(timeout=0) == "ann"
    for make in (lambda future: lambda: future, later):
        future: Future[str] = Future()
        answer, _ = ask(make(future))
        assert not answer.done()
        assert not answer.work.done()
        future.set("ann")
        assert answer.get(timeout=0) == "ann"


@pytest.mark.parametrize("when", ["at once", "later"])
def test_a_refusal_is_an_answer_and_no_fault(inline: Any, when: str, caplog: Any) -> None:
    error = UnauthorizedLogin("wrong password")
    answer, role = ask(fail(error) if when == "at once" else lambda: failed(error))

    with pytest.raises(UnauthorizedLogin):
        answer.get(timeout=0)
    assert role.is_alive()
    assert caplog.text == ""


@pytest.mark.parametrize("when", ["at once", "later"])
def test_any_other_exception_fails_the_request_is_logged_and_chained(
    inline: Any, when: str, caplog: Any
) -> None:
    error = LookupError("a bug")
    answer, role = ask(fail(error) if when == "at once" else lambda: failed(error))

    with pytest.raises(CheckerUnavailable) as raised:
        answer.get(timeout=0)
    assert raised.value.__cause__ is error
    assert raised.value.detail == "Role: LookupError"
    assert "Role could not serve a request: LookupError" in caplog.text
    assert role.is_alive()


@pytest.mark.parametrize("when", ["at once", "later"])
def test_a_role_that_cannot_go_on_fails_the_request_and_crashes(inline: Any, when: str) -> None:
    error = RestartRole("the connection is gone")
    answer, role = ask(fail(error) if when == "at once" else lambda: failed(error))

    with pytest.raises(CheckerUnavailable) as raised:
        answer.get(timeout=0)
    assert raised.value.detail == "Role is restarted"
    assert not role.is_alive()


def test_ctrl_c_fails_the_request_and_ends_all(inline: Any) -> None:
    role, answer = Role.start(fail(KeyboardInterrupt())), Answer()
    with pytest.raises(KeyboardInterrupt):
        role.tell(Question(answer))

    with pytest.raises(CheckerUnavailable):
        answer.get(timeout=0)
    assert not role.is_alive()


def test_a_request_that_is_given_up_is_no_fault(inline: Any, caplog: Any) -> None:
    future: Future[str] = Future()
    answer, _ = ask(lambda: future)
    answer.work.cancel()

    with pytest.raises(CheckerUnavailable) as raised:
        answer.get(timeout=0)
    assert raised.value.detail == "Role cancelled the request"
    assert caplog.text == ""


def test_a_question_says_of_itself_what_it_is_about() -> None:
    assert Question(Answer()).subject is None


def test_a_message_that_no_role_knows_is_an_error_of_the_sender(inline: Any) -> None:
    class Odd(ControlMessage): ...

    with pytest.raises(TypeError, match="does not handle a Odd"):
        Role.start(list).ask(Odd())
