"""An example started as a user starts it."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.cluster.nats_server import find_program

ROOT = Path(__file__).parents[2]


class Started:
    """A process and its output."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.text = ""

    async def read_until(self, pattern: str) -> re.Match[str]:
        """Read its output until a pattern matches."""
        assert self.process.stdout is not None
        while (match := re.search(pattern, self.text)) is None:
            line = await asyncio.wait_for(self.process.stdout.readline(), 60)
            assert line, f"it ended, and printed {self.text!r}"
            self.text += line.decode()
        return match

    async def end(self) -> int:
        """Send SIGTERM; return the exit code."""
        self.process.terminate()
        return await self.ended()

    async def ended(self) -> int:
        """Wait for its end; return the exit code."""
        assert self.process.stdout is not None
        self.text += (await asyncio.wait_for(self.process.stdout.read(), 60)).decode()
        return await self.process.wait()


@asynccontextmanager
async def started(module: str, *words: Any, before: tuple[str, ...] = ()) -> AsyncIterator[Started]:
    """Start `python -m MODULE WORDS...`; it is killed at the end if it still runs."""
    command = [*before, sys.executable, "-m", module, *map(str, words)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    made = Started(process)
    try:
        yield made
    finally:
        if process.returncode is None:
            process.kill()
        await made.ended()


async def run(module: str, *words: Any) -> tuple[int, str]:
    """Run a module to its end; return the exit code and what it printed."""
    async with started(module, *words) as made:
        return await made.ended(), made.text


def with_nats(
    example: Callable[[Path], AbstractAsyncContextManager[Any]], seconds: float
) -> Callable[[Callable[[Any], Awaitable[None]]], Callable[[Path], None]]:
    """Make a coroutine function a test, which gets a running example that needs nats-server.

    Args:
        example: starts it, with its files in a folder.
        seconds: for the test.
    """

    def decorate(test: Callable[[Any], Awaitable[None]]) -> Callable[[Path], None]:
        def body(tmp_path: Path) -> None:
            find_program()

            async def limited() -> None:
                async with asyncio.timeout(seconds), example(tmp_path) as running:
                    await test(running)

            asyncio.run(limited())

        body.__name__, body.__doc__ = test.__name__, test.__doc__
        return body

    return decorate
