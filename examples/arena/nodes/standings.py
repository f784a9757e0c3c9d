"""The points of players, in the SQLite file that all nodes share, so that they outlive a node."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable
from os import PathLike

from examples.arena.leavers import Leavers
from examples.arena.world.events import Standing

_TABLE = """
CREATE TABLE IF NOT EXISTS standing (
    name TEXT PRIMARY KEY, round INTEGER, team INTEGER, x REAL, y REAL, load INTEGER, points INTEGER
)
"""


class Standings(Leavers):
    """What players come back with in this round, also those whose node has died.

    Args:
        path: the file.
    """

    def __init__(self, path: PathLike[str] | str) -> None:
        super().__init__()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        for setting in ("journal_mode = WAL", "synchronous = NORMAL"):
            self._database.execute(f"PRAGMA {setting}")
        self._database.execute(_TABLE)

    def keep(self, name: str, standing: Standing) -> None:
        """Remember a player."""
        self.keep_all([(name, standing)])

    def keep_all(self, standings: Iterable[tuple[str, Standing]]) -> None:
        """Remember some players."""
        rows = [(name, *standing) for name, standing in standings]
        if rows:
            self._database.execute("BEGIN IMMEDIATE")
            with self._database:
                self._database.executemany("REPLACE INTO standing VALUES (?,?,?,?,?,?,?)", rows)

    def take(self, name: str) -> Standing | None:
        """Return what a player comes back with, and forget it."""
        row = self._database.execute(
            "DELETE FROM standing WHERE name = ? RETURNING round, team, x, y, load, points", (name,)
        ).fetchone()
        return None if row is None else Standing(*row)

    def clear(self) -> None:
        """Forget all: the round is over."""
        self._database.execute("DELETE FROM standing")

    def close(self) -> None:
        """Close the file."""
        with contextlib.closing(self._database):
            pass
