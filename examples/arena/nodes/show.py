"""The processes of the arena on several nodes, and what they report."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import sys
from collections import Counter

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from actorcred import ActorcredError
from actorcred.actors import ThreadDispatcher
from actorcred.checkers.sqlite import SQLiteChecker
from actorcred.cli.lifetime import Life
from actorcred.cli.local_nats import LocalNats
from actorcred.cli.worker_process import describe_end
from actorcred.cli.workers import Ports
from examples.arena.accounts import DEMO, prepare
from examples.arena.nodes.node import Node, Task
from examples.arena.nodes.standings import Standings
from examples.arena.show import DRAIN_TIMEOUT, FORMS, PEOPLE, SCORES, Totals, introduce
from examples.arena.world.region import Seat
from examples.common import demo_account

__all__ = ["play"]

ADVICE = "--help lists the options; without --nodes, the arena is one process."

NATS = (
    "nats-server, by which the nodes find each other, is not on the PATH; install it "
    "(Debian: apt-get install nats-server; others: https://nats.io/download)"
)


async def play(arguments: argparse.Namespace, console: Console, life: Life) -> int:
    """Run the arena on several nodes; return the exit code."""
    life.drain_timeout = DRAIN_TIMEOUT
    try:
        _check_system()
        with Ports(() if arguments.headless else (arguments.listen,)) as ports:
            nodes = Nodes(arguments, console, ports)
            life.clean_up(nodes.kill)
            try:
                await life.opened(nodes.open())
                await nodes.watch(life)
                if life.asked:
                    console.print("Interrupted: ending all sessions.")
                return 0 if await nodes.drain(life) else 1
            finally:
                await nodes.close()
    except (OSError, UnicodeError, ActorcredError) as error:
        console.print("[red]The arena cannot open:[/red]", Text(f"{error}\n{ADVICE}"))
        return 2


def _check_system() -> None:
    if sys.platform != "linux":
        raise ActorcredError(
            "--nodes needs Linux, whose kernel spreads connections over processes (SO_REUSEPORT)"
        )
    if shutil.which("nats-server") is None and shutil.which("/usr/sbin/nats-server") is None:
        raise ActorcredError(NATS)


class Nodes:
    """nats-server and the nodes.

    Args:
        arguments: those of the command.
        console: where figures are shown.
        ports: the port that all nodes share.
    """

    def __init__(self, arguments: argparse.Namespace, console: Console, ports: Ports) -> None:
        self._arguments = arguments
        self._console = console
        self._ports = ports
        self._nats = LocalNats()
        self._nodes: list[Node] = []
        self._noticed: set[Node] = set()
        """Nodes that have ended too early."""

    async def open(self) -> None:
        """Start everything.

        Raises:
            ActorcredError: if NATS or a node cannot be started.
        """
        arguments = self._arguments
        await prepare(arguments, self._console)
        people = SQLiteChecker.start(
            arguments.data / PEOPLE, dispatcher=ThreadDispatcher("people", 1)
        )
        password = await demo_account(people, arguments.data, DEMO)
        standings = Standings(arguments.data / SCORES)
        standings.clear()  # those of an earlier run
        standings.close()
        await self._nats.open()
        for number in range(1, arguments.nodes + 1):
            node = Node(self._task(number))
            self._nodes.append(node)
            await node.start()
        for node in self._nodes:
            if not await node.ready():
                raise ActorcredError(
                    node.fault or f"{node.name} {describe_end(await node.ended())}"
                )
        for address in self._ports.addresses:
            introduce(self._console, address, password)

    def _task(self, number: int) -> Task:
        given, nats = argparse.Namespace(**vars(self._arguments)), self._nats
        if self._ports.addresses:
            (given.listen,) = self._ports.addresses
        given.duration = None  # this process ends all of them
        return Task(Seat(number, given.nodes), given, nats.url, nats.user, nats.password)

    async def watch(self, life: Life) -> None:
        """Show the figures once a second until a signal, the time limit, or the end of NATS."""
        console, loop = self._console, asyncio.get_running_loop()
        duration = self._arguments.duration
        end = None if duration is None else loop.time() + duration
        with Live(console=console, auto_refresh=False, transient=not console.is_terminal) as live:
            while not life.asked and (end is None or loop.time() < end):
                await life.until_asked(1.0 if end is None else min(1.0, end - loop.time()))
                self._notice_ends()
                if self._nats.code is not None:
                    console.print(f"nats-server {describe_end(self._nats.code)}.")
                    return
                if len(self._noticed) == len(self._nodes):
                    return
                self._print(live)

    def _notice_ends(self) -> None:
        for node in self._nodes:
            if node.code is not None and node not in self._noticed:
                self._noticed.add(node)
                self._console.print(
                    f"{node.name} {describe_end(node.code)}. "
                    "In some seconds its ground falls to a neighbour."
                )

    def _print(self, live: Live) -> None:
        alive = [node for node in self._nodes if node not in self._noticed and node.figures]
        if not self._console.is_terminal:
            for node in alive:
                words = (f"{n}: {form.format(node.figures[n])}" for n, form in FORMS.items())
                self._console.print(f"{node.name}:", "  ".join(words), soft_wrap=True)
            return
        table = Table(title="arena")
        for name in ("node", *FORMS):
            table.add_column(name, justify="right")
        for node in alive:
            values = (form.format(node.figures[n]) for n, form in FORMS.items())
            table.add_row(node.name, *values)
        live.update(table, refresh=True)

    async def drain(self, life: Life) -> bool:
        """End all sessions, print the summary; return whether the counts agree."""
        self._notice_ends()
        for node in self._nodes:
            node.send(signal.SIGTERM)
        await life.wait_for(*(node.ended() for node in self._nodes))
        totals = [node.totals for node in self._nodes if node.totals is not None]
        if not totals:
            return False
        rows: Counter[str] = Counter()
        for one in totals:
            rows.update(one.rows)
        whole = Totals(rows, totals[-1].top)
        whole.show(self._console)
        if len(totals) < len(self._nodes):
            self._console.print("Without the counts of nodes that have died.")
            return True
        return whole.agree

    def kill(self) -> None:
        """End all processes at once; may be called on any thread."""
        for node in self._nodes:
            node.send(signal.SIGKILL)

    async def close(self) -> None:
        """End what still runs, and NATS."""
        self.kill()
        await asyncio.gather(*(node.ended() for node in self._nodes))
        await self._nats.close()
        self._nats.remove()
