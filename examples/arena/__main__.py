"""Run the arena with bots, watch it, and count at the end: `python -m examples.arena --help`."""

from __future__ import annotations

import argparse
import logging
import random
import resource
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from rich.console import Console
from rich.live import Live
from rich.table import Table

from actorcred import AccountError, ActorRef, Portal, PortalOptions, PortalRef, actors
from actorcred.actors import ThreadDispatcher
from actorcred.checkers.file import FileChecker
from actorcred.events import Event, LoggedIn, LoggedOut, LoginRefused
from examples.arena.accounts import make_accounts
from examples.arena.bots import Bot, Habits
from examples.arena.realm import Arena


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    arguments = _parse(argv)
    console = Console()
    try:
        arguments.data.mkdir(parents=True, exist_ok=True)
        console.print(f"Accounts of {arguments.avatars} bots in {arguments.data} ...")
        htpasswd, accounts = make_accounts(arguments.data, arguments.avatars)
        arena = Show(arguments, htpasswd)
    except (OSError, AccountError) as error:
        console.print(f"[red]The arena cannot open:[/red] {error}")
        return 2
    try:
        arena.start_bots(accounts)
        arena.watch(console)
    except KeyboardInterrupt:
        console.print("Interrupted: logging everybody out.")
    return 0 if arena.close(console) else 1


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.arena", description=__doc__)
    parser.add_argument("--avatars", type=_positive, default=2000, metavar="N", help="how many bots play (%(default)s)")
    parser.add_argument("--duration", type=float, default=20.0, metavar="S", help="seconds to play (%(default)s)")
    parser.add_argument("--wrong", type=_share, default=0.1, metavar="P", help="share of wrong passwords (%(default)s)")
    parser.add_argument("--crash-rate", type=_share, default=0.001, metavar="P", help="share of acts that crash an avatar")
    parser.add_argument("--seed", type=int, default=1, help="of everything random but the passwords (%(default)s)")
    parser.add_argument("--data", type=Path, default=Path("arena-data"), metavar="DIR", help="accounts and scores (%(default)s)")
    return parser.parse_args(argv)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to 1, not {value}")
    return value


@dataclass
class Ledger:
    """What the portal's events say; the bots' own counts must agree with it."""

    logins: int = 0
    refused: int = 0

    def __post_init__(self) -> None:
        self.logouts: Counter[str] = Counter()

    def __call__(self, event: Event) -> None:
        """Book an event."""
        if isinstance(event, LoggedIn):
            self.logins += 1
        elif isinstance(event, LoginRefused):
            self.refused += 1
        elif isinstance(event, LoggedOut):
            self.logouts[event.reason] += 1


class Show:
    """The server, its bots, and the figures.

    Args:
        arguments: the command's.
        htpasswd: the password file.
    """

    def __init__(self, arguments: argparse.Namespace, htpasswd: Path) -> None:
        self._arguments = arguments
        self._tick_times: deque[float] = deque(maxlen=600)
        size = max(20.0, arguments.avatars**0.5 * 4)
        checker = FileChecker.start(htpasswd)
        self._arena: ActorRef[Arena] = Arena.start(size, arguments.seed, arguments.data / "scores.sqlite", self._tick_times)
        options = PortalOptions(max_pending_logins=arguments.avatars)
        self._portal: PortalRef = Portal.start(self._arena, [checker], options)
        self._ledger = Ledger()
        self._portal.subscribe(self._ledger).get()
        self._counts: Counter[str] = Counter()
        self._bots: list[ActorRef[Any]] = []
        self._roles: list[ActorRef[Any]] = [self._portal, self._arena, checker]
        self._random = random.Random(arguments.seed)

    def start_bots(self, accounts: list[tuple[str, str]]) -> None:
        """Let the bots come. They are clients, so they run apart from the server."""
        clients = ThreadDispatcher("bots", 2)
        habits = Habits(self._arguments.wrong, self._arguments.crash_rate)
        for name, password in accounts:
            seed = f"{self._arguments.seed} {name}"
            self._bots.append(Bot.start(self._portal, name, password, habits, seed, self._counts, dispatcher=clients))

    def watch(self, console: Console) -> None:
        """Show the figures once a second until the time is over, and kick somebody each second."""
        end = time.monotonic() + self._arguments.duration
        before, then = Counter(self._counts), time.monotonic()
        with Live(console=console, auto_refresh=False, transient=not console.is_terminal) as live:
            while (left := end - time.monotonic()) > 0:
                time.sleep(min(1.0, left))
                now, counts = time.monotonic(), Counter(self._counts)
                figures = self._figures(counts - before, now - then, max(0.0, end - now))
                before, then = counts, now
                if console.is_terminal:
                    live.update(_table(figures), refresh=True)
                else:
                    console.print("  ".join(f"{name}: {value}" for name, value in figures), soft_wrap=True)
                self._kick_somebody()

    def _kick_somebody(self) -> None:
        sessions = self._portal.sessions().get(timeout=10)
        if sessions:
            self._portal.kick(session_id=self._random.choice(sessions).id, reason="you stood in my light")

    def _figures(self, news: Counter[str], seconds: float, left: float) -> list[tuple[str, str]]:
        ticks = sorted(self._tick_times) or [0.0]
        return [
            ("seconds left", f"{left:.0f}"),
            ("sessions", f"{self._portal.count().get(timeout=10)}"),
            ("logins/s", f"{news['logins'] / seconds:.0f}"),
            ("messages/s", f"{(news['messages'] + news['notifications']) / seconds:.0f}"),
            ("tick p50 ms", f"{ticks[len(ticks) // 2] * 1000:.1f}"),
            ("tick p99 ms", f"{ticks[len(ticks) * 99 // 100] * 1000:.1f}"),
            ("memory MB", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}"),
        ]

    def close(self, console: Console) -> bool:
        """Log everybody out, stop everything, print the summary; return whether it adds up."""
        for bot in self._bots:
            bot.stop(block=False)
        top = cast("list[tuple[str, int]]", self._arena.proxy().top().get(timeout=30))
        drained = self._portal.drain(timeout=30).get(timeout=40)
        present = self._portal.count().get(timeout=10)
        for role in self._roles:
            role.stop(timeout=30)
        stuck = actors.shutdown(timeout=30)
        logouts = sum(self._ledger.logouts.values())
        left = actors.statistics().actors
        adds_up = self._ledger.logins == logouts + present and not left and not stuck
        table = Table("what", "number", title="summary")
        for name, value in (
            ("logins", self._ledger.logins),
            *((f"logouts: {reason}", count) for reason, count in sorted(self._ledger.logouts.items())),
            ("present at the end", present),
            ("of these logged out by the drain", drained),
            ("refused logins", self._ledger.refused),
            ("wrong passwords typed", self._counts["wrong passwords"]),
            ("messages to avatars", self._counts["messages"]),
            ("notifications to clients", self._counts["notifications"]),
            ("pick-ups", self._counts["pick-ups"]),
            ("actors left", left),
        ):
            table.add_row(name, f"{value:,}")
        console.print(table)
        console.print("Best of all runs: " + ", ".join(f"{name} {points}" for name, points in top))
        console.print(f"logins {self._ledger.logins} = logouts {logouts} + present {present}: {'yes' if adds_up else 'NO'}")
        return adds_up


def _table(figures: list[tuple[str, str]]) -> Table:
    table = Table(title="arena")
    for name, _ in figures:
        table.add_column(name, justify="right")
    table.add_row(*(value for _, value in figures))
    return table


if __name__ == "__main__":
    logging.getLogger("actorcred").setLevel(logging.CRITICAL)  # crashes are part of the show
    sys.exit(main())
