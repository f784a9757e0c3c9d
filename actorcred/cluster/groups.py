"""Groups whose members are at several nodes. A node listens to those in which it has one."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from functools import lru_cache, partial
from typing import Any, Protocol

import pykka

from actorcred.actors import Future
from actorcred.cluster.bus import Bus
from actorcred.cluster.complaints import Complaints
from actorcred.cluster.errors import BusDown, BusError
from actorcred.cluster.far import FarMind, Way, ask_for
from actorcred.cluster.found import Found, Number, far_sessions
from actorcred.cluster.interfaces import Interfaces
from actorcred.cluster.messages import JoinGroup, ListGroup, NotifyGroup, pack, unpack
from actorcred.cluster.pages import page_of
from actorcred.cluster.replies import AnswerTo, answer_later, hashable
from actorcred.cluster.roster import key_of
from actorcred.mind.outbox import Notification
from actorcred.sessions.groups import Groups, NamedGroup
from actorcred.sessions.info import ClientHandle, SessionInfo
from actorcred.sessions.session import Session

__all__ = ["ClusterGroups"]


class GroupWay(Way, Protocol):
    """What groups need of their node. All methods can be called on any thread."""

    interfaces: Interfaces

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the cluster's event loop."""

    def find(self, session_id: str) -> Session | None:
        """Return an open session of this node; on the event loop."""

    def home_of(self, session: Session) -> str:
        """Return the node of a session's client, which is another one for a guest."""


class ClusterGroups:
    """The way of a node's groups to their members elsewhere. Implements `GroupLink`.

    Args:
        way: the node.
        bus: its way to NATS.
        spawn: runs a coroutine in the background.

    Attributes:
        groups: the groups of this node's portal.
    """

    def __init__(
        self, way: GroupWay, bus: Bus, spawn: Callable[[Coroutine[Any, Any, None]], object]
    ) -> None:
        self._way = way
        self._bus = bus
        self._spawn = spawn
        self.groups = Groups(self)
        self._subscriptions: dict[str, Any] = {}
        """Those to the topics of groups with a member here, by the topics."""
        self._waiting: dict[NamedGroup, list[Future[None]]] = {}
        """Groups that have got or lost members, with those who wait until NATS knows it."""
        self._works = False
        self._complaints = Complaints()
        bus.when_back.append(self._catch_up)

    # -- what the groups call, on any thread -----------------------------------------------------

    def changed(self, group: NamedGroup) -> Future[None]:
        """Listen to a group, or no more."""
        ready: Future[None] = Future()
        self._way.post(self._note, group, ready)
        return ready

    def encode(
        self, name: str, args: tuple[Any, ...], key: Hashable, but: ClientHandle | None
    ) -> bytes:
        """Return a notification as bytes; see `GroupLink`."""
        left_out = but.session_id if isinstance(but, FarMind) else ""
        data = pack(NotifyGroup(self._way.id, name, list(args), key, left_out))
        self._bus.check_size(data)
        return data

    def send(self, group: NamedGroup, data: bytes) -> None:
        """Send a notification to the other nodes that have members."""
        self._way.post(self._bus.publish, _topic_of(group.name), data)

    def add(self, group: NamedGroup, member: ClientHandle) -> Future[None]:
        """Have the client of another node become a member."""
        return self._join(group, member, leave=False)

    def discard(self, group: NamedGroup, member: ClientHandle) -> Future[None]:
        """Have the client of another node leave."""
        return self._join(group, member, leave=True)

    def _join(self, group: NamedGroup, member: ClientHandle, *, leave: bool) -> Future[None]:
        if not isinstance(member, FarMind):
            raise TypeError(f"a member of a group is the mind of a session, not {member!r}")
        question = JoinGroup(member.session_id, group.name, leave)
        return self._way.run(ask_for(self._way, member.node, question, None))

    def count(self, group: NamedGroup, own: int) -> Future[int]:
        """Return the number of members at all nodes."""
        return self._way.run(self._count(group, own))

    async def _count(self, group: NamedGroup, own: int) -> int:
        return Number.total(own, *await self._way.gather(ListGroup(group.name, count=True)))

    def members(self, group: NamedGroup, own: list[Session]) -> Future[list[SessionInfo]]:
        """Return the sessions of the members at all nodes."""
        return self._way.run(self._members(group, own))

    async def _members(self, group: NamedGroup, own: list[Session]) -> list[SessionInfo]:
        answers, missing = await self._way.gather(ListGroup(group.name))
        far = far_sessions(answers, self._way.interfaces, self._way)
        return Found.joined(own, far, missing)

    # -- what other nodes say, on the event loop -------------------------------------------------

    def receive(self, message: JoinGroup | ListGroup, answer: AnswerTo) -> None:
        """Answer a question about a group."""
        if isinstance(message, JoinGroup):
            self._join_here(message, answer)
            return
        group = self.groups.find(message.group)
        if message.count:
            answer("ok", 0 if group is None else len(group.own()))
        else:
            own = [] if group is None else group.own_sessions()
            answer(*page_of(own, message.after, self._way.home_of))

    def _join_here(self, message: JoinGroup, answer: AnswerTo) -> None:
        session = self._way.find(message.session_id)
        if session is None:
            answer("dead")
            return
        try:
            group = self.groups.get(message.group)
            change = group.discard if message.leave else group.add
            answer_later(change(session.mind), answer)
        except ValueError as error:
            answer("failed", str(error))

    def _hear(self, group: NamedGroup, data: bytes) -> None:
        try:
            said = unpack(data)
        except BusError as error:
            self._complaints.warn("junk", f"A notification of a group was ignored: {error}")
            return
        if not isinstance(said, NotifyGroup):
            name = type(said).__name__
            self._complaints.warn(name, f"A {name} came by the wrong way")
        elif said.node != self._way.id:
            but = self._way.find(said.but) if said.but else None
            notification = Notification(said.name, tuple(said.args), hashable(said.key))
            group.deliver(notification, None if but is None else but.mind)

    # -- subscriptions, on the event loop --------------------------------------------------------

    def _note(self, group: NamedGroup, ready: Future[None]) -> None:
        self._waiting.setdefault(group, []).append(ready)
        if not self._works:
            self._works = True
            self._spawn(self._work())

    def _catch_up(self) -> None:
        """Listen to the groups for which that has failed."""
        for group in self.groups:
            if group.has_members and _topic_of(group.name) not in self._subscriptions:
                self._note(group, Future())

    async def _work(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, {}
                await self._follow(waiting)
        finally:
            self._works = False

    async def _follow(self, waiting: dict[NamedGroup, list[Future[None]]]) -> None:
        error: Exception | None = None
        try:
            for group in waiting:
                await self._join_or_leave(group)
            await self._bus.flush()
            if not self._bus.connected:
                raise BusDown("not connected to NATS")
        except BusDown as down:
            error = pykka.Timeout(f"NATS does not know yet of the members of a group: {down}")
        for ready in (one for futures in waiting.values() for one in futures):
            if error is None:
                ready.settle()
            else:
                ready.settle_error(error)

    async def _join_or_leave(self, group: NamedGroup) -> None:
        topic = _topic_of(group.name)
        if group.has_members and topic not in self._subscriptions:
            hear = partial(self._hear, group)
            self._subscriptions[topic] = await self._bus.subscribe(topic, hear)
        elif not group.has_members and topic in self._subscriptions:
            await self._bus.unsubscribe(self._subscriptions.pop(topic))


@lru_cache(10_000)
def _topic_of(name: str) -> str:
    return f"group.{key_of(name)}"
