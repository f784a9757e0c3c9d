"""What depends on the number of connections: memory, the cost of a login, and pauses."""

from __future__ import annotations

from collections.abc import Callable

from tests.benchmarks.measure import loop_name, percentile, resident
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
) -> dict[int, list[float]]:
    """Return the server's microseconds of processor time per login, by the connections it has."""
    found: dict[int, list[float]] = {}
    with Running(systems[bare(loop_name())]) as running:
        for crowd in CROWDS:
            say(f"logins among {crowd:,} connections ...")
            running.open(scaled(crowd, scale))
            visitors = scaled(VISITORS, scale)
            costs = []
            for _ in range(rounds + 1):
                costs.append(running.do("logins", visitors).server)
                running.close_visitors()
            found[crowd] = costs[1:]
    return found


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
