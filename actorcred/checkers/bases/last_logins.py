"""When the users of an SQLite store last logged in, written in batches."""

from __future__ import annotations

import logging
import sqlite3
import time

from actorcred.checkers.bases.database import BUSY_TIMEOUT

__all__ = ["MOST_UNWRITTEN", "LastLogins"]


logger = logging.getLogger("actorcred.checkers")

MOST_UNWRITTEN = 10_000
"""Accounts whose last login is kept in memory until it is written."""


class LastLogins:
    """The last logins to the accounts in a database, and those that are not written yet.

    No login waits for a write: it would have to wait for other processes that write. So a crash
    loses those of the last seconds. If the database is busy, they are written the next time.

    Args:
        database: the database, with the column `last_login` in the table `account`.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._unwritten: dict[str, float] = {}  # the oldest first
        self._failing = False

    def __len__(self) -> int:
        return len(self._unwritten)

    def of(self, name: str, stored: float | None) -> float | None:
        """Return the time of a user's last login; None if there was none.

        Args:
            name: the user.
            stored: what the database has.
        """
        times = [time for time in (self._unwritten.get(name), stored) if time is not None]
        return max(times, default=None)

    def note(self, name: str) -> None:
        """Record that a user logs in now."""
        self._unwritten.pop(name, None)
        if len(self._unwritten) >= MOST_UNWRITTEN:
            self.write()
        if len(self._unwritten) >= MOST_UNWRITTEN:  # it cannot be written
            del self._unwritten[next(iter(self._unwritten))]
        self._unwritten[name] = time.time()

    def write(self) -> None:
        """Write what is not written yet, unless another process is writing. Never raises."""
        if not self._unwritten:
            return
        rows = [(time, name) for name, time in self._unwritten.items()]
        try:
            self._write(rows)
        except sqlite3.Error as error:
            if not self._failing:
                logger.warning(
                    "The last logins cannot be written to the account store now, and will be "
                    "later: %s",
                    error,
                )
            self._failing = True
        else:
            self._unwritten.clear()
            self._failing = False

    def _write(self, rows: list[tuple[float, str]]) -> None:
        database = self._database
        database.execute("PRAGMA busy_timeout = 0")
        try:
            database.execute("BEGIN IMMEDIATE")
            database.executemany(
                "UPDATE account SET last_login = max(ifnull(last_login, 0), ?) WHERE name = ?", rows
            )
            database.execute("COMMIT")
        finally:
            if database.in_transaction:
                database.execute("ROLLBACK")
            database.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT * 1000:.0f}")
