"""Three nats-servers that fail one by one: no user has two avatars, and nobody is logged out.

The lease is the default one, which is longer than NATS pauses when a leader is lost. Each test
prints for how long nobody could get a place. Most of them are long: `pytest -m long tests/cluster`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from actorcred.cluster.cluster import LEASE
from tests.cluster.judge import Judge
from tests.cluster.nats_trio import NatsTrio, trio
from tests.cluster.processes import Refused, Slot

pytestmark = [pytest.mark.foreign, pytest.mark.slow, pytest.mark.timeout(240)]

LONG = pytest.mark.long

STAY = ["ann", "ben", "cat"]
"""Those who log in once, one on each node, and are to stay."""

COME_AND_GO = [f"u{number}" for number in range(6)]


@dataclass
class Scene:
    """Three nodes on three servers.

    Attributes:
        nats: the servers.
        slots: the nodes.
        judge: is told of all avatars.
        sessions: of those who stay, in the order of the nodes.
        placed: when logins got their places.
        over: set when those who come and go are to stop.
    """

    nats: NatsTrio
    slots: list[Slot]
    judge: Judge = field(default_factory=Judge)
    sessions: list[str] = field(default_factory=list)
    placed: list[float] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def come_and_go(self, slot: Slot, rnd: random.Random) -> None:
        """Log in and out, as one user after the other."""
        while not self.over.is_set():
            with contextlib.suppress(Refused):
                session = await slot.node.ask("login", rnd.choice(COME_AND_GO))
                self.placed.append(time.monotonic())
                await asyncio.sleep(rnd.uniform(0.0, 0.2))
                await slot.node.ask("logout", session)
            await asyncio.sleep(rnd.uniform(0.0, 0.05))

    async def all_get_in(self) -> None:
        """Wait until somebody gets in on every node."""
        for slot in self.slots:
            while True:
                try:
                    await slot.node.ask("logout", await slot.node.ask("login", f"p{slot.number}"))
                    break
                except Refused:
                    await asyncio.sleep(0.05)

    async def still_there(self) -> None:
        """Check that nobody was logged out, and that no user had two avatars."""
        self.judge.check(time.monotonic())
        assert not self.judge.violations
        assert not {end for end in self.judge.counts if end.startswith("ended:")} - {
            "ended: logout"
        }, self.judge.counts
        for slot, session in zip(self.slots, self.sessions, strict=True):
            assert session in (await slot.node.ask("report"))["open"]

    def longest_pause(self, since: float) -> float:
        """Return for how long at most nobody got a place."""
        times = [since, *(at for at in self.placed if at > since)]
        return max(after - before for before, after in itertools.pairwise(times))


@contextlib.asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    """Start all, and log in those who stay."""
    async with trio(folder) as nats, contextlib.AsyncExitStack() as stack:
        made = Scene(nats, [])
        cluster = {"name": secrets.token_hex(8), "lease": LEASE, "replicas": 3}
        settings = {"policy": "reject", "lease": 2.5, "seed": 1, "cluster": cluster, "first": True}
        for number in range(3):
            slot = Slot(number, nats, settings, folder, made.judge)
            made.slots.append(slot)
            await slot.tap.start()
            stack.push_async_callback(slot.tap.stop)
            await slot.start()
            stack.push_async_callback(slot.node.kill)
        await asyncio.gather(*(slot.node.joined() for slot in made.slots))
        await nats.agreed()
        made.sessions = await asyncio.gather(*map(_gets_in, made.slots, STAY))
        going = [
            asyncio.create_task(made.come_and_go(slot, random.Random(slot.number * 10 + n)))
            for slot in made.slots
            for n in range(3)
        ]
        await made.all_get_in()
        yield made
        made.over.set()
        await asyncio.gather(*going)
        await made.still_there()


async def _gets_in(slot: Slot, name: str) -> str:
    while True:
        try:
            return str(await slot.node.ask("login", name))
        except Refused:
            await asyncio.sleep(0.1)


def trial(folder: Path, test: Callable[[Scene], Awaitable[None]], why: str) -> None:
    """Run a test, and print how long NATS paused."""

    async def run() -> None:
        async with scene(folder) as made:
            since = time.monotonic()
            await test(made)
            await made.all_get_in()
            await made.still_there()
            print(f"{why}: nobody got a place for {made.longest_pause(since):.1f} s at most")

    asyncio.run(run())


@pytest.mark.parametrize(
    "stream",
    ["ACR", pytest.param("ACL", marks=LONG), pytest.param("ACV", marks=LONG)],
)
def test_the_leader_of_a_stream_is_killed(tmp_path: Path, stream: str) -> None:
    async def test(made: Scene) -> None:
        name = made.slots[0]._settings["cluster"]["name"]
        leader = made.nats.servers[await made.nats.leader(f"{stream}_{name}")]
        await asyncio.to_thread(leader.kill)
        await made.all_get_in()
        await asyncio.to_thread(leader.start)
        await made.nats.agreed()

    trial(tmp_path, test, f"the leader of {stream} was killed")


@LONG
def test_one_server_is_cut_off_from_the_others_for_longer_than_a_lease(tmp_path: Path) -> None:
    # The nodes that are connected to it go to another one in time.
    async def test(made: Scene) -> None:
        lines = [(await slot.node.ask("report"))["line"] for slot in made.slots]
        made.nats.part(lines[0])
        await asyncio.sleep(LEASE * 1.3)
        await made.all_get_in()
        made.nats.join()
        await made.nats.agreed()

    trial(tmp_path, test, "a server was cut off from the others")


@LONG
@pytest.mark.parametrize("how", ["cut", "black_hole"])
def test_one_server_is_cut_off_from_the_nodes(tmp_path: Path, how: str) -> None:
    async def test(made: Scene) -> None:
        lines = [(await slot.node.ask("report"))["line"] for slot in made.slots]
        for slot in made.slots:
            getattr(slot.tap.each[lines[0]], how)()
        await made.all_get_in()
        assert lines[0] not in [(await one.node.ask("report"))["line"] for one in made.slots]

    trial(tmp_path, test, f"a server was cut off from the nodes ({how})")


@LONG
def test_all_servers_are_restarted_one_after_the_other(tmp_path: Path) -> None:
    async def test(made: Scene) -> None:
        for number in range(3):
            await made.nats.restart(number)
            await made.all_get_in()

    trial(tmp_path, test, "all servers were restarted")
