"""The log of a serving command: lines of text or JSON on stderr, or records of systemd's journal.

A separate thread writes them, so that a slow pipe does not delay any client.
"""

from __future__ import annotations

import logging
import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from actorcred.audit import quoted
from actorcred.cli.log_formats import (
    JOURNAL,
    Journal,
    JournalFormatter,
    JSONFormatter,
    LineFormatter,
    is_journal,
)

__all__ = ["LogFormat", "ThreadedHandler", "start_logging"]

logger = logging.getLogger("actorcred.cli")

RECORDS = 10_000
"""Maximum number of records waiting to be written."""

CHARACTERS = 8_000_000
"""Maximum number of characters waiting to be written."""

SHARE_OF_INFO = 0.75
"""The share of both limits that is available to records below the level warning."""

BATCH = 65_536
"""Number of characters that are written at a time."""

LAST_WORDS = 2.0
"""Seconds at the end of the process for writing the waiting records."""


class LogFormat(StrEnum):
    """The format of the log."""

    TEXT = "text"
    """Lines for people; records of events have their fields in logfmt."""

    JSON = "json"
    """A JSON object per line."""


class ThreadedHandler(logging.Handler):
    """Writes records in a separate thread.

    If too many records are waiting, new ones are dropped; the number of dropped records is written
    with the next ones.

    Args:
        write: writes bytes; it may block.
        records: maximum number of waiting records.
        characters: maximum number of their characters.
        batch: whether several records are written at a time, with a line end after each one.
    """

    def __init__(
        self,
        write: Callable[[bytes], object],
        records: int = RECORDS,
        characters: int = CHARACTERS,
        *,
        batch: bool = True,
    ) -> None:
        super().__init__()
        self._write = write
        self._batch = BATCH if batch else 1
        self._records = records
        self._characters = characters
        self._changed = threading.Condition()
        self._waiting: deque[str] = deque()
        self._size = 0
        self._dropped = 0
        self._thread: threading.Thread | None = None
        self._busy = False
        self._closed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record for writing. Neither blocks nor raises."""
        try:
            text = self.format(record)
        except Exception as error:  # the arguments do not fit the message
            text = (
                f"{record.name}: a record could not be formatted ({type(error).__name__}): "
                f"{quoted(record.msg)}"
            )
        with self._changed:
            # A flood of logins must not displace records of guesses and faults.
            share = 1.0 if record.levelno >= logging.WARNING else SHARE_OF_INFO
            room = (
                len(self._waiting) < self._records * share
                and self._size + len(text) <= self._characters * share
            )
            if self._closed or not room or not self._has_thread():
                self._dropped += 1
                return
            self._waiting.append(text)
            self._size += len(text)
            self._changed.notify_all()

    def _has_thread(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="actorcred-log", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # cannot start a thread now; the next record tries again
                return False
            self._thread = thread
        return True

    def _run(self) -> None:
        while batch := self._next_batch():
            try:
                self._write(batch)
            except OSError:  # the reader has closed the pipe, or the disk is full
                with self._changed:
                    self._dropped += batch.count(b"\n") if self._batch > 1 else 1
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _next_batch(self) -> bytes:
        """Wait for records; return some of them, or no bytes at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            lines: list[str] = []
            size = 0
            while self._waiting and size < self._batch:
                lines.append(self._waiting.popleft())
                size += len(lines[-1])
            self._size -= size
            self._busy = bool(lines)
            if self._dropped and lines:
                told = self._word_of_dropped()
                if self._batch > 1:
                    lines.append(told)
                else:  # it is the next one to be written
                    self._waiting.appendleft(told)
                    self._size += len(told)
        return "".join(line + "\n" for line in lines).encode("utf-8", "backslashreplace")

    def _word_of_dropped(self) -> str:
        dropped, self._dropped = self._dropped, 0
        text = "%d log records were dropped because they could not be written fast enough"
        return self.format(
            logging.LogRecord(logger.name, logging.WARNING, __file__, 0, text, (dropped,), None)
        )

    def flush(self) -> None:
        """Wait until all records are written, but only for a limited time."""
        self.wait(LAST_WORDS)

    def wait(self, timeout: float) -> bool:
        """Wait until all records are written; return whether they are.

        Args:
            timeout: maximum time to wait, in seconds.
        """
        if self._thread is threading.current_thread():
            return False
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout)

    def close(self) -> None:
        """Write the waiting records, and end the thread. Logging calls this at process exit."""
        written = self.wait(LAST_WORDS)
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if written and self._thread is not None:
            self._thread.join(LAST_WORDS)
        super().close()


def write_all(descriptor: int, data: bytes) -> None:
    """Write all bytes to a file descriptor, which can be a non-blocking one."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            select.select([], [descriptor], [])


def start_logging(level: str, form: LogFormat = LogFormat.TEXT, worker: int = 0) -> None:
    """Start logging to stderr; to systemd's journal, with fields, if that is what stderr is.

    Args:
        level: "debug", "info", "warning" or "error".
        form: the format. JSON is written to stderr in any case.
        worker: the number of the worker, which is in each record; 0 for none.
    """
    try:
        # Not `sys.stderr`: a thread that is stuck in it would keep the process from exiting.
        descriptor = os.dup(2)
    except OSError:  # there is no stderr
        return
    if form is LogFormat.TEXT and is_journal(descriptor) and os.path.exists(JOURNAL):
        handler = ThreadedHandler(Journal().write, batch=False)
        handler.setFormatter(JournalFormatter(worker))
    else:
        handler = ThreadedHandler(lambda data: write_all(descriptor, data))
        handler.setFormatter(
            JSONFormatter(worker)
            if form is LogFormat.JSON
            else LineFormatter(colours=os.isatty(descriptor), worker=worker)
        )
    logging.basicConfig(level=level.upper(), handlers=[handler])
    if level != "debug":
        # Otherwise each error that an avatar reports to its client would be logged with a
        # traceback, which clients can cause at will.
        logging.getLogger("actorcred.actors").setLevel(max(logging.WARNING, logging.root.level))
    # Python itself would write these to stderr, which can block.
    logging.captureWarnings(True)
    sys.unraisablehook = lambda fault: _log_fault("An exception was ignored:", fault.exc_value)
    threading.excepthook = lambda fault: _log_fault("A thread failed:", fault.exc_value)


def _log_fault(text: str, error: BaseException | None) -> Any:
    logger.error(text, exc_info=error)
