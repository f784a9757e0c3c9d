"""How long Python's garbage collector stops a process that has very many sessions."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

from actorcred import Login, UsernamePassword
from actorcred.actors import AsyncioDispatcher, set_default_dispatcher, shutdown
from tests.benchmarks.logins import Player, mind, open_portal
from tests.benchmarks.measure import ROUNDS, run_on_loop
from tests.benchmarks.report import Pairs

AT_ONCE = 100


class Stops:
    """The longest run of the collector while it is entered, in milliseconds."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._began = 0.0

    def __enter__(self) -> Stops:
        gc.callbacks.append(self._told)
        return self

    def __exit__(self, *_: object) -> None:
        gc.callbacks.remove(self._told)

    def _told(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self.longest = max(self.longest, (time.perf_counter() - self._began) * 1000)


async def _log_in(portal: Any, first: int, count: int) -> list[Login]:
    logins = []
    for begin in range(first, first + count, AT_ONCE):
        futures = [
            portal.login(UsernamePassword(f"user{number}", "password"), mind, Player)
            for number in range(begin, min(begin + AT_ONCE, first + count))
        ]
        logins += [await future for future in futures]
    return logins


async def _log_out(logins: list[Login]) -> None:
    for end in [login.logout() for login in logins]:
        await end


async def longest_stop(portal: Any, count: int) -> float:
    """Return the longest stop, in ms, while `count` users log in and a tenth of them anew."""
    gc.collect()
    with Stops() as stops:
        logins = await _log_in(portal, 0, count)
        for _ in range(3):
            again, logins = logins[: count // 10], logins[count // 10 :]
            names = [login.session.avatar_id for login in again]
            await _log_out(again)
            logins += await _log_in(portal, int(names[0][4:]), len(names))
    await _log_out(logins)
    return stops.longest


def stops(scale: float) -> dict[str, Pairs]:
    """Return milliseconds: the longest stop as `serve` sets the collector, and by its defaults."""
    count = int(100_000 * scale)
    defaults = gc.get_threshold()

    async def run() -> Pairs:
        set_default_dispatcher(AsyncioDispatcher())
        portal = open_portal(count)
        pairs = []
        for _ in range(ROUNDS):
            gc.freeze()
            gc.set_threshold(50_000, 20, 100)
            tuned = await longest_stop(portal, count)
            gc.unfreeze()
            gc.set_threshold(*defaults)
            pairs.append([tuned, await longest_stop(portal, count)])
        await asyncio.to_thread(shutdown, 60)
        return pairs

    return {"": run_on_loop(run())}


def full(scale: float) -> dict[str, Pairs]:
    """Return milliseconds for a full collection with 100,000 sessions, and with none."""
    count = int(100_000 * scale)

    async def run() -> Pairs:
        set_default_dispatcher(AsyncioDispatcher())
        portal = open_portal(count)
        none = [_collection() for _ in range(ROUNDS)]
        logins = await _log_in(portal, 0, count)
        many = [_collection() for _ in range(ROUNDS)]
        await _log_out(logins)
        await asyncio.to_thread(shutdown, 60)
        return [list(pair) for pair in zip(many, none, strict=True)]

    return {"": run_on_loop(run())}


def _collection() -> float:
    with Stops() as stops:
        gc.collect()
    return stops.longest
