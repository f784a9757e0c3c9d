"""The embedded account store: users in an SQLite database."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from actorcred.actors import ControlCall, Dispatcher, Future
from actorcred.checkers.base import CheckerRef, Revocation
from actorcred.checkers.passwords import Account, PasswordChecker
from actorcred.credentials import UsernamePassword, make_avatar_id
from actorcred.errors import AccountError, CheckerUnavailable
from actorcred.passwords import DEFAULT_ROUNDS, PasswordPolicy, dummy_hash, hash_password, needs_rehash

__all__ = ["AccountInfo", "SQLiteChecker", "SQLiteCheckerRef"]

logger = logging.getLogger("actorcred.checkers")

SCHEMA_VERSION = 1
SCHEMA = (
    """CREATE TABLE account (
        name TEXT PRIMARY KEY NOT NULL,
        hash TEXT NOT NULL,
        disabled INTEGER NOT NULL DEFAULT 0,
        created REAL NOT NULL,
        changed REAL NOT NULL
    ) WITHOUT ROWID""",
    # What happened to accounts with live sessions, for all processes that have the database open.
    "CREATE TABLE revocation (number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, what TEXT NOT NULL)",
)

REVOCATIONS_KEPT = 10_000

POLL = 2.0
"""Seconds between two looks whether another process has changed an account."""

BUSY_TIMEOUT = 5.0
"""Seconds to wait for another process that writes to the database."""


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """What an operator may see of an account. Times are seconds since the epoch."""

    name: str
    disabled: bool
    created: float
    changed: float


class SQLiteCheckerRef(CheckerRef):
    """A ref to an `SQLiteChecker`, with which accounts are managed. Every method returns a future."""

    __slots__ = ()

    def add_account(self, name: str, password: str) -> Future[None]:
        """Add an account.

        The future fails with `AccountError` if there is one of this name, with `PasswordRejected` if the password
        breaks a rule, and with `ValueError` if the name cannot be an avatar id.
        """
        return self._request("_add_account", name, password)

    def change_password(self, name: str, password: str) -> Future[None]:
        """Set a new password; live sessions of the account end or are told. Fails as `add_account`."""
        return self._request("_change_password", name, password)

    def disable_account(self, name: str) -> Future[None]:
        """Let nobody log in to an account, and end its live sessions. Fails with `AccountError` if there is none."""
        return self._request("_set_disabled", name, True)

    def enable_account(self, name: str) -> Future[None]:
        """Let the user of an account log in again. Fails with `AccountError` if there is none."""
        return self._request("_set_disabled", name, False)

    def delete_account(self, name: str) -> Future[None]:
        """Delete an account and end its live sessions. Fails with `AccountError` if there is none."""
        return self._request("_delete_account", name)

    def accounts(self) -> Future[list[AccountInfo]]:
        """List the accounts by name."""
        return self._request("_accounts")

    def _request(self, method: str, *args: Any) -> Future[Any]:
        done: Future[Any] = Future()
        self.tell(ControlCall(("_attempt", done, method, args)))
        return done


class SQLiteChecker(PasswordChecker):
    """Checks against, and manages, accounts in an SQLite database, which is made if there is none.

    The database is in WAL mode, so other processes read while this one writes. Hashes made at a lower cost are
    upgraded when their users log in.

    Args:
        path: the file.
        rounds: the cost of new hashes.
        policy: what new passwords have to be.

    Raises:
        AccountError: if the file cannot be opened, is no database, or was made by a newer version.
    """

    ref_class = SQLiteCheckerRef

    def __init__(self, path: str | os.PathLike[str], rounds: int = DEFAULT_ROUNDS, policy: PasswordPolicy | None = None) -> None:
        super().__init__()
        self._rounds = rounds
        self._policy = policy or PasswordPolicy()
        try:
            self._database = _open(os.fspath(path))
        except sqlite3.Error as error:
            raise AccountError(f"cannot open the account store {os.fspath(path)!r}: {error}") from None
        self._last_revocation = self._newest_revocation()
        self._data_version = -1

    @classmethod
    def start(  # type: ignore[override]
        cls,
        path: str | os.PathLike[str],
        rounds: int = DEFAULT_ROUNDS,
        policy: PasswordPolicy | None = None,
        *,
        dispatcher: Dispatcher | None = None,
    ) -> SQLiteCheckerRef:
        """Start a checker; see the class for the arguments."""
        return cast("SQLiteCheckerRef", super().start(path, rounds, policy, dispatcher=dispatcher))

    def on_start(self) -> None:
        """Begin to watch for changes by other processes."""
        self.send_every(POLL, ControlCall(("_poll",)))

    def on_stop(self) -> None:
        """Close the database."""
        self._database.close()

    def on_failure(self, *_: Any) -> None:
        """Close the database; a restarted checker opens it again."""
        self._database.close()

    # -- checking -----------------------------------------------------------------------------------------------------

    def dummy(self) -> str:
        """Return a hash of the cost of new ones."""
        return dummy_hash(self._rounds)

    def lookup(self, username: str) -> Account | None:
        """Return the account of a user."""
        try:
            row = self._database.execute("SELECT name, hash, disabled FROM account WHERE name = ?", (username,)).fetchone()
        except sqlite3.Error as error:
            raise CheckerUnavailable(f"the account store failed: {error}") from None
        return None if row is None else Account(row[0], row[1], usable=not row[2])

    def verified(self, credentials: UsernamePassword, account: Account) -> None:
        """Upgrade the hash if the cost setting has risen since it was made; the login does not wait for that."""
        if needs_rehash(hash=account.hash, rounds=self._rounds):
            upgraded = self._hash(credentials.password)
            self.cred_then(upgraded, "_upgrade", account)

    def _upgrade(self, upgraded: Future[str], account: Account) -> None:
        update = "UPDATE account SET hash = ? WHERE name = ? AND hash = ?"
        try:
            self._write(update, upgraded.get(), account.avatar_id, account.hash)
        except AccountError:
            return  # the password was changed meanwhile: the new hash is a new one

    # -- managing -----------------------------------------------------------------------------------------------------

    def _attempt(self, done: Future[Any], method: str, args: tuple[Any, ...]) -> None:
        """Run one of the methods below and put its result, or that of the future which it returns, into `done`."""
        try:
            result = getattr(self, method)(*args)
        except Exception as error:
            done.settle_error(_as_account_error(error))
        else:
            if isinstance(result, Future):
                self.cred_then(result, "_pass_on", done)
            else:
                done.settle(result)

    def _pass_on(self, hashed: Future[tuple[str, Callable[[str], None]]], done: Future[Any]) -> None:
        try:
            text, store = hashed.get()
            store(text)
        except Exception as error:
            done.settle_error(_as_account_error(error))
        else:
            done.settle(None)

    def _hash(self, password: str) -> Future[str]:
        return self.actor_inbox.dispatcher.offload(lambda: hash_password(password=password, rounds=self._rounds))

    def _hash_then(self, password: str, store: Callable[[str], None]) -> Future[tuple[str, Callable[[str], None]]]:
        """Check and hash a new password in the background, to be handed to `store`."""

        def work() -> tuple[str, Callable[[str], None]]:
            self._policy.check(password=password)
            return hash_password(password=password, rounds=self._rounds), store

        return self.actor_inbox.dispatcher.offload(work)

    def _add_account(self, name: str, password: str) -> Future[Any]:
        name = make_avatar_id(name)

        def store(text: str) -> None:
            now = time.time()
            try:
                self._write("INSERT INTO account (name, hash, created, changed) VALUES (?, ?, ?, ?)", name, text, now, now)
            except sqlite3.IntegrityError:
                raise AccountError(f"there is an account {name!r} already") from None

        return self._hash_then(password, store)

    def _change_password(self, name: str, password: str) -> Future[Any]:
        name = make_avatar_id(name)

        def store(text: str) -> None:
            update = "UPDATE account SET hash = ?, changed = ? WHERE name = ?"
            self._write(update, text, time.time(), name, revoke=(name, Revocation.PASSWORD_CHANGED))

        return self._hash_then(password, store)

    def _set_disabled(self, name: str, disabled: bool) -> None:
        name = make_avatar_id(name)
        revoke = (name, Revocation.DISABLED) if disabled else None
        self._write("UPDATE account SET disabled = ?, changed = ? WHERE name = ?", disabled, time.time(), name, revoke=revoke)

    def _delete_account(self, name: str) -> None:
        name = make_avatar_id(name)
        self._write("DELETE FROM account WHERE name = ?", name, revoke=(name, Revocation.DELETED))

    def _accounts(self) -> list[AccountInfo]:
        rows = self._database.execute("SELECT name, disabled, created, changed FROM account ORDER BY name")
        return [AccountInfo(name, bool(disabled), created, changed) for name, disabled, created, changed in rows]

    def _write(self, statement: str, *values: Any, revoke: tuple[str, Revocation] | None = None) -> None:
        """Change one account, and in the same transaction tell all processes to revoke its sessions."""
        with self._database:
            if self._database.execute(statement, values).rowcount == 0:
                raise AccountError("there is no such account")
            if revoke is not None:
                self._database.execute("INSERT INTO revocation (name, what) VALUES (?, ?)", revoke)
                too_old = self._newest_revocation() - REVOCATIONS_KEPT
                self._database.execute("DELETE FROM revocation WHERE number <= ?", (too_old,))
        if revoke is not None:
            self._revoke()

    def _newest_revocation(self) -> int:
        return int(self._database.execute("SELECT ifnull(max(number), 0) FROM revocation").fetchone()[0])

    def _poll(self) -> None:
        """Revoke sessions of accounts that another process has changed."""
        try:
            version = self._database.execute("PRAGMA data_version").fetchone()[0]
            if version != self._data_version:
                self._data_version = version
                self._revoke()
        except sqlite3.Error as error:
            logger.warning("The account store cannot be watched for changes: %s", error)

    def _revoke(self) -> None:
        rows = self._database.execute("SELECT number, name, what FROM revocation WHERE number > ?", (self._last_revocation,))
        for number, name, what in rows.fetchall():
            self._last_revocation = number
            cast("CheckerRef", self._actor_ref).revoke(name, Revocation(what))


def _open(path: str) -> sqlite3.Connection:
    # The actor may run on several threads, but on one at a time.
    database = sqlite3.connect(path, timeout=BUSY_TIMEOUT, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        with database:
            database.execute("BEGIN IMMEDIATE")
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise AccountError(f"the account store {path!r} has schema {version}, made by a newer actorcred; upgrade")
            if version == 0:
                for statement in SCHEMA:
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except BaseException:
        database.close()
        raise
    return database


def _as_account_error(error: Exception) -> Exception:
    return AccountError(f"the account store failed: {error}") if isinstance(error, sqlite3.Error) else error
