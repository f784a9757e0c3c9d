"""`actorcred serve`: it serves until a signal, and says what it cannot serve before it begins."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pykka
import pytest
from click.testing import CliRunner, Result

from actorcred import Avatar, MindRef, Portal, Realm
from actorcred.cli.errors import ExitCode
from actorcred.cli.serve import serve
from actorcred.rpc import connect_blocking
from tests.helpers import until

HOUSE = "tests.cli.test_serve:House"


class Guest:
    def greet(self) -> str: ...


class GameGuest(Avatar, Guest):
    def greet(self) -> str:
        return "hello"


class House(Realm):
    interfaces = (Guest,)

    def request_avatar(self, avatar_id: Any, mind: MindRef, *interfaces: type) -> Any:
        avatar = GameGuest.start(avatar_id, mind)
        return Guest, avatar, avatar.stop


class Furnished(House):
    def __init__(self, furniture: str) -> None:
        super().__init__()


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the logging of this process, and its path, as they are."""
    monkeypatch.setattr("actorcred.cli.serve.start_logging", lambda *given: None)
    monkeypatch.setattr(sys, "path", [*sys.path])


def run(*words: str) -> Result:
    return CliRunner().invoke(serve, ["--auth", "memory:ann:s3cret", *words])


def once_it_listens(path: Path, do: Callable[[], object]) -> threading.Thread:
    """Do something from outside once the server listens; it ends at once if that fails."""

    def go() -> None:
        try:
            until(path.exists)
            do()
        except BaseException:
            os.kill(os.getpid(), signal.SIGTERM)
            raise

    thread = threading.Thread(target=go)
    thread.start()
    return thread


def test_it_serves_until_a_signal_and_logs_everybody_out(tmp_path: Path) -> None:
    path = tmp_path / "house.sock"

    def visit() -> None:
        with connect_blocking(f"unix:{path}", "ann", "s3cret") as client:
            assert client.call("greet") == "hello"
            os.kill(os.getpid(), signal.SIGTERM)
            until(lambda: not path.exists())

    visitor = once_it_listens(path, visit)
    done = run("--realm", HOUSE, "--listen", f"unix:{path}", "--no-uvloop")
    visitor.join(10)

    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == [
        f"listening on unix:{path}",
        "going down: ending all sessions",
        "logged out 1 session",
    ]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--realm", "House"), "must have the form MODULE:CLASS"),
        (("--realm", "no.such.module:House"), "No module named 'no"),
        (("--realm", "tests.cli.test_serve:Flat"), "the module has no 'Flat'"),
        (("--realm", "tests.cli.test_serve:Guest"), "not a subclass of actorcred.Realm"),
        (("--realm", "tests.cli.test_serve:Furnished"), "cannot be created without arguments"),
        (("--realm", HOUSE, "--auth", "file:/none/there"), "/none/there"),
        (("--realm", HOUSE, "--listen", "unix:/none/there"), "/none/there"),
        (("--realm", HOUSE, "--identity-header", "X-User"), "trusted"),
    ],
)
def test_what_cannot_be_served_is_said_with_a_code(words: tuple[str, ...], text: str) -> None:
    done = run(*words, "--no-uvloop")

    assert done.exit_code == ExitCode.USAGE, done.output
    assert text in done.output


def test_the_limits_are_printed_as_the_options_set_them() -> None:
    words = ["--realm", HOUSE, "--max-sessions", "7", "--limit-loopback"]
    result = run(*words, "--limits")
    assert result.exit_code == 0
    shown = {tuple(line.split()[:2]) for line in result.output.splitlines()}
    assert {("sessions", "7"), ("limit_loopback", "yes"), ("logins", "1000")} <= shown


@pytest.mark.parametrize(
    ("words", "name"), [(("--no-uvloop",), "asyncio"), (("--uvloop",), "uvloop"), ((), "uvloop")]
)
def test_the_log_says_once_which_loop_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, words: tuple[str, ...], name: str
) -> None:
    if name == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop is not installed: pip install uvloop")
    path = tmp_path / "house.sock"
    caplog.set_level(logging.INFO, "actorcred.cli")

    def visit() -> None:
        with connect_blocking(f"unix:{path}", "ann", "s3cret"):
            os.kill(os.getpid(), signal.SIGTERM)

    visitor = once_it_listens(path, visit)
    done = run("--realm", HOUSE, "--listen", f"unix:{path}", *words)
    visitor.join(10)

    assert done.exit_code == 0, done.output
    assert caplog.text.count(f"The event loop is {name}\n") == 1
    assert caplog.text.count("The event loop is") == 1


def test_uvloop_is_refused_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    done = run("--realm", HOUSE, "--uvloop")
    assert done.exit_code == ExitCode.USAGE
    assert "pip install 'actorcred[uvloop]'" in done.output


def test_a_server_without_a_portal_ends_with_a_code_of_its_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "house.sock"

    def stop_portal() -> None:
        (portal,) = pykka.ActorRegistry.get_by_class(Portal)
        portal.stop(block=False)

    visitor = once_it_listens(path, stop_portal)
    done = run("--realm", HOUSE, "--listen", f"unix:{path}", "--no-uvloop")
    visitor.join(10)

    assert done.exit_code == ExitCode.CRASHED
    assert "The portal was stopped: no client can log in" in caplog.text
