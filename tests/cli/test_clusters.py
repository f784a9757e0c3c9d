"""The options of `actorcred serve` about a cluster."""

from __future__ import annotations

import builtins
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from actorcred.cli.errors import ExitCode
from actorcred.cli.serve import serve
from actorcred.errors import CallError, LoginDenied
from actorcred.rpc import ClientOptions, connect_blocking
from actorcred.rpc.protocol.addresses import Address
from tests.cli.served import Served
from tests.cluster.nats_server import NatsServer, random_name
from tests.helpers import until

REALM = ("--realm", "tests.cli.test_serve:House", "--auth", "memory:ann:s3cret")


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the logging of this process, and its path, as they are."""
    monkeypatch.setattr("actorcred.cli.serve.start_logging", lambda *given: None)
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path)
    server.start()
    yield server
    server.stop()


def run(*words: str) -> Result:
    return CliRunner().invoke(serve, [*REALM, "--listen", "tcp:127.0.0.1:0", *words])


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--cluster-user", "me"], "--cluster-user needs --cluster\n"),
        (["--cluster-user", "me", "--workers", "2"], "--cluster-user needs --cluster\n"),
        (["--cut-off", "end"], "--cut-off needs --cluster or --workers"),
        (["--cluster-lease", "5"], "--cluster-lease needs --cluster or --workers"),
        (
            ["--cluster", "nats://127.0.0.1:1", "--cluster-password-file", "/dev/null"],
            "--cluster-password-file needs --cluster-user",
        ),
        (["--cluster", "http://127.0.0.1"], "an address of NATS is"),
        (["--cluster", "nats://192.0.2.1"], "must use TLS"),
        (["--cluster", "nats://me:s3cret@127.0.0.1"], "must not be in its address"),
        (["--cluster", "nats://127.0.0.1:1", "--cluster-name", "a b"], "the name of a cluster"),
        (["--cluster", "nats://127.0.0.1:1", "--cluster-lease", "0"], "cluster-lease"),
        (["--cluster", "nats://127.0.0.1:1"], "NATS cannot be reached"),
    ],
)
def test_what_cannot_be_is_said_before_serving(words: list[str], why: str) -> None:
    result = run(*words)
    assert result.exit_code == ExitCode.USAGE
    assert why in result.output
    assert "s3cret" not in result.output


def test_without_the_extra_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load = builtins.__import__

    def without_nats(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "actorcred.cluster":
            raise ModuleNotFoundError("No module named 'nats'", name="nats")
        return load(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_nats)
    result = run("--cluster", "nats://127.0.0.1:1")
    assert result.exit_code == ExitCode.USAGE
    assert "pip install 'actorcred[cluster]'" in result.output


@pytest.mark.foreign
def test_two_servers_have_one_place_for_a_user(nats: NatsServer, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(nats.password + "\n")
    words = [*REALM, "--listen", "tcp:127.0.0.1:0", "--policy", "reject", "--cluster", nats.url]
    words += ["--cluster-user", nats.user, "--cluster-password-file", str(secret)]
    words += ["--cluster-name", random_name(), "--cluster-lease", "2"]
    with Served(*words, "--cluster-node", "a") as a, Served(*words, "--cluster-node", "b") as b:
        for served in (a, b):
            served.wait_for(1)
        with connect_blocking(a.addresses[0], "ann", "s3cret"), pytest.raises(LoginDenied):
            connect_blocking(b.addresses[0], "ann", "s3cret")
        assert a.end() == 0
        with connect_blocking(b.addresses[0], "ann", "s3cret") as again:
            assert again.avatar_id == "ann"
        assert b.end() == 0
        assert "node a-" in a.said


@pytest.mark.foreign
def test_a_server_that_ends_moves_its_sessions(nats: NatsServer, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(nats.password + "\n")
    words = ["--realm", "tests.cli.realms:CountingHouse", "--auth", "memory:ann:s3cret"]
    words += ["--listen", "tcp:127.0.0.1:0", "--policy", "reject", "--cluster", nats.url]
    words += ["--cluster-user", nats.user, "--cluster-password-file", str(secret)]
    words += ["--cluster-name", random_name(), "--cluster-lease", "2"]
    with Served(*words, "--cluster-node", "a") as a, Served(*words, "--cluster-node", "b") as b:
        for served in (a, b):
            served.wait_for(1)
        options = ClientOptions(reconnect=True)
        with connect_blocking(a.addresses[0], "ann", "s3cret", options=options) as client:
            client.client.address = Address.parse(b.addresses[0])
            assert client.call("greet") == "moved 0 times"
            assert a.end() == 0
            assert client.call("greet") == "moved 1 times"
        assert "moved or logged out 1 session" in a.said
        assert b.end() == 0


@pytest.mark.foreign
def test_the_password_of_nats_comes_from_the_environment(
    nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--cluster", nats.url, "--cluster-user", nats.user)
    monkeypatch.setenv("ACTORCRED_CLUSTER_PASSWORD", nats.password)
    with socket.create_server(("127.0.0.1", 0)) as taken:  # so that it does not serve
        port = taken.getsockname()[1]
        assert "has joined the cluster" in run(*words, "--listen", f"tcp:127.0.0.1:{port}").output
    monkeypatch.setenv("ACTORCRED_CLUSTER_PASSWORD", "wrong")
    result = run(*words)
    assert "Authorization Violation" in result.output
    assert nats.password not in result.output


@pytest.mark.foreign
def test_a_server_joins_before_it_listens_and_leaves_at_its_end(
    nats: NatsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def at_once(life: Any, portal: Any, server: Any, role: Any, *, move: bool) -> int:
        assert move
        await server.close(1.0)
        return 0

    monkeypatch.setattr("actorcred.cli.serve._serve", at_once)
    secret = tmp_path / "secret"
    secret.write_text(nats.password)
    words = ("--cluster", nats.url, "--cluster-user", nats.user)
    result = run(*words, "--cluster-password-file", str(secret), "--cluster-node", "eu-1")
    assert result.exit_code == 0
    assert "node eu-1-" in result.output
    assert "cluster" not in run().output


@pytest.mark.foreign
def test_calls_are_held_while_the_server_is_cut_off(nats: NatsServer, tmp_path: Path) -> None:
    def answer(client: Any) -> str:
        """Return what comes of a call: its code if it is refused."""
        try:
            return str(client.call("greet"))
        except CallError as error:
            assert error.retry_after
            return error.code

    secret = tmp_path / "secret"
    secret.write_text(nats.password)
    words = [*REALM, "--listen", "tcp:127.0.0.1:0", "--policy", "replace", "--cut-off", "hold"]
    words += ["--cluster", nats.url, "--cluster-user", nats.user, "--cluster-lease", "1"]
    with Served(*words, "--cluster-password-file", str(secret)) as served:
        served.wait_for(1)
        with connect_blocking(served.addresses[0], "ann", "s3cret") as client:
            assert answer(client) == "hello"
            nats.kill()
            until(lambda: answer(client) == "suspended")
            nats.start()
            until(lambda: answer(client) == "hello")
        assert served.end() == 0
