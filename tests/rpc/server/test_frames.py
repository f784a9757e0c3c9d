"""Limits on everything but messages that a WebSocket client can send, before and after login."""

from __future__ import annotations

import asyncio
import logging
import os
import struct

import pytest

from actorcred.rpc.server.events import ConnectionBroken
from actorcred.rpc.server.web import FRAMES_AT_ONCE
from tests.rpc.stage import WireStage, on_both_loops, on_loop, stage

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: actorcred.json\r\n\r\n"
)
PIECE, TEXT, PING, PONG = 0, 1, 9, 10


def frame(opcode: int, data: bytes = b"", *, final: bool = True) -> bytes:
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[number % 4] for number, byte in enumerate(data))
    return struct.pack("BB", final << 7 | opcode, 0x80 | len(data)) + mask + masked


async def shaken(game: WireStage) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await game.raw()
    writer.write(HANDSHAKE)
    assert b"101" in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def is_closed(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(20):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


def broken(game: WireStage) -> list[str]:
    return [event.detail for event in game.events if isinstance(event, ConnectionBroken)]


@pytest.mark.parametrize(
    "frames",
    [
        frame(PING, b"x" * 125),
        frame(PONG),
        frame(PIECE, final=False),
        frame(PIECE, b"x", final=False),
    ],
    ids=["ping", "pong", "empty piece", "piece"],
)
@on_both_loops
async def test_frames_that_are_no_messages_have_a_bound(frames: bytes) -> None:
    async with stage("websocket") as game:
        reader, writer = await shaken(game)
        if frames[0] & 0x0F == PIECE:
            writer.write(frame(TEXT, b"[", final=False))
        writer.write(frames * (FRAMES_AT_ONCE + 200))
        await is_closed(reader)
        await game.until(lambda: "too many frames that are not messages" in broken(game))
        assert await (await game.connect()).call("echo", "in") == "in"


@on_both_loops
async def test_some_pings_and_pieces_are_as_they_should_be() -> None:
    async with stage("websocket") as game:
        reader, writer = await shaken(game)
        writer.write(frame(PING, b"hello") * 20)
        writer.write(
            frame(TEXT, b"[0,1,", final=False)
            + frame(PIECE, b'"cred.pi', final=False)
            + frame(PIECE, b'ng",[]]')
        )
        async with asyncio.timeout(20):
            answer = await reader.readuntil(b"[1,1,null,true]")
        assert answer.count(b"hello") == 20
        writer.close()


@on_loop
async def test_a_text_that_is_not_utf_8_is_told_as_an_event_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with stage("websocket") as game:
        reader, writer = await shaken(game)
        writer.write(frame(TEXT, b"\xff\xfe"))
        assert struct.pack(">H", 1007) in await is_closed(reader)
        await game.until(lambda: "a text message that is not UTF-8" in broken(game))
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@on_both_loops
async def test_requests_do_not_keep_a_connection_that_never_logs_in() -> None:
    async with stage("websocket", login_timeout=2.0) as game:
        reader, writer = await game.raw()
        closed = asyncio.create_task(is_closed(reader))

        async def ask() -> None:
            while True:
                writer.write(b"GET /actorcred.js HTTP/1.1\r\nHost: x\r\n\r\n")
                await asyncio.sleep(0.05)

        asking = asyncio.create_task(ask())
        assert b"200 OK" in await closed
        asking.cancel()
