"""Base class of checkers that keep an SQLite database of their own."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from actorcred.actors import AnsweredMessage, ControlMessage, Future, Overloaded
from actorcred.checker import Checker, CheckerRef
from actorcred.errors import AccountError

__all__ = ["DatabaseChecker", "DatabaseRef", "Order", "open_database"]


BUSY_TIMEOUT = 5.0
"""Seconds to wait for another process that writes to the database."""


def open_database(
    path: str | os.PathLike[str], prepare: Callable[[sqlite3.Connection], object]
) -> sqlite3.Connection:
    """Open a database in WAL mode, so that other processes can read while one writes.

    A missing file is created, accessible to its owner only.

    Args:
        path: the file.
        prepare: creates or upgrades the tables, in a transaction that excludes other writers.

    Raises:
        AccountError: if it cannot be opened, or is not a database.
    """
    name = os.fspath(path)
    try:
        if name != ":memory:":
            os.close(os.open(name, os.O_CREAT | os.O_RDWR, 0o600))
        # The actor can run on several threads, but only on one at a time.
        database = sqlite3.connect(
            name, timeout=BUSY_TIMEOUT, check_same_thread=False, isolation_level=None
        )
        # One damaged string must not make a whole query fail.
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


@dataclass(slots=True)
class Order(AnsweredMessage):
    """An operation on the accounts of a checker."""

    answer: Future[Any] = field(default_factory=Future, kw_only=True, repr=False)


class DatabaseRef(CheckerRef):
    """A ref to a checker whose accounts are managed by methods that return futures."""

    __slots__ = ()

    def request(self, order: Order) -> Future[Any]:
        """Send an order; return a future of its result."""
        self.tell(order)
        return order.answer


class DatabaseChecker(Checker):
    """A checker with a database.

    Args:
        database: from `open_database`; closed when the checker ends.
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
        """Write in a transaction, which is rolled back after an exception."""
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield self.database
        except BaseException:
            self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT")

    def _actor_control(self, message: ControlMessage) -> Any:
        if isinstance(message, Order):
            self._attempt(message)
        else:
            super()._actor_control(message)

    @abstractmethod
    def carry_out(self, order: Any) -> Any:
        """Carry out an order; return its result, or a future of a function that completes it."""

    def _attempt(self, order: Order) -> None:
        try:
            result = self.carry_out(order)
        except Exception as error:
            order.answer.settle_error(_as_account_error(error))
            return
        if isinstance(result, Future):
            self.cred_then(result, self._pass_on, order.answer)
        else:
            order.answer.settle(result)

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
    return (
        AccountError(f"the database failed: {error}") if isinstance(error, sqlite3.Error) else error
    )
