"""The client of python-socketio: does what standard input says."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import aiohttp
import socketio

from tests.benchmarks.wire.driver import AsyncioTarget, Driver


class SocketIO(AsyncioTarget):
    """python-socketio."""

    def __init__(self, port: int, http: aiohttp.ClientSession) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self._http = http

    async def login(self, number: int) -> Any:
        """Connect and log in."""
        client = socketio.AsyncClient(http_session=self._http, reconnection=False)
        client.on("n", self._heard_one)
        await client.connect(
            self._url, auth={"username": f"u{number}", "password": "x"}, transports=["websocket"]
        )
        return client

    def _heard_one(self, text: str) -> None:
        self.notified()

    async def close(self, session: Any) -> None:
        """Disconnect."""
        await session.disconnect()

    async def echo(self, session: Any) -> None:
        """Call."""
        await session.call("echo", "hi")

    async def fan(self, session: Any) -> None:
        """Broadcast a notification to all clients."""
        await session.call("fan")


async def main() -> None:
    """Measure."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        await Driver(SocketIO(int(sys.argv[1]), http)).run()
        # Not closed one by one: the server is killed next.


if __name__ == "__main__":
    asyncio.run(main())
