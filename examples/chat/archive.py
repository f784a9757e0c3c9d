"""The chat's storage in SQLite: lines, who is in which room, bans and mutes.

Several processes on one machine can use the same file.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path
from typing import Any, Literal

from examples.chat.interface import Line, Membership

__all__ = ["Archive", "Ban"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS lines (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    room TEXT NOT NULL,
    at REAL NOT NULL,
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    key TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS lines_of_room ON lines (room, number);
CREATE UNIQUE INDEX IF NOT EXISTS lines_by_key ON lines (name, key) WHERE key != '';
CREATE TABLE IF NOT EXISTS memberships (
    name TEXT NOT NULL,
    room TEXT NOT NULL,
    read INTEGER NOT NULL,
    PRIMARY KEY (name, room)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS users (name TEXT PRIMARY KEY, seen REAL NOT NULL);
CREATE TABLE IF NOT EXISTS bans (name TEXT PRIMARY KEY, until REAL NOT NULL);
CREATE TABLE IF NOT EXISTS mutes (name TEXT PRIMARY KEY, until REAL NOT NULL);
"""

VERSION = 2

MOST_UNREAD = 100

Ban = Literal["bans", "mutes"]
"""The table of users who may not log in, or not speak."""


class Archive:
    """A database. Its methods take a fraction of a millisecond and can be called from any thread.

    Args:
        path: its file.

    Raises:
        OSError: if the file cannot be used.
    """

    def __init__(self, path: Path | str) -> None:
        self._lock = threading.Lock()
        try:
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._all("PRAGMA journal_mode=WAL")
            # A crash of the program loses nothing; one of the machine may lose the last lines.
            self._all("PRAGMA synchronous=NORMAL")
            self._prepare()
        except sqlite3.Error as error:
            raise OSError(f"{path} cannot be used: {error}") from None

    def _prepare(self) -> None:
        """Create what is missing, before another process uses the file."""
        self._all("BEGIN IMMEDIATE")
        ((version,),) = self._all("PRAGMA user_version")
        if version > VERSION:
            raise sqlite3.DatabaseError("it was made by a newer version")
        columns = {row[1] for row in self._all("PRAGMA table_info(lines)")}
        if columns and "key" not in columns:  # version 1
            self._all("ALTER TABLE lines ADD COLUMN key TEXT NOT NULL DEFAULT ''")
            self._all("ALTER TABLE bans DROP COLUMN why")
        for statement in SCHEMA.split(";"):
            self._all(statement)
        self._all(f"PRAGMA user_version={VERSION}")
        self._all("COMMIT")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _all(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()

    # -- lines -------------------------------------------------------------------------------------

    def add(self, room: str, name: str, text: str, key: str = "") -> Line:
        """Store a line. Of several with one key, only the first is stored, and returned again."""
        at = time.time()
        rows = self._all(
            "INSERT INTO lines (room, at, name, text, key) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT DO NOTHING RETURNING number",
            *(room, at, name, text, key),
        )
        if rows:
            return Line(rows[0][0], at, name, text, key)
        found = self.find(name, key)
        assert found is not None
        return found

    def find(self, name: str, key: str) -> Line | None:
        """Return the line of a user that has this key."""
        rows = self._all(
            "SELECT number, at, name, text, key FROM lines WHERE name = ? AND key = ? "
            "AND key != ''",
            *(name, key),
        )
        return Line(*rows[0]) if rows else None

    def latest(self, room: str, count: int, before: int = 0) -> list[Line]:
        """Return the last lines of a room before the number `before`, the oldest first."""
        rows = self._all(
            "SELECT number, at, name, text, key FROM lines "
            "WHERE room = ? AND (? = 0 OR number < ?) ORDER BY number DESC LIMIT ?",
            *(room, before, before, count),
        )
        return [Line(*row) for row in reversed(rows)]

    def newest(self, room: str) -> int:
        """Return the number of the last line of a room; 0 if there is none."""
        ((number,),) = self._all("SELECT max(number) FROM lines WHERE room = ?", room)
        return int(number or 0)

    def rooms(self, like: str, count: int) -> list[tuple[str, float]]:
        """Return the rooms with a member or a line, and when their last line was said.

        Args:
            like: the names to leave out, as a pattern of SQL.
            count: how many; the latest come first.
        """
        return self._all(
            "SELECT room, (SELECT at FROM lines WHERE lines.room = known.room "
            "ORDER BY number DESC LIMIT 1) AS last FROM "
            "(SELECT DISTINCT room FROM lines UNION SELECT DISTINCT room FROM memberships) known "
            "WHERE room NOT LIKE ? ORDER BY last DESC LIMIT ?",
            *(like, count),
        )

    # -- users -------------------------------------------------------------------------------------

    def note_user(self, name: str) -> None:
        """Note that a user has been here."""
        self._all("INSERT OR REPLACE INTO users VALUES (?, ?)", name, time.time())

    def knows_user(self, name: str) -> bool:
        """Return whether a user has ever been here."""
        return bool(self._all("SELECT 1 FROM users WHERE name = ?", name))

    def enter(self, name: str, room: str, read: int) -> None:
        """Note that a user is in a room; do nothing if that is known."""
        self._all("INSERT OR IGNORE INTO memberships VALUES (?, ?, ?)", name, room, read)

    def leave(self, name: str, room: str) -> None:
        """Note that a user has left a room."""
        self._all("DELETE FROM memberships WHERE name = ? AND room = ?", name, room)

    def mark(self, name: str, room: str, number: int) -> bool:
        """Note that a user has read a room up to a line; return whether that is news."""
        return bool(
            self._all(
                "UPDATE memberships SET read = ? WHERE name = ? AND room = ? AND read < ? "
                "RETURNING read",
                *(number, name, room, number),
            )
        )

    def memberships(self, name: str, count: int) -> list[Membership]:
        """Return where a user is, by the names under which rooms are stored.

        Of more than `count`, those with the latest lines.
        """
        rows = self._all(
            "SELECT room, read, (SELECT count(*) FROM (SELECT 1 FROM lines WHERE room = "
            "memberships.room AND number > read AND lines.name != memberships.name LIMIT ?)), "
            "(SELECT max(number) FROM lines WHERE room = memberships.room) AS last "
            "FROM memberships WHERE name = ? ORDER BY last DESC LIMIT ?",
            *(MOST_UNREAD, name, count),
        )
        return [Membership(*row[:3]) for row in rows]

    def restrict(self, table: Ban, name: str, until: float) -> None:
        """Ban or mute a user until a time; a time in the past lifts it."""
        self._all(f"DELETE FROM {table} WHERE until < ?", time.time())
        self._all(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", name, until)

    def seconds_left(self, table: Ban, name: str) -> float:
        """Return how long a user is still banned or muted, in seconds; 0 if not."""
        rows = self._all(f"SELECT until FROM {table} WHERE name = ?", name)
        return max(0.0, float(rows[0][0]) - time.time()) if rows else 0.0
