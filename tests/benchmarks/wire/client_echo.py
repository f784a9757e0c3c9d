"""The floor of a client on an event loop: does what standard input says.

Run it as `python -m tests.benchmarks.wire.client_echo PORT LOOP`, beside a `server_echo`. It sends
prepared bytes and counts what comes back. Each call has its future, as in any client; a login is a
connection and one call.
"""

from __future__ import annotations

import asyncio
import collections
import sys
from typing import Any

from tests.benchmarks.measure import run_on_loop
from tests.benchmarks.wire.driver import AsyncioTarget, Driver
from tests.benchmarks.wire.server_echo import FAN, NOTE

CALL = b"\x94\x00\x01\xa4echo\x91\xa1h"
"""The request `[0, 1, "echo", ["h"]]` in MessagePack, as long as a notification."""

assert len(CALL) == len(NOTE)

buffer = bytearray(64 * 1024)
"""What all connections receive into: asyncio allocates 256 KB for each read otherwise."""


class Connection(asyncio.BufferedProtocol):
    """A connection: a message answers the oldest call, if there is one.

    Args:
        target: counts notifications.
    """

    def __init__(self, target: Echo) -> None:
        self._target = target
        self._loop = asyncio.get_running_loop()
        self._waiting: collections.deque[asyncio.Future[None]] = collections.deque()
        self._rest = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        for future in self._waiting:
            future.set_exception(ConnectionResetError("the server has closed the connection"))

    def get_buffer(self, sizehint: int) -> bytearray:
        return buffer

    def buffer_updated(self, nbytes: int) -> None:
        messages, self._rest = divmod(self._rest + nbytes, len(CALL))
        for _ in range(messages):
            if buffer[0] == NOTE[0]:
                self._target.notified()
            if self._waiting:
                self._waiting.popleft().set_result(None)

    def call(self, request: bytes) -> asyncio.Future[None]:
        """Send a request; return a future of its answer."""
        future = self._loop.create_future()
        self._waiting.append(future)
        self._transport.write(request)
        return future

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()


class Echo(AsyncioTarget):
    """A server that echoes.

    Args:
        port: of the server.
    """

    def __init__(self, port: int) -> None:
        self._port = port

    async def login(self, number: int) -> Connection:
        """Connect and call."""
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(lambda: Connection(self), "127.0.0.1", self._port)
        await made.call(CALL)
        return made

    async def close(self, session: Connection) -> None:
        """Disconnect."""
        session.close()

    async def echo(self, session: Connection) -> None:
        """Call."""
        await session.call(CALL)

    async def fan(self, session: Connection) -> None:
        """Have a notification sent to all clients. This one's is the answer."""
        await session.call(FAN)


if __name__ == "__main__":
    port, loop = sys.argv[1:]
    run_on_loop(Driver(Echo(int(port))).run(), loop)
