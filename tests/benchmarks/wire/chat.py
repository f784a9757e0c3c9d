"""Logins with hashed passwords at a server whose users chat, and what the chat notices of them."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import bcrypt

from actorcred import rpc
from tests.benchmarks.measure import loop_name, percentile
from tests.benchmarks.report import Pairs
from tests.benchmarks.wire.game import HASHED_USERS, ROUNDS_OF_BCRYPT
from tests.benchmarks.wire.processes import Server, python
from tests.benchmarks.wire.rounds import scaled

USERS = 200

ROOM = 50
"""Users of a room; each line goes to all of them."""

LINES = 200
"""Lines per second."""

SECONDS = 1.5
"""Of each part of a round."""

CORES = os.cpu_count() or 1

OPTIONS = rpc.ClientOptions(mechanism="PLAIN")


class Chat:
    """Clients of a chat, and those that log in meanwhile.

    Args:
        port: of the server.
        scale: of users and times.
    """

    def __init__(self, port: int, scale: float) -> None:
        self._address = rpc.Address.parse(f"tcp:127.0.0.1:{port}")
        self._count = scaled(USERS, scale)
        self._seconds = max(0.2, SECONDS * min(1.0, scale))
        self._clients: list[Any] = []
        self._waits: list[float] = []
        self._logins = 0
        self._stored = bcrypt.hashpw(b"secret", bcrypt.gensalt(ROUNDS_OF_BCRYPT))

    async def open(self) -> None:
        """Log the users of the chat in."""
        for number in range(self._count):
            client = await self._connect(f"u{number}", "x")
            await client.call("join", number // ROOM)
            self._clients.append(client)

    async def close(self) -> None:
        """Log them out."""
        for client in self._clients:
            await client.close()

    async def _connect(self, name: str, password: str) -> Any:
        return await rpc.connect(self._address, name, password, options=OPTIONS)

    async def _say(self, client: Any) -> None:
        began = time.perf_counter()
        await client.call("say", "hello, all")
        self._waits.append((time.perf_counter() - began) * 1000)

    async def _lines(self) -> None:
        """Say lines at a rate, whether earlier ones are answered or not."""
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in itertools.count():
                await asyncio.sleep(began + number / LINES - time.perf_counter())
                group.create_task(self._say(self._clients[number * 7 % self._count]))

    async def _again(self, name: str) -> None:
        while True:
            client = await self._connect(name, "secret")
            self._logins += 1
            await client.close()

    @asynccontextmanager
    async def _meanwhile(self, *works: Any) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(work) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def part(self, *, lines: bool, logins: bool) -> tuple[list[float], float]:
        """Return the milliseconds of the answers to lines, and the logins per second."""
        works = [self._lines()] if lines else []
        works += [self._again(f"hashed{n}") for n in range(HASHED_USERS)] if logins else []
        async with self._meanwhile(*works):
            await asyncio.sleep(self._seconds / 4)
            self._waits, self._logins = [], 0
            began = time.perf_counter()
            await asyncio.sleep(self._seconds)
            taken = time.perf_counter() - began
            waits, done = self._waits, self._logins
        return waits, done / taken

    async def hashes(self) -> float:
        """Return how many passwords bare bcrypt checks per second, on a thread for each core."""
        until = time.perf_counter() + self._seconds

        def check() -> int:
            done = 0
            while time.perf_counter() < until:
                bcrypt.checkpw(b"secret", self._stored)
                done += 1
            return done

        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(CORES) as pool:
            done = await asyncio.gather(*(loop.run_in_executor(pool, check) for _ in range(CORES)))
        return sum(done) / self._seconds


async def measure(scale: float, rounds: int) -> dict[str, Pairs]:
    """Return what logins and lines of the chat do to each other."""
    loop = loop_name()
    found: dict[str, Pairs] = {"p50": [], "p99": [], "logins": [], "alone": []}
    with Server("the chat", python("server_actorcred", loop, "tcp", "hashed")) as server:
        chat = Chat(server.port, scale)
        await chat.open()
        for _ in range(rounds):
            idle, _ = await chat.part(lines=True, logins=False)
            busy, both = await chat.part(lines=True, logins=True)
            _, alone = await chat.part(lines=False, logins=True)
            found["p50"].append([percentile(busy, 0.5), percentile(idle, 0.5)])
            found["p99"].append([percentile(busy, 0.99), percentile(idle, 0.99)])
            found["logins"].append([both, alone])
            found["alone"].append([alone, await chat.hashes()])
        await chat.close()
    return found
