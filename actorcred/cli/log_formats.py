"""How the records of a command's log are written: as text, as JSON, or for systemd's journal.

In none of them can a name that a client has chosen look like another field or another record.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from datetime import UTC, datetime
from typing import Any, Final

from actorcred.audit import quoted

__all__ = [
    "JSONFormatter",
    "Journal",
    "JournalFormatter",
    "LineFormatter",
    "is_journal",
]

JOURNAL: Final = "/run/systemd/journal/socket"
"""Where systemd's journal accepts records (systemd's JOURNAL_NATIVE_PROTOCOL)."""

LONGEST_MESSAGE: Final = 32_000
"""Characters of a message in the journal; a datagram's size is limited."""

_PRIORITIES: Final = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}


class LineFormatter(logging.Formatter):
    """Formats a record so that nothing in it can look like another record.

    Unprintable characters are escaped, and further lines, such as those of a traceback, are
    indented.

    Args:
        colours: whether levels are colored, for terminals.
        worker: the number of the worker, which begins each record; 0 for none.
    """

    COLOURS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31m"}  # noqa: RUF012

    def __init__(self, *, colours: bool = False, worker: int = 0) -> None:
        super().__init__(f"{_worker(worker)}%(name)s: %(message)s")
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


def _worker(number: int) -> str:
    return f"worker {number}: " if number else ""


def _escaped(line: str) -> str:
    return (
        line
        if line.isprintable()
        else "".join(one if one.isprintable() else quoted(one)[1:-1] for one in line)
    )


class JSONFormatter(logging.Formatter):
    """Formats a record as a JSON object in one line.

    It has `time` (ISO 8601, UTC), `level`, `logger`, and `message`; a record of an event has
    `event` and its fields in place of the message. A field with one of these names gets an
    underscore before its name. A traceback is in `exception`.

    Args:
        worker: the number of the worker, as the field `worker`; 0 for none.
    """

    def __init__(self, worker: int = 0) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record, in one line."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if self._worker:
            entry["worker"] = self._worker
        fields = getattr(record, "event_fields", None)
        if isinstance(fields, dict):
            entry["event"] = getattr(record, "event", "")
            taken = frozenset(entry)
            entry |= {f"_{name}" if name in taken else name: fields[name] for name in fields}
        else:
            entry["message"] = record.getMessage()
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


class JournalFormatter(logging.Formatter):
    """Formats a record for systemd's journal: a field per line.

    A record of an event has its fields as `ACTORCRED_...`, and the event's name as
    `ACTORCRED_EVENT`. Line ends and other unprintable characters are escaped, except for the line
    ends of a traceback, which are written as " | ".

    Args:
        worker: the number of the worker, as `ACTORCRED_WORKER`, which also begins the message; 0
            for none.
    """

    def __init__(self, worker: int = 0) -> None:
        super().__init__(f"{_worker(worker)}%(name)s: %(message)s")
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """Return the fields of a record; the handler adds the line end of the last one."""
        text = " | ".join(map(_escaped, super().format(record).splitlines()))
        fields: dict[str, object] = {
            "MESSAGE": text[:LONGEST_MESSAGE],
            "PRIORITY": _PRIORITIES.get(record.levelname, 6),
            "SYSLOG_IDENTIFIER": "actorcred",
            "LOGGER": record.name,
        }
        if self._worker:
            fields["ACTORCRED_WORKER"] = self._worker
        values = getattr(record, "event_fields", None)
        if isinstance(values, dict):
            fields["ACTORCRED_EVENT"] = getattr(record, "event", "")
            fields |= {f"ACTORCRED_{_field(name)}": value for name, value in values.items()}
        return "\n".join(f"{name}={_escaped(str(value))}" for name, value in fields.items())


def _field(name: str) -> str:
    """Return a name of capital letters, digits and underscores, as the journal demands."""
    return "".join(one if one.isascii() and one.isalnum() else "_" for one in name).upper()[:50]


class Journal:
    """Sends records to systemd's journal.

    Args:
        path: the address of the journal.
    """

    def __init__(self, path: str = JOURNAL) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def write(self, record: bytes) -> None:
        """Send a record, as `JournalFormatter` makes it. May block.

        Raises:
            OSError: if it is not accepted.
        """
        # Not a connected socket, which would end with a restart of the journal.
        self._socket.sendto(record, self._path)

    def close(self) -> None:
        """Release the socket."""
        self._socket.close()


def is_journal(descriptor: int) -> bool:
    """Return whether a file descriptor is a stream to systemd's journal.

    systemd names the stream that it has connected to stderr in JOURNAL_STREAM.
    """
    stream = os.fstat(descriptor)
    return os.environ.get("JOURNAL_STREAM", "") == f"{stream.st_dev}:{stream.st_ino}"
