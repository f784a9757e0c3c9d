"""Calls of avatars' methods. A result that is itself a future is followed to its value."""

from __future__ import annotations

from typing import Any

import pykka
from pykka.messages import ProxyCall

from actorcred.actors import ActorRef, Future

__all__ = ["ask", "call", "flat"]


def call(avatar: ActorRef[Any], method: str, *args: Any, **kwargs: Any) -> Future[Any]:
    """Call a method of an avatar; return a future of what it returns."""
    return avatar.ask(ProxyCall((method,), args, kwargs), block=False)


def flat(future: Future[Any]) -> Future[Any]:
    """Return a future of the final result, after following futures that resolve to futures."""
    made: Future[Any] = Future()

    def take(done: Future[Any]) -> None:
        try:
            value = done.get()
        except BaseException as error:
            made.settle_error(error)
        else:
            if isinstance(value, pykka.Future):
                Future.adopt(value).add_done_callback(take)
            else:
                made.settle(value)

    future.add_done_callback(take)
    return made


async def ask(avatar: ActorRef[Any], method: str, *args: Any) -> Any:
    """Call a method of an avatar; return its final result.

    Raises:
        pykka.ActorDeadError: if the session is over.
        Exception: what the method raised.
    """
    answer = await call(avatar, method, *args)
    while isinstance(answer, pykka.Future):
        answer = await Future.adopt(answer)
    return answer
