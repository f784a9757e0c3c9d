"""What this node holds: the places of its own sessions. The owners are the truth, NATS an index."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import NamedTuple

from actorcred.cluster.roster import Entry, key_of
from actorcred.logout import LogoutReason
from actorcred.names import ANONYMOUS, AvatarId
from actorcred.sessions.session import Session

__all__ = ["Holding", "Holdings", "Taken"]


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
        taken: the sessions of other nodes that had to go for it.
        waited: seconds that it took to get it.
        generation: that of the lease in which the place was granted or confirmed last.
        reason: why it must end, possibly before it has opened; None if it need not.
        claiming: whether the place is still looked for.
        dropped: whether it was given up meanwhile.
        lost: whether others may have it, since this node was cut off.
        leaving: whether its session has ended.
    """

    __slots__ = (
        "_gone",
        "_is_gone",
        "alone",
        "avatar_id",
        "claiming",
        "dropped",
        "exclusive",
        "generation",
        "key",
        "leaving",
        "lost",
        "reason",
        "revision",
        "session",
        "session_id",
        "since",
        "taken",
        "waited",
    )

    def __init__(self, avatar_id: AvatarId, session_id: str, *, exclusive: bool) -> None:
        self.avatar_id = avatar_id
        self.session_id = session_id
        self.key = "" if avatar_id is ANONYMOUS else key_of(avatar_id)
        self.exclusive = exclusive
        self.since = time.time()
        self.session: Session | None = None
        self.revision = 0
        self.alone = False
        self.generation = 0
        self.taken: tuple[Taken, ...] = ()
        self.waited = 0.0
        self.reason: LogoutReason | None = None
        self.claiming = self.dropped = self.leaving = self.lost = False
        self._is_gone = False
        self._gone: asyncio.Event | None = None

    def granted(self, revision: int, *, alone: bool) -> None:
        """Record where the roster has it."""
        self.revision = revision
        self.alone = alone

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
        self.ask_to_end(reason)

    def gone(self) -> None:
        """Record that nothing is left of it, in the roster neither."""
        self._is_gone = True
        if self._gone is not None:
            self._gone.set()

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
    """All places of this node, by session and by avatar id.

    Args:
        node: the id of this node.

    Attributes:
        sessions: how many of them are sessions.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._by_id: dict[str, Holding] = {}
        self._by_key: dict[str, dict[str, Holding]] = {}
        self.sessions = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Holding]:
        return iter(list(self._by_id.values()))

    def get(self, session_id: str) -> Holding | None:
        """Return the place of a session; None if this node has none."""
        return self._by_id.get(session_id)

    def add(self, holding: Holding) -> None:
        """Add a place."""
        self._by_id[holding.session_id] = holding
        if holding.key:
            self._by_key.setdefault(holding.key, {})[holding.session_id] = holding

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
        self._by_id.pop(holding.session_id, None)
        of_key = self._by_key.get(holding.key)
        if of_key is not None:
            of_key.pop(holding.session_id, None)
            if not of_key:
                del self._by_key[holding.key]
        holding.gone()

    def placed_of(self, key: str) -> list[Holding]:
        """Return the places of an avatar id that the roster must have."""
        return [one for one in self._by_key.get(key, {}).values() if one.is_placed]

    def open(self, avatar_id: AvatarId | None = None) -> list[Session]:
        """Return the sessions of an avatar id or, by default, all."""
        if avatar_id is None or avatar_id is ANONYMOUS:
            holdings = [one for one in self if avatar_id is None or one.avatar_id is ANONYMOUS]
        else:
            holdings = self.placed_of(key_of(avatar_id))
        return [one.session for one in holdings if one.session is not None]

    def entry(self, holding: Holding) -> Entry:
        """Return what the roster says of a place."""
        return Entry(holding.session_id, self._node, holding.since)
