"""The memory of a sleeping session: `python -m tests.benchmarks.sleeping`.

The figures leave out the name of the user and the bytes of the snapshot. They have the session, and
what the portal needs to find it, to watch its deadlines and to wake its avatar; the first one also
has the mind, which is the portal's end of the connection.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import tracemalloc
from abc import ABC, abstractmethod
from typing import Any

from actorcred import Avatar, Portal, PortalOptions, PortalRef, Realm, UsernamePassword
from actorcred.actors import AsyncioDispatcher, set_default_dispatcher
from tests.benchmarks.logins import Everybody


class Player(ABC):
    @abstractmethod
    def move(self) -> int: ...


class Sleeper(Avatar, Player):
    def __init__(self, avatar_id: Any, mind: Any) -> None:
        super().__init__(avatar_id, mind)
        self.moves = 0

    def move(self) -> int:
        self.moves += 1
        return self.moves

    def snapshot(self) -> Any:
        return self.moves

    def restore(self, snapshot: Any) -> None:
        self.moves = snapshot


class World(Realm):
    interfaces = (Player,)

    def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        avatar = Sleeper.start(avatar_id, mind)
        return Player, avatar, avatar.stop


async def log_in(portal: PortalRef, names: list[str], *, sleep: bool) -> tuple[int, int]:
    """Log users in; return the bytes of their snapshots and minds."""
    snapshots = minds = 0
    for name in names:
        session = (await portal.login(UsernamePassword(name, ""), None, Player)).session
        if sleep:
            assert await session.sleep()
            rest: Any = session._rest
            snapshots += 0 if rest is None else sys.getsizeof(rest.data)
        minds += sys.getsizeof(session.mind)
    return snapshots, minds


async def measure(count: int, *, sleep: bool) -> tuple[float, float, float]:
    """Return the bytes per session, with and without its mind, and the time to wake an avatar."""
    set_default_dispatcher(AsyncioDispatcher())
    portal = Portal.start(World.start(), [Everybody.start()], PortalOptions(sleep_after=3600.0))
    await log_in(portal, [f"first {number}" for number in range(2000)], sleep=sleep)
    names = [f"user {number}" for number in range(count)]
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    snapshots, minds = await log_in(portal, names, sleep=sleep)
    await asyncio.sleep(0)
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] - before - snapshots
    tracemalloc.stop()
    sessions = await portal.sessions()
    assert all(session.asleep is sleep for session in sessions)  # type: ignore[attr-defined]
    loop = asyncio.get_running_loop()
    began = loop.time()
    for session in sessions[-5000:]:
        assert await session.avatar.proxy().move() == 1
    woken = (loop.time() - began) / 5000
    await portal.drain(60)
    return used / count, (used - minds) / count, woken * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--awake", action="store_true", help="measure sessions that are awake")
    words = parser.parse_args()
    used, alone, woken = asyncio.run(measure(words.count, sleep=not words.awake))
    state = "awake" if words.awake else "asleep"
    print(f"{words.count} sessions {state}: {used:.0f} bytes each, {alone:.0f} beside the mind")
    print(f"a call to the avatar: {woken:.0f} us")


if __name__ == "__main__":
    main()
