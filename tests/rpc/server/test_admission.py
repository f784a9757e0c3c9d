"""Who may connect: limits and deadlines from the moment a connection is accepted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect as open_socket

from actorcred import LoginDenied, UnauthorizedLogin, rpc
from actorcred.rpc.server.events import ConnectionRefused
from actorcred.rpc.server.shortage import RESERVE, descriptor_limit
from tests.helpers import records_of
from tests.rpc.stage import WireStage, authority, on_both_loops, on_loop, plain, stage

HANDSHAKE = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


async def ends(reader: asyncio.StreamReader) -> bytes:
    """Return what a connection sends until the server closes it."""
    async with asyncio.timeout(10):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize(
    "words", [b"", b"GET / HT", HANDSHAKE], ids=["silent", "half a line", "half a handshake"]
)
@on_both_loops
async def test_a_socket_that_never_ends_its_handshake_is_closed_within_the_login_deadline(
    words: bytes,
) -> None:
    async with stage("websocket", login_timeout=0.3) as game:
        streams = [await game.raw() for _ in range(3)]
        for _, writer in streams:
            writer.write(words)
        for reader, _ in streams:
            assert b"101" not in await ends(reader)
        await game.until(lambda: not game.hub.admission.connections)


@on_both_loops
async def test_a_handshake_byte_by_byte_has_one_deadline() -> None:
    async with stage("websocket", login_timeout=0.3) as game:
        reader, writer = await game.raw()

        async def drip() -> None:
            for number in range(100_000):
                writer.write(b"X" if number % 50 else b"\r\nX: ")
                await asyncio.sleep(0.002)

        writer.write(b"GET / HTTP/1.1\r\nX: ")
        dripping = asyncio.create_task(drip())
        await ends(reader)
        assert not dripping.done()
        dripping.cancel()


@on_both_loops
async def test_a_socket_that_shakes_hands_and_does_not_log_in_has_the_same_deadline() -> None:
    async with stage("websocket", login_timeout=0.5) as game:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        reader, writer = await game.raw()
        await asyncio.sleep(0.2)
        writer.write(
            HANDSHAKE
            + b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        )
        writer.write(b"Sec-WebSocket-Protocol: actorcred.json\r\n\r\n")
        assert b"login-timeout" in await ends(reader)
        assert loop.time() - begun >= 0.5


@pytest.mark.parametrize("transport", ["tcp", "tls", "websocket"])
@on_both_loops
async def test_silent_connections_of_every_transport_take_the_places_of_their_source_and_no_other(
    transport: str,
) -> None:
    async with stage(transport, unauthenticated_per_source=5, limit_loopback=True) as game:
        silent = [await game.raw() for _ in range(5)]
        await game.until(lambda: len(game.hub.admission) == 5)
        over, _ = await game.raw()
        assert await ends(over) == b""
        other, _ = await game.raw("127.0.0.2")
        await game.until(lambda: len(game.hub.admission) == 6)
        refused = [event for event in game.events if isinstance(event, ConnectionRefused)]
        assert [event.client.address for event in refused] == ["127.0.0.1"]
        for _, writer in silent:
            writer.close()
        await game.until(lambda: len(game.hub.admission) == 1)
        assert await (await game.connect()).call("echo", "in") == "in"
        assert not other.at_eof()


@on_loop
async def test_a_unix_socket_and_loopback_have_no_limit_per_source(tmp_path: Path) -> None:
    for transport in ("unix", "tcp"):
        async with stage(transport, tmp_path, unauthenticated_per_source=1) as game:
            bare = [await game.bare() for _ in range(4)]
            await game.until(lambda: len(game.hub.admission) == 4)
            for connection in bare:
                connection.abort()


@on_both_loops
async def test_all_connections_have_a_limit_and_those_without_a_login_have_half_of_it() -> None:
    async with stage("tcp", connections=8) as game:
        clients = [await game.connect() for _ in range(6)]
        await game.until(lambda: len(game.hub.peers) == 6)
        more = []
        while game.hub.admission.connections < 8:  # close to the limit, chance refuses some
            more.append(await game.raw())
            await asyncio.sleep(0.001)
        over, _ = await game.raw()
        assert await ends(over) == b""
        for client in clients:
            assert await client.call("echo", "in") == "in"


def test_the_default_is_what_the_process_has_less_a_reserve() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
        assert descriptor_limit() == 1024 - RESERVE
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
        assert descriptor_limit() == 50
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("transport", ["tcp", "websocket"])
@on_both_loops
async def test_a_shortage_of_descriptors_is_told_once_and_leaves_a_reserve(
    transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "actorcred.rpc")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    used = []
    try:
        async with stage(transport, connections=10_000, unauthenticated=10_000) as game:
            client = await game.connect()
            while not used or used[-1] < 256 - RESERVE:
                used.append(os.open(os.devnull, os.O_RDONLY))
            closed = 0
            for _ in range(30):
                reader, _ = await game.raw()
                closed += await ends(reader) == b""
            assert closed == 30
            spare = [os.open(os.devnull, os.O_RDONLY) for _ in range(20)]  # as for a database
            assert await client.call("echo", "still served") == "still served"
            told = [record for record in caplog.records if "descriptors" in record.getMessage()]
            assert len(told) == 1
            for number in (*spare, *used):
                os.close(number)
            used.clear()
            assert await (await game.connect()).call("echo", "again") == "again"
    finally:
        for number in used:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@on_both_loops
async def test_the_end_of_a_shortage_is_told_too(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorcred.rpc.server.shortage.QUIET", 0.05)
    caplog.set_level(logging.WARNING, "actorcred.rpc")
    async with stage() as game:
        for _ in range(3):
            game.hub.shortage.met("none left", 7)
        await game.until(lambda: "accepted again" in caplog.text)
        assert len(records_of(caplog, "actorcred.rpc")) == 2


# -- sources that continue -----------------------------------------------------------------------


@on_both_loops
async def test_a_source_that_goes_on_while_it_is_penalised_is_shut_out_until_the_penalty_ends() -> (
    None
):
    async with stage(
        free_failures=2, step=2, longest=2, free_denials=5, limit_loopback=True
    ) as game:
        bad, mine = await game.raw("127.0.0.3")
        mine.write(
            b"".join(
                plain("ann", "wrong").replace(b"\x00\x01", bytes([0, number]), 1)
                for number in range(1, 100)
            )
        )
        answers = msgpack.Unpacker(raw=False)
        answers.feed(await ends(bad))
        told = list(answers)
        assert told[-1][2][0]["code"] == "denied"
        assert {code for _, _, error, *_ in told[:-1] for code in [error["code"]]} == {
            "refused",
            "denied",
        }
        again, _ = await game.raw("127.0.0.3")
        assert await ends(again) == b""
        assert (
            "penalty of this source"
            in [event for event in game.events if isinstance(event, ConnectionRefused)][-1].detail
        )
        await (await game.connect("bob", "hush")).call("echo", 1)  # another source

        async def is_in() -> bool:
            reader, writer = await game.raw("127.0.0.3")
            writer.write(plain("bob", "hush"))
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                return b"session" in await reader.readuntil(b"limits")
            return False

        await game.until(is_in)


@on_loop
async def test_loopback_is_no_source_and_is_never_shut_out() -> None:
    async with stage(free_failures=1, step=30, free_denials=0) as game:
        for _ in range(3):
            with pytest.raises((UnauthorizedLogin, LoginDenied)):
                await game.connect("ann", "wrong")
        await game.connect("bob", "hush")


@on_both_loops
async def test_anonymous_sessions_of_one_source_are_bounded_and_those_in_grace_count() -> None:
    async with stage(anonymous_per_source=3, limit_loopback=True, grace=30) as game:
        for _ in range(3):
            reader, writer = await game.raw("127.0.0.4")
            writer.write(msgpack.packb([0, 1, "cred.login", ["ANONYMOUS", b""]]))
            await reader.readuntil(b"welcome")
            writer.transport.abort()
        await game.until(lambda: len(game.hub.lost_channels) == 3)
        reader, writer = await game.raw("127.0.0.4")
        writer.write(msgpack.packb([0, 1, "cred.login", ["ANONYMOUS", b""]]))
        assert b"denied" in await reader.readuntil(b"retry_after")
        writer.write(plain("ann", "s3cret"))  # a logged-in client has no such limit
        await reader.readuntil(b"welcome")
        other, writer = await game.raw("127.0.0.5")
        writer.write(msgpack.packb([0, 1, "cred.login", ["ANONYMOUS", b""]]))
        await other.readuntil(b"welcome")
        for link in list(game.hub.lost_channels):
            await link.session.end()
        reader, writer = await game.raw("127.0.0.4")
        writer.write(msgpack.packb([0, 1, "cred.login", ["ANONYMOUS", b""]]))
        await reader.readuntil(b"welcome")


# -- pages next to the sockets -------------------------------------------------------------------


@contextlib.asynccontextmanager
async def pages(**options: Any) -> AsyncIterator[tuple[WireStage, int]]:
    """Serve pages, our sockets and one of the application's own on one port."""

    async def slow(request: Any) -> Any:
        async def body() -> AsyncIterator[str]:
            for _ in range(8):
                yield "x" * 1000
                await asyncio.sleep(0.1)

        return StreamingResponse(body())

    async def upload(request: Any) -> Any:
        return PlainTextResponse(f"got {len(await request.body())}")

    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text)

    async with stage("tcp", **options) as game:
        routes = [
            Route("/hello", lambda request: PlainTextResponse("hello")),
            Route("/big", lambda request: PlainTextResponse("x" * 20_000_000)),
            Route("/slow", slow),
            Route("/upload", upload, methods=["POST"]),
            WebSocketRoute("/own", echo),
            Mount("/game", game.server.web_app()),
        ]
        address = await game.server.listen("ws:127.0.0.1:0", app=Starlette(routes=routes))
        yield game, address.port


@on_both_loops
async def test_pages_are_served_and_connections_that_wait_for_a_request_are_closed_in_time() -> (
    None
):
    async with pages(login_timeout=1.0) as (game, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
        assert await ends(reader) == b""
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await ends(reader)).count(b"x" * 1000) == 8  # an answer may take longer
        writer.close()
        await game.until(lambda: not game.hub.admission.connections)


@on_both_loops
async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async with pages(login_timeout=0.3) as (game, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
        assert b"got" not in await ends(reader)
        writer.close()
        await game.until(lambda: not game.hub.admission.connections)


@on_both_loops
async def test_a_page_that_is_not_taken_is_given_up() -> None:
    async with pages(write_timeout=0.4) as (game, port):
        sock = socket.socket()
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        await asyncio.get_running_loop().sock_sendall(sock, b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        await game.until(lambda: game.hub.visitors)
        await game.until(lambda: not game.hub.visitors)
        assert not game.hub.admission.connections
        sock.close()


@on_both_loops
async def test_a_socket_of_the_application_itself_lives_as_long_as_it_likes() -> None:
    async with pages(login_timeout=0.3) as (game, port):
        async with open_socket(f"ws://127.0.0.1:{port}/own", proxy=None) as own:
            await game.until(lambda: not game.hub.visitors)
            assert len(game.hub.admission) == 0
            assert game.hub.admission.connections == 1
            await asyncio.sleep(0.5)
            await own.send("here")
            assert await own.recv() == "here"
            async with await rpc.connect(
                f"ws:127.0.0.1:{port}/game/socket", "ann", "s3cret"
            ) as client:
                assert await client.call("echo", 1) == 1
        await game.until(lambda: not game.hub.admission.connections)


@on_both_loops
async def test_secure_sockets_have_the_deadline_before_their_handshake(tmp_path: Path) -> None:
    authority().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        str(tmp_path / "both.pem")
    )
    authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with stage("tcp", login_timeout=0.5) as game:
        address = await game.server.listen(f"wss:127.0.0.1:0?cert={tmp_path}/both.pem")
        reader, writer = await asyncio.open_connection("127.0.0.1", address.port)
        await game.until(lambda: game.hub.admission.connections == 1)
        await ends(reader)
        writer.close()
        await game.until(lambda: not game.hub.admission.connections)
        async with await rpc.connect(f"{address}?ca={tmp_path}/ca.pem", "ann", "s3cret") as client:
            assert await client.call("echo", 1) == 1
