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
from tests.benchmarks.measure import alternate, run_on_loop
from tests.benchmarks.report import Pairs

ROUNDS = 61
"""The difference is smaller than that between two rounds, so there are many short ones."""


def metrics(scale: float) -> dict[str, Pairs]:
    """Return microseconds of processor time per login with metrics, and without."""
    count = int(2_000 * scale)
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

    return {
        "": alternate(
            lambda: run_on_loop(run(Metrics())), lambda: run_on_loop(run(None)), rounds=ROUNDS
        )
    }
