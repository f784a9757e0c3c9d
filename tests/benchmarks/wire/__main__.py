"""Measure our wire and its peers, server and client in processes of their own, on loopback.

The parts are:

    bytes     our server, and servers that only echo, with a client that only sends bytes
    clients   our server and client, also over TLS and WebSocket, both ends of an echo, and peers
              with their own clients
    memory    of the server per idle session
    crowds    a login among 1,000, 5,000 and 19,000 connections; a call behind a broadcast
    chat      logins with hashed passwords while others chat
    browser   the browser's client in Chromium

Rounds alternate. Each value is the median of the rounds, with the least and the most. What counts
is the ratio of two systems in one round. CPU is processor time of a process, all threads included.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from tests.benchmarks.measure import (
    ROUNDS,
    Missing,
    Spread,
    end_on_sigterm,
    loop_name,
    machine,
    raise_descriptor_limit,
    run_on_loop,
)
from tests.benchmarks.report import Figure, Pairs, Target, targets_table
from tests.benchmarks.wire import browser, chat, crowds
from tests.benchmarks.wire.game import IDLE
from tests.benchmarks.wire.processes import System
from tests.benchmarks.wire.rounds import (
    Measured,
    both_cpu,
    client_cpu,
    measure,
    pairs,
    rate,
    server_cpu,
    table_of_bytes,
    table_of_clients,
)
from tests.benchmarks.wire.systems import (
    COLYSEUS,
    OURS,
    PB,
    RAW,
    bare,
    echo,
    echoes,
    floor,
    versions,
    with_bytes,
    with_own_clients,
)

DEFAULT = bare(loop_name())

ECHO = echo(loop_name())

Line = tuple[str, str, str, str, Callable[..., float], Target | None]
"""Figure, name, ours, peer, value, target."""

TARGETS: dict[str, list[Line]] = {
    "bytes": [
        ("logins", "server CPU of connect and login", bare("asyncio"), floor("asyncio"),
         server_cpu, Target(3.8)),
        ("calls", "server CPU of a call", bare("asyncio"), floor("asyncio"), server_cpu,
         Target(1.8)),
        ("fan-out", "server CPU of a notification", bare("asyncio"), floor("asyncio"), server_cpu,
         Target(1.3)),
        ("calls", "server CPU of a call", DEFAULT, floor("epoll"), server_cpu, Target(1.9)),
    ],
    "clients": [
        ("logins", "logins per second", OURS, PB, rate, Target(2.5, least=True)),
        ("logins", "CPU of a login, both ends", PB, OURS, both_cpu, Target(2, least=True)),
        ("calls", "calls per second", OURS, PB, rate, Target(5.5, least=True)),
        ("calls", "calls per second", OURS, COLYSEUS, rate, Target(2, least=True)),
        ("sequential", "sequential call, p50", OURS, PB, rate, Target(0.25)),
        ("sequential", "sequential call, p50", OURS, COLYSEUS, rate, Target(0.8)),
        ("fan-out", "notifications per second", OURS, PB, rate, Target(8, least=True)),
        ("fan-out", "notifications per second", OURS, COLYSEUS, rate, Target(1.8, least=True)),
        # What a client and a server that only echo reach.
        ("logins", "logins per second", ECHO, PB, rate, None),
        ("calls", "calls per second", ECHO, PB, rate, None),
        ("calls", "calls per second", ECHO, COLYSEUS, rate, None),
        ("sequential", "sequential call, p50", ECHO, PB, rate, None),
        ("fan-out", "notifications per second", ECHO, PB, rate, None),
        ("logins", "client CPU of a login", OURS, ECHO, client_cpu, Target(79, ratio=False)),
        ("calls", "client CPU of a call", OURS, ECHO, client_cpu, Target(7.4, ratio=False)),
    ],
}  # fmt: skip

CHAT = [
    Figure("logins per second (bcrypt) while others chat", "/s", "without the chat", "chat",
           "logins"),
    Figure("logins per second (bcrypt) without a chat", "/s", "bare bcrypt, as many threads",
           "chat", "alone", Target(0.9, least=True)),
    Figure("answer to a line of the chat, p50, with logins", "ms", "without logins", "chat",
           "p50"),
    Figure("answer to a line of the chat, p99, with logins", "ms", "without logins", "chat",
           "p99"),
]  # fmt: skip

BROWSER = [
    Figure(f"{name}, {what}", unit, "a bare WebSocket", "browser", key)
    for name, what, unit, key in (
        ("call in Chromium, 64 in flight", "the page", "us CPU", "calls"),
        ("call in Chromium, 64 in flight", "time", "us", "calls, time"),
        ("sequential call in Chromium", "the page", "us CPU", "sequential"),
        ("sequential call in Chromium", "mean time", "us", "sequential, time"),
        ("notification in Chromium", "the page", "us CPU", "notifications"),
        ("notification in Chromium", "time", "us", "notifications, time"),
        ("client in Chromium", "JavaScript's heap", "KB", "memory"),
    )
]


class Command:
    """The command, with its arguments.

    Args:
        scale: of all numbers.
        rounds: of each figure.
        only: names of systems; empty for all.
    """

    def __init__(self, scale: float, rounds: int, only: str) -> None:
        self._scale = scale
        self._rounds = rounds
        self._only = [name.strip() for name in only.split(";")] if only else []
        self._console = Console(width=190)
        self._title = f"{machine()}, {loop_name()}"

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False)

    def _chosen(self, systems: list[System]) -> list[System]:
        return [one for one in systems if not self._only or one.name in self._only]

    def _own(self) -> list[System]:
        found = list(with_own_clients())
        for text in found:
            if isinstance(text, str):
                self._say(text)
        return self._chosen([one for one in found if isinstance(one, System)])

    def _targets(self, rows: list[tuple[Figure, Pairs | str]]) -> None:
        if rows:
            self._console.print(targets_table(self._title, rows))

    def _lines(self, part: str, found: Measured) -> None:
        rows: list[tuple[Figure, Pairs | str]] = []
        for figure, name, ours, peer, value, target in TARGETS[part]:
            if {ours, peer} <= found[figure].keys():
                unit = "us CPU" if value is not rate else "us" if figure == "sequential" else "/s"
                first, second = ours.removeprefix(RAW), peer.removeprefix(RAW)
                line = Figure(f"{name}: {first}", unit, second, part, target=target)
                rows.append((line, pairs(found, figure, ours, peer, value)))
        self._targets(rows)

    def bytes(self) -> None:
        """Measure the server beside the floor."""
        found = measure(self._chosen(list(with_bytes())), self._scale, self._rounds, self._say)
        self._console.print(table_of_bytes(found, self._title))
        self._lines("bytes", found)

    def clients(self) -> None:
        """Measure systems with their own clients."""
        systems = [*self._chosen(list(echoes())), *self._own()]
        found = measure(systems, self._scale, self._rounds, self._say)
        title = ", ".join(part for part in (self._title, versions(systems)) if part)
        self._console.print(table_of_clients(found, title))
        self._lines("clients", found)

    def memory(self) -> None:
        """Measure the memory of idle sessions; that of the floors and the peers once."""
        limits = {bare("asyncio"): 4.0, bare("uvloop"): 3.4}
        systems = [*self._chosen(list(with_bytes())), *self._own()]
        found: dict[str, list[float]] = {}
        for number in range(self._rounds):
            for one in (one for one in systems if number == 0 or one.name in limits):
                self._say(f"memory: {one.name} ...")
                kilobytes = crowds.kilobytes_per_session(one, self._scale)
                found.setdefault(one.name, []).append(kilobytes)
        table = Table("server", f"KB per idle session, {IDLE:,}", "target", "", title=self._title)
        for name, values in found.items():
            limit = limits.get(name)
            kept = "" if limit is None else _kept(Spread.of(values).median <= limit)
            table.add_row(name, str(Spread.of(values)), f"<= {limit} KB" if limit else "", kept)
        self._console.print(table)

    def crowds(self) -> None:
        """Measure logins among many connections, and calls behind a broadcast."""
        systems = {one.name: one for one in with_bytes()}
        self._crowd_of_logins(systems)
        found = crowds.pauses(systems, self._scale, self._rounds, self._say)
        self._targets([
            (Figure(f"call behind a broadcast to 10,000, {loop}", "ms", "echo, all in one turn",
                    "crowds", target=Target(20, ratio=False)), values)
            for loop, values in found.items()
        ])  # fmt: skip

    def _crowd_of_logins(self, systems: dict[str, System]) -> None:
        found = crowds.logins(systems, self._scale, self._rounds, self._say)
        table = Table(
            "among", "login, server us CPU", "ratio", "bare connection, us CPU", "ratio",
            title=self._title,
        )  # fmt: skip
        first = _medians(next(iter(found.values())))
        for crowd, costs in found.items():
            ours, peer = (Spread.of(list(values)) for values in zip(*costs, strict=True))
            ratios = [now / then for now, then in zip(_medians(costs), first, strict=True)]
            table.add_row(
                f"{crowd:,} connections",
                str(ours),
                f"{ratios[0]:.2f} x",
                str(peer),
                f"{ratios[1]:.2f} x",
            )
        self._console.print(table)

    def chat(self) -> None:
        """Measure logins and a chat."""
        self._say("logins with hashed passwords while others chat ...")
        found = run_on_loop(chat.measure(self._scale, self._rounds))
        self._targets([(figure, found[figure.key]) for figure in CHAT])

    def browser(self) -> None:
        """Measure the browser's client."""
        self._say("the browser's client ...")
        try:
            found = browser.measure(self._scale, self._rounds)
        except Missing as missing:
            self._say(f"the browser's client is left out: {missing}")
        else:
            self._targets([(figure, found[figure.key]) for figure in BROWSER])


def _medians(costs: Pairs) -> list[float]:
    return [Spread.of(list(values)).median for values in zip(*costs, strict=True)]


def _kept(kept: bool) -> str:
    return "kept" if kept else "MISSED"


PARTS = ("bytes", "clients", "memory", "crowds", "chat", "browser")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.wire",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of all numbers of sessions and calls"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each figure (%(default)s)")
    parser.add_argument(
        "--parts", default=",".join(PARTS), help="with commas between (%(default)s)"
    )
    parser.add_argument(
        "--only", default="", help="some of the systems of a part, with semicolons between"
    )
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    end_on_sigterm()
    raise_descriptor_limit()
    command = Command(arguments.scale, arguments.rounds, arguments.only)
    for part in parts:
        getattr(command, part)()


if __name__ == "__main__":
    main()
