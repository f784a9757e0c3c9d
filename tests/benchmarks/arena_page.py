"""How the arena's page draws, and what it receives: the real page in Chromium, in a real game.

It starts `python -m examples.arena` twice, with some 40 and with some 300 players in sight, lets
Chromium play there at 1280x800, and prints the frames per second, the time that drawing a frame
takes, and the kilobytes per second. Server, bots and browser share this machine. The processor
time of the page's script depends less on what else runs here than the other times.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import CDPSession, Page, async_playwright
from rich.console import Console
from rich.table import Table

from tests.benchmarks.main_job import arena, percentile
from tests.benchmarks.measure import machine
from tests.benchmarks.measure import percentile as share_of

FRAMES = 55.0
"""Minimum frames per second."""

DRAWING = 8.0
"""Maximum milliseconds for drawing a frame, p95."""

ARRIVAL = 8.0
"""Seconds until the bots have come in and spread."""

KEYS = ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp")


@dataclass(frozen=True)
class Crowd:
    """How many players there are, and how close.

    Args:
        name: of the crowd.
        words: the arena's arguments.
        kilobytes: maximum per second and player.
    """

    name: str
    words: tuple[str, ...]
    kilobytes: float


CROWDS = (
    Crowd("about 40 in sight", ("--avatars", "220", "--size", "130"), 8.0),
    Crowd("about 300 in sight", ("--avatars", "1500", "--size", "72"), 30.0),
)


@dataclass
class Figures:
    """What was measured of a page."""

    crowd: Crowd
    frames: float = 0.0
    received: int = 0
    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    in_sight: list[float] = field(default_factory=list)
    script: float = 0.0
    """Seconds of processor time of the page's script."""

    @property
    def script_per_frame(self) -> float:
        """Milliseconds of processor time of the page's script for each frame."""
        return self.script / max(1.0, self.frames * self.seconds) * 1000

    @property
    def kilobytes(self) -> float:
        """Kilobytes per second that the page received."""
        return self.received / self.seconds / 1000

    @property
    def kept(self) -> bool:
        """Whether the targets are met."""
        return (
            self.frames >= FRAMES
            and share_of(self.times, 0.95) <= DRAWING
            and self.kilobytes <= self.crowd.kilobytes
        )


async def measure(browser: Any, crowd: Crowd, seconds: float) -> Figures:
    """Play for some seconds."""
    figures = Figures(crowd)
    async with arena("--wrong", "0", *crowd.words) as game:
        watching = asyncio.create_task(game.watch())
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        await page.goto(f"http://127.0.0.1:{game.port}/")
        await page.get_by_role("button", name="Play now as a guest").click()
        await page.wait_for_function("window.arena.world?.me")
        await page.wait_for_timeout(ARRIVAL * 1000)
        await _play(page, figures, seconds)
        await page.close()
        game.process.terminate()
        await watching
    return figures


async def _play(page: Page, figures: Figures, seconds: float) -> None:
    client = await page.context.new_cdp_session(page)
    await client.send("Network.enable")
    await client.send("Performance.enable", {"timeDomain": "threadTicks"})

    def count(event: dict[str, Any]) -> None:
        figures.received += len(event["response"]["payloadData"].encode())

    client.on("Network.webSocketFrameReceived", count)
    dice = random.Random(1)
    await page.evaluate(
        "window.shown = 0; (function next() { window.shown += 1; requestAnimationFrame(next); })()"
    )
    started, before, script = time.monotonic(), figures.received, await _script_time(client)
    while time.monotonic() - started < seconds:
        key = dice.choice(KEYS)
        await page.keyboard.down(key)
        await page.wait_for_timeout(700)
        await page.keyboard.up(key)
        figures.in_sight.append(await page.evaluate("window.arena.world.bodies.size"))
        figures.times += await page.evaluate("window.arena.measured.times.splice(0)")
    figures.seconds = time.monotonic() - started
    figures.received -= before
    figures.script = await _script_time(client) - script
    figures.frames = await page.evaluate("window.shown") / figures.seconds


async def _script_time(client: CDPSession) -> float:
    answer = await client.send("Performance.getMetrics")
    return next(one["value"] for one in answer["metrics"] if one["name"] == "ScriptDuration")


async def measure_all(seconds: float) -> list[Figures]:
    """Measure each crowd."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        try:
            return [await measure(browser, crowd, seconds) for crowd in CROWDS]
        finally:
            await browser.close()


def main() -> int:
    """Run the command; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.arena_page", description=__doc__
    )
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="to play in each crowd (%(default)s)"
    )
    results = asyncio.run(measure_all(parser.parse_args().seconds))
    table = Table(
        "players", "in sight", "frames/s", "drawing p50 ms", "p95 ms", "script CPU ms", "KB/s",
        "kept",
        title=f"{machine()}; Chromium at 1280x800, with the server on this machine",
    )  # fmt: skip
    for one in results:
        table.add_row(
            one.crowd.name,
            f"{percentile(one.in_sight, 0.5):.0f}",
            f"{one.frames:.1f}",
            f"{share_of(one.times, 0.5):.1f}",
            f"{share_of(one.times, 0.95):.1f}",
            f"{one.script_per_frame:.1f}",
            f"{one.kilobytes:.1f}",
            "yes" if one.kept else "NO",
        )
    Console(width=150).print(table)
    return 0 if all(one.kept for one in results) else 1


if __name__ == "__main__":
    sys.exit(main())
