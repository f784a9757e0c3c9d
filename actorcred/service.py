"""What checkers and realms have in common: they answer the portal, at once or later, and are restarted after a crash."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from types import CoroutineType
from typing import Any, Protocol

from actorcred.actors import Actor, AnsweredMessage, CancelledError, ControlMessage, Future
from actorcred.actors.lifecycle import stops_all
from actorcred.errors import CheckerUnavailable, LoginFailed, RestartRole

__all__ = ["Answer", "Crash", "Question", "Service"]


logger = logging.getLogger("actorcred.portal")


class Answer(Protocol):
    """Where a checker or realm puts what it decides."""

    def settle(self, value: Any) -> object:
        """Take the result."""

    def settle_error(self, error: BaseException) -> object:
        """Take the reason why there is none."""

    def started(self, work: Future[Any]) -> None:
        """Learn what is under way for it, so that it can be cancelled when nobody wants the answer any more."""


@dataclass(slots=True)
class Question(AnsweredMessage):
    """A question to a checker or realm; what it decides goes to `answer`."""

    answer: Answer

    @property
    def subject(self) -> object:
        """What it is about, for the log."""
        return None


@dataclass(slots=True)
class Crash(ControlMessage):
    """Crash with an exception that was raised elsewhere."""

    error: BaseException


class Service(Actor):
    """An actor whose method returns a value, a future or a coroutine.

    Futures and coroutines of several requests are under way at the same time, so that one slow answer delays no other.
    A `LoginFailed` is an answer. Any other exception fails the request and is logged. The actor itself crashes only by what is
    its own (`on_start`, its own messages) or by raising `RestartRole`; whoever supervises it decides what becomes of it then.
    """

    restartable = True

    def _actor_control(self, message: ControlMessage) -> Any:
        match message:
            case Crash(error):
                raise error
            case _:
                super()._actor_control(message)

    def _serve(self, question: Question, method: Callable[..., Any], *args: Any) -> None:
        """Answer a question by what a method returns, or what that promises."""
        answer = question.answer
        try:
            result = method(*args)
        except LoginFailed as error:
            answer.settle_error(error)
        except RestartRole:
            answer.settle_error(CheckerUnavailable(f"{type(self).__name__} is restarted"))
            raise
        except BaseException as error:
            answer.settle_error(self._cred_fault(error, question.subject))
            if stops_all(error):
                raise
        else:
            if type(result) is CoroutineType:
                result = self.spawn(result)
            if isinstance(result, Future):
                answer.started(result)
                result.add_done_callback(lambda done: self._served(done, question))
            else:
                answer.settle(result)

    def _served(self, done: Future[Any], question: Question) -> None:
        answer = question.answer
        try:
            answer.settle(done.get())
        except LoginFailed as error:
            answer.settle_error(error)
        except RestartRole as error:
            answer.settle_error(CheckerUnavailable(f"{type(self).__name__} is restarted"))
            self.actor_inbox.put(Crash(error))
        except CancelledError:
            answer.settle_error(CheckerUnavailable(f"{type(self).__name__} gave the request up"))
        except BaseException as error:
            answer.settle_error(self._cred_fault(error, question.subject))

    def _cred_fault(self, error: BaseException, subject: object) -> LoginFailed:
        """Log an exception that came of a request, and return what the request fails with.

        Whoever called the portal finds the exception as its cause. A client is never told more than its code.
        """
        logger.error(
            "%s could not serve a request: %s",
            type(self).__name__,
            type(error).__name__,
            exc_info=error,
        )
        fault = CheckerUnavailable(f"{type(self).__name__}: {type(error).__name__}")
        fault.__cause__ = error
        return fault
