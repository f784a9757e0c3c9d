"""Serve the arena with bots, and show live figures and a summary."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import sys
import threading

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from actorcred import ActorcredError, actors
from actorcred.actors import AsyncioDispatcher
from actorcred.cli.lifetime import Life, run
from examples.arena.accounts import make_accounts
from examples.arena.options import parse
from examples.arena.show import PAGE, Show

__all__ = ["PAGE", "main"]

DRAIN_TIMEOUT = 30.0
"""Seconds for the shutdown, with thousands of players."""

COLLECTIONS = (20_000, 50, 1000)
"""Thresholds of the garbage collector.

A full collection looks at all objects of 2,000 sessions, which takes as long as a tick, and finds
next to nothing: what is stopped is freed at once.
"""

ADVICE = (
    "Choose another port with --listen ws:127.0.0.1:8081, or another folder with --data; "
    "--help lists the options."
)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    arguments, console = parse(argv), Console()

    async def live(life: Life) -> int:
        # The portal, the arena and all avatars run on this loop; blocking work runs on threads.
        actors.set_default_dispatcher(AsyncioDispatcher())
        life.drain_timeout = DRAIN_TIMEOUT
        try:
            show = await life.opened(_open(arguments, console))
        except (OSError, UnicodeError, ActorcredError) as error:
            console.print("[red]The arena cannot open:[/red]", Text(f"{error}\n{ADVICE}"))
            return 2
        show.start_bots()
        show.introduce(console)
        await show.watch(console, life)
        if life.asked:
            console.print("Interrupted: ending all sessions.")
        return 0 if await show.close(console, life) else 1

    return run(live)


async def _open(arguments: argparse.Namespace, console: Console) -> Show:
    arguments.data.mkdir(parents=True, exist_ok=True)
    console.print(f"Accounts of {arguments.avatars} bots in {arguments.data} ...")
    enough = threading.Event()
    columns = (TextColumn("making accounts"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("accounts", total=arguments.avatars, visible=False)

        def made() -> None:
            bar.update(task, advance=1, visible=True)

        try:
            htpasswd, accounts = await asyncio.to_thread(
                make_accounts, arguments.data, arguments.avatars, enough, made
            )
        except asyncio.CancelledError:
            enough.set()
            raise
    return await Show.open(arguments, htpasswd, accounts)


if __name__ == "__main__":
    logging.getLogger("actorcred").setLevel(logging.CRITICAL)  # crashes are part of the demo
    gc.set_threshold(*COLLECTIONS)
    sys.exit(main())
