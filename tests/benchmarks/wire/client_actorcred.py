"""Our client: prints its figures as JSON.

Run it as `python -m tests.benchmarks.wire.client_actorcred PORT SERVER_PID SCALE`.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from actorcred import rpc
from tests.benchmarks.wire.driver import AsyncioTarget, drive


class Ours(AsyncioTarget):
    """Our wire."""

    def __init__(self, port: int) -> None:
        self._address = rpc.Address.parse(f"tcp:127.0.0.1:{port}")

    async def login(self, number: int) -> Any:
        """Connect and log in."""
        return await rpc.connect(
            self._address,
            f"u{number}",
            "x",
            handler=self.heard,
            options=rpc.ClientOptions(mechanism="PLAIN"),
        )

    def heard(self, name: str, *args: Any) -> None:
        """Count a notification."""
        self.notified()

    async def echo(self, session: Any) -> None:
        """Call."""
        await session.call("echo", "hi")

    async def fan(self, session: Any) -> None:
        """Broadcast a notification to all clients."""
        await session.call("fan")


if __name__ == "__main__":
    work = drive(Ours(int(sys.argv[1])), int(sys.argv[2]), float(sys.argv[3]))
    if sys.argv[4:] == ["uvloop"]:
        import uvloop

        uvloop.run(work)
    else:
        asyncio.run(work)
