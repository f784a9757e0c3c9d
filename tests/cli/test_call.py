"""`actorcred call`: the answer on stdout, and why there is none by a text and a code."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from actorcred import Avatar, CallError, MindRef, Portal, Realm
from actorcred.actors import Future
from actorcred.checkers.anonymous import AnonymousChecker
from actorcred.checkers.memory import MemoryChecker
from actorcred.cli.call import call
from actorcred.cli.errors import ExitCode
from actorcred.rpc import serve_in_thread


class Player(ABC):
    @abstractmethod
    def echo(self, value: Any) -> Any: ...
    @abstractmethod
    def refuse(self) -> None: ...
    @abstractmethod
    def think(self) -> None: ...
    @abstractmethod
    def tell(self) -> bytes: ...


class GamePlayer(Avatar, Player):
    thought: Future[None]

    def echo(self, value: Any) -> Any:
        return value

    def refuse(self) -> None:
        raise CallError("no gold", "poor")

    async def think(self) -> None:  # type: ignore[override]
        await self.thought

    def tell(self) -> bytes:
        self.mind.notify("moved", b"\xff", {"x": 1})
        return b"\x01\x02"


class Game(Realm):
    interfaces = (Player,)

    def request_avatar(self, avatar_id: Any, mind: MindRef, *interfaces: type) -> Any:
        avatar = GamePlayer.start(avatar_id, mind)
        return Player, avatar, avatar.stop


@pytest.fixture
def address() -> Iterator[str]:
    checkers = [MemoryChecker.start({"ann": "s3cret"}, plaintext=True), AnonymousChecker.start()]
    portal = Portal.start(Game.start(), checkers)
    GamePlayer.thought = Future()
    with serve_in_thread(portal, "tcp:127.0.0.1:0") as server:
        yield str(server.addresses[0])
        GamePlayer.thought.settle()


def runner() -> CliRunner:
    """Return a runner that keeps the two outputs apart, which new versions do by themselves."""
    try:
        return CliRunner(mix_stderr=False)  # type: ignore[call-arg]
    except TypeError:
        return CliRunner()


def run(address: str, *words: str, user: str = "ann", password: str = "s3cret") -> Result:
    as_user = ("-u", user) if user else ()
    return runner().invoke(call, [address, *words, *as_user], env={"ACTORCRED_PASSWORD": password})


@pytest.mark.parametrize(
    ("text", "value"), [("1.5", 1.5), ("hello", "hello"), ('{"x": [1, null]}', {"x": [1, None]})]
)
def test_an_argument_is_json_or_a_text_and_so_is_the_answer(
    address: str, text: str, value: Any
) -> None:
    done = run(address, "echo", text)

    assert (done.exit_code, json.loads(done.stdout), done.stderr) == (0, value, "")


def test_a_guest_needs_no_password(address: str) -> None:
    assert run(address, "echo", "1", user="").stdout == "1\n"


def test_bytes_are_shown_in_hexadecimal_and_notifications_on_stderr(address: str) -> None:
    done = run(address, "tell", "--listen-for", "0.2")

    assert done.stdout == '"0102"\n'
    assert done.stderr == 'moved ["ff", {"x": 1}]\n'


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("refuse",), ExitCode.FAILED, "no gold (poor)"),
        (("fly",), ExitCode.FAILED, "(unknown-method)"),
        (("echo",), ExitCode.FAILED, "(bad-arguments)"),
        (("think", "--timeout", "0.2"), ExitCode.NO_CONNECTION, "not answered within 0.2 s"),
        (("echo", "1", "--mechanism", "ODD"), ExitCode.USAGE, "ODD"),
    ],
)
def test_a_call_that_fails_says_why_by_text_and_code(
    address: str, words: tuple[str, ...], code: ExitCode, text: str
) -> None:
    done = run(address, *words)

    assert (done.exit_code, done.stdout) == (code, "")
    assert text in done.stderr


def test_a_refused_login_shows_no_password(address: str) -> None:
    done = run(address, "echo", "1", password="wr0ng")

    assert (done.exit_code, done.stderr) == (ExitCode.REFUSED, "actorcred: login refused\n")


def test_a_server_that_is_not_there_is_a_code_of_its_own() -> None:
    done = run("tcp:127.0.0.1:1", "echo", "1")

    assert done.exit_code == ExitCode.NO_CONNECTION
    assert "127.0.0.1" in done.stderr
