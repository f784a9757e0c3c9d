"""A worker: it serves what its supervisor says, reports to it, and does not outlive it."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actorcred.cli.clusters import Join
from actorcred.cli.errors import ExitCode
from actorcred.cli.worker import Worker, main, work
from actorcred.cli.worker_process import Task
from actorcred.rpc import connect_blocking
from actorcred.rpc.protocol.addresses import Address
from actorcred.rpc.server.listeners import bind


def settings(**changed: Any) -> dict[str, Any]:
    found = {
        "realm": "tests.cli.realms:LocatedHouse",
        "auth": ("memory:ann:s3cret",),
        "addresses": (Address.parse("tcp:127.0.0.1:0"),),
        "policy": "allow",
        "max_sessions": None,
        "sleep_after": None,
        "grace": 30.0,
        "passwords_in_clear": False,
        "legacy_mechanisms": (),
        "proxy": None,
        "cluster": Join((), {}),
        "origins": (),
        "limit_loopback": False,
        "shows_limits": False,
        "drain_timeout": 10.0,
        "move": True,
        "log_level": "info",
        "log_format": "text",
        "log_omit": (),
        "log_unknown_names": "hash",
        "metrics": None,
        "uvloop": False,
    }
    return found | changed


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the logging of this process, and its path, as they are."""
    monkeypatch.setattr("actorcred.cli.serve.start_logging", lambda *given: None)
    monkeypatch.setattr(sys, "path", [*sys.path])


class Supervisor:
    """The other end of a worker's socket."""

    def __init__(self, task: Task) -> None:
        self.socket, self.theirs = socket.socketpair()
        self.socket.sendall(pickle.dumps(task))
        self.reports: list[dict[str, Any]] = []

    def follow(self, when_opened: Callable[[], object]) -> threading.Thread:
        """Take the reports in a thread of its own, and do something once it listens."""

        def read() -> None:
            with self.socket.makefile("rb") as lines:
                for line in lines:
                    self.reports.append(json.loads(line))
                    if "opened" in self.reports[-1]:
                        when_opened()

        thread = threading.Thread(target=read)
        thread.start()
        return thread


def test_a_worker_serves_reports_and_ends_with_its_supervisor(tmp_path: Path) -> None:
    where = Address.parse(f"unix:{tmp_path}/house.sock")
    with bind(where) as listening:
        task = Task(3, settings(addresses=(where,)), {str(where): os.dup(listening.fileno())})
        supervisor = Supervisor(task)
        visitors = []

        def visit() -> None:
            visitors.append(connect_blocking(str(where), "ann", "s3cret"))
            assert visitors[0].call("where") == os.getpid()
            supervisor.socket.shutdown(socket.SHUT_WR)

        thread = supervisor.follow(visit)
        assert work(supervisor.theirs) == 0
        thread.join()
        visitors[0].close()  # it was there until the end, so that it is counted
    supervisor.socket.close()
    assert supervisor.reports == [{"opened": [f"unix:{where.path}"]}, {"closed": 1}]
    assert Path(where.path).exists()  # it is the supervisor's


def test_a_worker_that_cannot_serve_says_why_and_ends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    supervisor = Supervisor(Task(1, settings(realm="tests.cli.realms:NoHouse")))
    assert work(supervisor.theirs) == ExitCode.USAGE
    assert "the module has no 'NoHouse'" in capsys.readouterr().err
    supervisor.socket.close()


def test_a_signal_before_it_listens_ends_it_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def slow(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    monkeypatch.setattr("actorcred.cli.serve._open", slow)
    supervisor = Supervisor(Task(1, settings()))
    assert work(supervisor.theirs) == 0
    assert capsys.readouterr().out == ""
    supervisor.socket.close()


def test_a_worker_whose_supervisor_ends_at_once_does_nothing() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        assert work(theirs) == 0


def test_metrics_and_the_node_are_reported_too() -> None:
    supervisor = Supervisor(Task(1, {}))
    worker = Worker(Task(1, {}), supervisor.theirs)
    worker.shows_metrics("http://127.0.0.1:9465/metrics")
    worker.joined("node-1-abc")
    worker.closing()
    with supervisor.socket.makefile("rb") as lines:
        assert [json.loads(lines.readline()) for _ in range(2)] == [
            {"metrics": "http://127.0.0.1:9465/metrics"},
            {"joined": "node-1-abc"},
        ]
    supervisor.socket.close()
    worker.closed(1)  # nobody hears it
    supervisor.theirs.close()


def test_its_standard_input_is_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    task = pickle.dumps(Task(1, settings(realm="tests.cli.realms:NoHouse")))
    ours.sendall(task)
    before = os.dup(0)
    os.dup2(theirs.fileno(), 0)
    try:
        with pytest.raises(SystemExit) as ended:
            main()
        assert os.read(0, 1) == b""  # which programs of the realm may read
    finally:
        os.dup2(before, 0)
        os.close(before)
        ours.close()
        theirs.close()
    assert ended.value.code == ExitCode.USAGE


def test_it_runs_as_a_module() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(pickle.dumps(Task(1, settings(realm="tests.cli.realms:NoHouse"))))
        done = subprocess.run(
            [sys.executable, "-m", "actorcred.cli.worker"],
            stdin=theirs.fileno(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert "the module has no 'NoHouse'" in done.stderr
