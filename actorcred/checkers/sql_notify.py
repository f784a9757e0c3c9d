"""Changes of accounts that PostgreSQL tells at once, by LISTEN and NOTIFY."""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from actorcred.actors.workers import Workers
from actorcred.errors import AccountError

__all__ = ["Listener"]


logger = logging.getLogger("actorcred.checkers")

DRIVERS: Final = ("psycopg", "psycopg2")
"""Drivers by which the server can be listened to."""

LONGEST_NAME: Final = 63
"""Bytes of the longest name in PostgreSQL, as it is compiled by default."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds between two attempts to connect; doubled after each attempt."""

SILENCE = 30.0
"""Seconds without a notification after which the connection is tested."""


class Listener:
    """Listens to a channel, on a thread of its own, and connects again when that breaks.

    Args:
        engine: makes connections; from `sqlalchemy.create_engine` with a `NullPool`.
        channel: the channel of NOTIFY.
        changed: called with each payload, the name of an account.
        missed: called when it listens, since changes before might have been missed; and for an
            empty payload.

    Raises:
        AccountError: if the database cannot be listened to.
    """

    def __init__(
        self,
        engine: Any,
        channel: str,
        changed: Callable[[str], object],
        missed: Callable[[], object],
    ) -> None:
        if engine.dialect.name != "postgresql" or engine.dialect.driver not in DRIVERS:
            raise AccountError(
                "sql: notify= needs PostgreSQL with the driver psycopg or psycopg2, such as "
                "postgresql+psycopg://"
            )
        if not 0 < len(channel.encode()) <= LONGEST_NAME or not channel.isprintable():
            raise AccountError(
                f"sql: notify= is the name of a channel, of at most {LONGEST_NAME} bytes"
            )
        self._engine = engine
        self._channel = channel
        self._changed = changed
        self._missed = missed
        self._closed = False
        self._wake, self._waker = socket.socketpair()
        self._thread = Workers(f"actorcred-notify-{channel}", 1)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.submit(self._run).add_done_callback(lambda _: self._end())

    def close(self) -> None:
        """Stop listening. The thread ends soon afterwards."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._waker.send(b"x")
        self._thread.close(0.0)

    def _end(self) -> None:
        self._wake.close()
        self._waker.close()

    def _run(self) -> None:
        pause, complained = FIRST_PAUSE, False
        while not self._closed:
            began = time.monotonic()
            try:
                with self._connection() as connection:
                    if complained:
                        logger.warning("Changes of accounts are told again by %r", self._channel)
                    complained = False
                    self._missed()
                    self._listen(connection)
            except Exception as error:  # the driver's, whose text can name hosts and users
                if not complained and not self._closed:
                    complained = True
                    logger.error(
                        "Changes of accounts are not told by %r now (%s): they count when users "
                        "are next asked about, and it is tried again",
                        self._channel,
                        type(error).__name__,
                    )
            if time.monotonic() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            if self._sleeps(pause):
                pause = min(LONGEST_PAUSE, pause * 2)

    def _sleeps(self, seconds: float) -> bool:
        """Wait, unless this is closed; return whether it is not."""
        if not self._closed:
            self._ready(seconds)
        return not self._closed

    def _ready(self, seconds: float, *sources: Any) -> bool:
        """Wait until a source can be read or this is closed; return whether that happened."""
        with selectors.DefaultSelector() as selector:
            for source in (self._wake, *sources):
                selector.register(source, selectors.EVENT_READ)
            return bool(selector.select(seconds))

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Any]:
        pooled = self._engine.raw_connection()
        try:
            connection = pooled.driver_connection
            connection.autocommit = True
            quoted = self._channel.replace('"', '""')
            with contextlib.closing(connection.cursor()) as cursor:
                cursor.execute(f'LISTEN "{quoted}"')
            yield connection
        finally:
            pooled.invalidate()  # a connection that listens is of no other use

    def _listen(self, connection: Any) -> None:
        while not self._closed:
            if not self._ready(SILENCE, connection.fileno()):
                with contextlib.closing(connection.cursor()) as cursor:
                    cursor.execute("SELECT 1")
            for payload in _received(connection):
                if payload:
                    self._changed(payload)
                else:
                    self._missed()


def _received(connection: Any) -> Iterator[str]:
    """Iterate over the payloads that have arrived; never waits.

    Raises:
        Exception: the driver's, if the connection is broken.
    """
    if hasattr(connection, "pgconn"):  # psycopg 3
        connection.pgconn.consume_input()
        while (notification := connection.pgconn.notifies()) is not None:
            yield notification.extra.decode("utf-8", "replace")
        return
    connection.poll()
    while connection.notifies:
        yield connection.notifies.pop(0).payload
