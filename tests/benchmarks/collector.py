"""How long Python's garbage collector stops a process that has very many sessions."""

from __future__ import annotations

import asyncio
import functools
import gc
import time
from collections.abc import AsyncIterator
from typing import Any

from actorcred import Login, UsernamePassword
from actorcred.actors import AsyncioDispatcher, set_default_dispatcher, shutdown, tune_gc
from tests.benchmarks.logins import AT_ONCE, Player, mind, open_portal
from tests.benchmarks.measure import ROUNDS, alternate, elsewhere, run_on_loop
from tests.benchmarks.report import Pairs


class Stops:
    """The longest run of the collector while it is entered, in milliseconds of processor time."""

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
            self._began = time.thread_time()
        else:
            self.longest = max(self.longest, (time.thread_time() - self._began) * 1000)


def _names(count: int) -> list[str]:
    return [f"user{number}" for number in range(count)]


async def _log_in(portal: Any, names: list[str]) -> list[Login]:
    logins = []
    for begin in range(0, len(names), AT_ONCE):
        futures = [
            portal.login(UsernamePassword(name, "password"), mind, Player)
            for name in names[begin : begin + AT_ONCE]
        ]
        logins += [await future for future in futures]
    return logins


async def _log_out(logins: list[Login]) -> None:
    for end in [login.logout() for login in logins]:
        await end


async def changes(count: int, *, tuned: bool) -> AsyncIterator[float]:
    """Keep `count` sessions; yield the longest stop, in ms, while a third of them are renewed.

    The first value is that of the first logins.
    """
    set_default_dispatcher(AsyncioDispatcher())
    portal = open_portal(count)
    gc.collect()
    if tuned:
        tune_gc()
    part = max(1, count // 3)
    with Stops() as stops:
        logins = await _log_in(portal, _names(count))
    yield stops.longest
    while True:
        with Stops() as stops:
            leaving, logins = logins[:part], logins[part:]
            names = [str(login.session.avatar_id) for login in leaving]
            await _log_out(leaving)
            del leaving
            logins += await _log_in(portal, names)
        yield stops.longest


def stops(scale: float) -> dict[str, Pairs]:
    """Return ms of processor time: the longest stop as `serve` sets it, and with the defaults."""
    change = functools.partial(changes, int(100_000 * scale))
    with (
        elsewhere(functools.partial(change, tuned=True)) as tuned,
        elsewhere(functools.partial(change, tuned=False)) as defaults,
    ):
        return {"": alternate(tuned, defaults)}


def full(scale: float) -> dict[str, Pairs]:
    """Return ms of processor time for a full collection with 100,000 sessions, and without."""
    count = int(100_000 * scale)

    async def run() -> Pairs:
        set_default_dispatcher(AsyncioDispatcher())
        portal = open_portal(count)
        none = [_collection() for _ in range(ROUNDS)]
        logins = await _log_in(portal, _names(count))
        many = [_collection() for _ in range(ROUNDS)]
        await _log_out(logins)
        await asyncio.to_thread(shutdown, 60)
        return [list(pair) for pair in zip(many, none, strict=True)]

    return {"": run_on_loop(run())}


def _collection() -> float:
    with Stops() as stops:
        gc.collect()
    return stops.longest
