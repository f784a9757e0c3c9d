"""The log of a command that serves: lines on stderr, written by a thread of its own, so that a slow pipe delays nobody."""

from __future__ import annotations

import logging
import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from actorcred.audit import quoted

__all__ = ["LineFormatter", "ThreadedHandler", "start_logging"]

logger = logging.getLogger("actorcred.cli")

RECORDS = 10_000
"""Records that may wait to be written."""

CHARACTERS = 8_000_000
"""And their characters at most."""

SHARE_OF_INFO = 0.75
"""The part of both that records below the level warning can fill."""

BATCH = 65_536
"""Characters that are written at a time."""

LAST_WORDS = 2.0
"""Seconds at the end of the process for what waits to be written."""


class LineFormatter(logging.Formatter):
    """Formats a record so that nothing in it can look like another record.

    What is not printable is escaped, and further lines, such as those of a traceback, are indented.

    Args:
        colours: whether levels have a colour, for terminals.
    """

    COLOURS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31m"}  # noqa: RUF012

    def __init__(self, *, colours: bool = False) -> None:
        super().__init__("%(name)s: %(message)s")
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record, in one or more lines."""
        first, *others = super().format(record).splitlines() or [""]
        level = f"{record.levelname:<8}"
        if self._colours and record.levelname in self.COLOURS:
            level = f"{self.COLOURS[record.levelname]}{level}\x1b[0m"
        lines = [
            f"{self.formatTime(record)} {level} {_escaped(first)}",
            *("    " + _escaped(line) for line in others),
        ]
        return "\n".join(lines)


def _escaped(line: str) -> str:
    return (
        line
        if line.isprintable()
        else "".join(one if one.isprintable() else quoted(one)[1:-1] for one in line)
    )


class ThreadedHandler(logging.Handler):
    """Has records written by a thread.

    A record that finds too many others waiting is dropped; how many were is written with the next ones.

    Args:
        write: writes bytes, and may block.
        records: how many may wait.
        characters: how many characters of them.
    """

    def __init__(
        self, write: Callable[[bytes], object], records: int = RECORDS, characters: int = CHARACTERS
    ) -> None:
        super().__init__()
        self._write = write
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
        """Put a record with those that wait. Neither blocks nor raises."""
        try:
            text = self.format(record)
        except Exception as error:  # the arguments do not fit the message
            text = f"{record.name}: a record could not be formatted ({type(error).__name__}): {quoted(record.msg)}"
        with self._changed:
            # A flood of logins must not push out what tells of guesses and faults.
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
            except RuntimeError:  # no more threads now; the next record tries again
                return False
            self._thread = thread
        return True

    def _run(self) -> None:
        while batch := self._next_batch():
            try:
                self._write(batch)
            except OSError:  # nobody reads any more, or the disk is full
                with self._changed:
                    self._dropped += batch.count(b"\n")
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _next_batch(self) -> bytes:
        """Wait for records; return some of them, or nothing at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            lines: list[str] = []
            size = 0
            while self._waiting and size < BATCH:
                lines.append(self._waiting.popleft())
                size += len(lines[-1])
            self._size -= size
            self._busy = bool(lines)
            if lines and self._dropped:
                lines.append(self._word_of_dropped())
        return "".join(line + "\n" for line in lines).encode("utf-8", "backslashreplace")

    def _word_of_dropped(self) -> str:
        dropped, self._dropped = self._dropped, 0
        text = "%d records of the log were dropped: they could not be written as fast as they came"
        return self.format(
            logging.LogRecord(logger.name, logging.WARNING, __file__, 0, text, (dropped,), None)
        )

    def flush(self) -> None:
        """Wait until all is written, but not for ever."""
        self.wait(LAST_WORDS)

    def wait(self, timeout: float) -> bool:
        """Wait until all is written; return whether it is.

        Args:
            timeout: seconds to wait at most.
        """
        if self._thread is threading.current_thread():
            return False
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout)

    def close(self) -> None:
        """Write what waits, and end the thread. Logging does so by itself at the end of the process."""
        written = self.wait(LAST_WORDS)
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if written and self._thread is not None:
            self._thread.join(LAST_WORDS)
        super().close()


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of some bytes to a file that may be one of those that do not block."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            select.select([], [descriptor], [])


def start_logging(level: str) -> None:
    """Log to stderr from now on.

    Args:
        level: "debug", "info", "warning" or "error".
    """
    try:
        # Not by `sys.stderr`: a thread that is stuck in it would keep the process from ending.
        descriptor = os.dup(2)
    except OSError:  # there is no stderr
        return
    handler = ThreadedHandler(lambda data: write_all(descriptor, data))
    handler.setFormatter(LineFormatter(colours=os.isatty(descriptor)))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    if level != "debug":
        # Else each error that an avatar tells its client is a record with a traceback, which clients can cause at will.
        logging.getLogger("actorcred.actors").setLevel(max(logging.WARNING, logging.root.level))
    # What Python itself would write to stderr, and block.
    logging.captureWarnings(True)
    sys.unraisablehook = lambda fault: _log_fault("An exception was ignored:", fault.exc_value)
    threading.excepthook = lambda fault: _log_fault("A thread failed:", fault.exc_value)


def _log_fault(text: str, error: BaseException | None) -> Any:
    logger.error(text, exc_info=error)
