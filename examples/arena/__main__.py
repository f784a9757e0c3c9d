"""Serve the arena with bots, and show live figures and a summary."""

from __future__ import annotations

import argparse
import gc
import logging
import sys
from importlib.util import find_spec

from rich.console import Console
from rich.text import Text

from actorcred import ActorcredError, actors
from actorcred.actors import AsyncioDispatcher
from actorcred.cli.lifetime import Life, run
from actorcred.errors import MissingExtra
from examples.arena.accounts import prepare
from examples.arena.options import parse
from examples.arena.show import COLLECTIONS, DRAIN_TIMEOUT, PAGE, Show

__all__ = ["PAGE", "main"]

ADVICE = (
    "Choose another port with --listen ws:127.0.0.1:8081, or another folder with --data; "
    "--help lists the options."
)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    arguments, console = parse(argv), Console()

    async def live(life: Life) -> int:
        if arguments.nodes > 1:
            if find_spec("nats") is None:
                console.print(Text(f"{MissingExtra('--nodes', 'cluster')}"))
                return 2
            # What it needs is not needed by one process.
            from examples.arena.nodes.show import play

            return await play(arguments, console, life)
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
    return await Show.open(arguments, *await prepare(arguments, console))


if __name__ == "__main__":
    logging.getLogger("actorcred").setLevel(logging.CRITICAL)  # crashes are part of the demo
    gc.set_threshold(*COLLECTIONS)
    sys.exit(main())
