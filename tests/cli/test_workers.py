"""`actorcred serve --workers`: several processes that a client sees as one server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from actorcred.cli.clusters import Join
from actorcred.cli.errors import ExitCode
from actorcred.cli.serve import serve
from actorcred.cli.worker_process import WorkerProcess
from actorcred.cli.workers import Ports, Team
from actorcred.errors import ConnectionLost
from actorcred.rpc import ClientOptions, connect_blocking
from actorcred.rpc.protocol.addresses import Address
from tests.backends.servers import free_port
from tests.cli.served import Served, command_of
from tests.cli.test_worker import settings
from tests.cluster.nats_server import NatsServer, find_program
from tests.helpers import until

pytestmark = [
    pytest.mark.slow,  # each starts several processes
    pytest.mark.foreign,
    pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux"),
]

LONG = ("--cluster-lease", "600")
"""A wait for the end of a lease would be longer than any test."""

PATIENT = ClientOptions(timeout=100)
"""For a machine that is busy with other things while several processes start."""


@pytest.fixture(autouse=True, scope="module")
def nats_server() -> None:
    find_program()


def words(name: str = "LocatedHouse", *more: str) -> list[str]:
    accounts = ":".join(f"user{n}:s3cret" for n in range(9))
    return ["--realm", f"tests.cli.realms:{name}", "--auth", f"memory:{accounts}", *more]


def served(*more: str, name: str = "LocatedHouse", count: int = 2) -> Served:
    return Served(
        *words(name, "--workers", str(count), "--listen", "tcp:127.0.0.1:0", *LONG, *more)
    )


def login(address: str, name: str = "user1") -> Any:
    return connect_blocking(address, name, "s3cret", options=PATIENT)


def workers_of(server: Served) -> list[int]:
    return sorted(pid for pid, line in server.children().items() if "cli.worker" in line)


def nats_of(server: Served) -> int:
    (found,) = [pid for pid, line in server.children().items() if "nats.conf" in line]
    return found


def folder_of(server: Served) -> Path:
    line = command_of(nats_of(server))
    return Path(line.split(" -c ")[1].strip()).parent


def kill(pid: int) -> None:
    """Kill a process, and wait until it accepts nothing any more."""
    os.kill(pid, signal.SIGKILL)
    until(lambda: not command_of(pid))


@contextlib.contextmanager
def spread(address: str, count: int) -> Iterator[dict[int, Any]]:
    """Log in until each of `count` workers has a client; return one of each by process."""
    with contextlib.ExitStack() as stack:
        found: dict[int, Any] = {}
        for number in range(200):
            client = stack.enter_context(login(address, f"user{number % 9}"))
            found.setdefault(client.call("where"), client)
            if len(found) == count:
                break
        yield found


def test_all_workers_serve_the_same_port_and_end_together() -> None:
    with served() as server:
        server.wait_for(1)
        server.wait_until_said("2 workers")
        pids, folder = workers_of(server), folder_of(server)
        nats = nats_of(server)
        assert server.said.count("listening on") == 1
        with spread(server.addresses[0], 2) as clients:
            assert sorted(clients) == pids
            assert server.end() == 0
        assert "going down" in server.said
        assert re.search(r"logged out \d+ sessions?\n", server.said)
        assert [pid for pid in (*pids, nats) if command_of(pid)] == []
        assert not folder.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_each_signal_ends_them_as_it_ends_one_process(number: int) -> None:
    with served() as server:
        server.wait_for(1)
        with login(server.addresses[0]):
            assert server.end(number) == 0
        assert "logged out 1 session\n" in server.said
        assert "Traceback" not in server.said


def test_a_user_has_one_place_from_the_first_moment_on() -> None:
    with served("--policy", "replace") as server:
        server.wait_for(1)
        first = login(server.addresses[0])
        where = first.call("where")
        for _ in range(200):
            second = login(server.addresses[0])
            with pytest.raises(ConnectionLost):
                first.call("where")
            first.close()
            first, before, where = second, where, second.call("where")
            if where != before:  # two workers have agreed
                break
        assert where != before
        first.close()
        assert server.end() == 0


def test_a_worker_that_is_killed_comes_back_and_the_others_live() -> None:
    with served("--policy", "reject", count=3) as server:
        server.wait_for(1)
        with spread(server.addresses[0], 1) as clients:
            ((dead, client),) = clients.items()
            kill(dead)
            server.wait_until_said("is back as process")
            with pytest.raises(ConnectionLost):
                client.call("where")
            until(lambda: len(workers_of(server)) == 3)
            assert dead not in workers_of(server)
            assert re.search(rf"worker \d \(process {dead}\) was ended by SIGKILL", server.said)

            # Its place is free, though its lease has long to go.
            def again() -> bool:
                with contextlib.suppress(Exception), login(server.addresses[0], "user0") as back:
                    return bool(back.call("where"))
                return False

            until(again)
        assert server.end() == 0


def test_nats_that_is_killed_comes_back_and_nobody_is_logged_out() -> None:
    with served("--policy", "replace") as server:
        server.wait_for(1)
        with spread(server.addresses[0], 2) as clients:
            kill(nats_of(server))
            server.wait_until_said("nats-server is back")
            assert sorted(client.call("where") for client in clients.values()) == sorted(clients)
            with login(server.addresses[0], "user8") as late:
                assert late.call("where") in clients
        assert server.end() == 0


def test_the_workers_accept_from_one_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "house.sock"
    with served("--listen", f"unix:{path}") as server:
        server.wait_for(2)
        with login(server.addresses[1], "user1") as client:
            kill(client.call("where"))
        with login(server.addresses[1], "user2") as client:
            assert client.call("where") in workers_of(server)
        server.wait_until_said("is back as process")
        assert path.exists()
        assert server.end() == 0
        assert not path.exists()


def test_a_supervisor_that_is_killed_leaves_nothing_running() -> None:
    with served() as server:
        server.wait_for(1)
        pids, folder = [*workers_of(server), nats_of(server)], folder_of(server)
        server.process.kill()
        until(lambda: not any(map(command_of, pids)))
        shutil.rmtree(folder)  # what nobody could remove


def test_a_signal_while_they_start_ends_all_of_them() -> None:
    with served() as server:
        until(lambda: workers_of(server))
        pids = list(server.children())
        assert server.end(signal.SIGINT) == 0
        assert "Interrupted before it was open" in server.said
        assert server.said.count("Interrupted") == 1
        assert not any(map(command_of, pids))
        assert "Traceback" not in server.said


def test_a_second_signal_does_not_wait_for_a_worker_that_hangs() -> None:
    with served("--drain-timeout", "300", name="House") as server:
        server.wait_for(1)
        with login(server.addresses[0]) as client:
            assert client.call("greet") == "hello"
            server.send(signal.SIGTERM)
            server.wait_until_said("going down")
            assert server.end(signal.SIGTERM) == 0


def test_a_worker_that_is_stopped_is_killed_at_the_end() -> None:
    with served("--drain-timeout", "0.1") as server:
        server.wait_for(1)
        os.kill(workers_of(server)[0], signal.SIGSTOP)
        assert server.end() == 0
        assert "does not end; it is killed" in server.said


def test_the_log_says_which_worker_it_is_and_each_has_metrics_of_its_own() -> None:
    pytest.importorskip("prometheus_client")
    with served("--log-format", "json", "--metrics", "0") as server:
        server.wait_for(1)
        with login(server.addresses[0]):
            server.wait_until_said('"login"')
        assert server.end() == 0
    entries = [json.loads(line) for line in server.said.splitlines() if line.startswith("{")]
    assert {entry["worker"] for entry in entries if entry.get("event") == "login"} <= {1, 2}
    metrics = re.findall(r"metrics of (worker \d) at http://127.0.0.1:\d+/metrics", server.said)
    assert metrics == ["worker 1", "worker 2"]


def test_they_use_another_nats_if_it_is_named(tmp_path: Path) -> None:
    nats = NatsServer(tmp_path)
    nats.start()
    secret = tmp_path / "secret"
    secret.write_text(nats.password)
    more = ("--cluster", nats.url, "--cluster-user", nats.user)
    try:
        with served(*more, "--cluster-password-file", str(secret)) as server:
            server.wait_for(1)
            with spread(server.addresses[0], 2):
                assert len(server.children()) == 2
                assert server.end() == 0
            assert nats.password not in server.said
    finally:
        nats.stop()


# -- in this process -------------------------------------------------------------------------------


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the logging of this process as it is."""
    monkeypatch.setattr("actorcred.cli.serve.start_logging", lambda *given: None)


def run(*more: str, name: str = "LocatedHouse") -> Result:
    return CliRunner().invoke(serve, words(name, "--workers", "2", *LONG, *more))


def meanwhile(path: Path, do: Callable[[], object]) -> threading.Thread:
    """Do something once there is a socket, then end the server."""

    def go() -> None:
        try:
            until(path.exists)
            do()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=go)
    thread.start()
    return thread


@pytest.mark.usefixtures("quiet")
def test_what_dies_is_started_again_and_the_end_is_in_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "house.sock"

    def visit() -> None:
        for _ in range(2):
            with login(f"unix:{path}") as client:
                kill(client.call("where"))
        until(lambda: caplog.text.count("is back as process") == 2)

    visitor = meanwhile(path, visit)
    done = run("--listen", f"unix:{path}", "--listen", f"tcp:127.0.0.1:{free_port()}")
    visitor.join()
    assert done.exit_code == 0, done.output
    assert [line.split()[0] for line in done.output.splitlines()] == [
        *("listening", "listening", "2", "going", "logged"),
    ]
    assert not path.exists()


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("more", "name", "text"),
    [
        ((), "NoHouse", "the module has no 'NoHouse'"),
        (("--listen", "unix:/none/there"), "LocatedHouse", "the directory must exist"),
        (("--auth", "file:/none/there"), "LocatedHouse", "cannot read"),
        (("--metrics", "65535"), "LocatedHouse", "use a port up to 65534"),
    ],
)
def test_what_cannot_be_served_is_said_once(
    more: tuple[str, ...], name: str, text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    done = run("--listen", "tcp:127.0.0.1:0", *more, name=name)
    assert done.exit_code == ExitCode.USAGE
    said = done.output + capfd.readouterr().err
    assert said.count(text) == 1


@pytest.mark.usefixtures("quiet")
def test_a_port_that_another_server_has_is_not_shared_with_it() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = run("--listen", f"tcp:127.0.0.1:{other.getsockname()[1]}")
    assert done.exit_code == ExitCode.USAGE
    assert "another program listens there" in done.output


@pytest.mark.usefixtures("quiet")
def test_a_worker_that_dies_before_it_listens_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    start = WorkerProcess.start

    async def kill(self: WorkerProcess) -> None:
        await start(self)
        self.send(signal.SIGKILL)

    monkeypatch.setattr(WorkerProcess, "start", kill)
    done = run("--listen", "tcp:127.0.0.1:0")
    assert done.exit_code == ExitCode.USAGE
    assert "worker 1 was ended by SIGKILL before it listened" in done.output


@pytest.mark.usefixtures("quiet")
def test_elsewhere_than_on_linux_workers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorcred.cli.workers.sys.platform", "darwin")
    done = run()
    assert done.exit_code == ExitCode.USAGE
    assert "--workers needs Linux" in done.output


@pytest.mark.usefixtures("quiet")
def test_without_the_extra_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actorcred.cli.workers.importlib.util.find_spec", lambda name: None)
    done = run()
    assert done.exit_code == ExitCode.USAGE
    assert "pip install 'actorcred[cluster]'" in done.output


# -- the team --------------------------------------------------------------------------------------

JOINING = {
    "name": "default",
    "node": "node",
    "user": "",
    "password": "",
    "credentials": None,
    "insecure": False,
    "lease": 600.0,
    "on_cut_off": "end",
    "replicas": 1,
}


def of_team(**changed: Any) -> dict[str, Any]:
    return settings(cluster=Join((), JOINING), addresses=(), **changed)


def test_each_worker_has_a_task_of_its_own() -> None:
    async def run() -> None:
        with Ports((Address.parse("tcp:127.0.0.1:0"),)) as ports:
            found = of_team(metrics=("127.0.0.1", 9464)) | {
                "cluster": Join(("nats://192.0.2.1",), JOINING)
            }
            task = Team(2, found, ports)._task(2, "node-2-before")
            assert task.worker == 2
            assert task.settings["metrics"] == ("127.0.0.1", 9465)
            assert [address.port for address in task.settings["addresses"]] != [0]
            join = task.settings["cluster"]
            assert join.servers == ("nats://192.0.2.1",)
            assert (join.settings["node"], join.settings["replaces"]) == ("node-2", "node-2-before")
            assert "is_new" not in join.settings

    asyncio.run(run())


def test_a_worker_that_cannot_be_started_is_tried_again_and_one_that_hangs_is_killed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start = WorkerProcess.start
    fails = iter([False, False, True])

    async def sometimes(self: WorkerProcess) -> None:
        if next(fails, False):
            raise OSError("no more processes")
        await start(self)

    monkeypatch.setattr(WorkerProcess, "start", sometimes)

    async def run() -> None:
        with Ports(()) as ports:
            team = Team(2, of_team(), ports)
            await team.open()
            nats, (first, second) = team._nats, team._workers
            assert nats is not None
            assert team._task(1, "").settings["cluster"].settings["is_new"] is False
            first.send(signal.SIGKILL)
            while "worker 1 is back" not in caplog.text:
                await asyncio.sleep(0.01)
            second.send(signal.SIGSTOP)
            await team.close()
            assert second.code == -signal.SIGKILL
            assert None not in {first.code, nats.code}

    asyncio.run(run())
    assert "worker 1 cannot be started: no more processes" in caplog.text
    assert "worker 2" in caplog.text
    assert "does not end; it is killed" in caplog.text


def test_the_last_resort_ends_all_processes_at_once() -> None:
    async def run() -> None:
        with Ports(()) as ports:
            team = Team(1, of_team(), ports)
            assert team._nats is not None
            await team._nats.open()
            folder = team._nats._folder
            await team._start(team._workers[0])
            await team._let_end()
            team._keep(team._workers[0])
            assert team._keeping == []
            await asyncio.to_thread(team.kill)
            assert await team._workers[0].ended() == -signal.SIGKILL
            assert await team._nats.ended() == -signal.SIGKILL
            assert not folder.exists()

    asyncio.run(run())
