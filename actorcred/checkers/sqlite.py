"""The embedded account store: users in an SQLite database."""

from __future__ import annotations

import functools
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from actorcred.actors import Dispatcher, Future, Overloaded
from actorcred.auth.plugin import CheckerPlugin, start_with_path, yes_or_no
from actorcred.checker import CheckerRef, Revocation, turn_of
from actorcred.checkers.bases.account_schema import prepare
from actorcred.checkers.bases.accounts import (
    AccountInfo,
    AddAccount,
    ChangePassword,
    DeleteAccount,
    FindAccount,
    ListAccounts,
    SetDisabled,
    SetRoles,
    SQLiteCheckerRef,
    StoredAccount,
)
from actorcred.checkers.bases.database import DatabaseChecker, Order, open_database
from actorcred.checkers.bases.last_logins import LastLogins
from actorcred.checkers.bases.passwords import Account, PasswordChecker
from actorcred.checkers.bases.polling import PollingChecker
from actorcred.checkers.bases.records import Complaints
from actorcred.credentials import UsernamePassword
from actorcred.errors import (
    AccountError,
    CheckerUnavailable,
    LoginFailed,
    PasswordRejected,
    UnauthorizedLogin,
)
from actorcred.exchange import ScramVerifier
from actorcred.identity import Identity
from actorcred.names import AvatarId, prepare_username
from actorcred.passwords.hashing import (
    DEFAULT_ROUNDS,
    check_rounds,
    dummy_hash,
    hash_password,
    needs_rehash,
)
from actorcred.passwords.policy import PasswordPolicy
from actorcred.sasl.scram import (
    ITERATIONS,
    ScramSHA256,
    make_verifier,
    require_scram,
    scram_from_text,
    scram_to_text,
)

__all__ = ["SQLITE_OPTIONS", "AccountInfo", "SQLiteChecker", "SQLiteCheckerRef", "plugin"]

logger = logging.getLogger("actorcred.checkers")

REVOCATIONS_KEPT = 10_000

SQLITE_OPTIONS: dict[str, Callable[[str], Any]] = {
    "scram": yes_or_no,
    "rounds": int,
    "last_login": yes_or_no,
}
"""Options of the type "sqlite", which are arguments of `SQLiteChecker.start`."""


class _Secrets(NamedTuple):
    """What is stored of a password."""

    hash: str
    scram: str | None


def _make_secrets(password: str, rounds: int, scram: bool) -> _Secrets:
    made = hash_password(password=password, rounds=rounds)
    return _Secrets(made, scram_to_text(make_verifier(password)) if scram else None)


def _upgrade_secrets(password: str, old: str, rounds: int, scram: bool) -> _Secrets:
    made = (
        hash_password(password=password, rounds=rounds)
        if needs_rehash(hash=old, rounds=rounds)
        else old
    )
    try:
        return _Secrets(made, scram_to_text(make_verifier(password)) if scram else None)
    except PasswordRejected:  # a good password, but not one for SCRAM
        return _Secrets(made, None)


class SQLiteChecker(PollingChecker, DatabaseChecker, PasswordChecker):
    """Manages accounts in an SQLite database and checks logins against them.

    The database is created if it is missing. It is in WAL mode, so that other processes can read
    while this one writes. Hashes made at a lower cost are upgraded when their users log in.

    The roles of an account are the groups of its user's `Identity`, which also tells the previous
    login. Logins are counted when the password is accepted, and written within seconds.

    Args:
        path: the file.
        rounds: the cost of new hashes.
        policy: the rules for new passwords.
        scram: also let clients prove their passwords by SCRAM, and store a SCRAM verifier of each
            new password and of each user who logs in. Users without a verifier are refused by
            SCRAM, so if a password can be sent, SCRAM is offered only once all accounts that are
            not disabled have one.
        last_login: keep the time of each account's last login.

    Raises:
        AccountError: if the file cannot be opened, is not a database of this checker, or was made
            by a newer version.
        ValueError: if `rounds` is out of range.
        MissingExtra: if `scram` needs the extra of that name.
    """

    ref_class = SQLiteCheckerRef
    remedy = "set a new password with `actorcred passwd change`"

    def __init__(
        self,
        path: str | os.PathLike[str],
        rounds: int = DEFAULT_ROUNDS,
        policy: PasswordPolicy | None = None,
        scram: bool = False,
        last_login: bool = True,
    ) -> None:
        check_rounds(rounds)
        if scram:
            require_scram()
        super().__init__(open_database(path, prepare))
        self._last_logins = LastLogins(self.database) if last_login else None
        self._scram = scram
        if scram:
            self.credential_interfaces = (UsernamePassword, ScramSHA256)
        self._rounds = rounds
        self._policy = policy or PasswordPolicy()
        self._last_revocation = self._newest_revocation()
        self._data_version = -1
        self._usual_iterations = ITERATIONS
        self._see_who_has_scram()

    @classmethod
    def start(  # type: ignore[override]
        cls,
        path: str | os.PathLike[str],
        rounds: int = DEFAULT_ROUNDS,
        policy: PasswordPolicy | None = None,
        *,
        scram: bool = False,
        last_login: bool = True,
        dispatcher: Dispatcher | None = None,
    ) -> SQLiteCheckerRef:
        """Start a checker; see the class for the arguments."""
        arguments = (path, rounds, policy, scram, last_login)
        return cast("SQLiteCheckerRef", super().start(*arguments, dispatcher=dispatcher))

    def on_start(self) -> None:
        """Start watching for changes by other processes."""
        self.start_polling()

    def on_stop(self) -> None:
        """Write the last logins, and close the database."""
        if self._last_logins is not None:
            self._last_logins.write()
        super().on_stop()

    # -- checking ----------------------------------------------------------------------------------

    def dummy(self) -> str:
        """Return a hash with the cost of new ones."""
        return dummy_hash(self._rounds)

    def lookup(self, username: str) -> StoredAccount | None:
        """Return the account of a user."""
        row = self._row(
            "SELECT name, hash, NOT disabled, roles, last_login FROM account WHERE name = ?",
            username,
        )
        return None if row is None else StoredAccount(row[0], row[1], bool(row[2]), *row[3:])

    def current_identity(self, name: str) -> Identity | None:
        """Return what the store says of a user now; None if no one may log in to the account.

        Args:
            name: the account's name.

        Raises:
            CheckerUnavailable: if the account cannot be looked up now.
        """
        account = self.lookup(name)
        return None if account is None or not account.usable else self._identity(account)

    def _identity(self, account: StoredAccount) -> Identity:
        logins, name = self._last_logins, account.avatar_id
        seconds = None if logins is None else logins.of(name, account.last_login)
        return Identity(
            name,
            groups=frozenset(account.roles.split()),
            last_login=None if seconds is None else datetime.fromtimestamp(seconds, UTC),
        )

    def answer(self, account: Account) -> Identity:
        """Return the identity of a user who logs in, and note the login."""
        identity = self.current_identity(account.avatar_id)
        if identity is None:
            raise UnauthorizedLogin("the account was changed during the login", known=True)
        if self._last_logins is not None:
            self._last_logins.note(account.avatar_id)
        return identity

    def _scram_of(self, name: str) -> ScramVerifier | None:
        row = self._row("SELECT scram FROM account WHERE name = ? AND NOT disabled", name)
        return None if row is None else _read_scram(row[0], name, self.complaints)

    def _row(self, query: str, *values: Any) -> Any:
        try:
            return self.database.execute(query, values).fetchone()
        except sqlite3.Error as error:
            raise CheckerUnavailable(f"the database failed: {error}") from None

    def request_avatar_id(
        self, credentials: UsernamePassword | ScramSHA256
    ) -> Future[AvatarId | Identity]:
        """Check a password, or a proof that the client knows it."""
        if isinstance(credentials, UsernamePassword):
            return super().request_avatar_id(credentials)
        stored = self._scram_of(credentials.username)
        credentials.iterations = credentials.iterations or self._usual_iterations
        verdict: Future[bool] = Future()
        decision: Future[AvatarId | Identity] = Future()
        self.cred_then(verdict, self._scram_verified, credentials.username, stored, decision)
        credentials.check(stored, verdict.settle)
        return decision

    def _scram_verified(
        self,
        verdict: Future[bool],
        name: str,
        stored: ScramVerifier | None,
        decision: Future[AvatarId | Identity],
    ) -> None:
        try:
            if not verdict.get() or self._scram_of(name) != stored:
                why = "no such user, wrong password, or the account was changed during the login"
                raise UnauthorizedLogin(why, known=stored is not None)
            identity = self.answer(Account(name, ""))
        except LoginFailed as error:
            decision.settle_error(error)
        else:
            decision.settle(identity)

    def verified(self, credentials: UsernamePassword, account: Account) -> None:
        """Upgrade the hash if it was made at a lower cost; the login does not wait for that."""
        scram = self._scram_of(account.avatar_id)
        if needs_rehash(hash=account.hash, rounds=self._rounds) or (self._scram and scram is None):
            arguments = (
                credentials.password,
                account.hash,
                self._rounds,
                self._scram or scram is not None,
            )
            upgraded = self.offload(_upgrade_secrets, *arguments, keys=turn_of(self, credentials))
            self.cred_then(upgraded, self._upgrade, account)

    def _upgrade(self, upgraded: Future[_Secrets], account: Account) -> None:
        try:
            secrets = upgraded.get()
        except Overloaded:
            return  # the next login will try again
        except Exception as error:  # such as a missing extra that an old hash needs
            logger.warning(
                "The hash of %r could not be upgraded: %s", account.avatar_id, type(error).__name__
            )
            return
        if secrets == (account.hash, None):
            return
        update = "UPDATE account SET hash = ?, scram = ? WHERE name = ? AND hash = ?"
        try:
            self._write(update, *secrets, account.avatar_id, account.hash)
        except AccountError:
            return  # the password was changed meanwhile, so its hash is up to date
        except sqlite3.Error as error:
            logger.warning("A hash could not be upgraded, the next login will try again: %s", error)

    # -- managing ----------------------------------------------------------------------------------

    def carry_out(self, order: Order) -> Any:
        """Change or look up accounts."""
        match order:
            case AddAccount():
                return self._add_account(order)
            case ChangePassword(name, password, scram):
                return self._change_password(name, password, scram)
            case SetRoles(name, roles):
                return self._set_roles(name, roles)
            case SetDisabled(name, disabled):
                return self._set_disabled(name, disabled)
            case DeleteAccount(name):
                return self._delete_account(name)
            case ListAccounts():
                return self._accounts()
            case FindAccount(name):
                return self._find_account(name)
        raise TypeError(order)

    def _make_then(
        self, password: str, scram: bool, store: Callable[[_Secrets], None]
    ) -> Future[Callable[[], None]]:
        """Check and hash a new password in the background; return a future of what stores it."""

        def work() -> Callable[[], None]:
            self._policy.check(password=password)
            return functools.partial(store, _make_secrets(password, self._rounds, scram))

        return self.offload(work)

    def _add_account(self, order: AddAccount) -> Future[Any]:
        name, roles = prepare_username(order.name), _as_text(order.roles)

        def store(secrets: _Secrets) -> None:
            now = time.time()
            insert = (
                "INSERT INTO account (name, hash, scram, created, changed, roles) "
                "VALUES (?, ?, ?, ?, ?, ?)"
            )
            try:
                self._write(insert, name, *secrets, now, now, roles)
            except sqlite3.IntegrityError:
                raise AccountError(f"there is an account {name!r} already") from None

        return self._make_then(order.password, order.scram or self._scram, store)

    def _change_password(self, name: str, password: str, scram: bool) -> Future[Any]:
        name = prepare_username(name)

        def store(secrets: _Secrets) -> None:
            update = "UPDATE account SET hash = ?, scram = ?, changed = ? WHERE name = ?"
            self._write(
                update, *secrets, time.time(), name, revoke=(name, Revocation.PASSWORD_CHANGED)
            )

        return self._make_then(
            password, scram or self._scram or self._scram_of(name) is not None, store
        )

    def _set_roles(self, name: str, roles: frozenset[str]) -> None:
        self._write(
            "UPDATE account SET roles = ? WHERE name = ?", _as_text(roles), prepare_username(name)
        )

    def _set_disabled(self, name: str, disabled: bool) -> None:
        name = prepare_username(name)
        revoke = (name, Revocation.DISABLED) if disabled else None
        self._write(
            "UPDATE account SET disabled = ?, changed = ? WHERE name = ?",
            disabled,
            time.time(),
            name,
            revoke=revoke,
        )

    def _delete_account(self, name: str) -> None:
        name = prepare_username(name)
        self._write("DELETE FROM account WHERE name = ?", name, revoke=(name, Revocation.DELETED))

    def _accounts(self) -> list[AccountInfo]:
        rows = self.database.execute(f"SELECT {AccountInfo.COLUMNS} FROM account ORDER BY name")
        return [AccountInfo.of(row) for row in rows]

    def _find_account(self, name: str) -> AccountInfo | None:
        try:
            prepared = prepare_username(name)
        except ValueError:  # no user can have it
            return None
        row = self._row(f"SELECT {AccountInfo.COLUMNS} FROM account WHERE name = ?", prepared)
        return None if row is None else AccountInfo.of(row)

    def _write(
        self, statement: str, *values: Any, revoke: tuple[str, Revocation] | None = None
    ) -> None:
        """Change an account, and in the same transaction have all processes revoke its sessions."""
        with self.writing() as database:
            if database.execute(statement, values).rowcount == 0:
                raise AccountError("there is no such account")
            if revoke is not None:
                database.execute("INSERT INTO revocation (name, what) VALUES (?, ?)", revoke)
                too_old = self._newest_revocation() - REVOCATIONS_KEPT
                database.execute("DELETE FROM revocation WHERE number <= ?", (too_old,))
        self._see_who_has_scram()
        if revoke is not None:
            self._revoke()

    def _see_who_has_scram(self) -> None:
        lacking = "SELECT 1 FROM account WHERE scram IS NULL AND NOT disabled LIMIT 1"
        if self._scram:
            all_have = self.database.execute(lacking).fetchone() is None
            self.offered_interfaces = (
                self.credential_interfaces if all_have else (UsernamePassword,)
            )
            self.show_offers()
            row = self.database.execute(
                "SELECT scram, name FROM account WHERE scram IS NOT NULL LIMIT 1"
            ).fetchone()
            usual = None if row is None else _read_scram(row[0], row[1], self.complaints)
            self._usual_iterations = ITERATIONS if usual is None else usual.iterations

    def _newest_revocation(self) -> int:
        return int(
            self.database.execute("SELECT ifnull(max(number), 0) FROM revocation").fetchone()[0]
        )

    def poll(self) -> None:
        """Revoke sessions of accounts that another process has changed; write the last logins."""
        try:
            version = self.database.execute("PRAGMA data_version").fetchone()[0]
            if version != self._data_version:
                self._data_version = version
                self._see_who_has_scram()
                self._revoke()
            if self._last_logins is not None:
                self._last_logins.write()
        except sqlite3.Error as error:
            logger.warning("The account store cannot be watched for changes: %s", error)

    def _revoke(self) -> None:
        rows = self.database.execute(
            "SELECT number, name, what FROM revocation WHERE number > ?", (self._last_revocation,)
        )
        for number, name, what in rows.fetchall():
            self._last_revocation = number
            # An unknown kind is from a newer version: ending the sessions is safest.
            known = Revocation(what) if what in set(Revocation) else Revocation.DISABLED
            cast("CheckerRef", self._actor_ref).revoke(name, known)


def _as_text(roles: frozenset[str]) -> str:
    return " ".join(sorted(roles))


def _read_scram(text: object, name: str, complaints: Complaints) -> ScramVerifier | None:
    if text is None:
        return None
    try:
        return scram_from_text(text if isinstance(text, str) else "")
    except ValueError as error:
        complaints.about(name, error, by="SCRAM")
        return None


plugin = CheckerPlugin(
    "sqlite",
    "PATH",
    "Accounts in an SQLite database that `actorcred passwd` manages; it is created if missing. "
    "With the option scram=yes clients can prove their passwords without sending them. This is "
    "offered once all accounts have a SCRAM verifier, from `actorcred passwd add --scram` or from "
    "their next login. The roles that the command sets are the user's groups; last_login=no does "
    "not keep when users log in.",
    (UsernamePassword, ScramSHA256),
    start_with_path(SQLiteChecker.start, SQLITE_OPTIONS),
)
