"""What depends on the number of connections: memory, the cost of a login, and pauses."""

from __future__ import annotations

import functools
from collections.abc import Callable

from tests.benchmarks.measure import alternate, loop_name, percentile, resident
from tests.benchmarks.report import Pairs
from tests.benchmarks.wire.game import IDLE
from tests.benchmarks.wire.processes import Running, System
from tests.benchmarks.wire.rounds import scaled
from tests.benchmarks.wire.systems import bare, floor

WARM_UP = 20

CROWDS = (1_000, 5_000, 19_000)
"""Connections among which the cost of a login is measured."""

VISITORS = 300

BROADCAST = 10_000
"""Connections to which a broadcast goes."""

PAUSES = 3
"""Of which the longest counts in a round."""


def kilobytes_per_session(system: System, scale: float) -> float:
    """Return the server's memory per idle session, in a new process."""
    count = scaled(IDLE, scale)
    with Running(system) as running:
        running.open(WARM_UP)
        before = resident(running.server.pid)
        running.open(WARM_UP + count)
        return (resident(running.server.pid) - before) / count / 1024


def logins(
    systems: dict[str, System], scale: float, rounds: int, say: Callable[[str], None]
) -> dict[int, Pairs]:
    """Return the server's microseconds of processor time per login, by the connections it has.

    Beside it is what it takes a server that echoes to accept a connection.
    """
    found: dict[int, Pairs] = {}
    visitors, loop = scaled(VISITORS, scale), loop_name()
    with Running(systems[bare(loop)]) as ours, Running(systems[floor(loop)]) as peer:
        for crowd in CROWDS:
            say(f"logins among {crowd:,} connections ...")
            for one in (ours, peer):
                one.open(scaled(crowd, scale))
            found[crowd] = alternate(
                *(functools.partial(_login, one, visitors) for one in (ours, peer)), rounds=rounds
            )
    return found


def _login(one: Running, visitors: int) -> float:
    cost = one.do("logins", visitors)
    one.close_visitors()
    return cost.server


def pauses(
    systems: dict[str, System], scale: float, rounds: int, say: Callable[[str], None]
) -> dict[str, Pairs]:
    """Return milliseconds that a call waits behind a broadcast, by loop: ours and the floor's.

    The floor writes to all connections in one turn of its loop.
    """
    found = {}
    for loop in ("asyncio", "uvloop"):
        if bare(loop) not in systems:
            continue
        say(f"calls behind a broadcast to {BROADCAST:,}, on {loop} ...")
        with Running(systems[bare(loop)]) as ours, Running(systems[floor(loop)]) as peer:
            for one in (ours, peer):
                one.open(scaled(BROADCAST, scale))
                one.ask("pause", 1)
            found[loop] = [
                [percentile(one.ask("pause", PAUSES), 1.0) for one in (ours, peer)]
                for _ in range(rounds)
            ]
    return found
