"""What a cluster costs, beside bare nats-py and beside a portal alone, in alternating rounds.

    make bench-cluster BENCH_CLUSTER="--count 500 --rounds 9"

Two nodes in one process and a real nats-server on this machine. The floors are what NATS itself
takes: for an exclusive login one read and one compare-and-set, for a call of an avatar elsewhere a
request, for a notification a message, also for one of a group. A notification has arrived when a
server could write it to the client. What presence costs is the CPU of logins whose users another
node watches, at both nodes, beside logins that are not watched. A client that has come back to
another node is beside one at the node of its session; both figures contain the client, in the same
process.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nats.aio.client
from nats.js.errors import NotFoundError

from actorcred import Channel, Notification, Policy, Portal, PortalOptions, UsernamePassword
from actorcred.actors import AsyncioDispatcher, set_default_dispatcher
from actorcred.cluster import Cluster
from actorcred.rpc import Server, ServerOptions, serve
from actorcred.rpc.client.connection import ClientConnection
from actorcred.rpc.client.transports import open_wire
from actorcred.rpc.server.options import Rates
from tests.benchmarks.logins import Game, Player, Users, mind
from tests.benchmarks.measure import machine
from tests.cluster.nats_server import NatsServer, random_name

WARM_UP = 50

WINDOW = 200
"""Notifications on their way at a time; the client's outbox takes 256."""

Step = Callable[[], Awaitable[Any]]


class Received(Channel):
    """What counts the notifications of a client, where a server would write them to a socket."""

    def __init__(self, take: Callable[[], None]) -> None:
        self._take = take

    def notify(self, notification: Notification) -> None:
        """Count it."""
        self._take()

    def call(self, name: str, args: tuple[Any, ...]) -> None:
        """Answer nothing."""


class Served(Game):
    """The realm, for clients of servers."""

    interfaces = (Player,)


class Line:
    """A client's connection, and what resumes its session."""

    def __init__(self, connection: ClientConnection, answer: dict[str, Any]) -> None:
        self.connection = connection
        self.token = answer["token"]

    async def move(self) -> None:
        """Call the avatar."""
        await self.connection.request("move", (1.0,))


class Routed:
    """Servers of two nodes, and clients at each whose sessions are at the first.

    Attributes:
        here, there: the servers.
        near, far: a connection at each.
    """

    def __init__(self, here: Server, there: Server) -> None:
        self.here = here
        self.there = there
        self.near: Line
        self.far: Line
        self._token = ""

    @classmethod
    async def open(cls, here: Any, there: Any) -> Routed:
        """Serve two portals, and log clients in at the first."""
        options = ServerOptions(rates=Rates(requests_per_second=None))
        servers = [await serve(one, "tcp:127.0.0.1:0", options=options) for one in (here, there)]
        made = cls(*servers)
        made.near = await made._log_in("near")
        away = await made._log_in("far")
        away.connection.abort()
        made.far = await made._come_back(made.there, away.token)
        made._token = (await made._log_in("traveller")).token
        return made

    async def _connect(self, server: Server) -> ClientConnection:
        wire = await open_wire(server.addresses[0], None, json=False)
        return ClientConnection(
            wire, lambda *_: None, SimpleNamespace(notifications=0), lambda *_: None
        )

    async def _log_in(self, name: str) -> Line:
        connection = await self._connect(self.here)
        answer = await connection.request("cred.login", ("PLAIN", f"\0{name}\0x".encode()))
        return Line(connection, answer)

    async def _come_back(self, server: Server, token: str) -> Line:
        connection = await self._connect(server)
        return Line(connection, await connection.request("cred.resume", (token, 0)))

    async def resume(self, server: Server) -> None:
        """Connect and resume, as a client does that has lost its connection."""
        line = await self._come_back(server, self._token)
        self._token = line.token
        line.connection.abort()

    async def close(self) -> None:
        """End the servers."""
        for server in (self.here, self.there):
            await server.close()


class Figures:
    """Two nodes of one cluster for each policy, a portal alone, and a bare client of NATS.

    Args:
        server: NATS.
        count: how many of each are measured in a round.
    """

    def __init__(self, server: NatsServer, count: int) -> None:
        self._server = server
        self._count = count
        self._names = itertools.count()
        self._users: dict[str, str] = {}
        self._clusters: list[Cluster] = []

    async def open(self, rounds: int) -> None:
        """Start everything."""
        self._users |= dict.fromkeys(("near", "far", "traveller"), "x")
        self._users |= {f"user{n}": "x" for n in range((rounds + 1) * 6 * (self._count + WARM_UP))}
        self._alone = self._portal(PortalOptions())
        name = random_name()
        self._allow = await self._node(name, Policy.ALLOW)
        self._watching = await self._node(name, Policy.ALLOW)
        name = random_name()
        self._here = await self._node(name, Policy.REJECT)
        self._there = await self._node(name, Policy.REJECT)
        self._got = 0
        self._bare = nats.aio.client.Client()
        await self._bare.connect(
            self._server.url, user=self._server.user, password=self._server.password
        )
        await self._bare.jetstream().add_stream(name="bench", subjects=["bench.kept.*"])
        await self._bare.subscribe("bench.request", cb=self._echo)
        await self._bare.subscribe("bench.tell", cb=self._took)
        self._routed = await Routed.open(self._here, self._there)
        login = await self._login(self._here, Received(self._take))
        self._session = await self._there.session(login.session.id)
        await self._here.group("bench").add(login.session.mind)
        assert self._session is not None

    async def _echo(self, msg: Any) -> None:
        await msg.respond(msg.data)

    async def _took(self, msg: Any) -> None:
        self._take()

    def _take(self) -> None:
        self._got += 1

    def _portal(self, options: PortalOptions) -> Any:
        return Portal.start(Served.start(), [Users.start(self._users)], options)

    async def _node(self, name: str, policy: Policy) -> Any:
        credentials = {"user": self._server.user, "password": self._server.password}
        cluster = await Cluster.connect(self._server.url, name=name, **credentials)
        self._clusters.append(cluster)
        return self._portal(PortalOptions(policy=policy, registry=cluster))

    def _login(self, portal: Any, client: Any = mind) -> Any:
        return portal.login(UsernamePassword(f"user{next(self._names)}", "x"), client, Player)

    async def _read_and_set(self) -> None:
        subject, streams = f"bench.kept.{next(self._names)}", self._bare.jetstream()
        with contextlib.suppress(NotFoundError):
            await streams.get_last_msg("bench", subject)
        first = {"Nats-Expected-Last-Subject-Sequence": "0"}
        await streams.publish(subject, b"x" * 80, headers=first)

    async def _median(self, step: Step) -> float:
        times = []
        for number in range(WARM_UP + self._count):
            began = time.perf_counter()
            await step()
            if number >= WARM_UP:
                times.append(time.perf_counter() - began)
        return statistics.median(times) * 1e6

    async def _each(self, send: Callable[[], Any]) -> float:
        """Return the microseconds for a message of many, until the last one has arrived."""
        count = self._count * 10
        self._got, began = 0, time.perf_counter()
        for number in range(count):
            await send()
            while number - self._got > WINDOW:
                await asyncio.sleep(0)
        while self._got < count:
            await asyncio.sleep(0)
        return (time.perf_counter() - began) / count * 1e6

    async def _notify(self) -> None:
        assert self._session is not None
        self._session.mind.notify("moved", 1.0, 2.0)

    async def _say(self) -> None:
        self._there.group("bench").notify("moved", 1.0, 2.0)

    async def _cpu_of_logins(self, *, watched: bool) -> float:
        """Return the microseconds of CPU for a login, all that follows from it at both nodes."""
        first = next(self._names)
        names = {f"user{number}" for number in range(first + 1, first + self._count + 1)}
        seen: set[str] = set()
        watch = self._watching.presence.watch(
            lambda user: seen.add(user.avatar_id), *(names if watched else ())
        )
        while watched and not names <= self._clusters[0]._node._presence._followers.keys():
            await asyncio.sleep(0.01)
        began = time.process_time()
        for _ in names:
            await self._login(self._allow)
        while watched and not names <= seen:
            await asyncio.sleep(0.005)
        spent = time.process_time() - began
        watch.stop()
        return spent / len(names) * 1e6

    async def round(self) -> dict[str, tuple[float, float]]:
        """Return microseconds: ours and the floor, by what was measured."""
        session, client = self._session, self._bare
        assert session is not None
        return {
            "login, ALLOW / a portal alone": (
                await self._median(lambda: self._login(self._allow)),
                await self._median(lambda: self._login(self._alone)),
            ),
            "login, REJECT / one read and one compare-and-set": (
                await self._median(lambda: self._login(self._here)),
                await self._median(self._read_and_set),
            ),
            "call of an avatar elsewhere / a request of nats-py": (
                await self._median(lambda: session.avatar.proxy().move(1.0)),
                await self._median(lambda: client.request("bench.request", b"x" * 60, timeout=5)),
            ),
            "notification elsewhere / a message of nats-py": (
                await self._each(self._notify),
                await self._each(lambda: client.publish("bench.tell", b"x" * 60)),
            ),
            "notification of a group elsewhere / a message of nats-py": (
                await self._each(self._say),
                await self._each(lambda: client.publish("bench.tell", b"x" * 60)),
            ),
            "CPU of a login that another node watches / that none does": (
                await self._cpu_of_logins(watched=True),
                await self._cpu_of_logins(watched=False),
            ),
            "resume at another node / at its own": (
                await self._median(lambda: self._routed.resume(self._routed.there)),
                await self._median(lambda: self._routed.resume(self._routed.here)),
            ),
            "call of a client over another node / at its own": (
                await self._median(self._routed.far.move),
                await self._median(self._routed.near.move),
            ),
        }

    async def close(self) -> None:
        """Leave the clusters."""
        await self._routed.close()
        for portal in (self._alone, self._allow, self._watching, self._here, self._there):
            await portal.drain(30)
        for cluster in self._clusters:
            await cluster.close()
        await self._bare.close()


async def measure(server: NatsServer, count: int, rounds: int) -> dict[str, list[float]]:
    """Return the ratios of each round; the first line of each is ours in microseconds."""
    set_default_dispatcher(AsyncioDispatcher())
    figures = Figures(server, count)
    await figures.open(rounds)
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(rounds):
        for name, pair in (await figures.round()).items():
            found.setdefault(name, []).append(pair)
    await figures.close()
    for name, pairs in found.items():
        ratios = [ours / floor for ours, floor in pairs]
        ours = statistics.median(pair[0] for pair in pairs)
        ratio, least, most = statistics.median(ratios), min(ratios), max(ratios)
        print(f"{ours:8.1f} us  {ratio:5.2f} x ({least:.2f} to {most:.2f})  {name}")
    return {name: [ours / floor for ours, floor in pairs] for name, pairs in found.items()}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="of each in a round")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        server = NatsServer(Path(folder))
        server.start()
        try:
            asyncio.run(measure(server, options.count, options.rounds))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
