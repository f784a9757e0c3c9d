"""The measurements, the same for all systems: drives sessions and prints the figures."""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from tests.benchmarks.wire.game import CALLS_IN_FLIGHT, COUNTS, LOGINS_IN_FLIGHT


class Target(ABC):
    """A client of one system. It must not use an event loop, since peers use different ones."""

    _heard = 0
    _wanted = 0

    def notified(self) -> None:
        """Count a notification."""
        self._heard += 1
        if self._heard == self._wanted:
            self.all_heard()

    def expect(self, count: int) -> Awaitable[Any]:
        """Return an awaitable of the arrival of so many notifications."""
        self._heard, self._wanted = 0, count
        return self.promise()

    @abstractmethod
    def promise(self) -> Awaitable[Any]:
        """Return an awaitable of the call of `all_heard`."""

    @abstractmethod
    def all_heard(self) -> None:
        """Resolve the awaitable."""

    @abstractmethod
    def together(self, coroutines: list[Coroutine[Any, Any, None]]) -> Awaitable[Any]:
        """Run coroutines at the same time."""

    @abstractmethod
    async def login(self, number: int) -> Any:
        """Connect and log in."""

    @abstractmethod
    async def echo(self, session: Any) -> None:
        """Call a method."""

    @abstractmethod
    async def fan(self, session: Any) -> None:
        """Broadcast a notification to all clients."""


def resident_kilobytes(pid: int) -> int:
    """Return the resident memory of a process in KB."""
    with open(f"/proc/{pid}/status") as file:
        return int(file.read().split("VmRSS:")[1].split()[0])


async def in_flight(
    target: Target, count: int, width: int, act: Callable[[int], Awaitable[Any]]
) -> float:
    """Run something `count` times, `width` at a time; return the rate per second."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await act(number)

    started = time.perf_counter()
    await target.together([worker() for _ in range(width)])
    return count / (time.perf_counter() - started)


async def drive(target: Target, pid: int, scale: float) -> None:
    """Measure everything and print it as JSON.

    Args:
        target: the system.
        pid: the server's process.
        scale: of all numbers.
    """
    counts = {name: max(10, int(count * scale)) for name, count in COUNTS.items()}
    figures: dict[str, float] = {}
    sessions: list[Any] = []

    async def login(_: int) -> None:
        sessions.append(await target.login(len(sessions)))

    await in_flight(target, 20, 10, login)  # warm up
    before, already = resident_kilobytes(pid), len(sessions)
    figures["logins"] = await in_flight(
        target, counts["sessions"] - already, LOGINS_IN_FLIGHT, login
    )
    each = itertools.cycle(sessions)
    await in_flight(
        target, counts["calls"] // 10, CALLS_IN_FLIGHT, lambda _: target.echo(next(each))
    )
    figures["calls"] = await in_flight(
        target, counts["calls"], CALLS_IN_FLIGHT, lambda _: target.echo(next(each))
    )
    times = []
    for _ in range(counts["sequential"]):
        started = time.perf_counter()
        await target.echo(sessions[0])
        times.append(time.perf_counter() - started)
    figures["sequential"] = statistics.median(times) * 1e6
    all_heard = target.expect(counts["rounds"] * len(sessions))
    started = time.perf_counter()
    for _ in range(counts["rounds"]):
        await target.fan(sessions[0])
    await all_heard
    figures["fan-out"] = counts["rounds"] * len(sessions) / (time.perf_counter() - started)
    await in_flight(target, counts["idle"] - len(sessions), LOGINS_IN_FLIGHT, login)
    await target.echo(sessions[0])
    figures["memory"] = (resident_kilobytes(pid) - before) / (len(sessions) - already)
    print(json.dumps(figures), flush=True)


class AsyncioTarget(Target):
    """A system whose client runs on asyncio."""

    _promised: asyncio.Future[None]

    def promise(self) -> Awaitable[None]:
        """Return a future."""
        self._promised = asyncio.get_running_loop().create_future()
        return self._promised

    def all_heard(self) -> None:
        """Set its result."""
        self._promised.set_result(None)

    def together(self, coroutines: list[Coroutine[Any, Any, None]]) -> Awaitable[Any]:
        """Run coroutines as tasks."""
        return asyncio.gather(*coroutines)
