"""The machine around the server: descriptors, disk, clock, signals."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.faults.clients import HONEST, Closed, Raw, connect, many
from tests.faults.fault import Ground, fault
from tests.faults.lines import QUICK
from tests.faults.served import ROOT, poll

DESCRIPTORS = 128
"""The limit of a server with few descriptors."""


@fault(
    "there are no more descriptors", listen=("tcp:127.0.0.1:0", "ws:127.0.0.1:0"),
    settings={"descriptors": DESCRIPTORS}, options=QUICK, patience=40.0,
)  # fmt: skip
def no_descriptors(ground: Ground) -> None:
    """Silent clients use up all descriptors; sessions go on, and the log has few lines of it.

    Afterwards new clients can connect.
    """
    lines = ground.server.said().count("\n")
    taken: list[Raw] = []
    for number in range(2 * DESCRIPTORS):
        for address in ground.server.addresses:
            with contextlib.suppress(OSError):
                taken.append(connect(address, source=f"127.0.8.{number % 250 + 1}", timeout=0.2))
    held = ground.server.descriptors()
    with contextlib.suppress(OSError, Closed):
        taken += many(ground.server.address, 3)
    told = ground.server.said().count("\n") - lines
    ground.note(f"{held} of {DESCRIPTORS} in use, {told} lines of log")
    for client in taken:
        client.reset()
    for _ in poll(20, 0.2):
        with (
            contextlib.suppress(OSError, Closed),
            connect(ground.server.address, source=HONEST, timeout=5) as client,
        ):
            client.login("afterwards", resume=False)
            break
    else:
        raise AssertionError("nobody gets in afterwards")
    assert told < 200, f"{told} lines of log"


@contextlib.contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """A file system of 1 MB with a database of accounts."""
    if os.getuid() != 0:
        pytest.skip("only root can mount a small file system to be full")
    disk = folder / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"this system mounts no file system: {done.stderr.strip()}")
    try:
        command = [
            sys.executable,
            "-m",
            "actorcred.cli",
            "passwd",
            "add",
            f"sqlite:{disk}/accounts.db",
            "ann",
            "--password-file",
            "-",
        ]
        subprocess.run(
            command, input=b"correct horse battery", cwd=ROOT, check=True, capture_output=True
        )
        yield
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


@fault(
    "the disk is full", prepare=full_disk, auth=("sqlite:{folder}/disk/accounts.db",),
    options=QUICK, settings={"log": lambda folder: folder / "disk" / "log"}, tracebacks=True,
)  # fmt: skip
def disk_full(ground: Ground) -> None:
    """The log and the accounts are on it: logins go on, and everything else once there is space."""
    ballast = ground.folder / "disk" / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    answers = []
    for _ in range(5):
        with connect(ground.server.address, source=HONEST) as client:
            error, _ = client.try_login("ann", "correct horse battery", resume=False)
            answers.append(error["code"] if error else "in")
        for client in many(ground.server.address, 20, resume=False):
            client.close()
    ballast.unlink()
    lines = ground.server.said().count("\n")
    with connect(ground.server.address, source=HONEST) as client:
        client.login("ann", "correct horse battery", resume=False)
    for _ in poll(10):
        if ground.server.said().count("\n") > lines:
            break
    else:
        raise AssertionError("the log does not go on")
    ground.note("with a full disk: " + ", ".join(answers))
    assert answers == ["in"] * 5


def faketime(folder: Path) -> dict[str, str]:
    """Return the environment of a process whose wall clock is set by a file."""
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        pytest.skip("libfaketime is not installed; on Debian: apt-get install faketime")
    (folder / "clock").write_text("+0")
    return {
        "LD_PRELOAD": str(libraries[0]), "FAKETIME_TIMESTAMP_FILE": str(folder / "clock"),
        "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip


@fault("the clock jumps", settings={"environment": faketime}, options=QUICK, auth=("anonymous",))
def clock(ground: Ground) -> None:
    """A day ahead, two back, and a year: sessions and timeouts use the monotonic clock."""
    clients = many(ground.server.address, 10, heartbeat=True)
    shown = []
    for offset in ("+1d", "-1d", "+365d", "-3650d", "+0"):
        (ground.folder / "clock").write_text(offset)
        for _ in poll(0.5, 0.1):
            for client in clients:
                assert client.call("cred.ping") is True
        since = clients[0].call("cred.sessions")[0]["last_seen"]
        shown.append(f"{(since - time.time()) / 86400:+.0f} d")
        with connect(ground.server.address, source=HONEST) as client:
            client.login("late", resume=False)
    ground.note("shown " + ", ".join(shown))
    assert shown[0] == "+1 d", "the clock of the server did not jump"
    for client in clients:
        client.close()


DRAIN = 2.0
"""Seconds that a server has for its shutdown."""

MARGIN = 8.0
"""Additional seconds on a busy machine: three times the deadline would be more."""

TWO = ("tcp:127.0.0.1:0", "unix:{folder}/game.sock")


def _loaded(ground: Ground, over: threading.Event) -> list[threading.Thread]:
    """Return threads with clients that log in, call and are cut off, until an event is set."""

    def load(number: int) -> None:
        while not over.is_set():
            with (
                contextlib.suppress(Closed, OSError),
                connect(ground.server.address, source=f"127.0.9.{number + 1}") as client,
            ):
                client.try_login(f"user{number}")
                while not over.is_set():
                    client.answer(client.begin_call("echo", number))

    threads = [threading.Thread(target=load, args=(number,), daemon=True) for number in range(8)]
    for thread in threads:
        thread.start()
    return threads


def _drained(ground: Ground, signals: tuple[int, ...]) -> None:
    """End the server under load, with an `on_logout` that never ends and 50 mute clients."""
    over = threading.Event()
    loaded = _loaded(ground, over)
    stuck = connect(ground.server.address)
    stuck.login("slow")
    stuck.call("stop_slowly")
    silent = many(ground.server.address, 50)
    silent[0].begin_call("broadcast", 1, 30_000)
    for number in range(20):
        silent[1].begin_call("pay", number)
    begin = time.monotonic()
    try:
        for one in signals[:-1]:
            ground.server.process.send_signal(one)
            for _ in poll(0.5, 0.5):
                pass
        code = ground.server.end(signals[-1])
    finally:
        over.set()
    took = time.monotonic() - begin
    for thread in loaded:
        thread.join(30)
    ground.note(f"ended after {took:.1f} s of {DRAIN:g}")
    assert code == 0, f"the exit code is {code}"
    assert took < DRAIN + MARGIN, f"it took {took:.1f} s, with --drain-timeout {DRAIN:g}"
    assert not (ground.folder / "game.sock").exists(), "the Unix socket was left behind"


for what, signals in (
    ("SIGTERM", (signal.SIGTERM,)),
    ("SIGTERM twice", (signal.SIGTERM, signal.SIGTERM)),
    ("SIGHUP", (signal.SIGHUP,)),
    ("SIGINT", (signal.SIGINT,)),
):
    fault(
        f"{what} under load", listen=TWO, options=("--drain-timeout", f"{DRAIN:g}"), honest=False,
        ends=True, both=what == "SIGTERM",
    )(partial(_drained, signals=signals))  # fmt: skip
