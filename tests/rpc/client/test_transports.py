"""A client's streams: what a server says at once is heard, on each event loop."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path

import pytest

from actorcred import ConnectionLost
from actorcred.eventloops import loop_factory
from actorcred.rpc.client.transports import open_wire
from actorcred.rpc.protocol.addresses import Address
from tests.rpc.stage import on_loop

LOOPS = ["asyncio", *(["uvloop"] if importlib.util.find_spec("uvloop") else [])]


class Listener:
    """Keeps what a transport reports."""

    def __init__(self) -> None:
        self.data = b""
        self.end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def received(self, data: bytes) -> None:
        self.data += data

    def lost(self, why: str) -> None:
        self.end.set_result(why)


@pytest.mark.parametrize("late", [False, True], ids=["listening", "not yet listening"])
@pytest.mark.parametrize("loop", LOOPS)
def test_all_that_a_server_says_is_heard_and_so_is_the_end(
    loop: str, late: bool, tmp_path: Path
) -> None:
    asked = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not late:
            await asked.wait()
        writer.write(b"welcome")
        await writer.drain()
        writer.write(await reader.readexactly(9))
        writer.close()

    async def body() -> None:
        path = str(tmp_path / "server")
        async with await asyncio.start_unix_server(serve, path):
            wire = await open_wire(Address("unix", path=path), None, json=False)
            listener = Listener()
            if late:
                wire.writelines([b"one", b"two", b"six"])
                while not wire._transport.is_closing():
                    await asyncio.sleep(0)
                wire.start(listener)
            else:
                wire.start(listener)
                asked.set()
                wire.write(b"one")
                wire.writelines([b"two", b"six"])
            assert await listener.end == "the server closed the connection"
            assert listener.data == b"welcomeonetwosix"
            assert wire.server_certificate() is None

    on_loop(body, loop_factory(loop == "uvloop"))()


@pytest.mark.parametrize("loop", LOOPS)
def test_a_connection_that_is_aborted_or_cannot_be_made_is_lost(loop: str, tmp_path: Path) -> None:
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        closed.set()

    async def body() -> None:
        address = Address("unix", path=str(tmp_path / "server"))
        with pytest.raises(ConnectionLost, match="cannot connect to unix:"):
            await open_wire(address, None, json=False)
        async with await asyncio.start_unix_server(serve, address.path):
            wire = await open_wire(address, None, json=False)
            listener = Listener()
            wire.start(listener)
            wire.abort()
            assert await listener.end == "the server closed the connection"
            await closed.wait()

    on_loop(body, loop_factory(loop == "uvloop"))()


@on_loop
async def test_json_needs_frames() -> None:
    with pytest.raises(ValueError, match=r"JSON needs ws: or wss:"):
        await open_wire(Address("tcp", "127.0.0.1", 1), None, json=True)
