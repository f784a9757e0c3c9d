"""A client without asyncio: calls block, and its thread is gone when it is closed."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from actorcred import Avatar, CallError, ConnectionLost, LoginFailed, MindRef, Portal, Realm
from actorcred.actors import Future
from actorcred.checkers.memory import MemoryChecker
from actorcred.rpc import ClientOptions, connect_blocking, serve_in_thread
from actorcred.rpc.client import blocking
from tests.helpers import until


class Player(ABC):
    @abstractmethod
    def move(self, dx: float) -> float: ...
    @abstractmethod
    def think(self) -> None: ...
    @abstractmethod
    def tell(self, text: str) -> None: ...


class GamePlayer(Avatar, Player):
    thought: Future[None]

    def move(self, dx: float) -> float:
        return 2 * dx

    async def think(self) -> None:  # type: ignore[override]
        await self.thought

    def tell(self, text: str) -> None:
        self.mind.notify("told", text)


class Game(Realm):
    interfaces = (Player,)

    def request_avatar(self, avatar_id: Any, mind: MindRef, *interfaces: type) -> Any:
        avatar = GamePlayer.start(avatar_id, mind)
        return Player, avatar, avatar.stop


@pytest.fixture
def address() -> Iterator[str]:
    checker = MemoryChecker.start({"ann": "s3cret"}, plaintext=True)
    GamePlayer.thought = Future()
    with serve_in_thread(Portal.start(Game.start(), [checker]), "tcp:127.0.0.1:0") as server:
        yield str(server.addresses[0])
        GamePlayer.thought.settle()


def threads() -> int:
    return sum(thread.name == "actorcred-client" for thread in threading.enumerate())


def test_calls_block_until_they_are_answered(address: str) -> None:
    told: list[Any] = []
    with connect_blocking(address, "ann", "s3cret", handler=lambda *what: told.append(what)) as one:
        assert one.avatar_id == "ann"
        assert one.call("move", 1.5) == 3.0
        one.notify("tell", "hello")
        until(lambda: told)
        with pytest.raises(CallError, match="fly"):
            one.call("fly")
        with pytest.raises(TimeoutError):
            one.call("think", timeout=0.02)
        GamePlayer.thought.settle()
        assert threads() == 1

    assert told == [("told", "hello")]
    assert threads() == 0


def test_its_loop_is_uvloops_where_that_is_installed(address: str) -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed: pip install uvloop")
    with connect_blocking(address, "ann", "s3cret") as one:
        assert isinstance(one._loop, uvloop.Loop)


def test_several_threads_call_at_a_time_and_each_has_its_own_answer(address: str) -> None:
    with connect_blocking(address, "ann", "s3cret") as one, ThreadPoolExecutor(8) as pool:
        numbers = [float(number) for number in range(200)]
        assert [*pool.map(lambda n: one.call("move", n), numbers)] == [2 * n for n in numbers]


def test_what_cannot_be_sent_is_the_callers_mistake(address: str) -> None:
    with connect_blocking(address, "ann", "s3cret") as one:
        for ask in (one.call, one.notify):
            with pytest.raises(TypeError):
                ask("move", object())
        assert one.call("move", 1.0) == 2.0


def test_a_call_that_took_too_long_is_not_waited_for_and_leaves_nothing(address: str) -> None:
    with connect_blocking(address, "ann", "s3cret") as one:
        for seconds in (-1, 0, 0.01):
            with pytest.raises(TimeoutError):
                one.call("think", timeout=seconds)
        GamePlayer.thought.settle()
        assert one.call("move", 1.0, timeout=1e12) == 2.0
        assert not one._waiting


def test_a_call_that_waits_for_a_server_to_come_back_ends_with_the_client() -> None:
    checker = MemoryChecker.start({"ann": "s3cret"}, plaintext=True)
    with serve_in_thread(Portal.start(Game.start(), [checker]), "tcp:127.0.0.1:0") as server:
        one = connect_blocking(
            str(server.addresses[0]), "ann", "s3cret", options=ClientOptions(reconnect=True)
        )
    until(lambda: one.client._comeback is not None)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(one.call, "move", 1.0)
        until(lambda: one._waiting)
        one.close()
        with pytest.raises(ConnectionLost):
            waiting.result(10)


def test_a_call_that_comes_when_the_loop_has_just_stopped_is_told(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = connect_blocking(address, "ann", "s3cret")
    waiting: list[Any] = []

    def end(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        one._closed = False  # as it was when the other thread looked
        waiting.append(pool.submit(one.call, "move", 1.0))
        until(lambda: one._waiting)
        loop.close()

    monkeypatch.setattr(blocking, "_end", end)
    with ThreadPoolExecutor(1) as pool:
        one.close()
        with pytest.raises(ConnectionLost, match="the client is closed"):
            waiting[0].result(10)
    with pytest.raises(ConnectionLost, match="the client is closed"):
        one.notify("move", 1.0)


def test_other_sessions_of_the_user_are_listed_and_ended_after_a_proof(address: str) -> None:
    with (
        connect_blocking(address, "ann", "s3cret") as one,
        connect_blocking(address, "ann", "s3cret") as other,
    ):
        assert {session["session"] for session in one.sessions()} == {
            one.client.session,
            other.client.session,
        }
        with pytest.raises(LoginFailed):
            one.reauthenticate("wrong")
        one.reauthenticate()
        assert one.end_session(other.client.session)
        until(lambda: len(one.sessions()) == 1)
        with pytest.raises((CallError, ConnectionLost)):
            other.call("move", 1.0)


def test_a_closed_client_says_so(address: str) -> None:
    client = connect_blocking(address, "ann", "s3cret")
    client.close()
    client.close()

    with pytest.raises(ConnectionLost, match="the client is closed"):
        client.call("move", 1.0)


def test_a_login_that_fails_leaves_no_thread(address: str) -> None:
    with pytest.raises(LoginFailed):
        connect_blocking(address, "ann", "wrong")
    with pytest.raises(ConnectionLost):
        connect_blocking("tcp:127.0.0.1:1", "ann", "s3cret")

    assert threads() == 0


def test_a_client_that_is_connected_has_nothing_to_hurry(address: str) -> None:
    with connect_blocking(address, "ann", "s3cret") as client:
        assert not client.reconnect_now()


def test_two_threads_can_close_it_at_the_same_time(address: str) -> None:
    client = connect_blocking(address, "ann", "s3cret")
    ready = threading.Barrier(2)

    def close() -> None:
        ready.wait(10)
        client.close()

    with ThreadPoolExecutor(2) as pool:
        for closing in [pool.submit(close) for _ in range(2)]:
            closing.result(10)
    assert threads() == 0
