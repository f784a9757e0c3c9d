"""What a cluster of processes costs: logins per second, memory, idle nodes, look-ups, take-over.

    make bench-cluster-nodes NODES="--sessions 10000 --rounds 5"

Each node is a process of its own, and NATS a real server on this machine; variants alternate. A
portal alone is the same process without a cluster. Where `erl` is installed, names of Erlang's
`global` on two of its nodes are beside exclusive logins, as what takes one place on all machines
there.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from actorcred import LoginFailed, Policy, Portal, PortalOptions, UsernamePassword
from actorcred.actors import AsyncioDispatcher, set_default_dispatcher
from actorcred.cluster import Cluster
from tests.benchmarks.logins import Everybody, Game, Player, mind
from tests.benchmarks.measure import machine, resident
from tests.cluster.nats_server import NatsServer, random_name

ABREAST = 64
"""Logins at a time."""

LEASE = 2.0
"""Seconds, of the cluster in which a node is killed."""

IDLE = 5.0
"""Seconds for which an idle node is watched."""

GLOBAL = Path(__file__).with_name("global.escript")

# -- a node, in a process of its own ---------------------------------------------------------------


class Node:
    """Does what the benchmark asks for."""

    def __init__(self, portal: Any, cluster: Cluster | None) -> None:
        self._portal = portal
        self._cluster = cluster
        self._kept: list[Any] = []

    async def log_in(self, prefix: str, count: int) -> tuple[float, float, float]:
        """Log some users in; return seconds, CPU seconds and bytes of memory.

        CPU and memory are those until NATS has been told of all of them.
        """
        gc.collect()
        memory, cpu, began = resident(), time.process_time(), time.perf_counter()
        names = iter(range(count))

        async def some() -> None:
            for number in names:
                credentials = UsernamePassword(f"{prefix}{number}", "x")
                self._kept.append(await self._portal.login(credentials, mind, Player))

        await asyncio.gather(*[some() for _ in range(ABREAST)])
        took = time.perf_counter() - began
        await asyncio.sleep(0)
        while self._cluster is not None and self._cluster._node._upkeep.backlog:
            await asyncio.sleep(0.01)
        spent = time.process_time() - cpu
        gc.collect()
        return took, spent, resident() - memory

    async def get_in(self, name: str, timeout: float) -> float:
        """Log a user in, however often it takes; return the seconds."""
        began = time.perf_counter()
        while time.perf_counter() - began < timeout:
            try:
                await self._portal.login(UsernamePassword(name, "x"), mind, Player)
            except LoginFailed:
                await asyncio.sleep(0.01)
            else:
                return time.perf_counter() - began
        raise TimeoutError(name)

    async def idle(self) -> float:
        """Do nothing; return the share of a core that takes."""
        await asyncio.sleep(1)
        cpu = time.process_time()
        await asyncio.sleep(IDLE)
        return (time.process_time() - cpu) / IDLE

    async def look_up(self) -> tuple[float, float, int]:
        """Count and list all sessions; return the seconds of each, and how many there are."""
        began = time.perf_counter()
        await self._portal.count()
        counted = time.perf_counter()
        number = len(await self._portal.sessions())
        return counted - began, time.perf_counter() - counted, number

    async def log_out(self) -> None:
        """End all sessions."""
        for login in self._kept:
            await login.logout()
        self._kept.clear()


def run_node(line: Connection, policy: str, settings: dict[str, Any] | None) -> None:
    """Run a node until its line is closed."""
    asyncio.run(_serve(line, policy, settings))


async def _serve(line: Connection, policy: str, settings: dict[str, Any] | None) -> None:
    set_default_dispatcher(AsyncioDispatcher())
    cluster = None if settings is None else await Cluster.connect(**settings)
    more = {} if cluster is None else {"registry": cluster}
    options = PortalOptions(policy=Policy(policy), login_timeout=60, **more)
    portal = Portal.start(Game.start(), [Everybody.start()], options)
    node, loop = Node(portal, cluster), asyncio.get_running_loop()
    line.send("ready")
    while True:
        try:
            name, args = await loop.run_in_executor(None, line.recv)
        except EOFError:
            break
        line.send(await getattr(node, name)(*args))
    await portal.drain(30)
    if cluster is not None:
        await cluster.close()


class Process:
    """A node's process."""

    def __init__(self, policy: str, settings: dict[str, Any] | None) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._line, theirs = spawn.Pipe()
        self._process = spawn.Process(target=run_node, args=(theirs, policy, settings))
        self._process.start()
        theirs.close()
        self._line.recv()

    def ask(self, name: str, *args: Any) -> None:
        """Have something done; `answer` returns what came of it."""
        self._line.send((name, args))

    def answer(self) -> Any:
        """Return the answer to the last request."""
        return self._line.recv()

    def do(self, name: str, *args: Any) -> Any:
        """Have something done; return what came of it."""
        self.ask(name, *args)
        return self.answer()

    def kill(self) -> None:
        """Kill it, as a crash would."""
        assert self._process.pid is not None
        os.kill(self._process.pid, signal.SIGKILL)

    def end(self) -> None:
        """Have it leave."""
        self._line.close()
        self._process.join(60)


@contextmanager
def nodes(
    count: int, policy: str, server: NatsServer | None, lease: float = 15.0
) -> Iterator[list[Process]]:
    """Run some nodes of one cluster; without NATS one portal alone."""
    settings = None
    if server is not None:
        settings = {
            "servers": server.url,
            "name": random_name(),
            "lease": lease,
            "user": server.user,
            "password": server.password,
            "is_new": True,
        }
    with ExitStack() as stack:
        started = []
        for _ in range(count):
            started.append(Process(policy, settings))
            stack.callback(started[-1].end)
        yield started


# -- what is measured ------------------------------------------------------------------------------


def logins_per_second(count: int, policy: str, server: NatsServer | None, each: int) -> float:
    """Return the logins per second of some nodes together."""
    with nodes(count, policy, server) as running:
        for number, node in enumerate(running):
            node.do("log_in", f"warm{number}-", ABREAST)
        began = time.perf_counter()
        for number, node in enumerate(running):
            node.ask("log_in", f"n{number}-", each)
        for node in running:
            node.answer()
        return count * each / (time.perf_counter() - began)


def held(policy: str, server: NatsServer | None, sessions: int) -> dict[str, float]:
    """Return what it costs to hold many sessions."""
    with nodes(1 if server is None else 2, policy, server) as running:
        node, other = running[0], running[-1]
        node.do("log_in", "warm-", ABREAST)
        _, cpu, memory = node.do("log_in", "user", sessions)
        counted, listed, number = other.do("look_up")
        assert number == sessions + ABREAST, number
        return {
            "KB a session": memory / sessions / 1024,
            "CPU us a login": cpu / sessions * 1e6,
            "count, ms": counted * 1e3,
            "list all, ms": listed * 1e3,
            "idle, % of a core": node.do("idle") * 100,
        }


def taken_over(server: NatsServer) -> float:
    """Return after how many leases a user gets in elsewhere whose node was killed."""
    with nodes(2, "reject", server, LEASE) as (node, other):
        node.do("get_in", "ann", 60.0)
        node.kill()
        seconds: float = other.do("get_in", "ann", 60.0)
        return seconds / LEASE


def erlang() -> float | None:
    """Return the microseconds for a name in Erlang's `global` on two nodes, if `erl` is there."""
    if shutil.which("escript") is None:
        return None
    done = subprocess.run(
        ["escript", str(GLOBAL)], capture_output=True, text=True, timeout=120, check=True
    )
    return float(done.stdout)


def _print(what: str, ours: list[float], alone: list[float]) -> None:
    ratios = [one / other for one, other in zip(ours, alone, strict=True)]
    print(
        f"{statistics.median(ours):10.1f} {statistics.median(alone):10.1f}  "
        f"{statistics.median(ratios):5.2f} x ({min(ratios):.2f} to {max(ratios):.2f})  {what}"
    )


def measure(server: NatsServer, sessions: int, rounds: int) -> None:
    """Measure, and print a table: the cluster, a portal alone, and the ratio."""
    print("   cluster      alone  ratio (least to most)")
    rates: dict[str, list[float]] = {}
    for _ in range(rounds):
        rates.setdefault("alone", []).append(logins_per_second(1, "allow", None, 3000))
        for policy in ("allow", "reject"):
            for count in (1, 2, 3):
                rate = logins_per_second(count, policy, server, 3000)
                rates.setdefault(f"logins per second, {policy}, nodes: {count}", []).append(rate)
    alone = rates.pop("alone")
    for what, found in rates.items():
        _print(what, found, alone)
    for number in (sessions, sessions * 10):
        for policy in ("allow", "reject"):
            ours, beside = held(policy, server, number), held(policy, None, number)
            for what, value in ours.items():
                _print(f"{what}, {policy}, {number} sessions", [value], [beside[what] or 1e-9])
    leases = [taken_over(server) for _ in range(rounds)]
    print(f"take-over after kill -9: {statistics.median(leases):.2f} leases (to {max(leases):.2f})")
    name = erlang()
    print(
        "Erlang is not installed" if name is None else f"a name of Erlang's global: {name:.0f} us"
    )


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=10_000, help="and ten times as many")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        server = NatsServer(Path(folder))
        server.start()
        try:
            measure(server, options.sessions, options.rounds)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
