"""The arena in a real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright, expect

from actorcred import Policy, Portal, rpc
from actorcred.checkers.anonymous import AnonymousChecker
from actorcred.checkers.memory import MemoryChecker
from examples.arena.__main__ import PAGE
from examples.arena.realm import Arena, Figures
from examples.web import make_app
from tests.rpc.stage import on_loop
from tests.settings import portal_options

PASSWORDS = {"ann": "correct horse", "bob": "battery staple"}


@pytest.fixture(scope="module", autouse=True)
def chromium() -> Iterator[str]:
    """Return the browser; install it if that is allowed."""
    if shutil.which("chromium") is None and shutil.which("apt-get") and os.geteuid() == 0:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update", "-qq"], ["install", "-yqq", "chromium"]):
            subprocess.run(
                ["apt-get", *words],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                check=False,
            )
    found = shutil.which("chromium")
    if found is None:
        pytest.skip(
            "there is no chromium, and it cannot be installed here: apt-get install chromium"
        )
    return found


class Place:
    """The arena's server, and a browser for it."""

    def __init__(self, portal: Any, arena: Any, browser: Any) -> None:
        self.portal = portal
        self.arena = arena
        self.browser = browser
        self.server: rpc.Server | None = None
        self.problems: list[str] = []

    async def serve(self, port: int = 0) -> None:
        self.server = await rpc.serve(self.portal)
        await self.server.listen(f"ws:127.0.0.1:{port}", app=make_app(self.server, PAGE))

    @property
    def port(self) -> int:
        assert self.server is not None
        return self.server.addresses[0].port

    async def page(self, **settings: Any) -> Page:
        context = await self.browser.new_context(**settings)
        page: Page = await context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        await page.goto(f"http://127.0.0.1:{self.port}/")
        await page.wait_for_selector("body[data-ready]")
        return page


@asynccontextmanager
async def place(**options: Any) -> AsyncIterator[Place]:
    settings = portal_options(policy=Policy.REPLACE, **options)
    arena = Arena.start(9.0)
    portal = Portal.start(
        arena,
        [
            MemoryChecker.start(PASSWORDS, plaintext=True, scram_iterations=4096),
            AnonymousChecker.start(),
        ],
        settings,
    )
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        made = Place(portal, arena, browser)
        await made.serve()
        try:
            yield made
            assert made.problems == []
        finally:
            await browser.close()
            assert made.server is not None
            await made.server.close(5)


async def log_in(page: Page, name: str, password: str | None = None) -> None:
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(PASSWORDS[name] if password is None else password)
    await page.get_by_role("button", name="Log in").click()


async def come_as_guest(page: Page) -> None:
    await page.get_by_role("button", name="Come as a guest").click()


async def seen(page: Page, name: str) -> None:
    await expect(page.locator("#name")).to_have_text(name)


CANVAS = "document.querySelector('#world').toDataURL()"


@on_loop
async def test_two_people_see_each_other_move_and_hear_each_other() -> None:
    async with place() as game:
        ann, bob = await game.page(), await game.page()
        scenes: list[Any] = []
        bob.on(
            "websocket",
            lambda socket: socket.on(
                "framereceived", lambda frame: scenes.append(json.loads(frame))
            ),
        )
        await log_in(ann, "ann")
        await log_in(bob, "bob")
        await seen(ann, "ann")
        await seen(bob, "bob")
        await expect(bob.locator("#surroundings")).to_contain_text("gold")
        before = await bob.evaluate(CANVAS)
        (*_, start) = _places_of(scenes, "ann")
        await ann.locator("#world").focus()
        for key in ("ArrowRight", "a", "ArrowUp", "s"):  # the border can block one direction
            await ann.keyboard.down(key)
            await ann.wait_for_timeout(400)  # as long as a person holds a key
            await ann.keyboard.up(key)
        await bob.wait_for_function(f"before => {CANVAS} !== before", arg=before)
        async with asyncio.timeout(10):
            # Not where she is in the end: the last keys might have led back.
            while all(place == start for place in _places_of(scenes, "ann")):
                await asyncio.sleep(0.01)
        await ann.get_by_label("Say something").fill("hello <b>bob</b>")
        await ann.keyboard.press("Enter")
        await expect(bob.locator("#talk")).to_contain_text("ann hello <b>bob</b>")
        await expect(bob.locator("#list")).to_contain_text("ann")


def _places_of(frames: list[Any], name: str) -> list[Any]:
    """Return a player's positions, scene by scene."""
    scenes = [frame[2][0] for frame in frames if frame[:2] == [2, "scene"]]
    return [player[1:3] for scene in scenes for player in scene if player[0] == name]


@on_loop
async def test_a_finger_walks_too() -> None:
    async with place() as game:
        page = await game.page(viewport={"width": 390, "height": 800}, has_touch=True)
        await come_as_guest(page)
        await expect(page.locator("#surroundings")).to_contain_text("gold")
        before = await page.evaluate(CANVAS)
        box = await page.locator("#world").bounding_box()
        assert box is not None
        await page.mouse.move(box["x"] + box["width"] / 2 + 60, box["y"] + box["height"] / 2 + 50)
        await page.mouse.down()
        await page.wait_for_function(f"before => {CANVAS} !== before", arg=before)
        await page.mouse.up()
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390  # nothing overflows on a phone


@on_loop
async def test_a_reload_goes_on_as_the_same_avatar() -> None:
    async with place() as game:
        page = await game.page()
        await come_as_guest(page)
        await seen(page, "guest 1")
        (session,) = await game.portal.sessions()
        for _ in range(2):
            await page.reload()
            await seen(page, "guest 1")
        assert [one.id for one in await game.portal.sessions()] == [session.id]
        await page.get_by_role("button", name="Leave").click()
        await expect(page.get_by_role("heading", name="Come in")).to_be_visible()
        assert await game.portal.count() == 0
        await page.reload()
        await expect(page.get_by_role("heading", name="Come in")).to_be_visible()


@on_loop
async def test_wrong_password_full_server_and_kick_each_say_so() -> None:
    async with place(sessions=1) as game:
        page = await game.page()
        await log_in(page, "ann", "wrong")
        await expect(page.get_by_role("alert")).to_have_text("Name or password is wrong.")
        await log_in(page, "ann")
        await seen(page, "ann")
        other = await game.page()
        await come_as_guest(other)
        await expect(other.get_by_role("alert")).to_contain_text("The arena is full")
        await game.portal.kick(avatar_id="ann", reason="be nice")
        await expect(page.get_by_role("alert")).to_have_text("You were kicked: be nice")
        await expect(page.get_by_role("heading", name="Come in")).to_be_visible()


@on_loop
async def test_a_restart_of_the_server_is_announced_and_the_guest_comes_back() -> None:
    async with place() as game:
        page = await game.page()
        await come_as_guest(page)
        await seen(page, "guest 1")
        port = game.port
        assert game.server is not None
        game.server.hub.retry_after = 0.5
        await game.server.close(5)
        await expect(page.get_by_role("status")).to_contain_text("The server is restarting")
        await game.serve(port)
        await seen(page, "guest 2")
        await expect(page.locator("#status")).to_be_hidden()


@on_loop
async def test_the_figures_are_shown_as_numbers_and_charts() -> None:
    async with place() as game:
        page = await game.page()
        await come_as_guest(page)
        await expect(page.locator("#surroundings")).to_contain_text("gold")
        for value in (1, 5, 3):
            game.arena.tell(Figures({"sessions": value, "messages/s": 1234.0, "tick p99 ms": 1.25}))
            await expect(page.locator("[data-figure='sessions']")).to_have_text(f"{value}.0")
        await expect(page.locator("[data-figure='messages/s']")).to_have_text("1,234")
        drawn = (
            "[...document.querySelector('dl canvas').getContext('2d')"
            ".getImageData(0, 0, 90, 20).data].some(Boolean)"
        )
        assert await page.evaluate(drawn)


@on_loop
async def test_the_page_can_be_used_with_the_keyboard_alone_and_everything_has_a_name() -> None:
    async with place() as game:
        page = await game.page()
        await page.locator("#username").focus()
        await page.keyboard.type("ann")
        await page.keyboard.press("Tab")
        await page.keyboard.type(PASSWORDS["ann"])
        await page.keyboard.press("Enter")
        await seen(page, "ann")
        assert await page.evaluate("document.activeElement.id") == "world"
        unnamed = """[...document.querySelectorAll('button, input, canvas[tabindex], ol')]
            .filter(element =>
                !element.textContent.trim() && !element.ariaLabel && !element.labels?.length)
            .map(element => element.outerHTML)"""
        assert await page.evaluate(unnamed) == []
        for role in ("status", "log"):
            assert await page.locator(f"[role={role}]").count() == 1
