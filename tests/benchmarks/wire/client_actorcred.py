"""Our client: does what standard input says.

Run it as `python -m tests.benchmarks.wire.client_actorcred PORT LOOP SCHEME`.
"""

from __future__ import annotations

import ssl
import sys
from typing import Any

from actorcred import rpc
from tests.benchmarks.measure import run_on_loop
from tests.benchmarks.wire.driver import AsyncioTarget, Driver


class Ours(AsyncioTarget):
    """Our wire.

    Args:
        port: of the server.
        scheme: of its address: tcp, tls, ws or wss.
    """

    def __init__(self, port: int, scheme: str) -> None:
        self._address = rpc.Address.parse(f"{scheme}:127.0.0.1:{port}")
        context = None
        if scheme in ("tls", "wss"):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False  # the certificate is made for this run
            context.verify_mode = ssl.CERT_NONE
        self._options = rpc.ClientOptions(mechanism="PLAIN", context=context)

    async def login(self, number: int) -> Any:
        """Connect and log in."""
        return await rpc.connect(
            self._address, f"u{number}", "x", handler=self.heard, options=self._options
        )

    async def close(self, session: Any) -> None:
        """Log out."""
        await session.close()

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
    port, loop, scheme = sys.argv[1:]
    run_on_loop(Driver(Ours(int(port), scheme)).run(), loop)
