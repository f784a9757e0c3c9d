"""The log of a serving command.

No record can forge another one, and a log that is not read delays no login.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import click
import pytest

from actorcred import CallError, rpc
from actorcred.cli.errors import fail
from actorcred.cli.logs import ThreadedHandler, start_logging, write_all

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ +[\w.]+: .*")


def record(text: str, *args: Any, error: BaseException | None = None) -> logging.LogRecord:
    return logging.LogRecord(
        "test",
        logging.WARNING,
        __file__,
        0,
        text,
        args,
        (type(error), error, None) if error else None,
    )


class Pipe:
    """Accepts data only while it is open."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.asked = threading.Event()
        self.data = b""

    def write(self, data: bytes) -> None:
        self.asked.set()
        assert self.open.wait(30)
        self.data += data


def made(pipe: Any, **limits: int) -> ThreadedHandler:
    handler = ThreadedHandler(pipe.write, **limits)
    handler.setFormatter(logging.Formatter("%(message)s"))
    return handler


@pytest.mark.parametrize("limits", [{"records": 100}, {"characters": 1000}])
def test_what_finds_no_room_is_dropped_and_counted(limits: dict[str, int]) -> None:
    pipe = Pipe()
    handler = made(pipe, **limits)
    handler.handle(record("0123456789"))
    assert pipe.asked.wait(30)
    for _ in range(150):
        handler.handle(record("0123456789"))
    pipe.open.set()
    handler.close()

    lines = pipe.data.decode().splitlines()
    assert lines.count("0123456789") == 101
    assert lines[-1] == "50 log records were dropped because they could not be written fast enough"


def test_a_flood_of_ordinary_records_leaves_room_for_warnings() -> None:
    pipe = Pipe()
    handler = made(pipe, records=100)
    handler.handle(record("first"))
    assert pipe.asked.wait(30)
    flood = record("flood")
    flood.levelno, flood.levelname = logging.INFO, "INFO"
    for _ in range(1000):
        handler.handle(flood)
    handler.handle(record("a guess"))
    pipe.open.set()
    handler.close()
    lines = pipe.data.decode().splitlines()
    assert (lines.count("flood"), lines.count("a guess")) == (75, 1)


def test_closing_does_not_wait_for_ever_for_one_who_does_not_read() -> None:
    pipe = Pipe()
    handler = made(pipe)
    handler.handle(record("x"))
    assert not handler.wait(0.01)
    pipe.open.set()
    handler.close()


def test_a_record_that_cannot_be_formatted_is_told_as_it_is() -> None:
    pipe = Pipe()
    pipe.open.set()
    handler = made(pipe)
    handler.handle(record("%d logins", "no number"))
    handler.close()
    assert pipe.data == b'test: a record could not be formatted (TypeError): "%d logins"\n'


def test_a_reader_that_is_gone_or_a_full_disk_ends_nothing() -> None:
    written = []

    class Failing:
        def write(self, data: bytes) -> None:
            written.append(data)
            if len(written) == 1:
                raise BrokenPipeError

    handler = made(Failing())
    handler.handle(record("lost"))
    handler.flush()
    handler.handle(record("kept"))
    handler.close()
    assert written[1].splitlines() == [
        b"kept",
        b"1 log records were dropped because they could not be written fast enough",
    ]


def test_a_file_that_does_not_block_gets_all() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    data = bytes(range(256)) * 4096
    thread = threading.Thread(target=write_all, args=(writing, data))
    thread.start()
    got = b""
    while len(got) < len(data):
        got += os.read(reading, 65536)
    thread.join()
    os.close(reading)
    os.close(writing)
    assert got == data


def test_the_last_words_of_a_process_that_crashes_are_written() -> None:
    program = (
        "import logging\n"
        "from actorcred.cli.logs import start_logging\n"
        "start_logging('info')\n"
        "for number in range(1000): logging.getLogger('actorcred.test').error('word %d', number)\n"
        "import os, sys\n"
        "sys.stderr = open(os.devnull, 'w')  # else the traceback "
        "may stand in the middle of a line\n"
        "raise RuntimeError('crashed')\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = [line for line in done.stderr.splitlines() if LINE.fullmatch(line)]
    assert [line.rpartition(" ")[2] for line in lines] == [str(number) for number in range(1000)]
    assert done.returncode == 1


async def come_and_go(address: str, times: int) -> int:
    """Log in and out, a few at a time; return how many logins succeeded."""

    async def one() -> int:
        count = 0
        for _ in range(times // 20):
            async with await rpc.connect(address) as client:
                await client.call("watch")
                count += 1
        return count

    async with asyncio.timeout(50):
        return sum(await asyncio.gather(*[one() for _ in range(20)]))


def test_a_log_that_nobody_reads_keeps_no_client_out_and_the_server_ends_in_order() -> None:
    process = subprocess.Popen(
        [
            *(
                sys.executable,
                "-m",
                "actorcred.cli",
                "serve",
                "--realm",
                "examples.arena.realm:Arena",
                "--auth",
                "anonymous",
            ),
            *("--listen", "tcp:127.0.0.1:0", "--log-level", "debug"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        address = process.stdout.readline().decode().split()[-1]
        assert asyncio.run(come_and_go(address, 600)) == 600  # several times a pipe's capacity
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        log = process.stderr.read().decode()
        assert len(log) >= 4096, "what was written before is there"
        assert LINE.fullmatch(log.splitlines()[0])
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("name", ["[/]", "[red]eve"])
def test_a_name_that_looks_like_markup_is_listed_as_it_is(tmp_path: Path, name: str) -> None:
    store = f"file:{tmp_path}/players.htpasswd"
    command = [sys.executable, "-m", "actorcred.cli", "passwd"]
    run = functools.partial(subprocess.run, text=True, capture_output=True, timeout=60, check=True)
    run([*command, "add", store, name, "--password-file", "-"], input="correct horse battery")
    assert name in run([*command, "list", store]).stdout.split()


def test_what_a_server_says_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(click.exceptions.Exit):
        fail(CallError("no\x1b[2J\x9b2J such room\nreally"))
    assert capsys.readouterr().err == "actorcred: no?[2J?2J such room\nreally\n"


def test_a_command_logs_what_python_itself_would_write(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for place, name in ((sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(place, name, getattr(place, name))
    monkeypatch.setattr(logging, "captureWarnings", lambda wanted: None)
    actors_logger = logging.getLogger("actorcred.actors")
    monkeypatch.setattr(actors_logger, "level", logging.NOTSET)
    descriptors: list[int] = []
    duplicate = os.dup
    monkeypatch.setattr(os, "dup", lambda number: descriptors.append(duplicate(number)) or 1)
    start_logging("info")
    assert actors_logger.level >= logging.WARNING  # or clients could cause tracebacks at will
    sys.unraisablehook(Mock(exc_value=LookupError("unraisable")))
    threading.excepthook(Mock(exc_value=LookupError("of a thread")))
    os.close(descriptors[0])

    assert "An exception was ignored:" in caplog.text
    assert "A thread failed:" in caplog.text


def test_a_command_without_stderr_runs_without_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = sys.unraisablehook

    def refuse(number: int) -> int:
        raise OSError("bad file descriptor")

    monkeypatch.setattr(os, "dup", refuse)
    start_logging("info")

    assert sys.unraisablehook is hook


def test_a_record_is_dropped_and_counted_while_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[bytes] = []
    handler = ThreadedHandler(written.append)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        handler.emit(record("lost"))
    handler.emit(record("kept"))
    handler.close()

    assert b"kept" in b"".join(written)
    assert b"lost" not in b"".join(written)
