"""Servers of one cluster, each on a node of its own behind a tap, in one process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from actorcred import PortalOptions, rpc
from actorcred.cluster import Cluster
from actorcred.rpc.client.client import Client
from tests.cluster.nats_server import NatsServer, random_name
from tests.cluster.tap import Tap
from tests.cluster.team import LEASE
from tests.rpc.stage import Recorder, WireStage, stage


class Served:
    """A server and its node."""

    def __init__(self, game: WireStage, cluster: Cluster, tap: Tap) -> None:
        self.game = game
        self.cluster = cluster
        self.tap = tap
        self.node = cluster._node

    @property
    def pipes(self) -> int:
        """How many pipes to other nodes there are."""
        return len(self.node.pipes)

    async def die(self) -> None:
        """End without a word, as a process does that is killed."""
        self.tap.cut()
        for task in [*self.node._tasks, *self.node.members._tasks]:
            task.cancel()
        await self.node.bus.client.close()


@contextlib.asynccontextmanager
async def servers(
    nats: NatsServer,
    transports: Sequence[str] = ("tcp", "tcp"),
    folder: Path | None = None,
    *,
    lease: float = LEASE,
    portal: PortalOptions | None = None,
    **options: Any,
) -> AsyncIterator[list[Served]]:
    """Serve the game at several nodes, which know each other.

    Args:
        nats: NATS.
        transports: of each server; see `stage`.
        folder: for Unix sockets.
        lease: seconds.
        portal: the settings of the portals.
        options: of the servers; see `stage`.
    """
    name = random_name()
    made: list[Served] = []
    async with contextlib.AsyncExitStack() as stack:
        for number, transport in enumerate(transports):
            tap = Tap(nats.port)
            await tap.start()
            stack.push_async_callback(tap.stop)
            cluster = await Cluster.connect(
                tap.url,
                name=name,
                node="abc"[number],
                user=nats.user,
                password=nats.password,
                lease=lease,
                in_memory=True,
                timeout=1.0,
            )
            stack.push_async_callback(cluster.close, 0.5)
            settings = replace(portal or PortalOptions(), registry=cluster)
            place = None if folder is None else folder / str(number)
            if place is not None:
                place.mkdir()
            game = await stack.enter_async_context(
                stage(transport, place, portal_options=settings, **options)
            )
            made.append(Served(game, cluster, tap))
        nodes = {one.cluster.node for one in made}
        while not all(one.cluster.nodes() >= nodes for one in made):
            await asyncio.sleep(0.01)
        for one in made:
            one.node.roster._hold_until = 0.0  # the roster is new, and no other one was lost
        try:
            yield made
        finally:
            for one in made:
                for client in one.game.clients:
                    await client.close()
                await one.game.portal.kick(everyone=True)
            for one in made:
                await one.game.until(lambda: not one.game.hub.channels)  # noqa: B023


class Traveller:
    """A client that loses its connection and comes back to the server that it is told."""

    def __init__(self, client: Client, heard: Recorder) -> None:
        self.client = client
        self.heard = heard
        self._back: asyncio.Queue[bool] = asyncio.Queue()
        client.on_reconnect = self._back.put_nowait

    async def go(self, to: WireStage) -> bool:
        """Lose the connection, and come back there; return whether nothing was missed."""
        self.client.address = to.address
        self.client._options = rpc.ClientOptions(
            reconnect=True, json=to.transport == "websocket-json", context=to.client_context()
        )
        self.lose()
        return await self.back()

    def lose(self) -> None:
        """Cut the connection."""
        assert self.client._line is not None
        self.client._line._wire.abort()

    async def back(self) -> bool:
        """Wait until it has come back; return whether nothing was missed."""
        async with asyncio.timeout(20):
            return await self._back.get()


async def travel(at: WireStage, username: str = "ann", password: str = "s3cret") -> Traveller:
    """Log a client in."""
    heard = Recorder()
    client = await at.connect(username, password, reconnect=True, handler=heard)
    return Traveller(client, heard)
