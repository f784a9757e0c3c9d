"""What metrics cost a login, in alternating runs of one process."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

from actorcred import Admission, Portal, PortalOptions, UsernamePassword
from actorcred.actors import AsyncioDispatcher, set_default_dispatcher, shutdown
from actorcred.metrics import Metrics
from tests.benchmarks.logins import Game, Player, Users, mind

ROUNDS = 31


def metrics(scale: float) -> tuple[float, float]:
    """Microseconds of processor time per login with metrics, and without."""
    count = int(5_000 * scale)
    users = {f"user{number}": "password" for number in range(count)}
    credentials = [UsernamePassword(name, "password") for name in users]

    async def run(counts: Metrics | None) -> float:
        set_default_dispatcher(AsyncioDispatcher())
        options = PortalOptions(admission=Admission(logins=count + 1), metrics=counts)
        portal = Portal.start(Game.start(), [Users.start(users)], options)
        gc.collect()
        gc.disable()
        started = time.process_time()
        futures: list[Any] = [portal.login(one, mind, Player) for one in credentials]
        for future in futures:
            await future
        taken = time.process_time() - started
        gc.enable()
        await asyncio.to_thread(shutdown, 60)
        return taken / count * 1e6

    on, off = [], []
    for number in range(ROUNDS):
        for with_metrics in (True, False) if number % 2 else (False, True):
            found = asyncio.run(run(Metrics() if with_metrics else None))
            (on if with_metrics else off).append(found)
    # The fastest of each: whatever else the machine does only makes a run slower.
    return min(on), min(off)
