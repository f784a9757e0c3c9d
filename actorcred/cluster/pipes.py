"""Pipes between nodes, in which messages arrive whole, once and in order, or the pipe is over.

NATS itself may lose messages while a node is disconnected. So the messages of a pipe are numbered,
and both ends are closed if one is missing, if a node is disconnected from NATS or is gone. An end
that has heard nothing since the last beat asks whether the other one is still there. Each end sends
no more than `WINDOW` bytes ahead of what the other one has handled.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from time import monotonic
from typing import Any, ClassVar, Protocol, get_args

import msgspec
import pykka

from actorcred.actors import Future
from actorcred.cluster.errors import BusDown, BusError, NodeGone, RemoteError
from actorcred.cluster.far import FarSession, Way
from actorcred.cluster.interfaces import Interfaces
from actorcred.cluster.members import Members
from actorcred.cluster.messages import Message, pack
from actorcred.cluster.pipe import NodePipe
from actorcred.cluster.pipe_messages import (
    CheckPipes,
    ClosePipe,
    LosePipes,
    OpenPipe,
    PipeData,
    PipeMessage,
    PipeTaken,
)
from actorcred.cluster.portable import Portrait, portrait_of
from actorcred.sessions.routing import Accept, Accepted, NoRoute, Opened, PipeEnd

__all__ = ["PipeBus", "PipeWay", "Pipes"]

logger = logging.getLogger("actorcred.cluster")

PIPES = 20_000
"""Pipes that a node may have; each takes about 2 KB, and at most `WINDOW` under way."""

RETURN = 1.0
"""Seconds in which a node that is disconnected from NATS for a moment can be heard again."""

RETRY = 0.1
"""Seconds until a node that was not heard is asked again."""

CHECKED = 1000
"""Pipes in one question whether the other node still has them."""

ACCEPTED = 5.0
"""Seconds for a server to accept a pipe."""


class PipeBus(Protocol):
    """What pipes need of the bus."""

    when_away: list[Callable[[], object]]
    when_unheard: list[Callable[[str], object]]

    def tell(self, node: str, data: bytes) -> bool:
        """Send a node a message; return whether it is on its way."""


class PipeWay(Way, Protocol):
    """What pipes need of their node. All methods can be called on any thread.

    Attributes:
        interfaces: those that it knows.
    """

    interfaces: Interfaces

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the cluster's event loop; at once if that is the running one."""


class Pipes:
    """The pipes of a node; implements `Router`.

    Args:
        node: the id of this node.
        bus: the way to the others.
        members: which of them live.
        way: asks them, and runs what must run on the cluster's event loop.
        most: how many pipes there may be.
    """

    MESSAGES: ClassVar = get_args(PipeMessage)

    def __init__(
        self, node: str, bus: PipeBus, members: Members, way: PipeWay, most: int = PIPES
    ) -> None:
        self.node = node
        self._bus = bus
        self._members = members
        self._way = way
        self._most = most
        self._pipes: dict[str, NodePipe] = {}
        self._services: dict[str, list[Accept]] = {}
        self._silent: set[str] = set()
        """Nodes that were not heard for `RETURN`, and have not yet been declared dead."""
        bus.when_away.append(self._lose_all)
        bus.when_unheard.append(self._lose)
        members.when_dead.append(self._bury)
        members.when_renewed.append(self._beat)

    def __len__(self) -> int:
        return len(self._pipes)

    # -- for servers and adapters ----------------------------------------------------------------

    def open(
        self, node: str, service: str, greeting: bytes, end: PipeEnd
    ) -> Future[Opened | NoRoute]:
        """Open a pipe to another node; see `Router`."""
        return self._way.run(self._open(node, service, greeting, end))

    async def _open(
        self, node: str, service: str, greeting: bytes, end: PipeEnd
    ) -> Opened | NoRoute:
        if len(self._pipes) >= self._most:
            logger.warning("This node has %d pipes to others, and opens no more", self._most)
            return NoRoute.AWAY
        pipe = self._add(secrets.token_hex(8), node, end)
        question = OpenPipe(pipe.id, self.node, service, greeting)
        outcome: Any = NoRoute.AWAY
        try:
            outcome = await self._ask(node, question)
        finally:
            if isinstance(outcome, NoRoute):
                pipe.cancel()
        if isinstance(outcome, NoRoute):
            return outcome
        answer, portrait = outcome
        pipe.opened = True
        return Opened(pipe, answer, None if portrait is None else self._far(portrait))

    async def _ask(self, node: str, question: OpenPipe) -> tuple[bytes, Portrait | None] | NoRoute:
        deadline = monotonic() + RETURN
        # Before it is part of a subject: a client can send any string.
        while node in self._members.others():
            try:
                answer = await self._way.ask(node, question)
            except NodeGone:
                # It may be disconnected for a moment, such as when NATS restarts.
                if node in self._silent or monotonic() >= deadline:
                    self._silent.add(node)
                    return NoRoute.SILENT
                await asyncio.sleep(RETRY)
                continue
            except (BusDown, RemoteError, BusError) as error:
                logger.debug("No pipe to %s: %s", node, error)
                return NoRoute.AWAY
            except pykka.ActorDeadError:
                return NoRoute.OVER
            self._silent.discard(node)
            return self._answered(node, answer)
        return NoRoute.GONE

    @staticmethod
    def _answered(node: str, answer: Any) -> tuple[bytes, Portrait | None] | NoRoute:
        if answer is None:
            return NoRoute.UNKNOWN
        try:
            return msgspec.convert(answer, tuple[bytes, Portrait | None])
        except msgspec.ValidationError as error:
            logger.warning("Node %s answered wrongly: %s", node, error)
            return NoRoute.AWAY

    def _far(self, portrait: Portrait) -> FarSession:
        interface = self._way.interfaces.get(portrait.interface) or object
        return FarSession(portrait, interface, self._way)

    def serve(self, service: str, accept: Accept) -> Callable[[], None]:
        """Accept pipes of other nodes; see `Router`."""
        self._services[service] = [*self._services.get(service, ()), accept]

        def end() -> None:
            left = [one for one in self._services.get(service, ()) if one is not accept]
            self._services[service] = left

        return end

    # -- for the pipes ---------------------------------------------------------------------------

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the cluster's event loop."""
        self._way.post(function, *args)

    def tell(self, node: str, message: Message) -> bool:
        """Send a node a message; its pipes are closed if NATS says that it is not there."""
        return self._bus.tell(node, pack(message))

    def forget(self, pipe: NodePipe) -> None:
        """Remove a pipe that is over."""
        self._pipes.pop(pipe.id, None)

    def _add(self, pipe_id: str, node: str, end: PipeEnd | None) -> NodePipe:
        pipe = self._pipes[pipe_id] = NodePipe(self, pipe_id, node, end)
        return pipe

    # -- from other nodes ------------------------------------------------------------------------

    def receive(self, message: PipeMessage, answer: Callable[..., None]) -> None:
        """Handle a message of another node."""
        match message:
            case PipeData() | PipeTaken() | ClosePipe():
                pipe = self._pipes.get(message.pipe)
                if pipe is not None:
                    pipe.receive(message)
            case OpenPipe():
                if len(self._pipes) >= self._most or message.pipe in self._pipes:
                    answer("failed", "no more pipes")
                else:
                    opening = self._add(message.pipe, message.node, None)
                    self._way.run(self._accept(message, opening, answer))
            case CheckPipes():
                self._check(message)
            case LosePipes():
                for pipe in map(self._pipes.get, message.pipes):
                    if pipe is not None:
                        pipe.finish("the other node does not have it any more")

    def _check(self, message: CheckPipes) -> None:
        """Tell a node which of its pipes are not here."""
        lost = []
        for pipe_id in message.pipes:
            pipe = self._pipes.get(pipe_id)
            if pipe is None:
                lost.append(pipe_id)
            else:
                pipe.heard = True
        if lost:
            self.tell(message.node, LosePipes(lost))

    async def _accept(self, message: OpenPipe, pipe: NodePipe, answer: Callable[..., None]) -> None:
        for accept in self._services.get(message.service, ()):
            try:
                async with asyncio.timeout(ACCEPTED):
                    accepted = await accept(message.greeting, pipe)
            except pykka.ActorDeadError:
                self.forget(pipe)
                answer("dead")
                return
            except Exception:
                logger.exception("A pipe of another node could not be accepted:")
                continue
            if accepted is not None:
                pipe.attach(accepted.end)
                answer("ok", self._told(accepted))
                return
        self.forget(pipe)
        answer("ok", None)

    def _told(self, accepted: Accepted) -> tuple[bytes, Portrait | None]:
        session = accepted.session
        return accepted.answer, None if session is None else portrait_of(session, self.node)

    # -- losses ----------------------------------------------------------------------------------

    def _beat(self) -> None:
        """Find out whether the other ends of pipes still exist, and their nodes hear."""
        silent: dict[str, list[str]] = {pipe.node: [] for pipe in self._pipes.values()}
        for pipe in self._pipes.values():
            if pipe.opened and not pipe.heard:
                silent[pipe.node].append(pipe.id)
            pipe.heard = False
        for node, pipes in silent.items():
            for begin in range(0, len(pipes) or 1, CHECKED):
                self.tell(node, CheckPipes(self.node, pipes[begin : begin + CHECKED]))

    def _bury(self, node: str) -> None:
        self._lose(node)
        self._silent.discard(node)

    def _lose(self, node: str) -> None:
        for pipe in [pipe for pipe in self._pipes.values() if pipe.node == node]:
            pipe.break_off("the other node is gone")  # one that was stopped might go on

    def _lose_all(self) -> None:
        for pipe in list(self._pipes.values()):
            pipe.break_off("this node was disconnected from NATS")

    def close(self) -> None:
        """Close all pipes, since this node leaves."""
        for pipe in list(self._pipes.values()):
            pipe.break_off("this node has left the cluster")
