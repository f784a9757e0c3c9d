"""Whether the arena with its defaults meets its targets: logins, present bots, ticks, processor.

It starts `python -m examples.arena` as a user does. Once the address is printed, three kinds of
clients connect over WebSocket, each a hundred times in two minutes: ann with her password, a
client with a wrong one, and a guest.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import json
import math
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from examples.arena.bots.names import name_of
from tests.benchmarks.measure import machine

LONGEST = 1.0
"""Maximum seconds for an answer to a login, p99."""

SHARE = 0.98
"""Minimum share of the bots that are logged in, from `SETTLED` on."""

SETTLED = 60.0
"""Seconds after which the bots are logged in."""

TICK = 50.0
"""Maximum milliseconds of a step of the world, p99 of a minute, once the bots are logged in."""

CORE = 70.0
"""Maximum share of one core in percent, in the median of the seconds from `SETTLED` on."""

TIMEOUT = 40.0
"""Seconds after which a client here gives up: more than the portal's timeout."""


@dataclass(frozen=True)
class Second:
    """What the arena prints once a second.

    Args:
        at: when.
        sessions: how many there are.
        tick: milliseconds of a step of the world, p99 of the last minute.
        core: percent of a core.
    """

    at: float
    sessions: float
    tick: float
    core: float


_SECOND = re.compile(r"sessions: (\d+) .* tick p99 ms: ([\d.]+)  core %: (\d+)")


@dataclass
class Arena:
    """The process and its output."""

    process: asyncio.subprocess.Process
    port: int = 0
    password: str = ""
    seconds: list[Second] = field(default_factory=list)

    said: str = ""

    async def listen(self) -> None:
        """Read until it prints its address."""
        while not self.port:
            await self._line()

    async def watch(self) -> None:
        """Read the figures until it ends."""
        while await self._line():
            pass

    async def _line(self) -> bool:
        assert self.process.stdout is not None
        line = (await self.process.stdout.readline()).decode()
        self.said += line
        if found := re.search(r"http://127\.0\.0\.1:(\d+)/ as a guest, or as ann with (\S+)", line):
            self.port, self.password = int(found[1]), found[2]
        if found := _SECOND.match(line):
            self.seconds.append(Second(time.monotonic(), *map(float, found.groups())))
        return bool(line)


@asynccontextmanager
async def arena(*words: str) -> AsyncIterator[Arena]:
    """Start an arena with its own data, and end it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "examples.arena",
            "--listen",
            "ws:127.0.0.1:0",
            "--data",
            folder,
            *words,
        ]
        environment = {**os.environ, "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
        made = Arena(
            await asyncio.create_subprocess_exec(
                *command,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=environment,
            )
        )
        try:
            await made.listen()
            yield made
        finally:
            if made.process.returncode is None:
                made.process.send_signal(signal.SIGTERM)
            await made.process.wait()


class Door:
    """Connects to the arena as a page does, from any address of this machine.

    Args:
        port: of the arena.
    """

    def __init__(self, port: int) -> None:
        self._url = f"ws://127.0.0.1:{port}/rpc/socket"

    async def come(self, source: str, mechanism: str, secret: str) -> str | None:
        """Connect, log in, and leave; return the code of the refusal, or None."""
        async with connect(
            self._url,
            subprotocols=["actorcred.json"],
            local_addr=(source, 0),
            compression=None,
            proxy=None,  # type: ignore[list-item]
        ) as socket:
            numbers = itertools.count(1)

            async def call(method: str, *params: object) -> dict[str, str] | None:
                number = next(numbers)
                await socket.send(json.dumps([0, number, method, params]))
                while True:
                    message = json.loads(await socket.recv())
                    if message[:2] == [1, number]:
                        return message[2]  # type: ignore[no-any-return]

            await call("cred.mechanisms")
            error = await call(
                "cred.login",
                mechanism,
                base64.b64encode(secret.encode()).decode(),
                {"resume": False},
            )
            return None if error is None else error["code"]


def percentile(values: list[float], share: float) -> float:
    """Return the least value that this share of the values does not exceed.

    Of 100 values, p99 is the 99th.
    """
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


@dataclass
class Figures:
    """The results of one kind of client."""

    name: str
    expected: str | None
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    async def try_one(self, come: Callable[[], Awaitable[str | None]]) -> None:
        """Measure one client."""
        started = time.monotonic()
        try:
            code = await asyncio.wait_for(come(), TIMEOUT)
        except (OSError, TimeoutError, ConnectionClosed) as error:
            code = type(error).__name__
        self.seconds.append(time.monotonic() - started)
        if code != self.expected:
            self.wrong.append(str(code))

    @property
    def kept(self) -> bool:
        """Whether the target is met."""
        return bool(self.seconds) and not self.wrong and percentile(self.seconds, 0.99) <= LONGEST


async def measure(
    tries: int, seconds: float, words: list[str]
) -> tuple[list[Figures], list[Second], str]:
    """Return the figures of ann, a wrong password and a guest, and of the arena each second."""
    ann, wrong, guest = (
        Figures("ann", None),
        Figures("a wrong password", "refused"),
        Figures("a guest", None),
    )
    async with arena(*words) as game:
        started = time.monotonic()
        watcher = asyncio.create_task(game.watch())
        door, dice = Door(game.port), random.Random(1)

        async def several(figures: Figures, come: Callable[[int], Awaitable[str | None]]) -> None:
            for number in range(tries):
                await asyncio.sleep(
                    started + (number + dice.random()) * seconds / tries - time.monotonic()
                )
                await figures.try_one(lambda number=number: come(number))  # type: ignore[misc]

        await asyncio.gather(
            several(ann, lambda _: door.come("127.0.0.1", "PLAIN", f"\0ann\0{game.password}")),
            # Each client has its own address and another account, since repeated guesses are
            # delayed.
            several(
                wrong,
                lambda number: door.come(
                    f"127.0.1.{number % 250 + 1}", "PLAIN", f"\0{name_of(number)}\0wrong"
                ),
            ),
            several(guest, lambda _: door.come("127.0.0.1", "ANONYMOUS", "")),
        )
        await asyncio.sleep(started + seconds - time.monotonic())
        settled = [one for one in game.seconds if one.at - started >= min(SETTLED, seconds / 2)]
        game.process.send_signal(signal.SIGTERM)
        await watcher
    return [ann, wrong, guest], settled, game.said


def main() -> int:
    """Run the command; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.main_job", description=__doc__
    )
    parser.add_argument("--tries", type=int, default=100, help="of each kind (%(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=120.0, help="for all of them (%(default)s)"
    )
    parser.add_argument(
        "--avatars", type=int, default=2000, help="bots, as the arena's own default (%(default)s)"
    )
    parser.add_argument("--verbose", action="store_true", help="print what the arena said")
    arguments = parser.parse_args()
    clients, seconds, said = asyncio.run(
        measure(arguments.tries, arguments.seconds, ["--avatars", str(arguments.avatars)])
    )
    console = Console(width=150)
    if arguments.verbose:
        console.print(said, soft_wrap=True)
    _print_logins(console, clients)
    kept = _print_seconds(console, seconds, arguments.avatars) and all(one.kept for one in clients)
    console.print("The figures are kept." if kept else "The figures are MISSED.")
    return 0 if kept else 1


def _print_logins(console: Console, clients: list[Figures]) -> None:
    table = Table(
        "at the door", "p50 s", "p99 s", "longest s", "not as expected", "kept", title=machine()
    )
    for one in clients:
        figures = (f"{percentile(one.seconds, share):.2f}" for share in (0.5, 0.99, 1.0))
        table.add_row(
            one.name,
            *figures,
            ", ".join(sorted(set(one.wrong))) + f" ({len(one.wrong)})",
            "yes" if one.kept else "NO",
        )
    console.print(table)


def _print_seconds(console: Console, seconds: list[Second], avatars: int) -> bool:
    """Print what the arena said each second; return whether the targets are met."""
    if not seconds:
        console.print("the arena has printed no figures")
        return False
    sessions = [one.sessions for one in seconds]
    least = min(sessions) / avatars
    tick, core = seconds[-1].tick, percentile([one.core for one in seconds], 0.5)
    console.print(
        f"bots that are in: at least {least:.1%}, "
        f"{percentile(sessions, 0.5) / avatars:.1%} on the median, "
        f"{SHARE:.0%} in {sum(n >= SHARE * avatars for n in sessions)} of {len(sessions)} seconds"
    )
    console.print(f"tick: p99 of the last minute {tick:.1f} ms; processor: {core:.0f} % of a core")
    return least >= SHARE and tick <= TICK and core <= CORE


if __name__ == "__main__":
    sys.exit(main())
