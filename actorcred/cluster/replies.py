"""Answering other nodes: what futures and exceptions become as messages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
import pykka

from actorcred.actors import Future
from actorcred.cluster.errors import BusError
from actorcred.cluster.messages import Answer, pack
from actorcred.errors import CallError, ClientGone
from actorcred.logout import LogoutCode

__all__ = [
    "AnswerTo",
    "answer_later",
    "code_of",
    "convert",
    "flattened",
    "hashable",
    "on_loop",
    "send",
    "settle",
]

logger = logging.getLogger("actorcred.cluster")

AnswerTo: TypeAlias = Callable[..., None]
"""Sends an answer: its kind, and the value or the reason."""


def answer_later(future: Future[Any], answer: AnswerTo) -> None:
    """Answer with the result of a future; on the cluster's event loop."""
    loop = asyncio.get_running_loop()
    future.add_done_callback(lambda done: on_loop(loop, settle, done, answer))


def on_loop(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *args: Any) -> None:
    """Call a function on an event loop; at once if that is the running one. Thread-safe."""
    if asyncio._get_running_loop() is loop:
        function(*args)
    else:
        try:
            loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            logger.debug("An answer came after the end of the cluster")


def settle(future: Future[Any], answer: AnswerTo) -> None:
    """Answer with the result of a future that is done."""
    try:
        answer("ok", future.get())
    except pykka.ActorDeadError:
        answer("dead")
    except (ClientGone, pykka.Timeout) as error:
        answer("gone", str(error))
    except CallError as error:
        more = () if error.retry_after is None else (error.retry_after,)
        answer("refused", (str(error.code), str(error), *more))
    except Exception as error:
        logger.exception("A call of another node failed:")
        answer("failed", type(error).__name__)


def flattened(future: Future[Any]) -> Future[Any]:
    """Return a future of the result; if that is a future, too, of its result."""
    flat: Future[Any] = Future()

    def follow(done: Future[Any]) -> None:
        try:
            value = done.get()
        except BaseException as error:
            flat.settle_error(error)
        else:
            if isinstance(value, pykka.Future):
                flat.follow(Future.adopt(value))
            else:
                flat.settle(value)

    future.add_done_callback(follow)
    return flat


def send(reply: Callable[[bytes], object] | None, kind: str, value: Any = None) -> None:
    """Send an answer, if one is wanted; one that cannot cross to another node becomes an error."""
    if reply is None:
        return
    try:
        reply(pack(Answer(kind, value)))
    except BusError as error:
        reply(pack(Answer("failed", f"the answer {error}")))


def convert(value: Any, kind: Any) -> Any:
    """Convert a decoded value to a type; see `Codec.convert`."""
    return msgspec.convert(value, kind, builtin_types=(bytes, bytearray))


def code_of(code: str) -> LogoutCode:
    """Return the code of a logout; one of a newer version is a kick."""
    try:
        return LogoutCode(code)
    except ValueError:
        return LogoutCode.KICKED


def hashable(key: Any) -> Any:
    """Return the key of a notification as its sender had it: tuples cross as lists."""
    return tuple(map(hashable, key)) if isinstance(key, list) else key
