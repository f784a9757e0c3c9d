"""Moving sessions from node to node.

The node that has a session stops its avatar and asks another one to adopt it. That node puts itself
into the roster in place of the first one, by compare-and-set on the revision that the first one has
named. This is the moment of the move: before it, the avatar can go on where it was; after it, the
new node restores the avatar from its snapshot.

A node that gets no answer reads the roster. If its own entry is still there, it writes that again,
so that a late compare-and-set fails, and the avatar goes on. If not, the session is elsewhere, or
has ended there. If it cannot be known before this node's lease is over, the session ends here,
without `on_logout`. So there never are two avatars.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, Protocol

import msgspec
import pykka

from actorcred.cluster.adoption import Adopt
from actorcred.cluster.claims import Claims
from actorcred.cluster.errors import BusDown, BusError, NodeGone, RemoteError
from actorcred.cluster.holdings import Holding, Holdings
from actorcred.cluster.members import Members
from actorcred.cluster.messages import AnnotateSession, Ask, Message, Notify, pack
from actorcred.cluster.peers import Peers
from actorcred.cluster.portable import Portrait, name_of, plain, portrait_of
from actorcred.cluster.roster import Entry, Roster, key_of
from actorcred.errors import CallError, MoveFailed
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.names import ANONYMOUS
from actorcred.sessions.moving import Arrival, Departure, Mover, Parcel
from actorcred.sessions.registry import SessionHost
from actorcred.sessions.session import Session

__all__ = ["Lost", "Moves"]

logger = logging.getLogger("actorcred.cluster")

ABREAST = 32
"""Sessions that move at a time."""

TARGETS = 3
"""Nodes that are asked to adopt a session before it stays."""

CONFLICTS = 10
"""Changes of the roster by others after which a session stays."""

ADOPTION = 15.0
"""Seconds for another node to restore an avatar."""

PAUSE = 0.1
"""Seconds until NATS is asked again where a session is."""

CONFLICT = "conflict"


class Lost(Exception):
    """A session that was handed over does not go on here; the reason is that of its end."""

    def __init__(self, reason: LogoutReason) -> None:
        super().__init__(str(reason))
        self.reason = reason


class MoveBus(Protocol):
    """What moves need of the bus."""

    def tell(self, node: str, data: bytes) -> bool:
        """Send a node a message."""

    def check_size(self, data: bytes) -> None:
        """Check that NATS takes a message."""


class Moves:
    """Hands sessions over to other nodes, and adopts theirs. It runs on the node's event loop.

    Args:
        node: the id of this node.
        bus: the way to the others.
        holdings: what this node has.
        roster: what NATS knows.
        members: which nodes live.
        claims: knows whether this node may decide about places, and whether they are limited.
        peers: the other nodes.
        release: called with the id of a session whose place is given up.
        tidy: called with a place that another node has, if the roster is told of it behind.
    """

    def __init__(  # noqa: PLR0917  # the parts of a node
        self,
        node: str,
        bus: MoveBus,
        holdings: Holdings,
        roster: Roster,
        members: Members,
        claims: Claims,
        peers: Peers,
        release: Callable[[str], None],
        tidy: Callable[[Holding], None],
    ) -> None:
        self._node = node
        self._bus = bus
        self._holdings = holdings
        self._roster = roster
        self._members = members
        self._claims = claims
        self._peers = peers
        self._release = release
        self._tidy = tidy
        self._abreast = asyncio.Semaphore(ABREAST)
        self._given: dict[str, int] = {}
        """How many sessions were given to each node since its last beat."""
        self.host: SessionHost | None = None

    @property
    def _mover(self) -> Mover:
        assert self.host is not None
        return self.host.mover

    # -- leaving ---------------------------------------------------------------------------------

    async def move(self, session: Session, to: str) -> str:
        """Move a session; return the id of the node that has it.

        Args:
            session: a session of this node.
            to: the id of another node, or the name that it was given; "" for one with few sessions.

        Raises:
            MoveFailed: if it stays here, or has ended.
        """
        async with self._abreast:
            began = monotonic()
            holding = self._holdings.get(session.id)
            if holding is None or holding.session is None:
                raise MoveFailed("the session is not open")
            targets = self._targets(to)
            handing = asyncio.ensure_future(self._depart(holding, session, targets))
            holding.handing_over = handing
            try:
                departure = await handing
            except asyncio.CancelledError:
                if not holding.lost:
                    raise
                raise MoveFailed("this server has lost touch with the others") from None
            except Lost as lost:
                # Its place is given up as that of any session: the roster might have it.
                await self._mover.lose(session, lost.reason)
                raise MoveFailed(f"the session has ended: {lost.reason.detail}") from None
            finally:
                holding.handing_over = None
            departure.duration = monotonic() - began
            self._forget(holding)
            await self._mover.leave(session, departure)
        await self._send_after(session, departure)
        return departure.target

    def _targets(self, to: str) -> list[str]:
        """Return the nodes to ask, in order.

        Raises:
            MoveFailed: if there is none.
        """
        loads = self._members.loads()
        if to:
            named = [node for node in loads if to in {node, node.rpartition("-")[0]}]
            if to in {self._node, self._node.rpartition("-")[0]} and not named:
                raise MoveFailed("the session is there already")
            if not named:
                raise MoveFailed(f"no server {to!r} lives and lets sessions in")
            loads = {node: loads[node] for node in named}
        if not loads:
            raise MoveFailed("there is no other server")
        self._given = {node: self._given.get(node, 0) for node in loads}
        nodes = sorted(loads, key=lambda node: loads[node] + self._given[node])
        self._given[nodes[0]] += 1
        return nodes[:TARGETS]

    async def _depart(self, holding: Holding, session: Session, targets: list[str]) -> Departure:
        """Pack a session, and hand it over, or have it go on; see `_hand_over`."""
        parcel = await self._mover.pack(session)
        try:
            return await self._hand_over(holding, session, parcel, targets)
        except (MoveFailed, asyncio.CancelledError):
            await asyncio.shield(self._mover.stay(session))
            await self._drop_ticket(holding)
            raise

    async def _hand_over(
        self, holding: Holding, session: Session, parcel: Parcel, targets: list[str]
    ) -> Departure:
        """Have one of some nodes adopt a session.

        Raises:
            MoveFailed: if none of them has it, for certain.
            Lost: if it is not known to go on here.
        """
        failure = MoveFailed("no other server takes the session")
        for node in targets:
            try:
                return await self._offer(holding, session, parcel, node)
            except MoveFailed as error:
                failure = error
        raise failure

    async def _offer(
        self, holding: Holding, session: Session, parcel: Parcel, node: str
    ) -> Departure:
        failure = MoveFailed("other servers were faster again and again")
        for _ in range(CONFLICTS):
            revision, made = await self._ticket(holding), self._roster.made
            portrait = portrait_of(session, self._node)
            question = Adopt(self._node, revision, portrait, parcel)
            try:
                self._bus.check_size(pack(question))
            except BusError as error:
                raise MoveFailed(f"the session {error}") from None
            try:
                try:
                    fence, welcome = await self._peers.ask(node, question, ADOPTION)
                    return Departure(node, fence, welcome, notes=portrait.notes)
                except CallError as error:
                    failure = MoveFailed(str(error))
                    again = error.code == CONFLICT
                except RemoteError as error:
                    raise Lost(LogoutReason(LogoutCode.CRASHED, str(error))) from None
                except (NodeGone, BusDown, BusError, pykka.ActorDeadError) as error:
                    failure, again = MoveFailed(f"{node} does not answer: {error}"), False
                if not await self._is_here(holding, node, made):
                    return Departure(node, notes=portrait.notes)
            except asyncio.CancelledError:
                raise Lost(_CUT_OFF) from None
            if not again:
                break
        raise failure

    async def _ticket(self, holding: Holding) -> int:
        """Return the revision of the roster with which a session can be adopted.

        Raises:
            MoveFailed: if there is none now.
        """
        key, avatar_id = _key(holding), str(holding.avatar_id)
        try:
            for _ in range(CONFLICTS):
                if not self._claims.safe:
                    break
                revision, entries = await self._roster.read(key)
                if self._mine(holding) in _places(entries):
                    return revision
                if holding.exclusive:
                    raise MoveFailed("the session has no place in the roster now")
                told = [*self._claims.living(entries), self._holdings.entry(holding)]
                written = await self._roster.write(key, revision, avatar_id, told)
                if written is not None:
                    holding.granted(written, alone=False)
                    return written
        except BusDown as error:
            raise MoveFailed(f"NATS does not answer: {error}") from None
        raise MoveFailed("this server is cut off from the others")

    async def _drop_ticket(self, holding: Holding) -> None:
        """Remove what the roster had of an anonymous session while it moved."""
        if not holding.key and holding.revision:
            with contextlib.suppress(BusDown):
                await self._roster.remove(holding.revision)

    async def _is_here(self, holding: Holding, node: str, made: str) -> bool:
        """Return whether a session that was handed over in vain is here, and stays so.

        Args:
            holding: its place.
            node: the node that was asked.
            made: the roster in which that node could take the place. If NATS has lost it, the
                owners have told the next one what they have, which says nothing of a move.

        Raises:
            Lost: if it is not, and not at the other node either, or that cannot be known.
        """
        key = _key(holding)
        while self._members.holds:
            try:
                if not self._roster.usable:
                    await asyncio.sleep(PAUSE)
                    continue
                if self._roster.made != made:
                    break
                revision, entries = await self._roster.read(key)
                if (holding.session_id, node) in _places(entries):
                    return False
                if self._mine(holding) not in _places(entries):
                    raise Lost(LogoutReason(LogoutCode.CRASHED, "it was lost while it moved"))
                # Again, so that the other node cannot adopt it any more.
                written = await self._roster.write(key, revision, str(holding.avatar_id), entries)
                if written is not None and self._roster.usable:
                    holding.granted(written, alone=len(entries) == 1 and bool(holding.key))
                    return True
            except BusDown as error:
                logger.debug("Where a session is, is not known yet: %s", error)
                await asyncio.sleep(PAUSE)
        raise Lost(_CUT_OFF)

    def _mine(self, holding: Holding) -> tuple[str, str]:
        return holding.session_id, self._node

    def _forget(self, holding: Holding) -> None:
        """Forget a place that another node has now, or that is given up."""
        self._holdings.leave(holding.session_id)
        self._holdings.forget(holding)
        if not holding.exclusive:
            self._tidy(holding)

    async def _send_after(self, session: Session, departure: Departure) -> None:
        """Send a session what came for it while it moved."""
        session_id, target, left = session.id, departure.target, departure.leftovers
        if news := _changes(departure.notes, plain(session.notes)):
            self._tell(target, AnnotateSession(session_id, news))
        for note in left.notifications:
            self._tell(target, Notify(session_id, note.name, list(note.args), note.key))
        for method, params in left.calls:
            self._tell(target, Ask(session_id, method, params))
        if departure.end is not None:
            await self._peers.end(Entry(session_id, target), departure.end)

    def _tell(self, node: str, message: Message) -> None:
        try:
            self._bus.tell(node, pack(message))
        except BusError as error:
            logger.warning("A message could not follow a session that has moved: %s", error)

    # -- arriving --------------------------------------------------------------------------------

    async def receive(self, message: Adopt, answer: Callable[..., None]) -> None:
        """Answer a node that has a session to hand over."""
        try:
            answer("ok", await self.adopt(message))
        except CallError as error:
            answer("refused", (str(error.code), str(error)))
        except MoveFailed as error:
            logger.warning("A session that has moved here has ended: %s", error)
            answer("failed", str(error))
        except Exception as error:
            logger.exception("A session that was to move here has failed:")
            answer("failed", type(error).__name__)

    async def adopt(self, message: Adopt) -> tuple[int | None, Any]:
        """Take over a session; return the number of its place, and what its client needs.

        Raises:
            CallError: if this node does not take it; nothing has changed then.
            MoveFailed: if it has ended here, since its avatar could not be restored.
        """
        arrival = await self._examined(message)
        limited = self._claims.limited and arrival.avatar_id is not ANONYMOUS
        holding = Holding(arrival.avatar_id, arrival.id, exclusive=limited)
        holding.claiming = True
        self._holdings.add(holding)
        try:
            written = await self._take_place(holding, message)
        except BaseException as error:
            self._holdings.forget(holding)
            if isinstance(error, BusDown):
                raise CallError(f"NATS does not answer: {error}", "away") from None
            raise
        finally:
            holding.claiming = False
        if limited:
            arrival.fence = self._roster.fence(written)
            arrival.is_lost = lambda: holding.lost or not self._members.holds
        try:
            welcome = await self._mover.unpack(arrival)
        except MoveFailed:
            if holding.session is None:
                self._release(arrival.id)
            await self._drop_ticket(holding)
            raise
        await self._drop_ticket(holding)
        return arrival.fence, welcome

    async def _examined(self, message: Adopt) -> Arrival:
        """Return a session that is offered, if this node can take it.

        Raises:
            CallError: if not.
        """
        try:
            portrait = msgspec.convert(message.portrait, Portrait)
            parcel = msgspec.convert(message.parcel, Parcel)
        except msgspec.ValidationError as error:
            raise CallError(f"not understood: {error}", "unknown") from None
        if self.host is None or not self._claims.safe:
            raise CallError("cut off from the other servers", "away")
        if self._holdings.get(portrait.id) is not None:
            raise CallError("the session is there already", "known")
        known = {name_of(interface): interface for interface in self.host.interfaces()}
        interface = known.get(portrait.interface)
        if interface is None:
            raise CallError(f"the realm has no {portrait.interface}", "unknown")
        arrival = _arrival(portrait, parcel, interface, message.node)
        try:
            await self._mover.check(arrival)
        except MoveFailed as error:
            raise CallError(str(error), "refused") from None
        return arrival

    async def _take_place(self, holding: Holding, message: Adopt) -> int:
        """Put this node into the roster in place of the other one; return the revision.

        Raises:
            CallError: if the roster has changed, or this node may not decide now.
            BusDown: if it is not known whether that was done.
        """
        key, avatar_id = _key(holding), str(holding.avatar_id)
        generation = self._members.generation
        revision, entries = await self._roster.read(key)
        if revision != message.revision or (holding.session_id, message.node) not in _places(
            entries
        ):
            raise CallError("the roster has changed", CONFLICT)
        others = [entry for entry in entries if entry.id != holding.session_id]
        told = [*others, self._holdings.entry(holding)]
        written = await self._roster.write(key, revision, avatar_id, told)
        if written is None:
            raise CallError("the roster has changed", CONFLICT)
        holding.granted(written, alone=not others and bool(holding.key))
        if not self._claims.safe or generation != self._members.generation:
            if holding.key:
                await self._claims.take_out(holding)
            raise CallError("cut off from the other servers", "away")
        holding.generation = generation
        return written


_CUT_OFF = LogoutReason(LogoutCode.CUT_OFF, "the servers lost touch while it moved")


def _key(holding: Holding) -> str:
    """Return the key of a session in the roster; an anonymous one has it while it moves only."""
    return holding.key or key_of(f"\0{holding.session_id}")


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return the notes that have changed; None for those that were removed."""
    gone = dict.fromkeys(before.keys() - now.keys())
    return gone | {name: note for name, note in now.items() if before.get(name) != note}


def _places(entries: list[Entry]) -> set[tuple[str, str]]:
    return {(entry.id, entry.node) for entry in entries}


def _arrival(portrait: Portrait, parcel: Parcel, interface: type, source: str) -> Arrival:
    return Arrival(
        portrait.id,
        portrait.who,
        interface,
        portrait.checker,
        portrait.identity.identity(),
        portrait.client.client(),
        portrait.since,
        portrait.last_active,
        portrait.notes,
        parcel,
        source,
    )
