"""Lookup of open sessions by their id and by their avatar id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from actorcred.names import ANONYMOUS, AvatarId
from actorcred.sessions.session import Session

__all__ = ["SessionIndex"]


class SessionIndex:
    """Sessions in two dictionaries; each method takes constant time."""

    def __init__(self) -> None:
        self._by_id: dict[str, Session] = {}
        # Nearly every avatar id has one session, and a dictionary for each would cost more than the
        # session.
        self._by_avatar_id: dict[str, Session | dict[str, Session]] = {}
        self._anonymous: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_id.values()))

    def add(self, session: Session) -> None:
        """Add a session."""
        self._by_id[session.id] = session
        avatar_id = session.avatar_id
        if avatar_id is ANONYMOUS:
            self._anonymous[session.id] = session
            return
        present = self._by_avatar_id.setdefault(avatar_id, session)
        if isinstance(present, dict):
            present[session.id] = session
        elif present is not session:
            self._by_avatar_id[avatar_id] = {present.id: present, session.id: session}

    def remove(self, session: Session) -> None:
        """Remove a session."""
        if self._by_id.pop(session.id, None) is None:
            return
        avatar_id = session.avatar_id
        if avatar_id is ANONYMOUS:
            del self._anonymous[session.id]
            return
        present = self._by_avatar_id[avatar_id]
        if isinstance(present, dict):
            del present[session.id]
            if present:
                return
        del self._by_avatar_id[avatar_id]

    def by_id(self, session_id: str) -> Session | None:
        """Return the session with this id."""
        return self._by_id.get(session_id)

    def by_avatar_id(self, avatar_id: AvatarId) -> Sequence[Session]:
        """Return the sessions of an avatar id, oldest first."""
        present = (
            self._anonymous if avatar_id is ANONYMOUS else self._by_avatar_id.get(avatar_id, ())
        )
        if isinstance(present, dict):
            return list(present.values())
        return [present] if isinstance(present, Session) else []
