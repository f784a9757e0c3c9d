"""The log as JSON and in systemd's journal: each record has its fields, and none can be forged."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import Mock

import pytest

from actorcred.audit import audit, write
from actorcred.cli import log_formats, logs
from actorcred.cli.log_formats import (
    Journal,
    JournalFormatter,
    JSONFormatter,
    LineFormatter,
    is_journal,
)
from actorcred.cli.logs import LogFormat, ThreadedHandler, start_logging
from actorcred.portal.events import Event

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ +[\w.]+: .*")

FORGED = "eve\nMESSAGE=login\nACTORCRED_AVATAR_ID=admin"


@dataclass(frozen=True, slots=True)
class Scored(Event):
    name: ClassVar[str] = "scored"

    player: str
    logger: int = 3
    share: float = 0.5


@pytest.fixture
def record(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.DEBUG, "actorcred.audit")
    write(Scored(FORGED, time=1_795_915_845.25))
    return caplog.records[-1]


def plain_record(
    text: str, *args: Any, error: BaseException | None = None, level: int = logging.ERROR
) -> logging.LogRecord:
    info = None if error is None else (type(error), error, None)
    return logging.LogRecord("actorcred.test", level, __file__, 0, text, args, info)


@pytest.mark.parametrize(
    "name",
    [
        "eve\n2026-01-01 00:00:00,000 INFO     actorcred.audit: login avatar_id=admin",
        "a\rb",
        "a\x85b\u2028c",
        "\x1b[2J",
    ],
)
def test_a_name_begins_no_line_and_moves_no_cursor(name: str) -> None:
    first, *others = LineFormatter().format(plain_record("a client of %s", name)).split("\n")
    assert LINE.fullmatch(first)
    assert first.isprintable()
    assert all(line.startswith("    ") and line.isprintable() for line in others)


def test_the_text_of_an_exception_begins_no_line() -> None:
    error = ValueError(
        "bad name 'x\n2026-01-01 00:00:00,000 INFO     actorcred.audit: login avatar_id=admin'"
    )
    lines = LineFormatter().format(plain_record("It failed:", error=error)).split("\n")
    assert [bool(LINE.fullmatch(line)) for line in lines] == [True] + [False] * (len(lines) - 1)


def test_what_looks_like_markup_is_text_and_levels_have_colours_only_at_a_terminal() -> None:
    assert "[red]eve[/red] :bomb:" in LineFormatter().format(
        plain_record("%s", "[red]eve[/red] :bomb:")
    )
    assert "\x1b" not in LineFormatter().format(plain_record("x"))
    assert "\x1b[33mWARNING" in LineFormatter(colours=True).format(
        plain_record("x", level=logging.WARNING)
    )


def test_an_event_is_one_line_of_json_with_its_fields(record):
    line = JSONFormatter().format(record)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {
        "time": "2026-11-29T01:30:45.250+00:00",
        "level": record.levelname.lower(),
        "logger": "actorcred.audit",
        "event": "scored",
        "player": FORGED,
        "_logger": 3,
        "share": 0.5,
    }


def test_other_records_have_a_message_and_a_traceback_is_in_the_line():
    line = JSONFormatter().format(plain_record("a client of %r", FORGED, error=ValueError("x\ny")))
    entry = json.loads(line)
    assert line.isprintable()
    assert entry["message"] == f"a client of {FORGED!r}"
    assert entry["exception"].endswith("ValueError: x\ny")


def read_native(data: bytes) -> dict[str, str]:
    """Return the fields of a record of the journal, all of which must be of one line each."""
    assert data.endswith(b"\n")
    fields = [line.split("=", 1) for line in data.decode().removesuffix("\n").split("\n")]
    assert len({name for name, _ in fields}) == len(fields)
    return dict(fields)


def test_the_journal_gets_the_fields_of_an_event(record):
    fields = read_native(JournalFormatter().format(record).encode() + b"\n")
    assert fields == {
        "MESSAGE": "actorcred.audit: " + record.getMessage(),
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "actorcred",
        "LOGGER": "actorcred.audit",
        "ACTORCRED_EVENT": "scored",
        "ACTORCRED_PLAYER": FORGED.replace("\n", "\\n"),
        "ACTORCRED_LOGGER": "3",
        "ACTORCRED_SHARE": "0.5",
    }


def test_a_traceback_is_one_field_and_a_long_message_is_cut():
    text = JournalFormatter().format(plain_record("It failed:", error=ValueError(FORGED)))
    fields = read_native(text.encode() + b"\n")
    assert fields["PRIORITY"] == "3"
    assert fields["MESSAGE"].endswith(" | MESSAGE=login | ACTORCRED_AVATAR_ID=admin")
    long = read_native(JournalFormatter().format(plain_record("x" * 100_000)).encode() + b"\n")
    assert len(long["MESSAGE"]) == log_formats.LONGEST_MESSAGE


@pytest.fixture
def journal(tmp_path: Path) -> Any:
    """A socket like the journal's, and its path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        path = str(tmp_path / "socket")
        server.bind(path)
        server.settimeout(30)
        yield server, path


def test_each_record_is_one_datagram_and_a_restart_of_the_journal_loses_only_what_comes_meanwhile(
    journal, record
):
    server, path = journal
    writer = Journal(path)
    handler = ThreadedHandler(writer.write, batch=False)
    handler.setFormatter(JournalFormatter())
    for number in range(3):
        handler.handle(plain_record("number %d", number))
    texts = [read_native(server.recv(1 << 16))["MESSAGE"] for _ in range(3)]
    assert texts == [f"actorcred.test: number {number}" for number in range(3)]

    server.close()
    os.unlink(path)
    handler.handle(plain_record("lost"))
    handler.flush()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as again:
        again.bind(path)
        again.settimeout(30)
        handler.handle(plain_record("kept"))
        handler.flush()
        handler.close()
        writer.close()
        texts = [read_native(again.recv(1 << 16))["MESSAGE"] for _ in range(2)]
    assert texts[0] == "actorcred.test: kept"
    assert "1 log records were dropped" in texts[1]


def test_stderr_is_the_journals_only_if_systemd_says_so(monkeypatch, tmp_path):
    with (tmp_path / "file").open("wb") as file:
        monkeypatch.delenv("JOURNAL_STREAM", raising=False)
        assert not is_journal(file.fileno())
        stat = os.fstat(file.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{stat.st_dev}:{stat.st_ino}")
        assert is_journal(file.fileno())
        with (tmp_path / "other").open("wb") as other:
            assert not is_journal(other.fileno())


@pytest.mark.parametrize(
    ("form", "is_there", "expected"),
    [
        (LogFormat.TEXT, True, JournalFormatter),
        (LogFormat.TEXT, False, log_formats.LineFormatter),
        (LogFormat.JSON, True, JSONFormatter),
    ],
)
def test_a_command_chooses_the_format_by_its_option_and_by_what_stderr_is(
    monkeypatch, form, is_there, expected
):
    handlers: list[Any] = []
    monkeypatch.setattr(logs, "is_journal", lambda descriptor: is_there)
    monkeypatch.setattr(logs, "JOURNAL", "/dev/null")
    monkeypatch.setattr(logs, "Journal", Mock)
    monkeypatch.setattr(logging, "basicConfig", lambda **given: handlers.extend(given["handlers"]))
    monkeypatch.setattr(logging, "captureWarnings", lambda wanted: None)
    monkeypatch.setattr(logging.getLogger("actorcred.actors"), "level", logging.NOTSET)
    for place, name in ((sys, "unraisablehook"), (logs.threading, "excepthook")):
        monkeypatch.setattr(place, name, getattr(place, name))
    descriptors: list[int] = []
    duplicate = os.dup
    monkeypatch.setattr(os, "dup", lambda number: descriptors.append(duplicate(number)) or 1)
    start_logging("info", form)
    os.close(descriptors[0])
    assert type(handlers[0].formatter) is expected
    handlers[0].close()


def test_a_process_writes_json_that_is_never_wrapped_and_has_no_colours():
    program = (
        "import logging\n"
        "from actorcred.cli.logs import start_logging, LogFormat\n"
        "start_logging('info', LogFormat.JSON)\n"
        "logging.getLogger('actorcred.test').warning('%s', 'x' * 5000)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "COLUMNS": "40"},
    )
    (line,) = done.stderr.splitlines()
    assert json.loads(line)["message"] == "x" * 5000
    assert audit.name == "actorcred.audit"
