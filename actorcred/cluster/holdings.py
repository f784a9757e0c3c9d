"""What this node holds: the places of its own sessions. The owners are the truth, NATS an index."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple, Protocol

from actorcred.cluster.roster import Entry, key_of
from actorcred.logout import LogoutReason
from actorcred.names import ANONYMOUS, AvatarId
from actorcred.sessions.registry import Claimant, Place
from actorcred.sessions.session import Session

__all__ = ["Holding", "Holdings", "Shared", "Taken"]


class Shared(Protocol):
    """What a place has of an avatar of another node that it shares.

    Attributes:
        host: that node.
        visit: the number of the attempt to share it.
        over: whether that node is known to have nothing of it.
    """

    host: str
    visit: int
    over: bool

    async def detach(self) -> None:
        """Make sure that the other node has nothing of it.

        Raises:
            BusDown: if that is not known yet.
        """


class Taken(NamedTuple):
    """A session of another node whose place a login got.

    Attributes:
        entry: the session.
        cause: "replaced" or "dead"; see `TakenOver`.
    """

    entry: Entry
    cause: str


class Holding:
    """The place of a login or session of this node, or the attempt to get one.

    Args:
        avatar_id: who logs in.
        session_id: the id of the session.
        exclusive: whether the policy limits how many there may be.

    Attributes:
        key: the key in the roster; "" for an anonymous client, who is never the same user.
        since: when the place was claimed, in seconds since the epoch.
        session: the session, once there is one.
        revision: of the value in the roster that granted the place; 0 before.
        alone: whether that value had no other session.
        known: whether the roster was told of it since NATS has lost it last.
        taken: the sessions of other nodes that had to go for it.
        waited: seconds that it took to get it.
        generation: that of the lease in which the place was granted or confirmed last.
        reason: why it must end, possibly before it has opened; None if it need not.
        claiming: whether the place is still looked for.
        dropped: whether it was given up meanwhile.
        lost: whether others may have it, since this node was cut off.
        leaving: whether its session has ended.
        interfaces: what the client requests, while the place is looked for.
        login: the login, while the place is looked for; None if that is not needed.
        place: the place that was found, for the portal.
        avatar_at: the node of the avatar that it shares, if that is another one; else "".
        joins: whether it shares the avatar of an earlier session.
        shared: the avatar of another node that it shares, or tries to.
        follows: an earlier attempt of the same login, of which nothing must be left first.
        handing_over: what hands it over to another node, which might have it; None if it does not
            move.
    """

    __slots__ = (
        "_gone",
        "_is_gone",
        "alone",
        "avatar_at",
        "avatar_id",
        "claiming",
        "dropped",
        "exclusive",
        "follows",
        "generation",
        "handing_over",
        "interfaces",
        "joins",
        "key",
        "known",
        "leaving",
        "login",
        "lost",
        "place",
        "reason",
        "revision",
        "session",
        "session_id",
        "shared",
        "since",
        "taken",
        "waited",
    )

    node: str = ""
    """The node of the client; "" is this one."""

    is_guest: ClassVar[bool] = False
    """Whether it is of a client of another node that shares an avatar of this one."""

    def __init__(self, avatar_id: AvatarId, session_id: str, *, exclusive: bool) -> None:
        self.avatar_id = avatar_id
        self.session_id = session_id
        self.key = "" if avatar_id is ANONYMOUS else key_of(avatar_id)
        self.exclusive = exclusive
        self.since = time.time()
        self.session: Session | None = None
        self.revision = 0
        self.alone = self.known = False
        self.generation = 0
        self.taken: tuple[Taken, ...] = ()
        self.waited = 0.0
        self.reason: LogoutReason | None = None
        self.claiming = self.dropped = self.leaving = self.lost = self.joins = False
        self.handing_over: asyncio.Future[Any] | None = None
        self.interfaces: tuple[type, ...] = ()
        self.login: Claimant | None = None
        self.place: Place = None
        self.avatar_at = ""
        self.shared: Shared | None = None
        self.follows: Holding | None = None
        self._is_gone = False
        self._gone: asyncio.Event | None = None

    def granted(self, revision: int, *, alone: bool) -> None:
        """Record where the roster has it."""
        self.revision = revision
        self.alone = alone
        self.known = revision > 0

    def opened(self, session: Session) -> None:
        """Record the session; end it if that was asked for meanwhile."""
        self.session = session
        if self.reason is not None:
            session.end(self.reason.code, self.reason.detail)

    def takes_over(self, entry: Entry, cause: str) -> None:
        """Record that a session of another node has to go for this place; the last cause counts."""
        others = (one for one in self.taken if one.entry.id != entry.id)
        self.taken = (*others, Taken(entry, cause))

    async def end(self, reason: LogoutReason) -> None:
        """End the session, also if it has yet to open, and wait until nothing is left of it."""
        self.ask_to_end(reason)
        await self.wait_gone()

    async def wait_gone(self) -> None:
        """Wait until nothing is left of it."""
        if self._gone is None:
            self._gone = asyncio.Event()
            if self._is_gone:
                self._gone.set()
        await self._gone.wait()

    def ask_to_end(self, reason: LogoutReason) -> None:
        """End the session, also if it has yet to open; the first reason counts."""
        if self.reason is None:
            self.reason = reason
            if self.session is not None:
                self.session.end(reason.code, reason.detail)

    def lose(self, reason: LogoutReason) -> None:
        """End the session since others may have its place; a login must not open it any more."""
        self.lost = True
        if self.handing_over is not None:
            self.handing_over.cancel()
        self.ask_to_end(reason)

    def gone(self) -> None:
        """Record that nothing is left of it, in the roster neither."""
        self._is_gone = True
        if self._gone is not None:
            self._gone.set()

    def placed(self, avatar_at: str, *, joins: bool) -> None:
        """Set where the avatar is that it will have; see the attributes."""
        self.avatar_at = avatar_at
        self.joins = joins

    def settled(self) -> None:
        """Forget what was needed to find a place."""
        self.claiming = False
        self.login, self.follows, self.interfaces = None, None, ()

    @property
    def is_known(self) -> bool:
        """Whether it is or will be a session, as opposed to one that ends."""
        return not self.leaving and not self.dropped

    @property
    def is_placed(self) -> bool:
        """Whether the roster must have it: it is a session, or a login that has its place."""
        if self.session is not None:
            return True
        return self.exclusive and not self.claiming and not self.leaving


class Holdings:
    """All places of this node, by session and by avatar id, and those of its guests.

    Iteration and length are of the node's own.

    Args:
        node: the id of this node.

    Attributes:
        sessions: how many of its own places are sessions.
        guests: the places of clients of other nodes that share an avatar of this one, by session.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._by_id: dict[str, Holding] = {}
        # Nearly every avatar id has one place; a tuple takes a fifth of the memory of a dictionary.
        self._by_key: dict[str, tuple[Holding, ...]] = {}
        self.sessions = 0
        self.guests: dict[str, Holding] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Holding]:
        return iter(list(self._by_id.values()))

    def with_guests(self) -> list[Holding]:
        """Return all places, those of guests included."""
        return [*self._by_id.values(), *self.guests.values()]

    def get(self, session_id: str) -> Holding | None:
        """Return the place of a session; None if this node has none."""
        return self._by_id.get(session_id)

    def knows(self, session_id: str) -> bool:
        """Return whether there is such a session or guest, which is not about to end."""
        holding = self._by_id.get(session_id) or self.guests.get(session_id)
        return holding is not None and holding.is_known

    def add(self, holding: Holding) -> None:
        """Add a place."""
        places = self.guests if holding.is_guest else self._by_id
        holding.follows = places.get(holding.session_id)
        places[holding.session_id] = holding
        if key := holding.key:
            others = (one for one in self._of(key) if one.session_id != holding.session_id)
            self._by_key[key] = (*others, holding)

    def _of(self, key: str) -> tuple[Holding, ...]:
        return self._by_key.get(key, ())

    def opened(self, session: Session) -> Holding | None:
        """Record a session; return its place, or None if it has none or was recorded before."""
        holding = self._by_id.get(session.id)
        if holding is None or holding.session is not None or holding.leaving:
            return None
        self.sessions += 1
        holding.opened(session)
        return holding

    def leave(self, session_id: str) -> Holding | None:
        """Record that a session has ended; return its place, or None if that was known."""
        holding = self._by_id.get(session_id)
        if holding is None or holding.leaving:
            return None
        holding.leaving = True
        if holding.session is not None:
            holding.session = None
            self.sessions -= 1
        return holding

    def forget(self, holding: Holding) -> None:
        """Remove a place of which nothing is left."""
        # The same login can have another one meanwhile.
        places = self.guests if holding.is_guest else self._by_id
        if places.get(holding.session_id) is holding:
            del places[holding.session_id]
        rest = tuple(one for one in self._of(holding.key) if one is not holding)
        if rest:
            self._by_key[holding.key] = rest
        else:
            self._by_key.pop(holding.key, None)
        holding.shared = None
        holding.gone()

    def placed_of(self, key: str) -> list[Holding]:
        """Return the places of an avatar id that the roster must have, those of guests included."""
        return [one for one in self._of(key) if one.is_placed]

    def has_avatar(self, key: str) -> bool:
        """Return whether an avatar of an avatar id is here, or opens or ends."""
        return any(
            one.is_guest or one.session is not None or (one.is_placed and not one.joins)
            for one in self._of(key)
            if not one.leaving and not one.avatar_at
        )

    def open(self, avatar_id: AvatarId | None = None) -> list[Session]:
        """Return the open sessions of an avatar id or, by default, all."""
        if avatar_id is None or avatar_id is ANONYMOUS:
            holdings = [one for one in self if avatar_id is None or one.avatar_id is ANONYMOUS]
        else:
            holdings = [one for one in self.placed_of(key_of(avatar_id)) if not one.is_guest]
        sessions = [one.session for one in holdings if one.session is not None]
        return [session for session in sessions if session.is_open]

    def mark(self, holding: Holding) -> tuple[str, str]:
        """Return what distinguishes the entry of a place: the ids of session and client's node."""
        return holding.session_id, holding.node or self._node

    def entry(self, holding: Holding) -> Entry:
        """Return what the roster says of a place."""
        _, node = self.mark(holding)
        avatar_at = self._node if holding.is_guest else holding.avatar_at
        return Entry(holding.session_id, node, holding.since, avatar_at)
