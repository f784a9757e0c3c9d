"""Nothing that a benchmark starts outlives it, and a server that fails is an error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.wire.processes import PORT, Program, Running, Server, System, python
from tests.helpers import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

ECHO = System("echo", python("server_echo", "asyncio"), python("client_raw", PORT, "echo"), {})
BOTH_ECHO = System(
    "both echo",
    python("server_echo", "asyncio"),
    python("client_echo", PORT, "asyncio"),
    {},
)
OURS = System(
    "ours",
    python("server_actorcred", "asyncio", "tcp"),
    python("client_raw", PORT, "cred"),
    {},
)


def alive(pid: int) -> bool:
    """Return whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def test_a_server_and_its_client_end_with_the_block() -> None:
    others = set(children(os.getpid()))
    with pytest.raises(ZeroDivisionError), Running(ECHO) as running:
        pids = set(children(os.getpid())) - others
        assert running.server.pid in pids
        raise ZeroDivisionError
    assert len(pids) == 2
    assert not any(alive(pid) for pid in pids)


def test_a_server_that_ends_early_is_an_error_that_names_it() -> None:
    with pytest.raises(RuntimeError, match="that one has ended"):
        Server("that one", (sys.executable, "-c", ""))


def test_a_client_that_cannot_connect_is_an_error() -> None:
    with (
        Program("the client", python("client_raw", "1", "echo")) as client,
        pytest.raises(RuntimeError, match="the client has ended"),
    ):
        client.ask("open 2")


@pytest.mark.parametrize("system", [ECHO, BOTH_ECHO, OURS], ids=lambda system: system.name)
def test_each_order_is_obeyed_and_costs_both_ends_something(system: System) -> None:
    with Running(system) as running:
        running.open(3)
        for order, count in (
            ("logins", 4), ("calls", 100), ("bursts", 128), ("sequential", 20), ("fan-out", 5)
        ):  # fmt: skip
            cost = running.do(order, count)
            assert min(cost.value, cost.server, cost.client) > 0, order
            if order == "logins":
                running.close_visitors()
        if system is not BOTH_ECHO:
            assert len(running.ask("pause", 2)) == 2


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_leaves_nothing_running(signum: signal.Signals) -> None:
    words = [sys.executable, "-m", "tests.benchmarks.wire", "--scale", "0.02", "--parts", "bytes"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as command:
        try:
            assert command.stdout is not None
            assert "warms up" in command.stdout.readline()
            started = children(command.pid)
            assert started
            command.send_signal(signum)
            command.wait(30)
        finally:
            command.kill()
    until(lambda: not any(alive(pid) for pid in started))
