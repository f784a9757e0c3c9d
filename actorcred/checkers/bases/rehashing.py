"""Replacing weak hashes of other people's tables at logins, where their application can read what takes their place."""

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
"""Seconds for which a login waits until its new hash is written; a table that is locked must not hold it up."""

is_weak = is_phpass
"""Only those: their applications read bcrypt, too, which is not so of Django's and others'."""


def strong_hash(credentials: UsernamePassword) -> str | None:
    """Return the bcrypt hash, as PHP writes it, of a password that was right; None if PHP could not verify it.

    It takes as long as verifying one.
    """
    forms = password_bytes(credentials.sent)
    # The application hashes what it is given: with several forms, or more than bcrypt reads, it would come to another result.
    if len(forms) != 1 or len(forms[0]) > BCRYPT_LIMIT or forms[0] != credentials.password.encode():
        return None
    try:
        return "$2y$" + hash_password(password=credentials.password).removeprefix("$2b$")
    except PasswordRejected:  # good for old hashes only, as with a tab
        return None


class _NotKept(Exception):
    """A column does not hold what was written, as a short one."""


class Rehasher:
    """Writes new hashes, on a thread of its own.

    Args:
        engine: of the database.
        statements: makes, of a table's name and stored hash as they are in the database and a new hash, what writes it and
            what reads it again.
        name: of the table, for the log.
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
        """Whether it is worth trying: not after the database has refused."""

    def replace(self, username: Any, stored: Any, made: str) -> None:
        """Replace a stored hash by a new one, unless it has changed. Waits a little, and never raises.

        Args:
            username: the name as it is in the table.
            stored: the hash as it is in the table, texts or bytes.
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
        except Exception as error:  # the library's, of a database that may be in any state; its text shows the hashes
            self.may_write = False
            why = "a column is too short" if isinstance(error, _NotKept) else type(error).__name__
            logger.warning(
                "Weak hashes in %s stay, since it cannot be written: %s", self._name, why
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
        """Let the thread go, and close the engine's connections; one that is being written with is closed after that."""
        self._thread.close(0.0)
        self._closed = True
        self._dispose()

    def _dispose(self) -> None:
        if self._busy.acquire(blocking=False):  # and nothing is written any more
            self._engine.dispose()
