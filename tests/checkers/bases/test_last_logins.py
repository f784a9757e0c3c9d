"""Last logins are written in batches, and never make a login wait or fail."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorcred.checkers.bases import last_logins
from actorcred.checkers.bases.account_schema import prepare
from actorcred.checkers.bases.database import open_database
from actorcred.checkers.bases.last_logins import LastLogins


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = open_database(tmp_path / "accounts", prepare)
    for name in ("ann", "bob", "cleo"):
        opened.execute(
            "INSERT INTO account (name, hash, created, changed) VALUES (?, 'x', 0, 0)", (name,)
        )
    yield opened
    opened.close()


def stored(database: sqlite3.Connection) -> dict[str, float | None]:
    return dict(database.execute("SELECT name, last_login FROM account"))


def test_a_login_is_known_at_once_and_written_later(database: sqlite3.Connection) -> None:
    logins = LastLogins(database)
    assert (logins.of("ann", None), logins.of("ann", 5.0)) == (None, 5.0)
    logins.note("ann")

    assert (logins.of("ann", 5.0) or 0) > 5.0
    assert stored(database)["ann"] is None
    logins.write()
    logins.write()  # of nothing
    assert (stored(database)["ann"] or 0) > 5.0
    assert len(logins) == 0


def test_an_earlier_login_does_not_replace_a_later_one_of_another_process(
    database: sqlite3.Connection,
) -> None:
    database.execute("UPDATE account SET last_login = 1e12 WHERE name = 'ann'")
    logins = LastLogins(database)
    logins.note("ann")
    logins.write()

    assert stored(database)["ann"] == 1e12


def test_while_another_process_writes_nothing_waits_and_nothing_is_lost(
    database: sqlite3.Connection, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = sqlite3.connect(tmp_path / "accounts", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    logins = LastLogins(database)
    logins.note("ann")
    for _ in range(3):
        logins.write()
    (message,) = [record.message for record in caplog.records]
    assert message.startswith("The last logins cannot be written to the account store now")
    assert message.endswith("database is locked")
    assert database.execute("PRAGMA busy_timeout").fetchone() == (5000,)
    other.execute("ROLLBACK")
    other.close()
    logins.write()
    assert stored(database)["ann"] is not None


def test_a_write_that_fails_within_is_taken_back(database: sqlite3.Connection) -> None:
    logins = LastLogins(database)
    logins.note("ann")
    database.execute("ALTER TABLE account RENAME TO elsewhere")
    logins.write()
    assert not database.in_transaction
    database.execute("ALTER TABLE elsewhere RENAME TO account")
    logins.write()
    assert stored(database)["ann"] is not None


def test_what_cannot_be_written_is_bounded(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_logins, "MOST_UNWRITTEN", 2)
    logins = LastLogins(database)
    for name in ("ann", "bob", "ann", "cleo"):
        logins.note(name)
    assert len(logins) == 1  # the others are written: there was no place
    database.execute("ALTER TABLE account RENAME TO elsewhere")
    for name in ("ann", "bob"):
        logins.note(name)
    assert (len(logins), logins.of("cleo", None)) == (2, None)
