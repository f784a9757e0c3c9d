"""Which watched users have sessions at this portal. All of it runs in the portal's context."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from actorcred.sessions.directory import Directory
from actorcred.sessions.presence import (
    NOTHING,
    Contribution,
    PresenceLimits,
    Status,
    changed_status,
    merged_status,
)
from actorcred.sessions.session import Session

__all__ = ["Online"]


class Online:
    """What this portal contributes to the presence of users.

    Nothing is kept of users who are not watched, but for when the last of them were online.

    Args:
        directory: the portal's sessions.
        limits: how much is kept.

    Attributes:
        when_changed: called when there is something to `collect`, and there was nothing before.
    """

    def __init__(self, directory: Directory, limits: PresenceLimits) -> None:
        self._directory = directory
        self._limits = limits
        self.when_changed: Callable[[], object] = lambda: None
        self._watched: set[str] = set()
        self._changed: set[str] = set()
        self._statuses: dict[str, Status] = {}
        self._hidden: set[str] = set()
        self._last_seen: OrderedDict[str, float] = OrderedDict()

    # -- sessions --------------------------------------------------------------------------------

    def opened(self, session: Session) -> None:
        """Record that a login has succeeded."""
        if session.avatar_id in self._watched:
            self._change(session.avatar_id)

    def ending(self, session: Session) -> None:
        """Record that a session ends."""
        avatar_id = session.avatar_id
        if self._statuses:
            self._statuses.pop(session.id, None)
        if session.id in self._hidden:
            self._hidden.discard(session.id)
        elif session.announced and isinstance(avatar_id, str):
            self._saw(avatar_id)
            if avatar_id in self._watched:
                self._change(avatar_id)

    def status_of(self, session: Session) -> tuple[Status, bool]:
        """Return the status of a session, and whether it is hidden, for another server."""
        return self._statuses.get(session.id, {}), session.id in self._hidden

    def arrived(self, session: Session, status: Status, *, hidden: bool) -> None:
        """Record a session that comes from another server; see `status_of`."""
        if status:
            self._statuses[session.id] = status
        if hidden:
            self._hidden.add(session.id)
        self.opened(session)

    def set_status(self, session: Session, changes: Mapping[str, Any]) -> bool:
        """Change the status of a session; return False if it has ended.

        Raises:
            TypeError, ValueError: see `changed_status`.
        """
        if not session.is_open:
            return False
        old = self._statuses.get(session.id, {})
        status = changed_status(old, changes, time.time(), self._limits)
        if status:
            self._statuses[session.id] = status
        else:
            self._statuses.pop(session.id, None)
        self._touch(session)
        return True

    def hide(self, session: Session, *, hidden: bool) -> bool:
        """Hide a session, or show it again; return False if it has ended."""
        if not session.is_open:
            return False
        if hidden:
            if session.announced and session.id not in self._hidden:
                self._saw(str(session.avatar_id))
            self._hidden.add(session.id)
        else:
            self._hidden.discard(session.id)
        self._touch(session)
        return True

    def _touch(self, session: Session) -> None:
        if session.avatar_id in self._watched:
            self._change(str(session.avatar_id))

    def _change(self, avatar_id: Any) -> None:
        first = not self._changed
        self._changed.add(avatar_id)
        if first:
            self.when_changed()

    def _saw(self, avatar_id: str) -> None:
        seen = self._last_seen
        seen[avatar_id] = time.time()
        seen.move_to_end(avatar_id)
        if len(seen) > self._limits.remembered:
            seen.popitem(last=False)

    # -- for the presence actor ------------------------------------------------------------------

    def watch(self, avatar_ids: Iterable[str]) -> dict[str, Contribution]:
        """Watch users; return what is known of them, without those of whom nothing is."""
        contributions = {}
        for avatar_id in avatar_ids:
            self._watched.add(avatar_id)
            contribution = self._contribution(avatar_id)
            if contribution.is_known:
                contributions[avatar_id] = contribution
        return contributions

    def unwatch(self, avatar_ids: Iterable[str]) -> None:
        """Watch users no more."""
        self._watched.difference_update(avatar_ids)

    def collect(self) -> dict[str, Contribution]:
        """Return what is known of the users of whom something has changed since the last time."""
        changed, self._changed = self._changed & self._watched, set()
        return {avatar_id: self._contribution(avatar_id) for avatar_id in changed}

    def _contribution(self, avatar_id: str) -> Contribution:
        sessions = [
            session
            for session in self._directory.of(avatar_id)
            if session.announced and session.id not in self._hidden
        ]
        if not sessions:
            seen = self._last_seen.get(avatar_id)
            return NOTHING if seen is None else Contribution(last_seen=seen)
        statuses = (self._statuses[one.id] for one in sessions if one.id in self._statuses)
        status = merged_status(statuses, self._limits.status_keys) if self._statuses else {}
        return Contribution(len(sessions), status)
