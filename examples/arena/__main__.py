"""Serve the arena with bots, and show live figures and a summary."""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import resource
import sys
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from actorcred import (
    ActorcredError,
    ActorRef,
    Admission,
    Policy,
    Portal,
    PortalOptions,
    PortalRef,
    actors,
    rpc,
)
from actorcred.actors import AsyncioDispatcher, ThreadDispatcher
from actorcred.checkers.anonymous import AnonymousChecker
from actorcred.checkers.file import FileChecker
from actorcred.checkers.sqlite import SQLiteChecker
from actorcred.cli.lifetime import Life, drained, run
from actorcred.portal.events import Event, LoggedIn, LoggedOut, LoginRefused
from actorcred.rpc.protocol.addresses import Address
from examples.arena.accounts import DEMO, make_accounts
from examples.arena.bots import Bot, Habits
from examples.arena.realm import Arena, Figures
from examples.common import ADVICE, demo_account, seconds
from examples.web import make_app

PAGE = Path(__file__).parent / "page"

DRAIN_TIMEOUT = 30.0
"""Seconds for the shutdown, with thousands of players."""


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    arguments, console = _parse(argv), Console()

    async def live(life: Life) -> int:
        # The portal, the arena and all avatars run on this loop; blocking work runs on threads.
        actors.set_default_dispatcher(AsyncioDispatcher())
        life.drain_timeout = DRAIN_TIMEOUT
        try:
            arena, accounts = await life.opened(_open(arguments, console))
        except (OSError, UnicodeError, ActorcredError) as error:
            console.print("[red]The arena cannot open:[/red]", Text(f"{error}\n{ADVICE}"))
            return 2
        arena.start_bots(accounts)
        arena.introduce(console)
        await arena.watch(console, life)
        if life.asked:
            console.print("Interrupted: ending all sessions.")
        return 0 if await arena.close(console, life) else 1

    return run(live)


async def _open(
    arguments: argparse.Namespace, console: Console
) -> tuple[Show, list[tuple[str, str]]]:
    arguments.data.mkdir(parents=True, exist_ok=True)
    console.print(f"Accounts of {arguments.avatars} bots in {arguments.data} ...")
    enough = threading.Event()
    try:
        htpasswd, accounts = await asyncio.to_thread(
            make_accounts, arguments.data, arguments.avatars, enough
        )
    except asyncio.CancelledError:
        enough.set()
        raise
    return await Show.open(arguments, htpasswd), accounts


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.arena", description=__doc__)
    parser.add_argument(
        "--listen",
        type=_web_address,
        default="ws:127.0.0.1:8080",
        metavar="ADDRESS",
        help="where to serve the page (%(default)s)",
    )
    parser.add_argument("--headless", action="store_true", help="no page, only bots")
    _add_options_of_bots(parser)
    parser.add_argument(
        "--duration",
        type=seconds,
        metavar="S",
        help="seconds to play (20 when headless, else until Ctrl-C)",
    )
    parser.add_argument(
        "--max-sessions",
        type=_positive,
        metavar="N",
        help="maximum number of players, including bots (no limit)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("arena-data"),
        metavar="DIR",
        help="accounts and scores (%(default)s)",
    )
    arguments = parser.parse_args(argv)
    if arguments.headless and arguments.duration is None:
        arguments.duration = 20.0
    return arguments


def _add_options_of_bots(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--avatars",
        type=_positive,
        default=2000,
        metavar="N",
        help="number of bots (%(default)s)",
    )
    parser.add_argument(
        "--wrong",
        type=_share,
        default=0.1,
        metavar="P",
        help="share of logins with a wrong password (%(default)s)",
    )
    parser.add_argument(
        "--crash-rate",
        type=_share,
        default=0.001,
        metavar="P",
        help="share of actions that crash an avatar (%(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=1,
        help="seed for everything random except passwords (%(default)s)",
    )


def _web_address(text: str) -> Address:
    try:
        address = Address.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if address.kind not in {"ws", "wss"}:
        raise argparse.ArgumentTypeError(
            f"must begin with ws: or wss:, as ws:127.0.0.1:8080, not with {address.kind}:"
        )
    return address


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
    """Counts of logins and logouts from the portal's events; the bots' own counts must agree."""

    logins: int = 0
    refused: int = 0

    def __post_init__(self) -> None:
        self.logouts: Counter[str] = Counter()

    def __call__(self, event: Event) -> None:
        """Count an event."""
        if isinstance(event, LoggedIn):
            self.logins += 1
        elif isinstance(event, LoginRefused):
            self.refused += event.count
        elif isinstance(event, LoggedOut):
            self.logouts[event.reason] += 1


class Show:
    """The server, its bots, and the figures; created by `open`.

    Args:
        arguments: those of the command.
        htpasswd: the password file of the bots.
    """

    def __init__(self, arguments: argparse.Namespace, htpasswd: Path) -> None:
        self._arguments = arguments
        self._tick_times: deque[float] = deque(maxlen=600)
        self._random = random.Random(arguments.seed)
        self._ledger = Ledger()
        self._counts: Counter[str] = Counter()
        self._bots: list[ActorRef[Any]] = []
        self._server: rpc.Server | None = None
        blocking = ThreadDispatcher("checkers", 2)
        self._people = SQLiteChecker.start(arguments.data / "people.sqlite", dispatcher=blocking)
        bots = FileChecker.start(htpasswd, dispatcher=blocking)
        size = max(20.0, arguments.avatars**0.5 * 4)
        self._arena: ActorRef[Arena] = Arena.start(
            size, arguments.seed, arguments.data / "scores.sqlite", self._tick_times
        )
        options = PortalOptions(
            admission=Admission(logins=arguments.avatars + 100, sessions=arguments.max_sessions),
            policy=Policy.REPLACE,
        )
        self._portal: PortalRef = Portal.start(
            self._arena, [bots, self._people, AnonymousChecker.start()], options
        )

    @classmethod
    async def open(cls, arguments: argparse.Namespace, htpasswd: Path) -> Show:
        """Start everything but the bots."""
        show = cls(arguments, htpasswd)
        await show._portal.subscribe(show._ledger)
        if not arguments.headless:
            await show._open_page()
        return show

    async def _open_page(self) -> None:
        self._password = await demo_account(self._people, self._arguments.data, DEMO)
        self._server = await rpc.serve(self._portal)
        await self._server.listen(self._arguments.listen, app=make_app(self._server, PAGE))

    def introduce(self, console: Console) -> None:
        """Print the page's address."""
        if self._server is not None:
            address = self._server.addresses[0]
            scheme = "https" if address.encrypted else "http"
            console.print(
                f"Play at [bold]{scheme}://{address.host}:{address.port}/[/bold] as a guest, "
                f"or as {DEMO} with {self._password}"
            )

    def start_bots(self, accounts: list[tuple[str, str]]) -> None:
        """Start the bots. They are clients, so they run apart from the server."""
        clients = ThreadDispatcher("bots", 2)
        habits = Habits(self._arguments.wrong, self._arguments.crash_rate)
        for name, password in accounts:
            seed = f"{self._arguments.seed} {name}"
            self._bots.append(
                Bot.start(
                    self._portal, name, password, habits, seed, self._counts, dispatcher=clients
                )
            )

    async def watch(self, console: Console, life: Life) -> None:
        """Show the figures once a second until a signal or the time limit.

        Also kick one bot each second.
        """
        duration = self._arguments.duration
        end = None if duration is None else time.monotonic() + duration
        before, then = Counter(self._counts), time.monotonic()
        with Live(console=console, auto_refresh=False, transient=not console.is_terminal) as live:
            while not life.asked and (end is None or time.monotonic() < end):
                await life.until_asked(
                    1.0 if end is None else min(1.0, max(0.0, end - time.monotonic()))
                )
                now, counts = time.monotonic(), Counter(self._counts)
                figures = await self._figures(counts - before, now - then)
                before, then = counts, now
                self._arena.tell(Figures({name: value for name, (value, _) in figures.items()}))
                shown = [(name, form.format(value)) for name, (value, form) in figures.items()]
                if console.is_terminal:
                    live.update(_table(shown), refresh=True)
                else:
                    console.print(
                        "  ".join(f"{name}: {value}" for name, value in shown), soft_wrap=True
                    )
                await self._kick_some_bot()

    async def _kick_some_bot(self) -> None:
        sessions = [
            session
            for session in await self._portal.sessions()
            if str(session.avatar_id).startswith("bot")
        ]
        if sessions:
            self._portal.kick(
                session_id=self._random.choice(sessions).id, reason="kicked at random"
            )

    async def _figures(self, news: Counter[str], seconds: float) -> dict[str, tuple[float, str]]:
        ticks = sorted(self._tick_times) or [0.0]
        return {
            "sessions": (await self._portal.count(), "{:.0f}"),
            "logins/s": (news["logins"] / seconds, "{:.0f}"),
            "messages/s": ((news["messages"] + news["notifications"]) / seconds, "{:.0f}"),
            "tick p50 ms": (ticks[len(ticks) // 2] * 1000, "{:.1f}"),
            "tick p99 ms": (ticks[len(ticks) * 99 // 100] * 1000, "{:.1f}"),
            "memory MB": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "{:.0f}"),
        }

    async def close(self, console: Console, life: Life) -> bool:
        """End all sessions, stop everything, print the summary; return whether the counts agree."""
        for bot in self._bots:
            bot.stop(block=False)
        top = cast("list[tuple[str, int]]", await self._arena.proxy().top())
        by_page = await life.wait_for(
            *([] if self._server is None else [self._server.close(life.left())])
        )
        by_portal = await life.wait_for(drained(self._portal, life.left()))
        present = await self._portal.count()
        await self._portal.stop(block=False)
        stuck = await life.stop_actors()
        logouts = sum(self._ledger.logouts.values())
        left = actors.statistics().actors
        adds_up = self._ledger.logins == logouts + present and not left and not stuck
        table = Table("what", "number", title="summary")
        for name, value in (
            ("logins", self._ledger.logins),
            *(
                (f"logouts: {reason}", count)
                for reason, count in sorted(self._ledger.logouts.items())
            ),
            ("present at the end", present),
            ("logged out at the end", sum(count or 0 for count in (*by_page, *by_portal))),
            ("refused logins", self._ledger.refused),
            ("wrong passwords typed by bots", self._counts["wrong passwords"]),
            ("messages of bots to avatars", self._counts["messages"]),
            ("notifications to bots", self._counts["notifications"]),
            ("pick-ups of bots", self._counts["pick-ups"]),
            ("actors left", left),
        ):
            table.add_row(name, f"{value:,}")
        console.print(table)
        console.print(
            "Best of all runs: " + ", ".join(f"{escape(name)} {points}" for name, points in top)
        )
        console.print(
            f"logins {self._ledger.logins} = logouts {logouts} + present {present}: "
            f"{'yes' if adds_up else 'NO'}"
        )
        return adds_up


def _table(figures: list[tuple[str, str]]) -> Table:
    table = Table(title="arena")
    for name, _ in figures:
        table.add_column(name, justify="right")
    table.add_row(*(value for _, value in figures))
    return table


if __name__ == "__main__":
    logging.getLogger("actorcred").setLevel(logging.CRITICAL)  # crashes are part of the demo
    sys.exit(main())
