"""Clients on the network that share an avatar, each at a server of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from actorcred import Policy, Portal, PortalOptions, rpc
from actorcred.actors import AsyncioDispatcher, set_default_dispatcher
from actorcred.checkers.memory import MemoryChecker
from actorcred.cluster import Cluster
from actorcred.errors import CallCode, CallError
from tests.cluster.conftest import until
from tests.cluster.nats_server import NatsServer, random_name
from tests.rpc.stage import USERS, Game, Recorder, Spot
from tests.settings import server_options


@contextlib.asynccontextmanager
async def servers(nats: NatsServer, count: int = 2) -> AsyncIterator[list[rpc.Server]]:
    set_default_dispatcher(AsyncioDispatcher())
    name, running = random_name(), []
    async with contextlib.AsyncExitStack() as stack:
        for number in range(count):
            cluster = await Cluster.connect(
                nats.url,
                name=name,
                node=f"n{number}",
                user=nats.user,
                password=nats.password,
                in_memory=True,
                lease=8.0,
            )
            stack.push_async_callback(cluster.close, 1.0)
            cluster._node.roster._hold_until = 0.0
            options = PortalOptions(policy=Policy.SHARE, registry=cluster)
            checkers = [MemoryChecker.start(USERS, rounds=4)]
            portal = Portal.start(Game.start([], [], asyncio.Event()), checkers, options)
            server = await rpc.serve(portal, "tcp:127.0.0.1:0", options=server_options())
            stack.push_async_callback(server.close, 5.0)
            running.append(server)
        yield running


async def connect(server: rpc.Server, handler: Any = None) -> rpc.Client:
    return await rpc.connect(server.addresses[0], "ann", "s3cret", handler=handler)


def test_clients_of_two_servers_play_one_figure(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with servers(nats_server) as (a, b):
            heard = [Recorder(), Recorder()]
            near, far = await connect(a, heard[0]), await connect(b, heard[1])
            assert await near.call("move", 1) == [1.0, 0.0]
            assert await far.call("move", 1) == [2.0, 0.0]
            assert await far.call("goto", Spot(1, 2), Spot(3, 4)) == {"x": 3.0, "y": 4.0}
            assert await far.call("echo", b"bytes") == b"bytes"
            await far.call("tell", 50)
            for one in heard:
                told = await one.until(lambda events: len(events) > 49)
                assert [event for event in told if event[0] == "tick"] == [
                    ("tick", number) for number in range(50)
                ]
            assert await near.call("ask_client", "times seven") == 42
            many = await asyncio.gather(*(far.call("move", 1) for _ in range(50)))
            assert many[-1] == [52.0, 0.0]
            await near.close()
            await far.close()

    asyncio.run(run())


def test_errors_come_to_a_client_of_another_server_as_to_one_of_the_same(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with servers(nats_server) as (a, b):
            near, far = await connect(a), await connect(b)
            for client in (near, far):
                with pytest.raises(CallError, match="the door is locked") as locked:
                    await client.call("fail", "politely")
                assert (locked.value.code, locked.value.retry_after) == ("locked", 3)
                with pytest.raises(CallError) as failed:
                    await client.call("fail", "secretly")
                assert failed.value.code == CallCode.INTERNAL
                with pytest.raises(CallError) as refused:
                    await client.call("sell_all")
                assert refused.value.code == CallCode.REAUTHENTICATE
                await client.reauthenticate("s3cret")
                assert await client.call("sell_all") == "sold"
            await near.close()
            assert await far.call("move", 1) == [1.0, 0.0]
            await far.close()

    asyncio.run(run())


def test_a_client_whose_server_goes_down_shares_the_figure_at_the_other_one(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with servers(nats_server, 3) as (a, b, c):
            near, far = await connect(a), await connect(b)
            assert await far.call("move", 1) == [1.0, 0.0]
            await b.close(5.0)
            assert (await far.wait_closed()).code == "drained"
            again = await connect(c)
            assert await again.call("move", 1) == [2.0, 0.0]
            await near.close()
            assert await again.call("move", 1) == [3.0, 0.0]
            await until(lambda: len(a.hub.portal.actor_inbox.actor._directory) == 0)
            await again.close()

    asyncio.run(run())
