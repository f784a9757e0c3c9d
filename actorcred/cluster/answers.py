"""What this node answers to others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pykka
from pykka.messages import ProxyCall

from actorcred.actors import Future
from actorcred.cluster import messages as m
from actorcred.cluster.errors import BusError
from actorcred.cluster.holdings import Holdings
from actorcred.cluster.portable import portrait_of
from actorcred.errors import CallCode, CallError, ClientGone
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.methods import methods_of
from actorcred.names import ANONYMOUS
from actorcred.sessions.registry import SessionHost
from actorcred.sessions.session import Session

__all__ = ["AnswerTo", "Answers", "Reply", "answer_later", "hashable"]

logger = logging.getLogger("actorcred.cluster")

Reply = Callable[[bytes], object]

AnswerTo = Callable[..., None]
"""Sends the answer to a question: its kind and its value."""


class Answers:
    """Handles the messages of other nodes, on the cluster's event loop.

    Args:
        node: the id of this node.
        holdings: the sessions.
        spawn: runs a coroutine in the background.
        hello: called when a node has come.
    """

    def __init__(
        self,
        node: str,
        holdings: Holdings,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        hello: Callable[[], object],
    ) -> None:
        self._node = node
        self._holdings = holdings
        self._spawn = spawn
        self._hello = hello
        self.host: SessionHost | None = None
        """The portal, once there is one."""
        self.handlers: dict[type[m.Message], Callable[[Any, AnswerTo], object]] = {}
        """What other parts of the node handle."""

    def receive(self, data: bytes, reply: Reply | None) -> None:
        """Handle a message; what cannot be understood is logged and ignored."""
        try:
            message = m.unpack(data)
        except BusError as error:
            logger.warning("A message on the bus was ignored: %s", error)
            return
        self._handle(message, lambda kind, value=None: _send(reply, kind, value))

    def _handle(self, message: m.Message, answer: AnswerTo) -> None:  # noqa: C901, PLR0912  # a table
        match message:  # the most frequent ones first
            case m.Notify(session_id, name, args, key):
                session = self._session(session_id)
                if session is not None:
                    session.mind.notify(name, *args, key=hashable(key))
            case m.Ask():
                self._ask(message, answer)
            case m.Hello():
                self._hello()
            case m.IsKnown(session_id):
                holding = self._holdings.get(session_id)
                answer("ok", holding is not None and holding.is_known)
            case m.End():
                self._spawn(self._end(message, answer))
            case m.CallMind(session_id, name, args, timeout):
                session = self._session(session_id)
                if session is None:
                    answer("dead")
                else:
                    answer_later(session.mind.call(name, *args, timeout=timeout), answer)
            case m.Count():
                answer("ok", self._holdings.sessions)
            case m.ListSessions(session_id, avatar_id):
                found = self._found(session_id, avatar_id)
                answer("ok", [portrait_of(session, self._node) for session in found])
            case m.Kick(session_id, avatar_id, detail):
                self._kick(self._found(session_id, avatar_id), detail, answer)
            case m.AnnotateSession(session_id, notes):
                self._annotate(session_id, notes, answer)
            case _ if type(message) in self.handlers:
                self.handlers[type(message)](message, answer)
            case _:
                logger.warning("A %s came by the wrong way", type(message).__name__)

    def _session(self, session_id: str) -> Session | None:
        holding = self._holdings.get(session_id)
        return None if holding is None else holding.session

    def _found(self, session_id: str | None, avatar_id: str | None) -> list[Session]:
        if session_id is not None:
            session = self._session(session_id)
            return [] if session is None else [session]
        return self._holdings.open(ANONYMOUS if avatar_id == "" else avatar_id)

    async def _end(self, message: m.End, answer: AnswerTo) -> None:
        holding = self._holdings.get(message.session_id)
        if holding is not None:
            try:
                code = LogoutCode(message.code)
            except ValueError:  # of a newer version
                code = LogoutCode.KICKED
            await holding.end(LogoutReason(code, message.detail))
        answer("ok")

    def _ask(self, message: m.Ask, answer: AnswerTo) -> None:
        """Call an avatar for another node, which may do what the session's client may."""
        session = self._session(message.session_id)
        if session is None:
            answer("dead")
            return
        try:
            method = methods_of(session.interface).get(message.method)
            if method is None:
                raise CallError(f"no method {message.method!r}", CallCode.UNKNOWN_METHOD)
            args = method.arguments(message.args, _convert)
        except CallError as error:
            answer("refused", (str(error.code), str(error)))
            return
        call = ProxyCall((method.name,), args, {})
        answer_later(session.avatar.ask(call, block=False), answer)

    def _kick(self, sessions: list[Session], detail: str, answer: AnswerTo) -> None:
        host = self.host
        if host is None:
            answer("ok", 0)
        else:
            answer_later(host.run(lambda: host.kick(sessions, detail)), answer)

    def _annotate(self, session_id: str, notes: dict[str, Any], answer: AnswerTo) -> None:
        session, host = self._session(session_id), self.host
        if session is None or host is None:
            answer("ok", False)
            return

        def annotate() -> bool:
            session.annotate(notes)
            return True

        answer_later(host.run(annotate), answer)


def answer_later(future: Future[Any], answer: AnswerTo) -> None:
    """Answer with the result of a future; on the cluster's event loop."""
    loop = asyncio.get_running_loop()
    future.add_done_callback(lambda done: _on_loop(loop, _settle, done, answer))


def _on_loop(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *args: Any) -> None:
    if asyncio._get_running_loop() is loop:
        function(*args)
    else:
        try:
            loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            logger.debug("An answer came after the end of the cluster")


def _settle(future: Future[Any], answer: AnswerTo) -> None:
    try:
        answer("ok", future.get())
    except pykka.ActorDeadError:
        answer("dead")
    except (ClientGone, pykka.Timeout) as error:
        answer("gone", str(error))
    except CallError as error:
        answer("refused", (str(error.code), str(error)))
    except Exception as error:
        logger.exception("A call of another node failed:")
        answer("failed", type(error).__name__)


def _send(reply: Reply | None, kind: str, value: Any = None) -> None:
    if reply is None:
        return
    try:
        reply(m.pack(m.Answer(kind, value)))
    except BusError as error:
        reply(m.pack(m.Answer("failed", f"the answer {error}")))


def _convert(value: Any, kind: Any) -> Any:
    return msgspec.convert(value, kind, builtin_types=(bytes, bytearray))


def hashable(key: Any) -> Any:
    """Return the key of a notification as it was before it crossed to this node."""
    return tuple(map(hashable, key)) if isinstance(key, list) else key
