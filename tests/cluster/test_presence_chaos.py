"""A thousand watches of a thousand users, while these come and go and nodes and lines fail.

What fails and when is decided by a seed. At the end all nodes that live are connected, and what
each watch was told last must be true.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

import pytest

from actorcred import Login
from actorcred.cluster import BusError
from actorcred.sessions.presence import UserPresence
from tests.cluster.conftest import until
from tests.cluster.nats_server import NatsServer
from tests.cluster.tap import Tap
from tests.cluster.team import SHORT, Member, _end, _join, team

USERS = [f"user{number}" for number in range(1000)]
WATCHES = 1000
WATCHED = 30
"""Users of each watch."""

ROUNDS = 40
CHANGES = 40
"""Logins and logouts in each round."""

FAILURES = ["cut", "cut", "hole", "slow", "open", "open", "open", "kill", "nats"]

PATIENCE = 60.0


class Viewer:
    """One watch, and what it was told last."""

    def __init__(self, member: Member, names: list[str]) -> None:
        self.names = names
        self.view: dict[str, UserPresence] = {}
        self.move_to(member)

    def move_to(self, member: Member) -> None:
        """Watch at another node, such as after the node of this watch was killed."""
        self.member = member
        self.view = view = {}

        def tell(user: UserPresence) -> None:
            view[user.avatar_id] = user

        self.watch = member.portal.presence.watch(tell, *self.names)

    def sees(self, truth: dict[str, Any]) -> bool:
        seen = {name: user.status.get("n") for name, user in self.view.items() if user.online}
        return seen == {name: truth[name] for name in self.names if name in truth}


class World:
    """Nodes whose users come and go, and what fails."""

    def __init__(self, seed: int, server: NatsServer, members: list[Member]) -> None:
        self.chance = random.Random(seed)
        self.server = server
        self.members = members
        self.stack = contextlib.AsyncExitStack()
        self.logins: list[tuple[Member, Login, int]] = []
        self.count = 0
        self.viewers = [
            Viewer(self.chance.choice(members), self.chance.sample(USERS, WATCHED))
            for _ in range(WATCHES)
        ]

    def truth(self) -> dict[str, int]:
        """Return the users that are online, with the latest status of their sessions."""
        found: dict[str, int] = {}
        for _, login, status in self.logins:
            name = str(login.session.avatar_id)
            found[name] = max(found.get(name, 0), status)
        return found

    async def change(self) -> None:
        """Have users come and go."""
        for _ in range(CHANGES):
            if self.logins and self.chance.random() < 0.45:
                _, login, _ = self.logins.pop(self.chance.randrange(len(self.logins)))
                await login.logout()
                continue
            member = self.chance.choice(self.members)
            login = await member.login(self.chance.choice(USERS))
            self.count += 1
            assert await member.portal.presence.set_status(login.session, n=self.count)
            self.logins.append((member, login, self.count))

    async def fail(self) -> None:
        """Have something fail, or be repaired."""
        member = self.chance.choice(self.members)
        match self.chance.choice(
            ["cut", "cut", "hole", "slow", "open", "open", "open", "kill", "nats"]
        ):
            case "cut":
                member.tap.cut()
            case "hole":
                member.tap.black_hole()
            case "slow":
                member.tap.slow(0.05)
            case "open":
                member.tap.open()
            case "kill":
                await self.kill(member)
            case "nats":
                await asyncio.to_thread(self.server.restart, wipe=self.chance.random() < 0.5)

    async def kill(self, member: Member) -> None:
        """Kill a node; another one starts, and those who watched at the first do so there."""
        await asyncio.sleep(0)  # what it has begun is under way
        await member.die()
        self.members.remove(member)
        self.logins = [one for one in self.logins if one[0] is not member]
        new = await self.start(member)
        self.members.append(new)
        for viewer in self.viewers:
            if viewer.member is member:
                viewer.watch.stop()
                viewer.move_to(new)

    async def start(self, like: Member) -> Member:
        tap = Tap(self.server.port)
        await tap.start()
        self.stack.push_async_callback(tap.stop)
        name = like.node.bus.options.cluster
        while True:
            try:
                new = await _join(self.server, tap, name, "n", "allow", None, {"lease": SHORT})
            except BusError:
                await asyncio.sleep(0.1)
            else:
                self.stack.push_async_callback(_end, new)
                return new

    async def settle(self) -> None:
        """Repair everything, and wait until all views are true."""
        for member in self.members:
            member.tap.open()
        truth = self.truth()
        await until(lambda: all(viewer.sees(truth) for viewer in self.viewers), PATIENCE)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", [16])
def test_every_view_is_true_at_the_end(own_server: NatsServer, seed: int) -> None:
    async def run() -> None:
        async with team(own_server, 3, "allow", lease=SHORT) as members:
            world = World(seed, own_server, members)
            async with world.stack:
                for _ in range(ROUNDS):
                    await world.change()
                    await world.fail()
                    await asyncio.sleep(world.chance.random() * 0.3)
                await world.settle()
                assert world.truth()
                for viewer in world.viewers:
                    viewer.watch.stop()

    asyncio.run(run())
