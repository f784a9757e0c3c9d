"""Record the moving picture of README: the arena's page, played in Chromium.

    pip install pillow && python -m docs.record_arena docs/arena.gif

It starts the arena with bots, plays as a guest, and takes a picture of the page again and again.
"""

from __future__ import annotations

import asyncio
import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.async_api import async_playwright

from tests.benchmarks.main_job import arena

SIZE = {"width": 960, "height": 600}
SMALL = (480, 300)
FRAMES = 40
PAUSE = 150
"""Milliseconds between two frames."""

COLOURS = 64
MOST = 1_500_000
"""Bytes of the file."""

KEYS = ("ArrowRight", "ArrowDown", "ArrowRight", "ArrowUp")


async def record() -> list[Image.Image]:
    """Return the frames."""
    frames = []
    async with (
        arena("--avatars", "300", "--size", "110") as game,
        async_playwright() as playwright,
    ):
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = await browser.new_page(viewport=SIZE)
        await page.goto(f"http://127.0.0.1:{game.port}/")
        await page.get_by_role("button", name="Play now as a guest").click()
        await page.wait_for_function("window.arena.world?.me")
        await page.wait_for_timeout(8000)
        for number in range(FRAMES):
            key = KEYS[number * len(KEYS) // FRAMES]
            await page.keyboard.down(key)
            await page.wait_for_timeout(PAUSE)
            picture = Image.open(io.BytesIO(await page.screenshot(type="png")))
            frames.append(picture.convert("RGB").resize(SMALL, Image.Resampling.LANCZOS))
            await page.keyboard.up(key)
        await browser.close()
        game.process.terminate()
    return frames


def main() -> None:
    """Write the file that the command line names."""
    path = Path(sys.argv[1])
    first, *others = [frame.quantize(COLOURS, dither=0) for frame in asyncio.run(record())]
    first.save(path, save_all=True, append_images=others, duration=PAUSE, loop=0, optimize=True)
    if (size := path.stat().st_size) > MOST:
        sys.exit(f"{size / 1e6:.2f} MB, more than {MOST / 1e6}: take fewer frames or colours")


if __name__ == "__main__":
    main()
