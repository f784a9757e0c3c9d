"""What checkers and realms have in common: they answer the portal, at once or later, and are restarted after a crash."""

from __future__ import annotations

from types import CoroutineType
from typing import Any, Protocol

from actorcred.actors import Actor, ActorRef, ControlCall, Future
from actorcred.errors import CheckerUnavailable, LoginFailed

__all__ = ["Answer", "Service", "request"]


class Answer(Protocol):
    """Where a checker or realm puts what it decides."""

    def settle(self, value: Any) -> object:
        """Take the result."""

    def settle_error(self, error: BaseException) -> object:
        """Take the reason why there is none."""

    def started(self, work: Future[Any]) -> None:
        """Learn what is under way for it, so that it can be cancelled when nobody wants the answer any more."""


def request(ref: ActorRef[Any], answer: Answer, method: str, *args: Any) -> None:
    """Have a checker or realm run a method and put what it decides into `answer`, without waiting.

    Raises:
        pykka.ActorDeadError: if it has stopped for good.
    """
    ref.hand_over(ControlCall(("_cred_serve", method, args, answer)), None)


class Service(Actor):
    """An actor whose method returns a value, a future or a coroutine.

    Futures and coroutines of several requests are under way at the same time, so that one slow answer delays no other.
    A `LoginFailed` is an answer. Any other exception is a crash: the request fails as unavailable, and whoever supervises
    the actor decides what becomes of it.
    """

    restartable = True

    def _cred_serve(self, method: str, args: tuple[Any, ...], answer: Answer) -> None:
        try:
            result = getattr(self, method)(*args)
        except LoginFailed as error:
            answer.settle_error(error)
        except BaseException as error:
            answer.settle_error(self._cred_crash_report(error))
            raise
        else:
            if type(result) is CoroutineType:
                result = self.actor_inbox.dispatcher.spawn(result)
            if isinstance(result, Future):
                answer.started(result)
                result.add_done_callback(lambda done: self._cred_served(done, answer))
            else:
                answer.settle(result)

    def _cred_served(self, done: Future[Any], answer: Answer) -> None:
        if done.cancelled():
            return
        try:
            answer.settle(done.get())
        except LoginFailed as error:
            answer.settle_error(error)
        except BaseException as error:
            answer.settle_error(self._cred_crash_report(error))
            self.actor_inbox.put(ControlCall(("_cred_crash", error)))

    def _cred_crash(self, error: BaseException) -> None:
        raise error

    def _cred_crash_report(self, error: BaseException) -> CheckerUnavailable:
        return CheckerUnavailable(f"{type(self).__name__} crashed: {type(error).__name__}")
