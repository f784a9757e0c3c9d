"""How fast clients are on another server when theirs is drained.

    python -m tests.benchmarks.moving --count 1000

Three servers and a NATS, each a process of its own, and all clients in this one. The first server
has all sessions, and is drained. Its clients then connect to the second one, as a balancer would
have them do; the sessions are at the second and the third.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actorcred import Avatar, Portal, PortalOptions, Realm, rpc
from actorcred.actors import AsyncioDispatcher, set_default_dispatcher
from actorcred.cluster import Cluster
from actorcred.rpc.client.client import Client
from actorcred.rpc.protocol.addresses import Address
from tests.benchmarks.logins import Everybody
from tests.benchmarks.measure import percentile
from tests.cluster.nats_server import NatsServer, random_name

KEEP = rpc.ClientOptions(reconnect=True)


class Player(ABC):
    @abstractmethod
    def move(self) -> int: ...


class Walker(Avatar, Player):
    def __init__(self, avatar_id: Any, mind: Any) -> None:
        super().__init__(avatar_id, mind)
        self.moves = 0

    def move(self) -> int:
        self.moves += 1
        self.mind.notify("moved", self.moves)
        return self.moves

    def snapshot(self) -> Any:
        return self.moves

    def restore(self, snapshot: Any) -> None:
        self.moves = snapshot


class World(Realm):
    interfaces = (Player,)

    def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        avatar = Walker.start(avatar_id, mind)
        return Player, avatar, avatar.stop


async def node(config: dict[str, Any]) -> None:
    """Serve until a line comes, and then drain and move all sessions."""
    set_default_dispatcher(AsyncioDispatcher())
    cluster = await Cluster.connect(config["url"], **config["cluster"])
    options = PortalOptions(policy="replace", registry=cluster)  # type: ignore[arg-type]
    portal = Portal.start(World.start(), [Everybody.start()], options)
    server = await rpc.serve(portal, "tcp:127.0.0.1:0")
    print(server.addresses[0], flush=True)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.readline)
    count = await server.close(30, move=True)
    print(count, flush=True)
    await portal.drain()
    await cluster.close()


class Traveller:
    """A client, and when it was told to resume, and had resumed."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.told = self.back = 0.0
        self.whole = False
        self.done = asyncio.Event()
        client.on_reconnect = self._came_back
        lost: Callable[..., Any] = client._lost

        def note(*args: Any) -> None:
            self.told = time.perf_counter()
            lost(*args)

        client._lost = note  # type: ignore[method-assign]
        assert client._line is not None
        client._line._when_lost = note

    def _came_back(self, whole: bool) -> None:
        self.back = time.perf_counter()
        self.whole = whole
        self.done.set()


async def measure(count: int, folder: Path) -> tuple[list[float], float]:
    """Return the seconds from goodbye to answer of each client, and those of the whole drain."""
    nats = NatsServer(folder)
    nats.start()
    name, programs, addresses = random_name(), [], []
    try:
        for letter in "abc":
            cluster = {"name": name, "node": letter, "user": nats.user, "password": nats.password}
            config = {"url": nats.url, "cluster": cluster}
            program = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.benchmarks.moving", "--node", json.dumps(config)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            assert program.stdout is not None
            programs.append(program)
            addresses.append((await program.stdout.readline()).decode().strip())
        await asyncio.sleep(20)  # until the roster is not new any more
        return await _drain(count, programs[0], addresses)
    finally:
        for program in programs:
            if program.returncode is None:
                program.kill()
            await program.wait()
        nats.stop()


async def _drain(
    count: int, program: asyncio.subprocess.Process, addresses: list[str]
) -> tuple[list[float], float]:
    travellers = []
    for number in range(count):
        client = await rpc.connect(addresses[0], f"user{number}", "x", options=KEEP)
        await client.call("move")
        client.address = Address.parse(addresses[1])
        travellers.append(Traveller(client))
    assert program.stdin is not None
    program.stdin.write(b"drain\n")
    began = time.perf_counter()
    await asyncio.gather(*(one.done.wait() for one in travellers))
    whole = max(one.back for one in travellers) - began
    moves = await asyncio.gather(*(one.client.call("move") for one in travellers))
    assert all(one.whole for one in travellers), "notifications were lost"
    assert set(moves) == {2}, "avatars have lost their state"
    assert {one.client.notifications for one in travellers} == {2}
    return [one.back - one.told for one in travellers], whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--node", type=json.loads, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.node is not None:
        asyncio.run(node(words.node))
        return
    with tempfile.TemporaryDirectory() as folder:
        times, whole = asyncio.run(measure(words.count, Path(folder)))
    print(f"{words.count} sessions have moved in {whole:.2f} s")
    for share in (0.5, 0.99, 1.0):
        print(f"told to resume and resumed, p{share * 100:g}: {percentile(times, share):.3f} s")


if __name__ == "__main__":
    main()
