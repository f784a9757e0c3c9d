"""The sessions of a portal, and their deadlines. Pure: the portal passes the time in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any

from actorcred.logout import LogoutCode
from actorcred.names import ANONYMOUS, AvatarId
from actorcred.sessions.index import SessionIndex
from actorcred.sessions.session import Session
from actorcred.sessions.states import SessionEvent, State

__all__ = ["Directory", "Due"]


NOTICE = 60.0
"""Seconds before the end of a proof at which the client is told."""


# See `states.OPEN`.
_OPENED, _END, _GONE = SessionEvent.OPENED, SessionEvent.END, SessionEvent.GONE


class Due(Enum):
    """What is due for a session, if not its end."""

    NOTICE = "the client must be told that its proof ends soon"
    SLEEP = "the avatar can sleep, since its client is idle"


class Bucket(dict[Session, None]):
    """The sessions whose earliest possible deadline is within one interval.

    Args:
        number: that of the interval.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Directory:
    """The sessions of a portal that are open, and those that are ending.

    Args:
        idle_timeout: seconds without activity of the client; None for no limit.
        lifetime: seconds that a session lasts at most; None for no limit.
        sleep_after: seconds without activity of the client after which avatars sleep; None for
            never.
    """

    def __init__(
        self,
        idle_timeout: float | None,
        lifetime: float | None,
        sleep_after: float | None = None,
    ) -> None:
        self._idle_timeout = idle_timeout
        self._lifetime = lifetime
        self._sleep_after = sleep_after
        self._index = SessionIndex()
        self._guests: dict[AvatarId, dict[str, Session]] = {}
        self._ending: dict[AvatarId, set[Session]] = {}
        self.ending = 0
        """The number of sessions that run their `on_logout`."""
        shortest = min(
            (limit for limit in (idle_timeout, lifetime, sleep_after) if limit is not None),
            default=4,
        )
        self.granularity = min(1.0, max(0.01, shortest / 4))
        """Seconds between two searches for expired sessions."""
        # A session is in the bucket of its earliest possible expiry. Activity does not move it:
        # when the bucket is due, the session is examined, and put into a later one if it was
        # active.
        self._buckets: dict[int, Bucket] = {}

    def __len__(self) -> int:
        return len(self._index)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._index)

    def find(self, session_id: str) -> Session | None:
        """Return the open session with this id, or None."""
        return self._index.by_id(session_id)

    def of(self, avatar_id: AvatarId) -> Sequence[Session]:
        """Return the open sessions of an avatar id, oldest first."""
        return self._index.by_avatar_id(avatar_id)

    def add(self, session: Session) -> None:
        """Add a session that was opened. A guest can only be found by `shareable` and `guests`."""
        session.step(_OPENED)
        if session.is_guest:
            self._guests.setdefault(session.avatar_id, {})[session.id] = session
            return
        self._index.add(session)
        self._await_deadline(session)

    def begin_end(self, session: Session) -> None:
        """Move a session to those that are ending; it can no longer be found."""
        session.step(_END)
        if session.is_guest:
            self._remove_guest(session)
        else:
            self._index.remove(session)
            self._forget_deadline(session)
        self._ending.setdefault(session.avatar_id, set()).add(session)
        self.ending += 1

    def end_at_once(self, session: Session) -> None:
        """Remove an open session, no guest's, whose avatar has stopped already."""
        self._index.remove(session)
        self._forget_deadline(session)
        session.step(_END)
        session.step(_GONE)

    def guests(self) -> list[Session]:
        """Return the open sessions of clients of other machines; see `Guest`."""
        return [guest for guests in self._guests.values() for guest in guests.values()]

    def shareable(self, avatar_id: AvatarId) -> Session | None:
        """Return an open session, possibly a guest's, whose avatar others can share; or None."""
        for session in (*self.of(avatar_id), *self._guests.get(avatar_id, {}).values()):
            if session.shared is not None:
                return session
        return None

    def _remove_guest(self, session: Session) -> None:
        guests = self._guests[session.avatar_id]
        del guests[session.id]
        if not guests:
            del self._guests[session.avatar_id]

    def gone(self, session: Session) -> None:
        """Remove a session that has ended completely."""
        session.step(_GONE)
        ending = self._ending[session.avatar_id]
        ending.discard(session)
        if not ending:
            del self._ending[session.avatar_id]
        self.ending -= 1

    def is_ending(self, avatar_id: AvatarId) -> bool:
        """Return whether a session of this avatar id still runs its `on_logout`."""
        return avatar_id is not ANONYMOUS and avatar_id in self._ending

    def ending_sessions(self) -> list[Session]:
        """Return the sessions that run their `on_logout`."""
        return [session for ending in self._ending.values() for session in ending]

    # -- deadlines -------------------------------------------------------------------------------

    def _await_deadline(self, session: Session, used: float = 0.0) -> None:
        """Put a session into the bucket of its earliest deadline.

        Args:
            session: the session.
            used: when its avatar woke.
        """
        idle = self._idle_timeout
        deadline = math.inf if idle is None else session.last_seen + idle
        if self._lifetime is not None and session.opened + self._lifetime < deadline:
            deadline = session.opened + self._lifetime
        if (expiry := session.expiry) is not None:
            deadline = min(deadline, expiry.at - (0 if expiry.announced else NOTICE))
        if self._sleep_after is not None and session.may_sleep:
            deadline = min(deadline, max(session.last_seen_of_all, used) + self._sleep_after)
        if deadline == math.inf:
            session.bucket = None
            return
        number = int(deadline / self.granularity) + 1
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = self._buckets[number] = Bucket(number)
        session.bucket = bucket
        bucket[session] = None

    def _forget_deadline(self, session: Session) -> None:
        bucket: Any = session.bucket
        if bucket is not None:
            bucket.pop(session, None)
            number = bucket.number
            if not bucket and self._buckets.get(number) is bucket:
                del self._buckets[number]

    @property
    def awaits_deadlines(self) -> bool:
        """Whether any session has a deadline."""
        return bool(self._buckets)

    def reschedule(self, session: Session, used: float = 0.0) -> None:
        """Take note that the deadline of an open session has changed, or when its avatar woke."""
        if session.state is State.OPEN:
            self._forget_deadline(session)
            self._await_deadline(session, used)

    def expired(self, now: float) -> list[tuple[Session, LogoutCode | Due]]:
        """Return the open sessions whose deadline has passed at `now`, with what is due."""
        over: list[tuple[Session, LogoutCode | Due]] = []
        for number in [number for number in self._buckets if number * self.granularity <= now]:
            for session in self._buckets.pop(number):
                if self._lifetime is not None and now - session.opened >= self._lifetime:
                    over.append((session, LogoutCode.EXPIRED))
                elif (
                    self._idle_timeout is not None and now - session.last_seen >= self._idle_timeout
                ):
                    over.append((session, LogoutCode.IDLE))
                elif session.expiry is not None and now >= session.expiry.at:
                    over.append((session, LogoutCode.PROOF_EXPIRED))
                else:
                    expiry = session.expiry
                    if expiry is not None and not expiry.announced and now >= expiry.at - NOTICE:
                        expiry.announced = True
                        over.append((session, Due.NOTICE))
                    if self._sleeps(session, now):
                        over.append((session, Due.SLEEP))
                        self._await_deadline(session, now)  # for if it declines
                    else:
                        self._await_deadline(session)
        return over

    def _sleeps(self, session: Session, now: float) -> bool:
        return (
            self._sleep_after is not None
            and session.may_sleep
            and now - session.last_seen_of_all >= self._sleep_after
        )
