"""What a client does at an order of the benchmark, the same for all systems in Python."""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from tests.benchmarks.wire.game import CALLS_IN_FLIGHT, LOGINS_IN_FLIGHT


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
    def next_order(self) -> Awaitable[str]:
        """Return an awaitable of the next line of standard input, which a thread waits for."""

    @abstractmethod
    async def login(self, number: int) -> Any:
        """Connect and log in."""

    @abstractmethod
    async def close(self, session: Any) -> None:
        """Log out and disconnect."""

    @abstractmethod
    async def echo(self, session: Any) -> None:
        """Call a method."""

    @abstractmethod
    async def fan(self, session: Any) -> None:
        """Broadcast a notification to all clients."""


class Driver:
    """Obeys orders.

    Args:
        target: the system.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._numbers = itertools.count()
        self._sessions: list[Any] = []
        self._visitors: list[Any] = []
        self._orders: dict[str, Callable[[int], Awaitable[float]]] = {
            "open": self._open,
            "logins": self._logins,
            "close": self._close,
            "calls": self._calls,
            "bursts": self._bursts,
            "sequential": self._sequential,
            "fan-out": self._fan_out,
        }

    async def run(self) -> None:
        """Obey until standard input ends; answer with rates per second, or microseconds (p50)."""
        while line := await self._target.next_order():
            order, count = line.split()
            print(json.dumps(await self._orders[order](int(count))), flush=True)

    async def _in_flight(
        self, count: int, width: int, act: Callable[[int], Awaitable[Any]]
    ) -> float:
        """Run something `count` times, `width` at a time; return the rate per second."""
        numbers = iter(range(count))

        async def worker() -> None:
            for number in numbers:
                await act(number)

        began = time.perf_counter()
        await self._target.together([worker() for _ in range(width)])
        return count / (time.perf_counter() - began)

    async def _open(self, count: int) -> float:
        async def login(_: int) -> None:
            self._sessions.append(await self._target.login(next(self._numbers)))

        return await self._in_flight(max(0, count - len(self._sessions)), LOGINS_IN_FLIGHT, login)

    async def _logins(self, count: int) -> float:
        async def login(_: int) -> None:
            self._visitors.append(await self._target.login(next(self._numbers)))

        return await self._in_flight(count, LOGINS_IN_FLIGHT, login)

    async def _close(self, _: int) -> float:
        visitors, self._visitors = self._visitors, []
        return await self._in_flight(
            len(visitors), LOGINS_IN_FLIGHT, lambda at: self._target.close(visitors[at])
        )

    async def _calls(self, count: int) -> float:
        each = itertools.cycle(self._sessions)
        return await self._in_flight(
            count, CALLS_IN_FLIGHT, lambda _: self._target.echo(next(each))
        )

    async def _bursts(self, count: int) -> float:
        one = self._sessions[0]
        return await self._in_flight(count, CALLS_IN_FLIGHT, lambda _: self._target.echo(one))

    async def _sequential(self, count: int) -> float:
        times = []
        for _ in range(count):
            began = time.perf_counter()
            await self._target.echo(self._sessions[0])
            times.append(time.perf_counter() - began)
        return statistics.median(times) * 1e6

    async def _fan_out(self, count: int) -> float:
        total = count * len(self._sessions)
        all_heard = self._target.expect(total)
        began = time.perf_counter()
        for _ in range(count):
            await self._target.fan(self._sessions[0])
        await all_heard
        return total / (time.perf_counter() - began)


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

    def next_order(self) -> Awaitable[str]:
        """Read it in a thread."""
        return asyncio.to_thread(sys.stdin.readline)
