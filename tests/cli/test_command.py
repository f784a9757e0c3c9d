"""The command, as a user types it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actorcred import UnauthorizedLogin, rpc
from examples.arena.realm import Arena
from tests.cli.served import Served

PASSWORD = "correct horse battery"
REALM = "examples.arena.realm:Arena"


def run(
    *words: str, cwd: Path | None = None, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "actorcred.cli", *words],
        check=False,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200", **environment},
    )


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with accounts in two files, which no test changes."""
    folder = tmp_path_factory.mktemp("accounts")
    assert (
        run(
            "passwd",
            "add",
            f"file:{folder}/players.htpasswd",
            "ann",
            "--password-file",
            "-",
            stdin=PASSWORD,
        ).returncode
        == 0
    )
    assert (
        run(
            "passwd",
            "add",
            f"sqlite:{folder}/players.db",
            "bob",
            "--password-file",
            "-",
            stdin=PASSWORD,
        ).returncode
        == 0
    )
    return folder


@pytest.fixture
def served(accounts: Path, tmp_path: Path) -> Iterator[Served]:
    server = Served(
        *(
            "--realm",
            REALM,
            "--listen",
            "tcp:127.0.0.1:0",
            "--listen",
            f"unix:{tmp_path}/game.sock",
            "--listen",
            "ws:127.0.0.1:0",
        ),
        *(
            "--auth",
            f"file:{accounts}/players.htpasswd",
            "--auth",
            f"sqlite:{accounts}/players.db",
            "--auth",
            "anonymous",
        ),
    )
    try:
        server.wait_for(3)
        yield server
    finally:
        if server.process.poll() is None:
            server.end()
        assert server.process.stdout is not None
        server.process.stdout.close()


def test_serve_and_call_over_each_address(served: Served) -> None:
    for address in served.addresses:
        for name in ("ann", "bob"):
            done = run("call", address, "who", "-u", name, ACTORCRED_PASSWORD=PASSWORD)
            assert done.returncode == 0, done.stderr  # a busy server makes it say that it waits
            assert json.loads(done.stdout) == [[name, 0]]
        guest = run("call", address, "watch")
        assert json.loads(guest.stdout)["size"] == 60.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_logs_everybody_out_and_the_exit_code_is_0(served: Served, number: int) -> None:
    client = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "actorcred.cli",
            "call",
            served.addresses[0],
            "say",
            "hello",
            "--listen-for",
            "60",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert client.stdout is not None
    assert client.stdout.readline() == "null\n"
    assert served.end(number) == 0
    assert "logged out 1 session\n" in served.said
    _, error = client.communicate(timeout=30)
    assert client.returncode in {0, 4}
    assert "Traceback" not in error


def test_a_failed_call_says_why_by_text_and_exit_code(served: Served) -> None:
    address = served.addresses[0]
    for words, code, text in (
        (("fly",), 1, "unknown-method"),
        (("move", "x", "1"), 1, "bad-arguments"),
        (("who", "-u", "ann"), 3, "login refused"),
        (("who", "-u", "nobody"), 3, "login refused"),
        (("who", "--interface", "King"), 3, "no such interface"),
        (("who", "--mechanism", "MAGIC"), 2, "MAGIC"),
        (("who", "-u", "ann", "--password-file", "/no/such"), 2, "cannot read"),
    ):
        done = run("call", address, *words, ACTORCRED_PASSWORD="wrong password")
        assert (done.returncode, text in done.stderr, "Traceback" in done.stderr) == (
            code,
            True,
            False,
        ), done


def test_a_server_that_is_not_there_is_exit_code_4() -> None:
    done = run("call", "tcp:127.0.0.1:1", "who")
    assert done.returncode == 4
    assert "cannot connect to tcp://127.0.0.1:1" in done.stderr


def test_a_password_is_never_taken_from_the_command_line_and_asked_for_only_at_a_terminal(
    served: Served,
) -> None:
    environment = {
        name: value for name, value in os.environ.items() if name != "ACTORCRED_PASSWORD"
    }
    done = subprocess.run(
        [sys.executable, "-m", "actorcred.cli", "call", served.addresses[0], "who", "-u", "ann"],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )
    assert done.returncode == 2
    assert "--password-file" in done.stderr
    assert "--password " not in run("call", "--help").stdout


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "Missing option '--realm'"),
        (("--realm", REALM), "Missing option '--auth'"),
        (("--realm", "nonsense", "--auth", "anonymous"), "MODULE:CLASS"),
        (("--realm", "no.such:Realm", "--auth", "anonymous"), "No module named"),
        (("--realm", "json:Realm", "--auth", "anonymous"), "has no 'Realm'"),
        (("--realm", "json:JSONDecoder", "--auth", "anonymous"), "not a subclass"),
        (("--realm", REALM, "--auth", "file:none"), "`actorcred passwd add file:none NAME`"),
        (("--realm", REALM, "--auth", "oracle:x"), "unknown type of authentication 'oracle'"),
        (("--realm", REALM, "--auth", "file:/no/such"), "cannot read '/no/such'"),
        (("--realm", REALM, "--auth", "memory:ann"), "names and passwords in turn"),
        (("--realm", REALM, "--auth", "anonymous:x"), "takes no argument"),
        (("--realm", REALM, "--auth", "sqlite:"), "needs the path"),
        (("--legacy-mechanism", "PLAIN"), "is not one of 'SCRAM-SHA-1', 'CRAM-MD5'"),
        (("--realm", REALM, "--auth", "anonymous", "--listen", "http:x"), "must begin with"),
        (
            ("--realm", REALM, "--auth", "anonymous", "--listen", "tcp:203.0.113.1:1"),
            "cannot listen",
        ),
        (
            ("--realm", "tests.cli.test_command:Needy", "--auth", "anonymous"),
            "cannot be created without arguments",
        ),
    ],
)
def test_what_cannot_be_served_is_said_with_exit_code_2(words: tuple[str, ...], text: str) -> None:
    done = run("serve", *words)
    assert done.returncode == 2
    assert text in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_accounts_are_kept_in_files_and_databases(tmp_path: Path) -> None:
    for store in (f"file:{tmp_path}/a.htpasswd", f"sqlite:{tmp_path}/a.db"):

        def passwd(
            *words: Any, store: str = store, **settings: Any
        ) -> subprocess.CompletedProcess[str]:
            return run("passwd", words[0], store, *words[1:], **settings)

        assert passwd("add", "ann", "--password-file", "-", stdin=PASSWORD).stdout == "added ann\n"
        assert passwd("add", "zoë", stdin="", ACTORCRED_PASSWORD=PASSWORD).returncode == 0
        assert "already" in passwd("add", "ann", "--password-file", "-", stdin=PASSWORD).stderr
        assert "at least 8" in passwd("add", "bob", "--password-file", "-", stdin="short").stderr
        assert passwd("disable", "ann").returncode == 0
        listed = passwd("list").stdout
        assert listed == "ann\tdisabled\nzoë\tactive\n"
        assert passwd("enable", "ann").returncode == 0
        assert (
            passwd("change", "ann", "--password-file", "-", stdin="another good one").returncode
            == 0
        )
        assert passwd("delete", "zoë").returncode == 0
        for verb in ("disable", "delete"):
            done = passwd(verb, "nobody")
            assert (
                done.returncode,
                re.search("there is no (such )?account", done.stderr) is not None,
            ) == (1, True), done
        assert "zoë" not in passwd("list").stdout
    assert (tmp_path / "a.htpasswd").stat().st_mode & 0o777 == 0o600
    assert [name for name in os.listdir(tmp_path) if name.startswith("a.htpasswd")] == [
        "a.htpasswd"
    ]


def test_an_account_that_may_prove_its_password_logs_in_by_scram(tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path}/a.db"
    assert (
        run(
            "passwd", "add", store, "ann", "--scram", "--password-file", "-", stdin=PASSWORD
        ).returncode
        == 0
    )
    assert (
        run("passwd", "add", store, "bob", "--password-file", "-", stdin=PASSWORD).returncode == 0
    )
    assert (
        "no place for SCRAM"
        in run(
            "passwd",
            "add",
            f"file:{tmp_path}/x",
            "ann",
            "--scram",
            "--password-file",
            "-",
            stdin=PASSWORD,
        ).stderr
    )
    served = Served(
        "--realm",
        REALM,
        "--listen",
        "tcp:127.0.0.1:0",
        "--auth",
        f"sqlite[scram=yes]:{tmp_path}/a.db",
    )
    try:
        served.wait_for(1)
        for name, password, mechanism, lets_in in (
            ("ann", PASSWORD, "SCRAM-SHA-256", True), ("ann", PASSWORD, "PLAIN", True),
            ("ann", PASSWORD, None, True), ("ann", "wrong", "SCRAM-SHA-256", False),
            ("bob", PASSWORD, "SCRAM-SHA-256", False), ("bob", PASSWORD, None, True),
        ):  # fmt: skip
            if lets_in:
                with rpc.connect_blocking(
                    served.addresses[0],
                    name,
                    password,
                    options=rpc.ClientOptions(mechanism=mechanism),
                ) as client:
                    assert client.avatar_id == name
            else:
                with pytest.raises(UnauthorizedLogin):
                    rpc.connect_blocking(
                        served.addresses[0],
                        name,
                        password,
                        options=rpc.ClientOptions(mechanism=mechanism),
                    )
    finally:
        assert served.end() == 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("list", "nonsense"), "must be file:PATH"),
        (("list", "file:/no/such"), "no file"),
        (("add", "file:/no/such/folder", "ann", "--password-file", "-"), "cannot write"),
        (("add", "file:{}/x", "a:b", "--password-file", "-"), "no colon"),
        (("add", "sqlite:/no/such/folder", "ann", "--password-file", "-"), "cannot open"),
    ],
)
def test_a_store_that_cannot_be_used_is_named(
    words: tuple[str, ...], text: str, tmp_path: Path
) -> None:
    done = run("passwd", *[word.format(tmp_path) for word in words], stdin=PASSWORD)
    assert done.returncode == 1
    assert text in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [(), ("serve",), ("call",), ("passwd",), ("passwd", "add")])
def test_help_is_there(words: tuple[str, ...]) -> None:
    done = run(*words, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: ")
    assert "\\b" not in done.stdout


def test_the_version_is_that_of_the_package() -> None:
    assert "0.1.0" in run("--version").stdout


class Needy(Arena):
    """A realm that the command cannot create."""

    def __init__(self, dictionary: str) -> None:
        super().__init__()
