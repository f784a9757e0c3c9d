"""What this node answers to others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from pykka.messages import ProxyCall

from actorcred.cluster import messages as m
from actorcred.cluster.complaints import Complaints
from actorcred.cluster.errors import BusError
from actorcred.cluster.holdings import Holdings
from actorcred.cluster.pages import page_of
from actorcred.cluster.replies import (
    AnswerTo,
    answer_later,
    code_of,
    convert,
    flattened,
    hashable,
    send,
)
from actorcred.cluster.visits import Visits
from actorcred.errors import CallCode, CallError
from actorcred.logout import LogoutReason
from actorcred.methods import methods_of
from actorcred.mind.mind import MindRef
from actorcred.names import ANONYMOUS
from actorcred.sessions.registry import SessionHost
from actorcred.sessions.session import Session

__all__ = ["Answers", "Reply"]

logger = logging.getLogger("actorcred.cluster")

Reply = Callable[[bytes], object]


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
        self._complaints = Complaints()
        self.host: SessionHost | None = None
        """The portal, once there is one."""
        self.handlers: dict[type[m.Message], Callable[[Any, AnswerTo], object]] = {}
        """What other parts of the node handle."""
        self.visits: Visits
        """The sessions whose avatar is at another node."""

    def receive(self, data: bytes, reply: Reply | None) -> None:
        """Handle a message; what cannot be understood is logged and ignored."""
        try:
            message = m.unpack(data)
        except BusError as error:
            # A newer node might ask for what this one does not know. It must not wait for nothing.
            self._complaints.warn(str(error), f"A message on the bus was ignored: {error}")
            send(reply, "unknown", f"node {self._node} is of an older version: {error}")
            return
        if type(message) is m.Notify:  # by far the most frequent one
            self._notify(message)
        else:
            self._handle(message, lambda kind, value=None: send(reply, kind, value))

    def _handle(self, message: m.Message, answer: AnswerTo) -> None:  # noqa: C901  # a table
        match message:  # the most frequent ones first
            case m.Ask():
                self._ask(message, answer)
            case m.Hello():
                self._hello()
            case m.IsKnown(session_id):
                answer("ok", self._holdings.knows(session_id))
            case m.End():
                self._spawn(self._end(message, answer))
            case m.CallMind():
                self._call_client(message, answer)
            case m.Count():
                answer("ok", 0 if self.host is None else self.host.count())
            case m.ListSessions(session_id, avatar_id, after):
                answer(*page_of(self._found(session_id, avatar_id), after, lambda _: self._node))
            case m.Kick(session_id, avatar_id, detail):
                self._kick(self._found(session_id, avatar_id), detail, answer)
            case m.AnnotateSession(session_id, notes):
                self._annotate(session_id, notes, answer)
            case _ if type(message) in self.handlers:
                self.handlers[type(message)](message, answer)
            case _:
                name = type(message).__name__
                self._complaints.warn(name, f"A {name} came by the wrong way")
                answer("unknown", f"node {self._node} does not serve this")

    def _session(self, session_id: str) -> Session | None:
        holding = self._holdings.get(session_id)
        return None if holding is None else holding.session

    def _notify(self, message: m.Notify) -> None:
        name, args, key = message.name, message.args, hashable(message.key)
        session = self._session(message.session_id)
        if session is not None:
            session.mind.notify(name, *args, key=key)
        else:
            self._to_client(message.session_id, lambda mind: mind.notify(name, *args, key=key))

    def _to_client(self, session_id: str, message: Callable[[MindRef], object]) -> bool:
        """Call a function with a session's mind; return whether there is or will be one."""
        session = self._session(session_id)
        if session is not None:
            message(session.mind)
            return True
        visit = self.visits.visit_of(session_id)  # which can be notified before it has opened
        if visit is not None:
            visit.to_client(message)
        return visit is not None

    def _call_client(self, message: m.CallMind, answer: AnswerTo) -> None:
        def call(mind: MindRef) -> None:
            made = mind.call(message.name, *message.args, timeout=message.timeout)
            answer_later(made, answer)

        if not self._to_client(message.session_id, call):
            answer("dead")

    def _found(self, session_id: str | None, avatar_id: str | None) -> list[Session]:
        if session_id is not None:
            session = self._session(session_id)
            return [] if session is None or not session.is_open else [session]
        return self._holdings.open(ANONYMOUS if avatar_id == "" else avatar_id)

    async def _end(self, message: m.End, answer: AnswerTo) -> None:
        holding = self._holdings.get(message.session_id)
        if holding is not None:
            await holding.end(LogoutReason(code_of(message.code), message.detail))
        answer("ok", holding is not None)

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
            args = method.arguments(message.args, convert)
        except CallError as error:
            answer("refused", (str(error.code), str(error)))
            return
        call = ProxyCall((method.name,), args, {})
        answer_later(flattened(session.avatar.ask(call, block=False)), answer)

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
