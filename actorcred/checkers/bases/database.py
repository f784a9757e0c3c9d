"""What the checkers have in common that keep an SQLite database of their own."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from actorcred.actors import AnsweredCall, Future, Overloaded
from actorcred.checker import Checker, CheckerRef
from actorcred.errors import AccountError

__all__ = ["DatabaseChecker", "DatabaseRef", "open_database"]


BUSY_TIMEOUT = 5.0
"""Seconds to wait for another process that writes to the database."""


def open_database(path: str | os.PathLike[str], prepare: Callable[[sqlite3.Connection], object]) -> sqlite3.Connection:
    """Open a database in WAL mode, so that others read while one writes; it is made, for its owner only, if there is none.

    Args:
        path: the file.
        prepare: makes or upgrades the tables, in a transaction that no other process takes part in.

    Raises:
        AccountError: if it cannot be opened, or is none.
    """
    name = os.fspath(path)
    try:
        os.close(os.open(name, os.O_CREAT | os.O_RDWR, 0o600))
        # The actor may run on several threads, but on one at a time.
        database = sqlite3.connect(name, timeout=BUSY_TIMEOUT, check_same_thread=False, isolation_level=None)
        # One damaged text must not make a whole answer an error.
        database.text_factory = lambda raw: raw.decode("utf-8", "replace")
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute("BEGIN IMMEDIATE")
            prepare(database)
            database.execute("COMMIT")
        except BaseException:
            database.close()
            raise
    except sqlite3.Error as error:
        raise AccountError(f"cannot open {name!r}: {error}") from None
    except OSError as error:
        raise AccountError(f"cannot open {name!r}: {error.strerror}") from None
    return database


class DatabaseRef(CheckerRef):
    """A ref to a checker whose accounts are managed by methods that return futures."""

    __slots__ = ()

    def request(self, method: str, *args: Any) -> Future[Any]:
        """Have a method of the checker called; return a future of its result, or that of the future which it returns."""
        done: Future[Any] = Future()
        self.tell(AnsweredCall(("_attempt", method, args, done)))
        return done


class DatabaseChecker(Checker):
    """Keeps a database.

    Args:
        database: from `open_database`; it is closed when the checker ends.
    """

    ref_class = DatabaseRef

    def __init__(self, database: sqlite3.Connection) -> None:
        super().__init__()
        self.database = database

    def on_stop(self) -> None:
        """Close the database."""
        self.database.close()

    def on_failure(self, *_: Any) -> None:
        """Close the database; a restarted checker opens it again."""
        self.database.close()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Write in a transaction, which an exception takes back."""
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield self.database
        except BaseException:
            self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT")

    def _attempt(self, method: str, args: tuple[Any, ...], done: Future[Any]) -> None:
        try:
            result = getattr(self, method)(*args)
        except Exception as error:
            done.settle_error(_as_account_error(error))
            return
        if isinstance(result, Future):
            self.cred_then(result, "_pass_on", done)
        else:
            done.settle(result)

    def _pass_on(self, made: Future[Callable[[], object]], done: Future[Any]) -> None:
        try:
            made.get()()
        except Exception as error:
            done.settle_error(_as_account_error(error))
        else:
            done.settle(None)


def _as_account_error(error: Exception) -> Exception:
    if isinstance(error, Overloaded):
        return AccountError(f"no password can be hashed now: {error}")
    return AccountError(f"the database failed: {error}") if isinstance(error, sqlite3.Error) else error
