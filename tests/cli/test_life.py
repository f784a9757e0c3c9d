"""The life of `actorcred serve`: start, shutdown, and that it always ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorcred import rpc
from actorcred.errors import ConnectionLost
from tests.cli.served import Served

pytestmark = pytest.mark.slow  # each starts a server, and waits for its end

SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
LOOPS = ["--uvloop", "--no-uvloop"]
NOISE = ("Traceback", "Event loop is closed", "is lost", "never retrieved", "never awaited")


def house(name: str, *words: str) -> Served:
    return Served(
        "--realm",
        f"tests.cli.realms:{name}",
        "--auth",
        "anonymous",
        "--listen",
        "tcp:127.0.0.1:0",
        *words,
    )


def assert_quiet(said: str) -> None:
    assert [noise for noise in NOISE if noise in said] == [], said


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("number", SIGNALS)
def test_each_signal_logs_everybody_out_and_the_exit_code_is_0(number: int, loop: str) -> None:
    with Served(
        *(
            "--realm",
            "examples.arena.realm:Arena",
            "--auth",
            "anonymous",
            "--listen",
            "tcp:127.0.0.1:0",
        ),
        *("--listen", "ws:127.0.0.1:0", loop),
    ) as server:
        server.wait_for(2)
        with rpc.connect_blocking(server.addresses[0]), rpc.connect_blocking(server.addresses[1]):
            assert server.end(number) == 0
        assert "logged out 2 sessions\n" in server.said
        assert_quiet(server.said)


@pytest.mark.parametrize("loop", LOOPS)
def test_an_avatar_that_never_leaves_delays_the_end_once_and_not_three_times(loop: str) -> None:
    with house("House", "--drain-timeout", "4", loop) as server:
        server.wait_for(1)
        with rpc.connect_blocking(server.addresses[0]) as client:
            assert client.call("greet") == "hello"
            began = time.monotonic()
            assert server.end() == 0
            # Three times the time-out would be 12 s.
            assert time.monotonic() - began < 10
        assert_quiet(server.said)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("second", SIGNALS)
def test_a_second_signal_ends_the_wait_and_cleans_up(
    second: int, loop: str, tmp_path: Path
) -> None:
    path = tmp_path / "game.sock"
    with house("House", "--drain-timeout", "300", "--listen", f"unix:{path}", loop) as server:
        server.wait_for(2)
        with rpc.connect_blocking(server.addresses[1]) as client:
            assert client.call("greet") == "hello"
            assert path.exists()
            server.send(signal.SIGTERM)
            server.wait_until_said("going down")
            assert server.end(second) == 0
        assert not path.exists()
        assert_quiet(server.said)


def test_an_avatar_that_blocks_the_event_loop_does_not_keep_the_process_from_ending(
    tmp_path: Path,
) -> None:
    path = tmp_path / "game.sock"
    with house("BlockingHouse", "--drain-timeout", "0.5", "--listen", f"unix:{path}") as server:
        server.wait_for(2)
        client = rpc.connect_blocking(server.addresses[0], options=rpc.ClientOptions(timeout=5))
        assert client.call("greet") == "hello"
        assert server.end() == 0
        assert "blocks the event loop" in server.said
        assert not path.exists()
        client.close()


def test_a_portal_that_crashes_ends_the_server_with_a_code_of_its_own() -> None:
    with house("SabotagedHouse") as server:
        server.wait_for(1)
        client = rpc.connect_blocking(server.addresses[0], options=rpc.ClientOptions(timeout=5))
        client.notify("break_portal")
        assert server.ended() == 5
        assert "The portal has crashed (RuntimeError)" in " ".join(server.said.split())
        client.close()


def test_a_process_that_is_to_ignore_sighup_goes_on_doing_so() -> None:
    command = [
        "nohup",
        sys.executable,
        "-m",
        "actorcred.cli",
        "serve",
        "--realm",
        "tests.cli.realms:House",
        "--auth",
        "anonymous",
    ]
    with subprocess.Popen(
        [*command, "--listen", "tcp:127.0.0.1:0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().removeprefix("listening on ").strip()
        process.send_signal(signal.SIGHUP)
        with rpc.connect_blocking(address) as client:
            assert client.call("greet") == "hello"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--realm", "tests.cli.realms:UnspeakableHouse", "--auth", "anonymous"), "Unspeakable"),
        (
            ("--realm", "tests.cli.realms:House", "--auth", "anonymous", "--auth", "file:/no/such"),
            "cannot read",
        ),
        (
            ("--realm", "tests.cli.realms:House", "--auth", "sqlite:{}/a.db", "--auth", "oracle:x"),
            "oracle",
        ),
    ],
)
@pytest.mark.parametrize("loop", LOOPS)
def test_a_start_that_is_refused_says_why_and_nothing_else(
    words: tuple[str, ...], text: str, loop: str, tmp_path: Path
) -> None:
    with Served(
        *(word.format(tmp_path) for word in words), "--listen", "tcp:127.0.0.1:0", loop
    ) as server:
        assert server.ended() == 2
        assert text in server.said
        first, *more = server.said.splitlines()
        assert first.startswith("actorcred: ")
        assert all(line.startswith("  ") for line in more)
        assert_quiet(server.said)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("tcp:127.0.0.1", "must have the form tcp:HOST:PORT"),
        ("tcp:127.0.0.1:{taken}", "use another port"),
        ("ws:127.0.0.1:{taken}", "use another port"),
        ("tcp:no.such.invalid:0", "the host is not known"),
        ("tcp:" + "a" * 70 + ":0", "is not a valid name"),
        ("tcp:203.0.113.1:0", "this machine has no such address"),
        ("tls:127.0.0.1:0", "add ?cert=FILE&key=FILE"),
        ("tls:127.0.0.1:0?cert=/no/such", "the certificates of tls://127.0.0.1:0 cannot be used"),
        ("unix:/no/such/folder/x", "the directory must exist"),
    ],
)
def test_a_mistaken_address_says_what_to_do(address: str, text: str, taken: int) -> None:
    words = (
        "--realm",
        "tests.cli.realms:House",
        "--auth",
        "anonymous",
        "--listen",
        address.format(taken=taken),
    )
    with Served("--listen", "tcp:127.0.0.1:0", *words) as server:
        assert server.ended() == 2
        assert text in server.said
        assert_quiet(server.said)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may listen on any port")
def test_a_port_that_only_root_may_have_says_so() -> None:
    with house("House", "--listen", "tcp:127.0.0.1:80") as server:
        assert server.ended() == 2
        assert "from 1024 on" in server.said


def test_a_client_that_is_interrupted_has_no_traceback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        command = [
            sys.executable,
            "-m",
            "actorcred.cli",
            "call",
            f"tcp:127.0.0.1:{silent.getsockname()[1]}",
            "who",
        ]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as client:
            connection, _ = silent.accept()
            client.send_signal(signal.SIGINT)
            said, _ = client.communicate(timeout=60)
            connection.close()
        assert client.returncode == 1
        assert said.strip() == "Aborted!"


def test_a_server_that_is_gone_is_told_to_its_clients() -> None:
    with house("House", "--drain-timeout", "1") as server:
        server.wait_for(1)
        client = rpc.connect_blocking(server.addresses[0], options=rpc.ClientOptions(timeout=5))
        assert server.end() == 0
        with pytest.raises(ConnectionLost):
            client.call("greet")
        client.close()


def test_a_slow_login_of_the_client_says_that_it_waits_and_then_that_logins_are_unavailable() -> (
    None
):
    with house("SlowHouse") as server:
        server.wait_for(1)
        command = [
            sys.executable,
            "-m",
            "actorcred.cli",
            "call",
            server.addresses[0],
            "greet",
            "--timeout",
            "2",
            "--login-timeout",
            "5",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        busy, unavailable = done.stderr.splitlines()
        assert "the server is busy, still waiting" in busy
        assert "can be reached" in unavailable
        assert done.returncode == 3
