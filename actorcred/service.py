"""The base of checkers and realms: they answer the portal and are restarted after a crash."""

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
    """Receives the decision of a checker or realm."""

    def settle(self, value: Any) -> object:
        """Accept the result."""

    def settle_error(self, error: BaseException) -> object:
        """Accept the reason why there is no result."""

    def started(self, work: Future[Any]) -> None:
        """Called with the work in progress, so that it can be cancelled if no longer needed."""


@dataclass(slots=True)
class Question(AnsweredMessage):
    """A question to a checker or realm; the decision goes to `answer`."""

    answer: Answer

    @property
    def subject(self) -> object:
        """What the question is about, for the log."""
        return None


@dataclass(slots=True)
class Crash(ControlMessage):
    """Crash with an exception that was raised elsewhere."""

    error: BaseException


class Service(Actor):
    """An actor that answers each question with a value, a future or a coroutine.

    Futures and coroutines of several requests run at the same time, so that a slow answer does not
    delay others. A `LoginFailed` is an answer. Any other exception fails the request and is logged.
    The actor itself crashes only in its own code (`on_start`, its own messages) or by raising
    `RestartRole`; its supervisor then decides whether it is restarted.
    """

    restartable = True

    def _actor_control(self, message: ControlMessage) -> Any:
        match message:
            case Crash(error):
                raise error
            case _:
                super()._actor_control(message)

    def _serve(self, question: Question, method: Callable[..., Any], *args: Any) -> None:
        """Answer a question with what a method returns, or with the result of its future."""
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
            answer.settle_error(CheckerUnavailable(f"{type(self).__name__} cancelled the request"))
        except BaseException as error:
            answer.settle_error(self._cred_fault(error, question.subject))

    def _cred_fault(self, error: BaseException, subject: object) -> LoginFailed:
        """Log an exception of a request, and return the error with which the request fails.

        The caller of the portal finds the exception as its cause. A client gets only its code.
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
