"""How long a notification of a very large group stops the event loop."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from actorcred import Group, UsernamePassword
from actorcred.actors import AsyncioDispatcher, set_default_dispatcher, shutdown, tune_gc
from tests.benchmarks.logins import Player, open_portal
from tests.benchmarks.measure import ROUNDS, run_on_loop
from tests.benchmarks.report import Pairs


class Ticks:
    """The longest time between two turns of the loop, while it runs."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._last = time.perf_counter()
        self._handle = asyncio.get_running_loop().call_soon(self._tick)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.longest = max(self.longest, now - self._last)
        self._last = now
        self._handle = asyncio.get_running_loop().call_soon(self._tick)

    def stop(self) -> float:
        """Return the longest in milliseconds."""
        self._handle.cancel()
        return self.longest * 1000


def pauses(scale: float) -> dict[str, Pairs]:
    """Return milliseconds: the longest stop of the loop, and until all 100,000 are notified."""
    count = int(100_000 * scale)

    async def run() -> Pairs:
        set_default_dispatcher(AsyncioDispatcher())
        portal = open_portal(count)
        tune_gc()
        group = Group()
        heard, all_heard = 0, asyncio.Event()

        def client(name: str, *args: Any) -> None:
            nonlocal heard
            heard += 1
            if heard == count:
                all_heard.set()

        futures = [
            portal.login(UsernamePassword(f"user{n}", "password"), client, Player)
            for n in range(count)
        ]
        for future in futures:
            group.add((await future).session.mind)
        pairs = []
        for _ in range(ROUNDS + 1):
            heard = 0
            all_heard.clear()
            await asyncio.sleep(0)
            ticks, began = Ticks(), time.perf_counter()
            group.notify("moved", 1.0, 2.0)
            await all_heard.wait()
            pairs.append([ticks.stop(), (time.perf_counter() - began) * 1000])
        await asyncio.to_thread(shutdown, 60)
        return pairs[1:]

    return {"": run_on_loop(run())}
