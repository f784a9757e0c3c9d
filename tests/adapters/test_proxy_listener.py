"""A listener for proxies: what is closed, and when."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actorcred import ClientInfo, LoginFailed, UsernamePassword
from actorcred.adapters._proxy_listener import ProxyListener, proxy_socket
from actorcred.fronts.trusted import TrustedProxy
from actorcred.rpc.server.events import ConnectionRefused
from tests.helpers import Stage
from tests.rpc.stage import on_loop, reset

PROXIES = TrustedProxy(("127.0.0.1",))
HEADER = b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 25\r\n"
WAIT = 10


@asynccontextmanager
async def listening(
    stage: Stage, serve: Callable[[socket.socket, ClientInfo], Any]
) -> AsyncIterator[ProxyListener]:
    listener = ProxyListener(await proxy_socket("127.0.0.1", 0), stage.portal, PROXIES, "v1", serve)
    try:
        yield listener
    finally:
        listener.close()
        await listener.wait_closed()


async def connected(listener: ProxyListener) -> tuple[asyncio.StreamReader, Any]:
    return await asyncio.open_connection("127.0.0.1", listener.get_port())


async def served(stream: socket.socket, client: ClientInfo) -> None:
    stream.sendall(client.address.encode())
    stream.close()


async def left_to_read(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.read(), WAIT)


async def assert_serves(listener: ProxyListener) -> None:
    """See a client served, and so that all connections before it were taken."""
    reader, writer = await connected(listener)
    writer.write(HEADER)
    assert await left_to_read(reader) == b"192.0.2.7"
    writer.close()


@on_loop
async def test_who_has_sent_no_header_is_closed_with_the_listener() -> None:
    async with listening(Stage(), served) as listener:
        reader, writer = await connected(listener)
        await assert_serves(listener)
        listener.close()
        assert await left_to_read(reader) == b""
        writer.close()


@on_loop
async def test_a_proxy_that_resets_the_connection_harms_nobody() -> None:
    async with listening(Stage(), served) as listener:
        _, writer = await connected(listener)
        reset(writer)
        await assert_serves(listener)


@on_loop
async def test_a_client_that_does_not_stop_is_refused_by_the_address_that_the_proxy_reports() -> (
    None
):
    stage = Stage(step=60.0, free_failures=0, free_denials=0)
    for _ in range(2):
        with pytest.raises(LoginFailed):
            await stage.portal.verify(
                UsernamePassword("ann", "wrong"), client=ClientInfo(address="192.0.2.7")
            )
    async with listening(stage, served) as listener:
        reader, writer = await connected(listener)
        writer.write(HEADER)
        assert await left_to_read(reader) == b""
        writer.close()
    (refused,) = await asyncio.to_thread(stage.named, ConnectionRefused, 1)
    assert refused.client.address == "192.0.2.7"


@on_loop
async def test_without_free_descriptors_it_goes_on_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("actorcred.adapters._proxy_listener.PAUSE", 0.01)
    loop = asyncio.get_running_loop()
    accept, failures = loop.sock_accept, [OSError(24, "Too many open files")]

    async def scarce(sock: socket.socket) -> Any:
        if failures:
            raise failures.pop()
        return await accept(sock)

    monkeypatch.setattr(loop, "sock_accept", scarce)
    async with listening(Stage(), served) as listener:
        await assert_serves(listener)
    assert "Too many open files" in caplog.text
