"""The rooms: their names, and how a line reaches those who are in one, at any server."""

from __future__ import annotations

import threading

from actorcred import CallError, Future, MindRef, PortalRef
from actorcred.sessions.groups import NamedGroup
from examples.chat.archive import Archive
from examples.chat.interface import Line, Listed

__all__ = ["LOBBY", "Rooms", "clean_name", "clean_text", "partner_of", "seen_as", "stored_as"]

LOBBY = "lobby"
LONGEST_TEXT, MOST_ROWS, LONGEST_NAME = 2000, 40, 40

LISTED = 30
"""How many rooms a list has at most."""

JOINERS = "\u200c\u200d"
"""Characters without a glyph that Persian, Indic scripts and emojis need."""


def clean_text(text: str) -> str:
    """Return what is said without control characters, which could manipulate terminals.

    Raises:
        CallError: if nothing is left, or it is too long.
    """
    kept = "".join(one for one in text if one.isprintable() or one in "\n" + JOINERS).strip()
    if not kept.strip(JOINERS) or len(kept) > LONGEST_TEXT or kept.count("\n") >= MOST_ROWS:
        raise CallError(
            f"a line needs 1 to {LONGEST_TEXT} characters in at most {MOST_ROWS} rows", "bad-text"
        )
    return kept


def clean_name(name: str) -> str:
    """Return the name of a room as it is used.

    Raises:
        CallError: if it cannot be one.
    """
    cleaned = " ".join("".join(one for one in name if one.isprintable()).split()).lower()
    cleaned = cleaned.removeprefix("#")
    if not 0 < len(cleaned) <= LONGEST_NAME or cleaned.startswith("@"):
        raise CallError(f"a room's name needs 1 to {LONGEST_NAME} characters, no @", "bad-text")
    return cleaned


def partner_of(room: str) -> str | None:
    """Return with whom a conversation is, given its name "@NAME"; None for a room."""
    return room[1:] if room.startswith("@") else None


def stored_as(room: str, name: str) -> str:
    """Return the name under which a room or a conversation of a user is stored."""
    partner = partner_of(room)
    # Neither name has a line feed in it.
    return room if partner is None else "@" + "\n".join(sorted((partner, name)))


def seen_as(stored: str, name: str) -> str:
    """Return how a user calls what is stored under a name; see `stored_as`."""
    if not stored.startswith("@"):
        return stored
    first, second = stored[1:].split("\n")
    return "@" + (second if first == name else first)


class Rooms:
    """All rooms, of all servers of a cluster. Thread-safe.

    Args:
        portal: the portal, whose groups reach the clients.
        archive: the storage, which all servers share.
    """

    def __init__(self, portal: PortalRef, archive: Archive) -> None:
        self._portal = portal
        self._archive = archive
        self._order = threading.Lock()

    def group(self, room: str) -> NamedGroup:
        """Return the clients in a room."""
        return self._portal.group(f"room:{room}")

    def enter(self, room: str, name: str, mind: MindRef) -> tuple[int, Future[None]]:
        """Let a client hear a room.

        Returns:
            The number of the last line before, and when it hears the other servers. From this
            server it hears all later lines.
        """
        with self._order:
            newest = self._archive.newest(room)
            heard = self.group(room).add(mind)
        self._archive.enter(name, room, newest)
        return newest, heard

    def say(self, room: str, name: str, text: str, key: str) -> Line:
        """Say a line in a room or a conversation, given the name under which it is stored."""
        with self._order:  # the clients get the lines in the order of their numbers
            line = self._archive.add(room, name, text, key)
            if not room.startswith("@"):
                self.group(room).notify("said", room, line)
                return line
            for user in room[1:].split("\n"):
                self._archive.enter(user, room, line.number - 1)
                self.user(user).notify("said", seen_as(room, user), line)
        return line

    def user(self, name: str) -> NamedGroup:
        """Return the clients of a user."""
        return self._portal.group(f"user:{name}")

    async def listed(self) -> list[Listed]:
        """Return the rooms that were used last."""
        found = self._archive.rooms("@%", LISTED)
        counts = [self.group(room).count() for room, _ in found]
        return [
            Listed(room, int(await count), at or 0.0)
            for (room, at), count in zip(found, counts, strict=True)
        ]

    async def who(self, room: str) -> list[str]:
        """Return who is in a room."""
        return sorted({str(one.avatar_id) for one in await self.group(room).members()})
