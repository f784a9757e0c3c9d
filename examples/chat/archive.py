"""The chat's storage: lines, bans and mutes, in SQLite."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

from examples.chat.interface import Line

__all__ = ["Archive"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS lines (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    room TEXT NOT NULL,
    at REAL NOT NULL,
    name TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS lines_of_room ON lines (room, number);
CREATE TABLE IF NOT EXISTS bans (name TEXT PRIMARY KEY, until REAL NOT NULL, why TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS mutes (name TEXT PRIMARY KEY, until REAL NOT NULL);
"""


class Archive:
    """A database. Its methods block for a moment and can be called from any thread.

    Args:
        path: its file.
    """

    def __init__(self, path: Path | str) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _all(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()

    def add(self, room: str, name: str, text: str) -> Line:
        """Store a line."""
        at = time.time()
        statement = "INSERT INTO lines (room, at, name, text) VALUES (?, ?, ?, ?) RETURNING number"
        ((number,),) = self._all(statement, room, at, name, text)
        return Line(int(str(number)), at, name, text)

    def latest(self, room: str, count: int) -> list[Line]:
        """Return the last lines of a room, the oldest first."""
        rows = self._all(
            "SELECT number, at, name, text FROM lines WHERE room = ? ORDER BY number DESC LIMIT ?",
            room,
            count,
        )
        return [Line(*row) for row in reversed(rows)]  # type: ignore[arg-type]

    def set_until(self, table: str, name: str, until: float, why: str = "") -> None:
        """Ban or mute a user until a time; a time in the past lifts it."""
        if table == "bans":
            self._all("INSERT OR REPLACE INTO bans VALUES (?, ?, ?)", name, until, why)
        else:
            self._all("INSERT OR REPLACE INTO mutes VALUES (?, ?)", name, until)

    def seconds_left(self, table: str, name: str) -> float:
        """Return how long a user is still banned or muted, in seconds; 0 if not."""
        statement = (
            "SELECT until FROM bans WHERE name = ?"
            if table == "bans"
            else "SELECT until FROM mutes WHERE name = ?"
        )
        rows = self._all(statement, name)
        return max(0.0, float(str(rows[0][0])) - time.time()) if rows else 0.0
