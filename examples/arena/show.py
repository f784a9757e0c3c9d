"""The arena's server with its bots and figures, from start to end."""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from actorcred import ActorRef, Admission, Policy, Portal, PortalOptions, PortalRef, actors, rpc
from actorcred.actors import ThreadDispatcher
from actorcred.checkers.anonymous import AnonymousChecker
from actorcred.checkers.file import FileChecker
from actorcred.checkers.sqlite import SQLiteChecker
from actorcred.cli.lifetime import Life, drained
from actorcred.portal.events import Event, LoggedIn, LoggedOut, LoginRefused
from actorcred.rpc.protocol.addresses import Address
from actorcred.throttle import account_of
from examples.arena.accounts import DEMO
from examples.arena.bots.bot import Account, Bot, Guide, Habits
from examples.arena.messages import Figures
from examples.arena.options import LARGEST
from examples.arena.realm import Arena, Settings
from examples.arena.signup import SignUps
from examples.arena.world.region import NARROWEST
from examples.common import demo_account
from examples.web import make_app

PAGE = Path(__file__).parent / "page"

ARRIVALS = 250.0
"""Bots that log in per second at first."""

STEPS_PER_BOT = 7.5
"""The world's side grows with the square root of the number of bots; this is its factor."""

LEAST_SIDE = 64.0
"""The shortest side of the world, unless it is set."""

PEOPLE, SCORES = "people.sqlite", "scores.sqlite"
"""The files of accounts and points in the data folder."""

DRAIN_TIMEOUT = 30.0
"""Seconds for the shutdown, with thousands of players."""

COLLECTIONS = (20_000, 50, 1000)
"""Thresholds of the garbage collector.

A full collection looks at all objects of 2,000 sessions, which takes as long as a tick, and finds
next to nothing: what is stopped is freed at once.
"""

FORMS = {
    "sessions": "{:.0f}",
    "logins/s": "{:.0f}",
    "messages/s": "{:.0f}",
    "tick p50 ms": "{:.1f}",
    "tick p99 ms": "{:.1f}",
    "core %": "{:.0f}",
    "memory MB": "{:.0f}",
}
"""How the figures are printed."""


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
        accounts: the bots'.
    """

    def __init__(
        self, arguments: argparse.Namespace, htpasswd: Path, accounts: list[Account]
    ) -> None:
        self._arguments = arguments
        self._accounts = accounts
        self._tick_times: deque[float] = deque(maxlen=600)
        self._random = random.Random(arguments.seed)
        self._ledger = Ledger()
        self._counts: Counter[str] = Counter()
        self._bots: list[ActorRef[Any]] = []
        self._server: rpc.Server | None = None
        self._password = ""
        blocking = ThreadDispatcher("checkers", 2)
        self._people = SQLiteChecker.start(arguments.data / PEOPLE, dispatcher=blocking)
        bots = FileChecker.start(htpasswd, dispatcher=blocking)
        self._arena = self._start_arena()
        self._portal: PortalRef = Portal.start(
            self._arena, [bots, self._people, AnonymousChecker.start()], self._options()
        )

    def _start_arena(self) -> ActorRef[Any]:
        return Arena.start(self._settings(), self._sign_ups(), self._tick_times)

    def _settings(self) -> Settings:
        arguments = self._arguments
        least = max(LEAST_SIDE, NARROWEST * arguments.nodes)
        usual = min(max(least, arguments.avatars**0.5 * STEPS_PER_BOT), LARGEST)
        size = arguments.size or usual
        return Settings(size, arguments.seed, scores=arguments.data / SCORES)

    def _sign_ups(self) -> SignUps:
        return SignUps(self._people, {account_of(bot.name) for bot in self._accounts})

    def _options(self) -> PortalOptions:
        arguments = self._arguments
        return PortalOptions(
            admission=Admission(logins=arguments.avatars + 100, sessions=arguments.max_sessions),
            policy=Policy.REPLACE,
        )

    @classmethod
    async def open(
        cls, arguments: argparse.Namespace, htpasswd: Path, accounts: list[Account]
    ) -> Show:
        """Start everything but the bots."""
        show = cls(arguments, htpasswd, accounts)
        await show._open()
        return show

    async def _open(self) -> None:
        await self._portal.subscribe(self._ledger)
        if not self._arguments.headless:
            await self._open_page()

    async def _open_page(self) -> None:
        self._password = await demo_account(self._people, self._arguments.data, DEMO)
        self._server = await rpc.serve(self._portal, options=self._server_options())
        await self._server.listen(self._arguments.listen, app=make_app(self._server, PAGE))

    def _server_options(self) -> rpc.ServerOptions:
        return rpc.ServerOptions()

    def introduce(self, console: Console) -> None:
        """Print the page's address."""
        if self._server is not None:
            introduce(console, self._server.addresses[0], self._password)

    def start_bots(self) -> None:
        """Start the bots. They are clients, so they run apart from the server."""
        clients = ThreadDispatcher("bots", 1)
        arguments = self._arguments
        arrival = max(1.0, len(self._accounts) / ARRIVALS)
        habits = Habits(arguments.wrong, arguments.crash_rate, arrival)
        guide = Guide()
        for account in self._accounts:
            seed = f"{arguments.seed} {account.name}"
            self._bots.append(
                Bot.start(
                    self._portal, account, habits, guide, seed, self._counts, dispatcher=clients
                )
            )

    async def watch(self, console: Console, life: Life) -> None:
        """Show the figures once a second until a signal or the time limit.

        Also kick one bot each five seconds.
        """
        with Live(console=console, auto_refresh=False, transient=not console.is_terminal) as live:
            async for figures in self._each_second(life):
                _print(console, live, [(n, FORMS[n].format(v)) for n, v in figures.items()])

    async def _each_second(self, life: Life) -> AsyncIterator[dict[str, float]]:
        duration = self._arguments.duration
        end = None if duration is None else time.monotonic() + duration
        pace, shown = Pace(self._counts), 0
        while not life.asked and (end is None or time.monotonic() < end):
            await life.until_asked(
                1.0 if end is None else min(1.0, max(0.0, end - time.monotonic()))
            )
            figures = await self._figures(pace)
            self._arena.tell(Figures(figures))
            yield figures
            shown += 1
            if shown % 5 == 0:
                self._kick_some_bot()

    def _kick_some_bot(self) -> None:
        name = self._random.choice(self._accounts).name
        self._portal.kick(avatar_id=name, reason="kicked at random")

    async def _figures(self, pace: Pace) -> dict[str, float]:
        ticks = sorted(self._tick_times) or [0.0]
        news, processor, seconds = pace.since_last()
        return {
            "sessions": await self._count(),
            "logins/s": news["logins"] / seconds,
            "messages/s": (news["messages"] + news["notifications"]) / seconds,
            "tick p50 ms": ticks[len(ticks) // 2] * 1000,
            "tick p99 ms": ticks[len(ticks) * 99 // 100] * 1000,
            "core %": processor / seconds * 100,
            "memory MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }

    async def _count(self) -> int:
        """Return the number of sessions for the figures."""
        return await self._portal.count()

    async def _present(self) -> int:
        """Return the number of sessions at the end."""
        return await self._portal.count()

    async def close(self, console: Console, life: Life) -> bool:
        """End all sessions, stop everything, print the summary; return whether the counts agree."""
        totals = await self.end(life)
        totals.show(console)
        return totals.agree

    async def end(self, life: Life) -> Totals:
        """End all sessions, and stop everything."""
        for bot in self._bots:
            bot.stop(block=False)
        top = cast("list[tuple[str, int]]", await self._arena.proxy().top())
        by_page = await life.wait_for(
            *([] if self._server is None else [self._server.close(life.left())])
        )
        by_portal = await life.wait_for(drained(self._portal, life.left()))
        present = await self._present()
        await self._portal.stop(block=False)
        stuck = await life.stop_actors()
        ended = sum(count or 0 for count in (*by_page, *by_portal))
        ledger, counts, left = self._ledger, self._counts, actors.statistics().actors
        rows = {
            LOGINS: ledger.logins,
            **{f"{LOGOUTS}{reason}": count for reason, count in sorted(ledger.logouts.items())},
            PRESENT: present,
            "logged out at the end": ended,
            "refused logins": ledger.refused,
            "wrong passwords typed by bots": counts["wrong passwords"],
            "messages of bots to avatars": counts["messages"],
            "notifications to bots": counts["notifications"],
            LEFT: left + len(stuck),
        }
        return Totals(rows, top)


LOGINS, LOGOUTS, PRESENT, LEFT = "logins", "logouts: ", "present at the end", "actors left"


@dataclass(frozen=True, slots=True)
class Totals:
    """The counts of a run.

    Attributes:
        rows: the counts by their names.
        top: the names and points of the best players of all runs.
    """

    rows: Mapping[str, int]
    top: list[tuple[str, int]]

    @property
    def agree(self) -> bool:
        """Whether all who have logged in have logged out or are present, and nothing is left."""
        rows = self.rows
        return rows[LOGINS] == self._logouts() + rows[PRESENT] and not rows[LEFT]

    def _logouts(self) -> int:
        return sum(count for name, count in self.rows.items() if name.startswith(LOGOUTS))

    def show(self, console: Console) -> None:
        """Print them."""
        table = Table("what", "number", title="summary")
        for name, value in self.rows.items():
            table.add_row(name, f"{value:,}")
        console.print(table)
        console.print(
            "Best of all runs: "
            + ", ".join(f"{escape(name)} {points}" for name, points in self.top)
        )
        console.print(
            f"logins {self.rows[LOGINS]} = logouts {self._logouts()} + "
            f"present {self.rows[PRESENT]}: {'yes' if self.agree else 'NO'}"
        )


def introduce(console: Console, address: Address, password: str) -> None:
    """Print where the page is, and the password of the demo account."""
    scheme = "https" if address.encrypted else "http"
    console.print(
        f"Play at [bold]{scheme}://{address.host}:{address.port}/[/bold] as a guest, "
        f"or as {DEMO} with {password}"
    )


class Pace:
    """What has been counted, and how much processor time was used, since the last look.

    Args:
        counts: the counts.
    """

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._before = Counter(counts), time.process_time(), time.monotonic()

    def since_last(self) -> tuple[Counter[str], float, float]:
        """Return what was counted, the processor's seconds, and the seconds since the last call."""
        now = Counter(self._counts), time.process_time(), time.monotonic()
        before, self._before = self._before, now
        return now[0] - before[0], now[1] - before[1], max(0.001, now[2] - before[2])


def _print(console: Console, live: Live, shown: list[tuple[str, str]]) -> None:
    if not console.is_terminal:
        console.print("  ".join(f"{name}: {value}" for name, value in shown), soft_wrap=True)
        return
    table = Table(title="arena")
    for name, _ in shown:
        table.add_column(name, justify="right")
    table.add_row(*(value for _, value in shown))
    live.update(table, refresh=True)
