"""The points of all rounds, by name, in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from os import PathLike


class Scores:
    """A database. Its statements take microseconds, so that the arena runs them itself.

    Args:
        path: its file; by default the points are lost at the end.
    """

    def __init__(self, path: PathLike[str] | str = ":memory:") -> None:
        self._database = sqlite3.connect(path, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS score (name TEXT PRIMARY KEY, points INTEGER NOT NULL)"
        )

    def of(self, name: str) -> int:
        """Return a player's points."""
        row = self._database.execute("SELECT points FROM score WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0

    def save(self, points: Iterable[tuple[str, int]]) -> None:
        """Store the points of players; those without any are not kept."""
        with self._database:
            self._database.executemany(
                "REPLACE INTO score VALUES (?, ?)", [pair for pair in points if pair[1]]
            )

    def top(self, count: int) -> list[tuple[str, int]]:
        """Return the names and points of the best players."""
        return self._database.execute(
            "SELECT name, points FROM score ORDER BY points DESC, name LIMIT ?", (count,)
        ).fetchall()

    def close(self) -> None:
        """Close the file."""
        self._database.close()
