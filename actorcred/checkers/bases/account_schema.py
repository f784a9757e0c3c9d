"""The tables of the embedded account store, and the upgrade of older ones."""

from __future__ import annotations

import sqlite3

from actorcred.errors import AccountError

__all__ = ["SCHEMA", "SCHEMA_VERSION", "prepare"]

SCHEMA = (
    (
        """CREATE TABLE account (
            name TEXT PRIMARY KEY NOT NULL,
            hash TEXT NOT NULL,
            disabled INTEGER NOT NULL DEFAULT 0,
            created REAL NOT NULL,
            changed REAL NOT NULL
        ) WITHOUT ROWID""",
        # What happened to accounts that can have live sessions, for all processes that use the
        # database.
        (
            "CREATE TABLE revocation (number INTEGER PRIMARY KEY AUTOINCREMENT, "
            "name TEXT NOT NULL, what TEXT NOT NULL)"
        ),
    ),
    (
        "ALTER TABLE account ADD COLUMN scram TEXT",
        "CREATE INDEX without_scram ON account (disabled) WHERE scram IS NULL",
        # A new hash, even if set by an older version, makes the old password's verifier invalid.
        """CREATE TRIGGER scram_is_of_the_password AFTER UPDATE OF hash ON account
        WHEN new.hash <> old.hash AND new.scram IS old.scram
        BEGIN UPDATE account SET scram = NULL WHERE name = new.name; END""",
    ),
    (
        "ALTER TABLE account ADD COLUMN roles TEXT NOT NULL DEFAULT ''",  # words
        "ALTER TABLE account ADD COLUMN last_login REAL",
    ),
)
"""Statements that upgrade each version of the schema to the next one."""

SCHEMA_VERSION = len(SCHEMA)


def prepare(database: sqlite3.Connection) -> None:
    """Create the tables of a database, or upgrade them; the caller has begun a transaction.

    Raises:
        AccountError: if the database was made by a newer version.
        sqlite3.Error: if it is the database of another program.
    """
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        path = database.execute("PRAGMA database_list").fetchone()[2]
        raise AccountError(
            f"the accounts in {path!r} have schema version {version}, made by a newer actorcred; "
            f"this one knows versions up to {SCHEMA_VERSION}: upgrade it"
        )
    for older in range(version, SCHEMA_VERSION):
        for statement in SCHEMA[older]:
            database.execute(statement)
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    for query in (
        "SELECT hash, scram, disabled, roles, last_login FROM account LIMIT 1",
        "SELECT number, name, what FROM revocation LIMIT 1",
    ):
        database.execute(query)  # fails if the database is another program's
