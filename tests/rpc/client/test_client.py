"""A client tells what is wrong with a server: silence, nonsense, or a refusal to take it back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from actorcred import (
    CallError,
    CheckerUnavailable,
    ConnectionLost,
    LoginDenied,
    LoginFailed,
    ProtocolError,
)
from actorcred.rpc import ClientOptions, connect
from actorcred.rpc.client import client as module
from actorcred.rpc.protocol.codec import Request
from actorcred.rpc.protocol.connection import Connection
from tests.rpc.stage import on_loop

LOGIN = {
    "avatar_id": "ann",
    "interface": "Player",
    "session": "s",
    "token": b"t",
    "limits": {"heartbeat": 60.0},
    "notifications": 0,
    "refresh": False,
}
USUAL = {
    "cred.mechanisms": ["PLAIN"],
    "cred.login": LOGIN,
    "cred.resume": LOGIN,
    "cred.logout": True,
    "name": "ann",
}


class Server:
    """A server that answers by a script: method -> its answer, an error, or None for silence."""

    def __init__(self, path: Path, answers: dict[str, Any]) -> None:
        self.address, self.path = f"unix:{path}", path
        self.answers = {**USUAL, **answers}
        self.asked: list[str] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        connection = Connection()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                for message in connection.receive(data):
                    if isinstance(message, Request):
                        self.answer(connection, message, writer)
        writer.close()

    def answer(
        self, connection: Connection, request: Request, writer: asyncio.StreamWriter
    ) -> None:
        self.asked.append(request.method)
        answer = self.answers.get(request.method)
        if isinstance(answer, CallError):
            writer.write(connection.fail(request.id, answer))
        elif answer is not None:
            writer.write(connection.answer(request.id, answer))
        if request.method == "cred.logout":
            writer.close()

    def drop(self) -> None:
        while self.writers:
            self.writers.pop().transport.abort()


@contextlib.asynccontextmanager
async def scripted(path: Path, **answers: Any) -> AsyncIterator[Server]:
    made = Server(path / "server", {name.replace("_", "."): a for name, a in answers.items()})
    listening = await asyncio.start_unix_server(made.serve, made.path)
    yield made
    made.drop()
    listening.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


@on_loop
async def test_it_logs_in_calls_and_logs_out(tmp_path: Path) -> None:
    async with scripted(tmp_path) as server:
        client = await connect(server.address, "ann", "s3cret")
        assert (client.avatar_id, client.interface, client.session) == ("ann", "Player", "s")
        assert await client.call("name") == "ann"
        await client.close()
        await client.close()  # it is no error if it is closed

    assert server.asked == ["cred.mechanisms", "cred.login", "name", "cred.logout"]
    with pytest.raises(ConnectionLost):
        client.notify("move")
    with pytest.raises(ConnectionLost):
        await client.call("name")


@pytest.mark.parametrize(
    ("answers", "kind", "text"),
    [
        ({"cred_mechanisms": ["ODD"]}, LoginFailed, "the server offers ODD, none of which"),
        ({"cred_mechanisms": []}, LoginFailed, "the server offers no mechanism"),
        ({"cred_login": {"avatar_id": "ann"}}, ProtocolError, "lacks 'interface'"),
        ({"cred_login": {"challenge": 5}}, ProtocolError, "SASL data is not binary"),
        ({"cred_login": CallError("no", "refused")}, LoginFailed, "login refused"),
        ({"cred_login": CallError("no", "internal")}, CallError, "no"),
    ],
)
@on_loop
async def test_what_is_wrong_with_a_server_is_said(
    tmp_path: Path, answers: dict[str, Any], kind: type[Exception], text: str
) -> None:
    async with scripted(tmp_path, **answers) as server:
        with pytest.raises(kind) as failed:
            await connect(server.address, "ann", "s3cret")

    assert text in f"{failed.value} {getattr(failed.value, 'detail', '')}"


@on_loop
async def test_a_server_that_does_not_answer_is_none(tmp_path: Path) -> None:
    async with scripted(tmp_path, cred_mechanisms=None) as server:
        with pytest.raises(ConnectionLost, match=r"but does not answer within 0\.05 s"):
            await connect(server.address, "ann", "s3cret", options=ClientOptions(timeout=0.05))


@on_loop
async def test_a_slow_login_is_told_and_in_the_end_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(module, "SLOW_LOGIN", 0.01)
    told: list[str] = []
    async with scripted(tmp_path, cred_login=None) as server:
        for slow in (lambda: told.append("slow"), None):
            with pytest.raises(CheckerUnavailable) as failed:
                await connect(
                    server.address,
                    "ann",
                    "s3cret",
                    options=ClientOptions(login_timeout=0.05, on_slow_login=slow),
                )
            assert "did not answer the login within 0.05 s" in failed.value.detail

    assert told == ["slow"]
    assert caplog.text.count("is slow: still waiting for the answer to the login") == 1


@on_loop
async def test_a_login_that_is_answered_just_as_the_time_is_up_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise there would be a client without a connection, which never gets another one."""
    waits: list[Any] = []

    class Wait(module.Patience):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            waits.append(self)

    def entered(client: module.Client, _answer: dict[str, Any]) -> None:
        waits[-1]._late()

    monkeypatch.setattr(module, "Patience", Wait)
    monkeypatch.setattr(module.Client, "_entered", entered)
    async with scripted(tmp_path) as server:
        with pytest.raises(CheckerUnavailable) as raised:
            await connect(server.address, "ann", "s3cret")
    assert "did not answer the login within" in raised.value.detail


@on_loop
async def test_a_server_that_accepts_nobody_is_no_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(module, "open_wire", never)
    with pytest.raises(ConnectionLost, match=r"cannot connect to .* within 0\.02 s"):
        await connect(f"unix:{tmp_path}/none", "ann", "s3cret", options=ClientOptions(timeout=0.02))


@on_loop
async def test_it_comes_back_to_its_session_and_a_callback_that_fails_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(whole: bool) -> None:
        back.append(whole)
        raise LookupError("in the callback")

    back: list[bool] = []
    async with scripted(tmp_path) as server:
        client = await connect(
            server.address, "ann", "s3cret", options=ClientOptions(reconnect=True, max_pause=0.02)
        )
        client.on_reconnect = fail
        server.drop()
        await until(lambda: back)
        assert await client.call("name") == "ann"
        server.answers["cred.resume"] = CallError("gone", "refused")
        server.drop()
        await until(lambda: len(back) == 2)
        await client.close()

    assert back == [True, False]  # the second time by a new login
    assert "on_reconnect failed:" in caplog.text


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (CallError("no", "refused"), "the server refused the new login: login refused"),
        (CallError("odd", "internal"), "the server refused the new login: odd"),
    ],
)
@on_loop
async def test_a_server_that_does_not_take_it_back_is_left_for_good(
    tmp_path: Path, error: CallError, text: str
) -> None:
    async with scripted(tmp_path) as server:
        client = await connect(
            server.address, "ann", "s3cret", options=ClientOptions(reconnect=True, max_pause=0.02)
        )
        server.answers |= {"cred.login": error, "cred.resume": CallError("gone", "refused")}
        server.drop()
        async with asyncio.timeout(10):
            goodbye = await client.wait_closed()

    assert text in str(goodbye)
    assert goodbye.code == "refused"


@on_loop
async def test_it_tries_again_while_logins_are_denied_or_unavailable(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with scripted(tmp_path) as server:
        client = await connect(
            server.address, "ann", "s3cret", options=ClientOptions(reconnect=True, max_pause=0.02)
        )
        for error in (
            CallError("later", "denied", retry_after=0.01),
            CallError("down", "unavailable"),
        ):
            server.answers |= {"cred.resume": error}
            server.drop()
            before = len(server.asked)
            await until(lambda before=before: len(server.asked) > before + 1)
        server.answers["cred.resume"] = LOGIN
        assert await client.call("name") == "ann"
        await client.close()

    assert "No login at" in caplog.text


@on_loop
async def test_a_client_tells_how_long_it_waits_and_can_be_told_to_try_now(tmp_path: Path) -> None:
    told: list[tuple[Exception, float]] = []
    async with scripted(tmp_path) as server:
        client = await connect(
            server.address, "ann", "s3cret", options=ClientOptions(reconnect=True)
        )
        assert not client.reconnect_now()  # there is nothing to wait for
        client.on_reconnecting = lambda error, seconds: told.append((error, seconds))
        server.answers["cred.resume"] = CallError("later", "denied", retry_after=3600.0)
        server.drop()
        await until(lambda: len(told) == 2)
        server.answers["cred.resume"] = LOGIN
        assert client.reconnect_now()
        assert await client.call("name") == "ann"
        assert len(told) == 2
        await client.close()

    (lost, soon), (denied, late) = told
    assert isinstance(lost, ConnectionLost)
    assert soon < 1
    assert isinstance(denied, LoginDenied)
    assert denied.retry_after == 3600
    assert 1800 <= late <= 3600


@on_loop
async def test_a_client_that_is_closed_while_it_comes_back_stays_away(tmp_path: Path) -> None:
    async with scripted(tmp_path) as server:
        client = await connect(
            server.address, "ann", "s3cret", options=ClientOptions(reconnect=True, max_pause=60.0)
        )
        server.answers["cred.resume"] = None
        server.drop()
        await until(lambda: "cred.resume" in server.asked)
        call = asyncio.ensure_future(client.call("name"))
        await asyncio.sleep(0)
        await client.close()
        goodbye = await client.wait_closed()
        with pytest.raises(ConnectionLost):  # it is not cancelled: nobody has cancelled the caller
            await call

    assert isinstance(goodbye, ConnectionLost)
