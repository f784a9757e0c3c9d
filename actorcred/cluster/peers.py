"""Questions to other nodes, with their answers as values and exceptions."""

from __future__ import annotations

import contextlib
from typing import Any, Protocol

import msgspec
import pykka

from actorcred.cluster.errors import BusDown, BusError, NodeGone, Pending, RemoteError
from actorcred.cluster.members import Life, Members
from actorcred.cluster.messages import (
    Answer,
    End,
    IsKnown,
    ListGroup,
    ListSessions,
    Message,
    pack,
    unpack,
)
from actorcred.cluster.roster import Entry
from actorcred.errors import CallError, ClientGone
from actorcred.logout import LogoutReason

__all__ = ["PeerBus", "Peers"]

END_TIMEOUT = 5.0
"""Seconds for the answer of a node that ends a session; it is asked again after that."""

GATHER_TIMEOUT = 0.5
"""Seconds for the answers of all nodes: one that has just died must not hold everybody up."""


class PeerBus(Protocol):
    """What questions need of the bus."""

    node: str

    async def ask(self, node: str, data: bytes, timeout: float | None = None) -> bytes:
        """Send a node a message; return the answer."""

    async def gather(
        self, data: bytes, nodes: set[str], timeout: float | None = None
    ) -> dict[str, bytes]:
        """Ask all nodes; return the answers."""


class Peers:
    """Asks other nodes.

    Args:
        bus: the way to them.
        members: which of them live.
    """

    def __init__(self, bus: PeerBus, members: Members) -> None:
        self._bus = bus
        self._members = members

    async def ask(self, node: str, message: Message, timeout: float | None = None) -> Any:
        """Ask a node; return its answer.

        Raises:
            NodeGone: if there is no such node, or it is known to have died.
            BusDown: if there was no answer in time.
            BusError: if the question cannot cross to another node, or the answer is none.
            pykka.ActorDeadError: if the session that the question is about is over.
            ClientGone: if its client cannot be reached.
            CallError: if the call was refused, or the method has raised one.
            RemoteError: if it has failed otherwise.
            Pending: if the result of a guest's call comes later.
        """
        if self._members.life_of(node) is Life.DEAD:
            raise NodeGone(node)
        answer = unpack(await self._bus.ask(node, pack(message), timeout))
        if not isinstance(answer, Answer):
            raise BusError(f"a node answered with a {type(answer).__name__}")
        match answer.kind:
            case "ok":
                return answer.value
            case "more":
                return await self._all(node, message, answer.value)
            case "dead":
                raise pykka.ActorDeadError("the session is over")
            case "gone":
                raise ClientGone(str(answer.value))
            case "refused":
                code, text, *more = answer.value
                raise CallError(text, code, retry_after=more[0] if more else None)
            case "pending":
                raise Pending
            case _:
                raise RemoteError(str(answer.value))

    async def _all(self, node: str, question: Message, page: Any) -> list[Any]:
        """Ask for what did not fit into one answer; return all of it."""
        found = list[Any]()
        while True:
            question = _next(node, question, page)
            found += page
            answer = unpack(await self._bus.ask(node, pack(question)))
            if not isinstance(answer, Answer) or answer.kind not in {"ok", "more"}:
                raise BusError(f"node {node} did not answer with the rest of its sessions")
            page = answer.value
            if answer.kind == "ok" and isinstance(page, list):
                return found + page

    async def is_known(self, entry: Entry) -> bool | None:
        """Return whether a node has a session that the roster says it has; None if unknown."""
        try:
            return bool(await self.ask(entry.node, IsKnown(entry.id), timeout=self._members.beat))
        except (NodeGone, BusDown, BusError, RemoteError):
            return None

    async def end(self, entry: Entry, reason: LogoutReason) -> bool:
        """Have a session of another node ended; return whether nothing is left of it."""
        question = End(entry.id, str(reason.code), reason.detail)
        try:
            await self.ask(entry.node, question, END_TIMEOUT)
        except (NodeGone, BusDown, BusError, RemoteError):
            return False
        return True

    async def gather(self, message: Message) -> tuple[dict[str, Any], frozenset[str]]:
        """Ask all other nodes; never raises for what they do.

        Returns:
            The values of those that answered, by node, and the nodes that live but did not.

        Raises:
            BusError: if the question cannot cross to another node.
        """
        nodes = self._members.others()
        answers: dict[str, Any] = {}
        for node, data in (await self._bus.gather(pack(message), nodes, GATHER_TIMEOUT)).items():
            try:
                answer = unpack(data)
            except BusError:
                continue
            if isinstance(answer, Answer) and answer.kind == "ok":
                answers[node] = answer.value
            elif isinstance(answer, Answer) and answer.kind == "more":
                with contextlib.suppress(NodeGone, BusDown, BusError):
                    answers[node] = await self._all(node, message, answer.value)
        return answers, frozenset(nodes - answers.keys())


def _next(node: str, question: Message, page: Any) -> ListSessions | ListGroup:
    """Return the question for what comes after a page."""
    match page:
        case [*_, [str(last), *_]] if isinstance(question, ListSessions | ListGroup):
            if last > question.after:
                return msgspec.structs.replace(question, after=last)
    raise BusError(f"node {node} answered with a list that does not go on")
