"""Replacing weak hashes in other applications' tables at login.

Hashes are replaced only if their application can read the new form.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from actorcred.actors.workers import Workers
from actorcred.credentials import UsernamePassword
from actorcred.errors import PasswordRejected
from actorcred.passwords.hashing import BCRYPT_LIMIT, hash_password, password_bytes
from actorcred.passwords.web_formats import is_phpass

__all__ = ["Rehasher", "is_weak", "strong_hash"]


logger = logging.getLogger("actorcred.checkers")

PATIENCE = 1.0
"""Most seconds that a login waits for its new hash to be written; the table might be locked."""

is_weak = is_phpass
"""Only phpass is replaced: its applications also read bcrypt, unlike Django and others."""


def strong_hash(credentials: UsernamePassword) -> str | None:
    """Return the bcrypt hash of a correct password in PHP's form; None if PHP could not verify it.

    Takes as long as verifying a bcrypt hash.
    """
    forms = password_bytes(credentials.sent)
    # The application hashes its input as it is: if a password has several forms, or is longer than
    # bcrypt reads, its result would be different.
    if len(forms) != 1 or len(forms[0]) > BCRYPT_LIMIT or forms[0] != credentials.password.encode():
        return None
    try:
        return "$2y$" + hash_password(password=credentials.password).removeprefix("$2b$")
    except PasswordRejected:  # valid for old hashes only, such as one with a tab
        return None


class _NotKept(Exception):
    """A column did not keep what was written, for example because it is too short."""


class Rehasher:
    """Writes new hashes, on a thread of its own.

    Args:
        engine: the database's engine.
        statements: called with a user name and a stored hash as they are in the table, and a new
            hash; returns the statement that writes it and the one that reads it back.
        name: the table's name, for the log.
    """

    def __init__(
        self, engine: Any, statements: Callable[[Any, Any, Any], tuple[Any, Any]], name: str
    ) -> None:
        self._engine = engine
        self._statements = statements
        self._name = name
        self._thread = Workers(f"actorcred-rehash-{name}", 1)
        self._busy = threading.Lock()
        self._closed = False
        self.may_write = True
        """Whether to try to write: False after the database has refused."""

    def replace(self, username: Any, stored: Any, made: str) -> None:
        """Replace a stored hash by a new one, unless it has changed.

        Waits up to `PATIENCE` seconds, and never raises.

        Args:
            username: the name as it is in the table.
            stored: the hash as it is in the table, a string or bytes.
            made: the new hash.
        """
        if not self._busy.acquire(blocking=False):
            return  # the next login will try again
        written = threading.Event()
        done = self._thread.submit(self._replace, username, stored, made)
        done.add_done_callback(lambda _: self._end(written))
        written.wait(PATIENCE)

    def _end(self, written: threading.Event) -> None:
        self._busy.release()
        if self._closed:
            self._dispose()
        written.set()

    def _replace(self, username: Any, stored: Any, made: str) -> None:
        try:
            self._write(username, stored, made if isinstance(stored, str) else made.encode())
        except Exception as error:  # any error of the driver, whose text can show the hashes
            self.may_write = False
            why = "a column is too short" if isinstance(error, _NotKept) else type(error).__name__
            logger.warning(
                "Weak hashes in %s are kept, since it cannot be written: %s", self._name, why
            )

    def _write(self, username: Any, stored: Any, made: str | bytes) -> None:
        write, read = self._statements(username, stored, made)
        with self._engine.begin() as connection:
            if connection.execute(write).rowcount == 0:
                return  # changed meanwhile
            kept = connection.execute(read).scalar()
            if (kept.rstrip(" ") if isinstance(kept, str) else bytes(kept).rstrip(b" \0")) != made:
                raise _NotKept

    def close(self) -> None:
        """Release the thread, and close the engine's connections once no write is running."""
        self._thread.close(0.0)
        self._closed = True
        self._dispose()

    def _dispose(self) -> None:
        if self._busy.acquire(blocking=False):  # no write is running
            self._engine.dispose()
