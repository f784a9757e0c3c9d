"""Alternating rounds of systems, and the tables of what they cost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from rich.table import Table

from tests.benchmarks.measure import Spread
from tests.benchmarks.report import Pairs, ratios
from tests.benchmarks.wire.game import SESSIONS
from tests.benchmarks.wire.processes import Cost, Running, System
from tests.benchmarks.wire.systems import COLYSEUS, PB, RAW, floor

NAMES = {
    "logins": ("connect and login, 50 in flight", "/s"),
    "calls": ("call, 1,000 sessions, 64 in flight", "/s"),
    "bursts": ("call, one session, 64 in flight", "/s"),
    "sequential": ("sequential call, p50", "us"),
    "fan-out": ("notification to 1,000 sessions", "/s"),
}
"""The name and the unit of each figure."""

Measured = dict[str, dict[str, list[Cost]]]
"""The costs of all rounds, by figure and system."""


def scaled(count: int, scale: float) -> int:
    """Return a count of the command's scale."""
    return max(2, int(count * scale))


def measure(
    systems: list[System], scale: float, rounds: int, say: Callable[[str], None]
) -> Measured:
    """Return what everything costs in alternating rounds, after some that warm up.

    All systems run the whole time, so that what compiles code has compiled it. One works at a time.
    """
    found: Measured = {figure: {system.name: [] for system in systems} for figure in NAMES}
    sessions = scaled(SESSIONS, scale)
    with ExitStack() as stack:
        running = [stack.enter_context(Running(system)) for system in systems]
        for one in running:
            say(f"{one.system.name} warms up ...")
            one.open(sessions)
            for _ in range(one.system.warm_up):
                for figure in found:
                    _do(one, figure, scale)
        for number in range(rounds):
            say(f"round {number + 1} of {rounds} ...")
            for figure, by_name in found.items():
                for one in running[:: -1 if number % 2 else 1]:
                    by_name[one.system.name].append(_do(one, figure, scale))
    return found


def _do(one: Running, figure: str, scale: float) -> Cost:
    count = scaled(one.system.counts[figure], scale)
    cost = one.do(figure, count, scaled(SESSIONS, scale) if figure == "fan-out" else 1)
    if figure == "logins":
        one.close_visitors()
    return cost


def pairs(
    found: Measured, figure: str, ours: str, peer: str, value: Callable[[Cost], float]
) -> Pairs:
    """Return a value of two systems in each round."""
    by_name = found[figure]
    return [
        [value(one), value(other)] for one, other in zip(by_name[ours], by_name[peer], strict=True)
    ]


def rate(cost: Cost) -> float:
    """Return the rate or time."""
    return cost.value


def server_cpu(cost: Cost) -> float:
    """Return the server's processor time."""
    return cost.server


def client_cpu(cost: Cost) -> float:
    """Return the client's processor time."""
    return cost.client


def both_cpu(cost: Cost) -> float:
    """Return the processor time of both ends."""
    return cost.server + cost.client


def _ratio(
    found: Measured, figure: str, ours: str, peer: str, value: Callable[[Cost], float]
) -> str:
    if peer not in found[figure] or ours == peer:
        return ""
    return f"{Spread.of(ratios(pairs(found, figure, ours, peer, value))).median:.2f} x"


def table_of_bytes(found: Measured, title: str) -> Table:
    """Return what servers cost whose client only sends bytes, beside those that only echo."""
    table = Table(
        "figure", "server", "rate, or time", "server us CPU", "to epoll", "to asyncio", "to uvloop",
        title=title,
    )  # fmt: skip
    for figure, by_name in found.items():
        name, unit = NAMES[figure]
        for number, (system, costs) in enumerate(by_name.items()):
            table.add_row(
                "" if number else name,
                system.removeprefix(RAW),
                f"{Spread.of([cost.value for cost in costs])} {unit}",
                f"{Spread.of([cost.server for cost in costs])}",
                *(
                    _ratio(found, figure, system, floor(kind), server_cpu)
                    for kind in ("epoll", "asyncio", "uvloop")
                ),
            )
        table.add_section()
    return table


def table_of_clients(found: Measured, title: str) -> Table:
    """Return what systems cost with their own clients."""
    table = Table(
        "figure", "system", "rate, or time", "server us CPU", "client us CPU",
        f"to {PB}", f"to {COLYSEUS}", f"CPU to {PB}",
        title=title,
    )  # fmt: skip
    for figure, by_name in found.items():
        name, unit = NAMES[figure]
        for number, (system, costs) in enumerate(by_name.items()):
            table.add_row(
                "" if number else name,
                system,
                f"{Spread.of([cost.value for cost in costs])} {unit}",
                f"{Spread.of([cost.server for cost in costs])}",
                f"{Spread.of([cost.client for cost in costs])}",
                _ratio(found, figure, system, PB, rate),
                _ratio(found, figure, system, COLYSEUS, rate),
                _ratio(found, figure, system, PB, both_cpu),
            )
        table.add_section()
    return table
