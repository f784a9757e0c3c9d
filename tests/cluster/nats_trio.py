"""Three real nats-servers that are one NATS, with a tap in each line between them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from tests.backends.servers import free_port
from tests.cluster.nats_server import NatsServer, find_new_program
from tests.cluster.tap import Tap

# Clients are not told of the other servers, nor servers of each other, or they would go past the
# taps. The address at which a server says that it can be reached by the others is that of nobody.
CLUSTER = """
server_name: "{name}"
cluster {{
    name: trio, listen: "127.0.0.1:{port}",
    routes: ["nats://route:{password}@127.0.0.1:{next}"]
    advertise: "127.0.0.1:{nobody}", no_advertise: true, pool_size: -1
    authorization {{ user: route, password: "{password}" }}
}}
"""

PATIENCE = 60.0
"""Seconds for three servers to agree on a leader of all streams."""


class NatsTrio:
    """Three nats-servers, each of which has a connection to the next one, through a tap.

    Args:
        folder: an empty folder.

    Attributes:
        servers: the servers.
        routes: the taps; the first one is between the first two servers, and so on.
        ports: where the servers listen for clients.
        user: the name of the only user.
        password: the user's password.
    """

    def __init__(self, folder: Path) -> None:
        path, ports, nobody = find_new_program(), [free_port() for _ in range(3)], free_port()
        self.routes = [Tap(ports[(number + 1) % 3]) for number in range(3)]
        route, self.password = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
        self.servers: list[NatsServer] = []
        for number, port in enumerate(ports):
            own = folder / f"nats{number}"
            own.mkdir()
            more = CLUSTER.format(
                name=f"s{number}",
                port=port,
                next=self.routes[number].port,
                nobody=nobody,
                password=route,
            )
            self.servers.append(NatsServer(own, more=more, path=path, password=self.password))
        self.user = self.servers[0].user
        self.ports = [server.port for server in self.servers]

    async def start(self) -> None:
        """Start all, and wait until they agree on who decides."""
        for route in self.routes:
            await route.start()
        for server in self.servers:
            await asyncio.to_thread(server.start)
        probe = {"name": "PROBE", "subjects": ["probe"], "num_replicas": 3, "storage": "memory"}
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while "error" in await self._info("STREAM.CREATE.PROBE", json.dumps(probe).encode()):
            assert asyncio.get_running_loop().time() < deadline, "NATS keeps nothing on all three"
            await asyncio.sleep(0.1)
        await self.agreed()

    async def stop(self) -> None:
        """End all."""
        for server in self.servers:
            await asyncio.to_thread(server.kill)
        for route in self.routes:
            await route.stop()

    def part(self, number: int) -> None:
        """Cut the lines between one server and the others."""
        self.routes[number].cut()
        self.routes[number - 1].cut()

    def join(self) -> None:
        """Open all lines between servers."""
        for route in self.routes:
            route.open()

    async def restart(self, number: int) -> None:
        """End a server in good order, start it again, and wait until it has caught up."""
        await asyncio.to_thread(self.servers[number].stop)
        await asyncio.to_thread(self.servers[number].start)
        await self.agreed()

    async def leader(self, stream: str) -> int:
        """Return which server is the leader of a stream."""
        info = await self._info(f"STREAM.INFO.{stream}")
        return int(info["cluster"]["leader"][1:])

    async def agreed(self) -> None:
        """Wait until all servers are there, and every stream has a leader whom all follow."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while not await self._agreed():
            assert asyncio.get_running_loop().time() < deadline, "NATS does not agree"
            await asyncio.sleep(0.1)

    async def _agreed(self) -> bool:
        listed = await self._info("STREAM.LIST")
        streams = listed.get("streams")
        if "error" in listed or not streams or listed.get("missing"):
            return False
        for stream in streams:
            cluster = stream.get("cluster", {})
            replicas = cluster.get("replicas", [])
            if not cluster.get("leader") or len(replicas) != stream["config"]["num_replicas"] - 1:
                return False
            if not all(one["current"] and not one.get("offline") for one in replicas):
                return False
        return True

    async def _info(self, what: str, data: bytes = b"") -> dict[str, Any]:
        """Ask the first server that answers."""
        for server in self.servers:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(2):
                    return await self._ask(server, what, data)
        return {"error": "no server answers"}

    async def _ask(self, server: NatsServer, what: str, data: bytes) -> dict[str, Any]:
        client = Client()
        await client.connect(
            server.url, user=self.user, password=self.password, allow_reconnect=False
        )
        try:
            answer = await client.request(f"$JS.API.{what}", data, timeout=1)
        finally:
            await client.close()
        found: dict[str, Any] = json.loads(answer.data)
        return found


@contextlib.asynccontextmanager
async def trio(folder: Path) -> AsyncIterator[NatsTrio]:
    """Run three servers."""
    made = NatsTrio(folder)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()
