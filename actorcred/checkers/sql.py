"""Users in any database that SQLAlchemy supports: PostgreSQL, MariaDB, SQLite and others."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any, TypeVar, cast

from actorcred.actors import Dispatcher, Overloaded
from actorcred.auth.descriptors import ArgString
from actorcred.auth.plugin import CheckerPlugin, read_options, yes_or_no
from actorcred.checker import CheckerRef, turn_of
from actorcred.checkers.bases.blocking import BackendLimits, BlockingChecker, take_limits
from actorcred.checkers.bases.passwords import Account, advice, too_many, verify_timed
from actorcred.checkers.bases.records import Complaints
from actorcred.checkers.bases.rehashing import Rehasher, is_weak, strong_hash
from actorcred.checkers.bases.stored_values import MOST_FACTS
from actorcred.checkers.bases.user_table import (
    FactColumns,
    UserTable,
    make_select,
    make_update,
)
from actorcred.checkers.sql_engine import make_engine
from actorcred.checkers.sql_facts import SQLFacts
from actorcred.checkers.sql_notify import Listener
from actorcred.checkers.sql_standing import Replaced, RowReader, judge
from actorcred.credentials import UsernamePassword
from actorcred.errors import (
    CheckerUnavailable,
    LoginFailed,
    MissingExtra,
    UnauthorizedLogin,
)
from actorcred.identity import Identity, identity_of
from actorcred.names import AvatarId, make_avatar_id
from actorcred.passwords.hashing import UnsupportedHash, check_format, dummy_hash
from actorcred.standing import Revocation, Standing, named

__all__ = ["FactColumns", "SQLChecker", "UserTable", "plugin"]


logger = logging.getLogger("actorcred.checkers")

T = TypeVar("T")

_OTHER_CHARACTERS = frozenset((1267, 1270, 1271, 3988))
"""Errors of MariaDB and MySQL: two strings cannot be compared, or converted."""


@dataclass(frozen=True, slots=True)
class _Row(Account):
    """The account in a row; a change of the further facts does not end a login.

    Args:
        stored: the name as it is in the row.
        facts: what else is known.
    """

    stored: str = field(default="", compare=False)
    facts: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


class SQLChecker(BlockingChecker):
    """Checks names and passwords against a table of a database, or the result of a query.

    The avatar id is the name as stored in the database, so if its collation treats "ANN" and "ann"
    as equal, they are one user. An unknown user, an inactive account and a wrong password take the
    same time and get the same answer. `UserTable.facts` says what else the identity tells.

    Args:
        url: the database's URL for SQLAlchemy: "postgresql+psycopg://user:secret@host/db".
        users: where the users are stored.
        limits: limits on the requests to the database.
        notify: with PostgreSQL, a channel on which a trigger sends the names of users whose rows
            have changed; their sessions then end at once. See "Log out who is gone" in the how-tos.

    Raises:
        AccountError: if the URL is invalid, or its driver is not installed; or if the database
            cannot notify.
        MissingExtra: without the extra "sql".
    """

    credential_interfaces = (UsernamePassword,)

    def __init__(
        self, url: str, users: UserTable, limits: BackendLimits | None, notify: str = ""
    ) -> None:
        super().__init__(limits)
        try:
            import sqlalchemy
        except ImportError:
            raise MissingExtra("SQLChecker", "sql") from None
        self._error: type[Exception] = sqlalchemy.exc.SQLAlchemyError
        self._engine = make_engine(url, self.limits)
        self._select = make_select(users)
        self._rows_of_many = RowReader(users, self._select, _is_of_the_name)
        self._replaced = Replaced()
        self._listener = self._make_listener(url, notify) if notify else None
        self._remedy = (
            "have the application that writes "
            f"{users.table if not users.query else 'the table'} set a new password"
        )
        self._usual = dummy_hash()
        self._complaints = Complaints()
        groups = users.facts.groups_query
        self._select_groups = sqlalchemy.text(groups) if groups else None
        self._facts = SQLFacts(users, self._groups_of) if users.facts != FactColumns() else None
        self._rehasher = (
            Rehasher(self._engine, make_update(users), users.table)
            if users.rehash and not users.query
            else None
        )

    @classmethod
    def start(  # type: ignore[override]
        cls,
        url: str,
        users: UserTable | None = None,
        limits: BackendLimits | None = None,
        *,
        notify: str = "",
        dispatcher: Dispatcher | None = None,
    ) -> CheckerRef:
        """Start a checker; see the class for the arguments."""
        arguments = (url, users or UserTable(), limits, notify)
        return cast("CheckerRef", super().start(*arguments, dispatcher=dispatcher))

    def _make_listener(self, url: str, channel: str) -> Listener:
        import sqlalchemy

        ref = cast("CheckerRef", self.actor_ref)
        engine = make_engine(url, self.limits, poolclass=sqlalchemy.pool.NullPool)
        return Listener(engine, channel, partial(_report, ref), ref.recheck)

    def on_start(self) -> None:
        """Listen to changes, if wanted."""
        if self._listener is not None:
            self._listener.start()

    def on_stop(self) -> None:
        """Release the threads."""
        if self._listener is not None:
            self._listener.close()
        super().on_stop()

    def release(self) -> None:
        """Close the connections."""
        if self._rehasher is not None:
            self._rehasher.close()
        else:
            self._engine.dispose()

    def check(self, credentials: UsernamePassword) -> AvatarId | Identity:
        """Look the user up and verify the password."""
        account = self._lookup(credentials.username)
        if account is None or not account.usable:
            self._verify(credentials, self._usual)
            raise UnauthorizedLogin(
                "no such user, one that is not active, or a row that cannot be used",
                known=account is not None,
            )
        self._usual = account.hash  # verified for unknown users from now on
        if not self._verify(credentials, account.hash):
            raise UnauthorizedLogin("wrong password", known=True)
        current = self._if_still_good(credentials, account)
        if current is None:
            raise UnauthorizedLogin("the account was changed during the login", known=True)
        if self._rehasher is not None and self._rehasher.may_write and is_weak(account.hash):
            self._rehash(self._rehasher, credentials, account)
        return self.proven_by(current.hash, self._answer(current))

    def check_standing(self, names: tuple[str, ...]) -> Standing:
        """Return whose rows are gone, inactive, or have another hash than at the login."""
        avatar_ids = list(dict.fromkeys(named(name)[0] for name in names))
        with self._connected() as connection:
            rows = self._rows_of_many.read(connection, avatar_ids)
        gone: dict[str, Revocation] = {}
        identities: dict[str, Identity] = {}
        for name in names:
            avatar_id, _ = named(name)
            found = rows.get(avatar_id)
            if not found:
                gone |= {} if found is None else {name: Revocation.DELETED}
            elif len(found) == 1:  # else it is not known which row it is
                said = self._said_of(name, found[0])
                if isinstance(said, Revocation):
                    gone[name] = said
                elif said is not None:
                    identities[name] = said
        return Standing(gone, identities)

    def _said_of(self, name: str, row: Any) -> Revocation | Identity | None:
        values, _ = (row, {}) if self._facts is None else self._facts.split(row)
        _, stored, *active = values
        try:
            made = text_of(stored)
        except UnsupportedHash:
            made = ""
        what = judge(name, made, not active or bool(active[0]), self._replaced)
        if what is not None or self._facts is None:
            return what
        try:
            return identity_of(self._answer(_read_row(row, self._facts)))
        except UnauthorizedLogin:
            return Revocation.DISABLED  # the account has expired
        except (ValueError, TypeError, MissingExtra):
            return None

    def current_identity(self, name: str) -> Identity | None:
        """Return what the database says of a user now; None if no one may log in to the account.

        It blocks, and can be called on any thread.

        Args:
            name: the user's name.

        Raises:
            CheckerUnavailable: if the database cannot be asked now.
        """
        account = self._lookup(name)
        if account is None or not account.usable:
            return None
        try:
            return identity_of(self._answer(account))
        except UnauthorizedLogin:
            return None

    def _answer(self, account: _Row) -> AvatarId | Identity:
        if self._facts is None:
            return account.avatar_id
        return self._facts.identity(account.avatar_id, account.stored, account.facts)

    def _groups_of(self, stored: str) -> list[Any]:
        with self._connected() as connection:
            result = connection.execute(self._select_groups, {"username": stored})
            return [row[0] for row in result.fetchmany(MOST_FACTS + 1)]

    def _if_still_good(self, credentials: UsernamePassword, account: _Row) -> _Row | None:
        """Return an account that is unchanged, or whose weak hash another login has replaced."""
        now = self._lookup(credentials.username)
        if now == account or now is None or not now.usable or not is_weak(account.hash):
            return now if now == account else None
        if not self._verify(credentials, now.hash):
            return None
        last = self._lookup(credentials.username)
        return last if last == now else None

    def _rehash(self, rehasher: Rehasher, credentials: UsernamePassword, account: Account) -> None:
        """Have a weak hash replaced. Errors do not affect the login."""
        try:
            made = self._hashed(strong_hash, credentials, keys=turn_of(self, credentials))
            row = None if made is None else self._row(credentials.username)
        except LoginFailed:
            return  # the next login will try again
        if made is not None and row is not None and text_of(row[1]) == account.hash:
            self._replaced.note(account.hash, made)
            rehasher.replace(row[0], row[1], made)

    def _verify(self, credentials: UsernamePassword, reference: str) -> bool:
        try:
            return self._hashed(
                partial(verify_timed, credentials, reference, monotonic()),
                keys=turn_of(self, credentials),
            )
        except UnsupportedHash as error:
            raise UnauthorizedLogin(f"a hash in the database cannot be used: {error}") from None

    def _hashed(self, function: Callable[..., T], *args: Any, keys: tuple[Hashable, ...]) -> T:
        """Return the result of a function that hashes."""
        # On the pool that yields to everything else, since hashing is CPU-bound and these threads
        # are many.
        result = self.offload(function, *args, keys=keys)
        # Not `result.get()`, for which the pool would start another thread.
        done = threading.Event()
        result.add_done_callback(lambda _: done.set())
        if not done.wait(self.limits.timeout) and result.cancel():
            raise CheckerUnavailable("hashing took too long")
        try:
            return result.get()
        except Overloaded as error:
            raise too_many(error) from None

    def _lookup(self, username: str) -> _Row | None:
        """Return the account of a user; None if there is none or its row cannot be used."""
        row = self._row(username)
        try:
            return None if row is None else _read_row(row, self._facts)
        except UnsupportedHash as error:
            self._complaints.about(username, advice(error, self._remedy))
            return None
        except (ValueError, TypeError, MissingExtra) as error:
            self._complaints.about(username, error)
            return None

    def _row(self, username: str) -> Any:
        """Return the only row of a user, or None."""
        rows = self._rows(username)
        exact = [row for row in rows if row[0] == username] or rows
        return exact[0] if len(exact) == 1 else None

    def _rows(self, username: str) -> list[Any]:
        try:
            with self._engine.connect() as connection:
                return self._fetch(connection, username)
        except self._error as error:
            if _is_of_the_name(error):
                return []
            raise _unavailable(error) from None

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Any]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except self._error as error:
            raise _unavailable(error) from None

    def _fetch(self, connection: Any, username: str) -> list[Any]:
        try:
            result = connection.execute(self._select, {"username": username})
            if len(result.keys()) < 2:
                raise CheckerUnavailable("the query does not return a name and a hash")
            return list(result.fetchmany(2))
        except UnicodeEncodeError:
            return []  # the connection's encoding cannot express the name, so no user has it
        except UnicodeDecodeError as error:
            connection.invalidate()  # the rest of the answer might not have been read
            self._complaints.about(
                username, f"the row is not in the connection's encoding, {error.encoding}"
            )
            return []


def _report(ref: CheckerRef, name: str) -> None:
    """Report that the row of a user has changed."""
    try:
        avatar_id = make_avatar_id(name)
    except ValueError:
        logger.warning("A notification of the database does not have the name of a user")
        return
    ref.revoke(avatar_id, Revocation.CHANGED)


def _unavailable(error: Exception) -> CheckerUnavailable:
    return CheckerUnavailable(f"the database failed: {type(error).__name__}")


def _read_row(row: Any, facts: SQLFacts | None) -> _Row:
    """Return the account in a row.

    Raises:
        ValueError, TypeError, MissingExtra: if it cannot be used, with the reason.
    """
    values, found = (row, {}) if facts is None else facts.split(row)
    name, stored, *active = values
    usable = not active or bool(active[0])
    made = text_of(stored)
    if usable:
        check_format(hash=made)
    return _Row(make_avatar_id(name), made, usable, name, found)


def text_of(stored: Any) -> Any:
    """Return the hash in a column, which can be bytes, or padded to the column's length.

    Raises:
        UnsupportedHash: if the bytes are not text.
    """
    if isinstance(stored, bytes | bytearray | memoryview):
        try:
            stored = bytes(stored).decode("ascii")
        except UnicodeDecodeError:
            raise UnsupportedHash("bytes that are not text, such as a raw digest") from None
    return stored.rstrip(" \0") if isinstance(stored, str) else stored


def _is_of_the_name(error: Exception) -> bool:
    """Return whether an error only says that the column's character set cannot express a name."""
    import sqlalchemy

    code = next(iter(getattr(getattr(error, "orig", None), "args", ())), None)
    return isinstance(error, sqlalchemy.exc.DataError) or code in _OTHER_CHARACTERS


def _generate(argument: ArgString) -> CheckerRef:
    if not argument:
        raise ValueError("needs the URL of a database")
    kinds: dict[str, Any] = dict.fromkeys(("table", "username", "password", "active", "query"), str)
    facts = dict.fromkeys(("groups", "issuer", "subject", "expires", "last_login"), str)
    kinds |= {
        **facts,
        "attributes": lambda text: tuple(text.split()),
        "rehash": yes_or_no,
        "notify": str,
    }
    options = read_options(argument, {**kinds, "threads": int, "timeout": float})
    limits, notify = take_limits(options), options.pop("notify", "")
    columns = {name: options.pop(name) for name in (*facts, "attributes") if name in options}
    users = UserTable(**options, facts=FactColumns(**columns))
    return SQLChecker.start(str(argument), users, limits, notify=notify)


plugin = CheckerPlugin(
    "sql",
    "URL",
    "Any database that SQLAlchemy supports, such as "
    "postgresql+psycopg://user:${env:DB_PASSWORD}@host/db. Options: table=users, username=username "
    "and password=password name the table and its columns, active=COLUMN one that is false for "
    "closed accounts; or query=SELECT name, hash FROM ... WHERE name = :username. Weak phpass "
    "hashes are replaced by bcrypt at login if the table can be written, unless rehash=no. "
    "attributes=COLUMN COLUMN, groups=COLUMN (or SELECT ... WHERE name = :username), "
    "subject=COLUMN, expires=COLUMN, last_login=COLUMN and issuer=TEXT tell more of the user. "
    "notify=CHANNEL listens to PostgreSQL for names of changed users. threads=8 and timeout=10 "
    "limit the requests to it.",
    (UsernamePassword,),
    _generate,
)
