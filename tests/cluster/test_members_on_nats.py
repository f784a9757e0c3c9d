"""Nodes that see each other on a real NATS, and lines to it that are cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from actorcred.cluster.bus import Bus, Reply
from actorcred.cluster.members import Life, Members
from actorcred.cluster.messages import Beat, Hello, pack, unpack
from actorcred.cluster.store import Store
from tests.cluster.conftest import opened, stranger, until
from tests.cluster.nats_server import NatsServer
from tests.cluster.tap import tapped

LEASE = 0.8
LONG = 120.0
"""A lease so long that what is seen in a test is not seen by a beat that is due."""


class Node:
    """A node with nothing but a lease."""

    def __init__(self, bus: Bus, lease: float, events: list[str], sessions: int) -> None:
        self.bus, self.events, self.id = bus, events, bus.node
        self.store = Store(bus)
        self.members = Members(bus, self.store, lease, lambda: (sessions, False))
        self.members.when_cut_off.append(lambda: events.append(f"{self.id} is cut off"))
        self.members.when_back.append(lambda: events.append(f"{self.id} is back"))
        self.members.when_dead.append(lambda id_: events.append(f"{self.id}: {id_} is dead"))

    async def renewed(self, times: int) -> None:
        """Wait until the lease was renewed some times more."""
        left = [None] * times
        self.members.when_renewed.append(lambda: left and left.pop())
        await until(lambda: not left)

    async def kill(self) -> None:
        """Let it say nothing any more, as if it had crashed."""
        await self.bus.close()

    def sees(self, *others: Node) -> bool:
        """Return whether it sees just these others, and all of them live."""
        members, ids = self.members, {other.id for other in others}
        return members.others() == ids and all(members.life_of(id_) is Life.ALIVE for id_ in ids)


class Cluster:
    """Nodes of one cluster, and what happened to them in order."""

    def __init__(self, server: NatsServer) -> None:
        self.options = server.options()
        self.events: list[str] = []

    @contextlib.asynccontextmanager
    async def node(
        self, name: str, lease: float = LEASE, url: str = "", sessions: int = 1
    ) -> AsyncIterator[Node]:
        """Run a node, which leaves in the end."""
        options = self.options
        if url:
            options = replace(options, servers=(url,))

        def receive(data: bytes, reply: Reply | None) -> None:
            if isinstance(unpack(data), Hello):
                node.members.hurry()

        async with opened(options, receive, name) as bus:
            node = Node(bus, lease, self.events, sessions)
            await node.store.open()
            await node.members.open()
            try:
                yield node
            finally:
                await node.members.leave()


def test_two_and_three_nodes_see_each_other(nats_server: NatsServer) -> None:
    async def run() -> None:
        cluster = Cluster(nats_server)
        async with cluster.node("a") as a, cluster.node("b", sessions=2) as b:
            await until(lambda: a.sees(b) and b.sees(a))
            async with cluster.node("c", sessions=4) as c:
                await until(lambda: a.sees(b, c) and b.sees(a, c) and c.sees(a, b))
                assert a.members.sessions_elsewhere() == 6
                await a.renewed(8)
                assert a.sees(b, c)
            await until(lambda: a.sees(b) and b.sees(a))
            assert sorted(cluster.events[:3]) == ["a is back", "b is back", "c is back"]
            await until(lambda: sorted(cluster.events[3:]) == ["a: c is dead", "b: c is dead"])

    asyncio.run(run())


def test_a_hello_makes_the_others_beat_at_once(nats_server: NatsServer) -> None:
    async def run() -> None:
        cluster = Cluster(nats_server)
        async with cluster.node("a", LONG) as a, cluster.node("b", LONG) as b:
            await until(lambda: a.sees(b) and b.sees(a))

    asyncio.run(run())


def test_a_node_that_leaves_is_dead_at_once(nats_server: NatsServer) -> None:
    async def run() -> None:
        cluster = Cluster(nats_server)
        async with cluster.node("a", LONG) as a:
            async with cluster.node("b", LONG) as b:
                await until(lambda: a.sees(b))
            await until(lambda: a.members.life_of("b") is Life.DEAD)
            assert a.members.others() == set()

    asyncio.run(run())


def test_a_killed_node_is_dead_once_to_all_others(nats_server: NatsServer) -> None:
    async def run() -> None:
        cluster = Cluster(nats_server)
        async with cluster.node("a") as a, cluster.node("b") as b, cluster.node("c") as c:
            await until(lambda: a.sees(b, c) and b.sees(a, c))
            await c.kill()
            assert a.members.life_of("c") is not Life.DEAD
            await until(lambda: a.sees(b) and b.sees(a))
            await asyncio.gather(a.renewed(6), b.renewed(6))
            assert cluster.events.count("a: c is dead") == 1
            assert cluster.events.count("b: c is dead") == 1
            assert not {"a: b is dead", "b: a is dead"} & set(cluster.events)

    asyncio.run(run())


@pytest.mark.parametrize("fault", ["cut", "black_hole"])
def test_a_node_that_is_cut_off_knows_it_before_others_call_it_dead(
    nats_server: NatsServer, fault: str
) -> None:
    async def run() -> None:
        cluster = Cluster(nats_server)
        async with (
            cluster.node("a") as a,
            tapped(nats_server.port) as tap,
            cluster.node("b", url=tap.url) as b,
        ):
            await until(lambda: a.sees(b) and b.sees(a))
            generation = b.members.generation
            getattr(tap, fault)()
            await until(lambda: "a: b is dead" in cluster.events)
            assert cluster.events[2:] == ["b is cut off", "a: b is dead"]
            assert not b.members.holds
            assert b.members.life_of("a") is Life.UNSURE
            tap.open()
            await until(lambda: a.sees(b) and b.sees(a))
            await b.renewed(6)
            assert b.members.generation > generation
            assert cluster.events[4:] == ["b is back"], "nobody else was called dead"

    asyncio.run(run())


def test_a_line_that_is_cut_for_less_than_a_lease_changes_nothing(nats_server: NatsServer) -> None:
    async def run() -> None:
        cluster = Cluster(nats_server)
        async with (
            cluster.node("a", LONG) as a,
            tapped(nats_server.port) as tap,
            cluster.node("b", LONG, tap.url) as b,
        ):
            await until(lambda: a.sees(b) and b.sees(a))
            generation = b.members.generation
            tap.cut()
            await until(lambda: not b.bus.connected)
            tap.open()
            await until(lambda: b.bus.connected)
            b.members.hurry()
            await b.renewed(1)
            assert b.members.generation == generation
            assert cluster.events == ["a is back", "b is back"]

    asyncio.run(run())


def test_a_slow_nats_makes_nobody_dead(nats_server: NatsServer) -> None:
    async def run() -> None:
        cluster = Cluster(nats_server)
        async with (
            cluster.node("a", 2.0) as a,
            tapped(nats_server.port) as tap,
            cluster.node("b", 2.0, tap.url) as b,
        ):
            tap.slow(0.1)
            await asyncio.gather(a.renewed(4), b.renewed(4))
            assert a.sees(b)
            assert b.sees(a)
            assert cluster.events == ["a is back", "b is back"]

    asyncio.run(run())


def test_a_nats_that_was_away_for_long_leaves_all_nodes_alive(own_server: NatsServer) -> None:
    async def run() -> None:
        cluster = Cluster(own_server)
        async with cluster.node("a") as a, cluster.node("b") as b:
            await until(lambda: a.sees(b) and b.sees(a))
            lost: list[None] = []
            a.members.when_store_lost.append(lambda: lost.append(None))
            generations = [a.members.generation, b.members.generation]
            own_server.kill()
            await until(lambda: {"a is cut off", "b is cut off"} <= set(cluster.events))
            own_server.restart()
            await until(lambda: lost)  # the leases were only in memory
            await a.store.ensure_streams()
            await until(lambda: a.members.holds and b.members.holds)
            await asyncio.gather(a.renewed(8), b.renewed(8))
            assert a.sees(b)
            assert b.sees(a)
            assert not [event for event in cluster.events if event.endswith("dead")]
            assert a.members.generation > generations[0]
            assert b.members.generation > generations[1]

    asyncio.run(run())


def test_junk_on_the_subject_of_the_leases_is_ignored(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        cluster = Cluster(nats_server)
        async with cluster.node("a", LONG) as a, stranger(nats_server) as other:
            subject = f"ac.{cluster.options.cluster}.lease.b"
            for data in (b"", b"junk", pack(Hello("b")), b"\x80\x04cposix\nsystem\n."):
                await other.publish(subject, data)
            await other.publish(subject, pack(Beat("b", 1.0)))
            await until(lambda: a.members.life_of("b") is Life.ALIVE)
            assert a.members.holds
            assert a.members.others() == {"b"}

    asyncio.run(run())
    assert [message.partition(":")[0] for message in caplog.messages] == ["Not a lease"]
