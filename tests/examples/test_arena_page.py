"""The arena in a real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import asyncio
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
from actorcred.checkers.sqlite import SQLiteChecker
from examples.arena.__main__ import PAGE
from examples.arena.messages import Figures
from examples.arena.realm import Arena, Settings
from examples.arena.signup import SignUps
from examples.arena.world.bodies import Look
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


class StagedArena(Arena):
    """An arena in which a test can make things happen."""

    def award(self, name: str, gold: int) -> None:
        """Have a player bring gold home."""
        body = self._world.bodies[name]
        body.points += gold
        body.total += gold

    def wish(self, name: str) -> Any:
        """Return the direction in which a player wants to walk; None to stand."""
        return self._world.bodies[name].wish

    def crowd(self, name: str, count: int) -> None:
        """Put players around one."""
        at = self._world.bodies[name]
        for number in range(count):
            body = self._world.enter(f"neighbour {number}", Look.GATHERER)
            self._minds[body.name] = self._minds[name]
            body.x, body.y = at.x + number % 6 * 1.2 - 3, at.y + number // 6 - 2.5
            self._world.grid.place(body)


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

    async def players(self) -> list[Any]:
        """Return the sessions of players; spectators have some, too."""
        return [one for one in await self.portal.sessions() if "Player" in str(one.interface)]


@asynccontextmanager
async def place(settings: Settings | None = None, **options: Any) -> AsyncIterator[Place]:
    people = SQLiteChecker.start(":memory:", rounds=4)
    sign_up = SignUps(people, {"dorlora"})
    arena = StagedArena.start(settings or Settings(40.0), sign_up)
    memory = MemoryChecker.start(PASSWORDS, plaintext=True, scram_iterations=4096)
    portal = Portal.start(
        arena,
        [memory, people, AnonymousChecker.start()],
        portal_options(policy=Policy.REPLACE, **options),
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
    await page.get_by_label("Name", exact=True).fill(name)
    secret = PASSWORDS[name] if password is None else password
    await page.get_by_label("Password", exact=True).fill(secret)
    await page.get_by_role("button", name="Log in").click()


async def come_as_guest(page: Page) -> None:
    await page.get_by_role("button", name="Play now as a guest").click()


async def plays(page: Page, name: str) -> None:
    await expect(page.locator("#name")).to_have_text(name)
    await expect(page.locator("#surroundings")).to_contain_text("Your camp")


async def walk(page: Page) -> None:
    """Walk in each direction for as long as a person holds a key; the shore can be on one side."""
    for key in ("ArrowRight", "s", "ArrowLeft", "w"):
        await page.keyboard.down(key)
        await page.wait_for_timeout(400)
        await page.keyboard.up(key)


POSITION = "document.querySelector('#surroundings').textContent.match(/camp: ([^.]*)/)[1]"


@on_loop
async def test_two_people_see_each_other_move_and_hear_each_other() -> None:
    async with place() as game:
        ann, bob = await game.page(), await game.page()
        await log_in(ann, "ann")
        await log_in(bob, "bob")
        await plays(ann, "ann")
        await plays(bob, "bob")
        before = await ann.evaluate(POSITION)
        await ann.keyboard.down("ArrowRight")
        await ann.keyboard.down("ArrowDown")
        await ann.wait_for_function(f"before => {POSITION} !== before", arg=before)
        await ann.keyboard.up("ArrowRight")
        await ann.keyboard.up("ArrowDown")
        seen = "[...window.arena.world.bodies.values()].find((one) => one.name === 'ann')"
        await bob.wait_for_function(f"{seen}.walked > 1")
        await ann.keyboard.press("Enter")
        await ann.keyboard.type("hello <b>bob</b>")
        await ann.keyboard.press("Enter")
        await expect(bob.locator("#talk")).to_contain_text("ann hello <b>bob</b>")
        await expect(bob.locator("#list")).to_contain_text("ann")


@on_loop
async def test_what_the_server_says_is_what_the_page_shows() -> None:
    async with place(Settings(40.0, round=600)) as game:
        page = await game.page()
        await log_in(page, "ann")
        await plays(page, "ann")
        await walk(page)
        # The page may predict its own player's walk; once that stands, both must agree.
        course = "window.arena.world.me.knots.at(-1)"
        await page.wait_for_function(
            f"Math.hypot(window.arena.world.me.x - {course}.x, "
            f"window.arena.world.me.y - {course}.y) < 0.1"
        )


@on_loop
async def test_a_finger_walks_and_nothing_overflows_on_a_phone() -> None:
    async with place() as game:
        for size in ({"width": 390, "height": 844}, {"width": 844, "height": 390}):
            page = await game.page(viewport=size, has_touch=True, is_mobile=True)
            await come_as_guest(page)
            await expect(page.locator("#surroundings")).to_contain_text("Your camp")
            before = await page.evaluate(POSITION)
            session = await page.context.new_cdp_session(page)
            x, y = 120, size["height"] // 2
            await session.send(
                "Input.dispatchTouchEvent",
                {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]},
            )
            await expect(page.locator("#stick")).to_be_visible()
            for dx, dy in ((60, 0), (0, 60), (-60, 0), (0, -60)):
                at = {"x": x + dx, "y": y + dy}
                await session.send(
                    "Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [at]}
                )
                await page.wait_for_timeout(500)
                if await page.evaluate(POSITION) != before:
                    break
            else:
                raise AssertionError("the finger did not walk")
            await session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
            await expect(page.locator("#stick")).to_be_hidden()
            for button in ("#dash", "#keep", "#chat-button", "#board-button", "#leave"):
                await expect(page.locator(button)).to_be_in_viewport(ratio=1)
            width = await page.evaluate("document.documentElement.scrollWidth")
            assert width <= size["width"]
            await page.context.close()


@on_loop
async def test_the_game_is_seen_before_one_plays() -> None:
    async with place() as game:
        player, page = await game.page(), await game.page()
        await come_as_guest(player)
        await expect(page.locator("#players")).to_have_text("1 person and 0 bots play now.")
        await expect(page.locator("#surroundings")).to_contain_text("Your camp")
        (session,) = await game.players()
        await come_as_guest(page)
        await plays(page, "guest 2")
        await expect(page.locator("#gate")).to_be_hidden()
        assert len(await game.players()) == 2
        assert session.id in {one.id for one in await game.players()}


@on_loop
async def test_a_reload_goes_on_as_the_same_avatar() -> None:
    async with place() as game:
        page = await game.page()
        await come_as_guest(page)
        await plays(page, "guest 1")
        (session,) = await game.players()
        for _ in range(2):
            await page.reload()
            await plays(page, "guest 1")
        assert [one.id for one in await game.players()] == [session.id]
        await page.get_by_role("button", name="Leave").click()
        await expect(page.get_by_role("heading", name="The arena")).to_be_visible()
        assert await game.players() == []
        await page.reload()
        await expect(page.get_by_role("heading", name="The arena")).to_be_visible()


@on_loop
async def test_a_new_account_plays_at_once() -> None:
    async with place() as game:
        page = await game.page()
        await page.get_by_role("button", name="Make an account").click()
        for name, password, refusal in (
            ("Dorlora", "a long password", "This name is taken."),
            ("guest 7", "a long password", "are for guests"),
            ("Zoe", "password", "most common"),
        ):
            await page.get_by_label("Choose a name").fill(name)
            await page.get_by_label("Choose a password").fill(password)
            await page.get_by_role("button", name="Make it, and play").click()
            await expect(page.locator("#sign-up-refusal")).to_contain_text(refusal)
        await page.get_by_label("Choose a password").fill("orange telescope")
        await page.get_by_role("button", name="Make it, and play").click()
        await plays(page, "Zoe")
        await expect(page.locator("#keep")).to_be_hidden()


@on_loop
async def test_a_guest_keeps_its_score() -> None:
    async with place() as game:
        page = await game.page()
        await come_as_guest(page)
        await plays(page, "guest 1")
        await game.arena.proxy().award("guest 1", 5)
        await expect(page.locator("#score")).to_have_text("5")
        await page.get_by_role("button", name="Keep my score").click()
        await page.get_by_label("Choose a name").fill("Zoe")
        await page.get_by_label("Choose a password").fill("orange telescope")
        await page.get_by_role("button", name="Make it, and play").click()
        await plays(page, "Zoe")
        await expect(page.locator("#score")).to_have_text("5")
        assert [one.avatar_id for one in await game.players()] == ["Zoe"]


@on_loop
async def test_wrong_password_full_server_and_kick_each_say_so() -> None:
    async with place(sessions=2) as game:
        page = await game.page()
        await log_in(page, "ann", "wrong")
        await expect(page.get_by_role("alert")).to_have_text("Name or password is wrong.")
        await log_in(page, "ann")
        await plays(page, "ann")
        other = await game.page()  # its spectator has the second place
        await come_as_guest(other)
        await expect(other.get_by_role("alert")).to_contain_text("The arena is full")
        await game.portal.kick(avatar_id="ann", reason="be nice")
        await expect(page.get_by_role("alert")).to_have_text("You were kicked: be nice")
        await expect(page.get_by_role("heading", name="The arena")).to_be_visible()


@on_loop
async def test_a_restart_of_the_server_is_announced_and_the_guest_comes_back() -> None:
    async with place() as game:
        page = await game.page()
        await come_as_guest(page)
        await plays(page, "guest 1")
        port = game.port
        assert game.server is not None
        game.server.hub.retry_after = 0.5
        await game.server.close(5)
        await expect(page.get_by_role("status")).to_contain_text("The server is restarting")
        await game.serve(port)
        await plays(page, "guest 2")
        await expect(page.locator("#status")).to_be_hidden()


@on_loop
async def test_a_lost_connection_is_resumed_and_the_player_stops_if_no_key_is_held() -> None:
    async with place() as game:
        page = await game.page()
        await come_as_guest(page)
        await plays(page, "guest 1")
        (session,) = await game.players()
        await page.keyboard.down("ArrowRight")
        await page.keyboard.down("ArrowDown")
        await page.wait_for_function("window.arena.world.me.walked > 0.5")
        assert game.server is not None
        first = await page.evaluate_handle("window.arena.world")
        for peer in list(game.server.hub.peers):
            peer.transport._abort_now()  # as when the network is gone
        await page.keyboard.up("ArrowRight")
        await page.keyboard.up("ArrowDown")
        await page.wait_for_function("first => window.arena.world !== first", arg=first)
        async with asyncio.timeout(15):
            while await game.arena.proxy().wish("guest 1") is not None:
                await asyncio.sleep(0.01)
        await expect(page.locator("#status")).to_be_hidden()
        assert [one.id for one in await game.players()] == [session.id]


@on_loop
async def test_a_player_whose_page_is_hidden_stands() -> None:
    async with place() as game:
        page = await game.page()
        await come_as_guest(page)
        await plays(page, "guest 1")
        await page.keyboard.down("ArrowRight")
        async with asyncio.timeout(15):
            while await game.arena.proxy().wish("guest 1") is None:
                await asyncio.sleep(0.01)
            await page.evaluate(
                """() => {
                window.requestAnimationFrame = () => 0;  // as in a hidden page
                Object.defineProperty(document, "hidden", { value: true });
                document.dispatchEvent(new Event("visibilitychange"));
            }"""
            )
            while await game.arena.proxy().wish("guest 1") is not None:
                await asyncio.sleep(0.01)


@on_loop
async def test_a_round_ends_with_its_winners_and_the_next_one_begins() -> None:
    async with place(Settings(40.0, round=6, rest=4)) as game:
        page = await game.page()
        await come_as_guest(page)
        await plays(page, "guest 1")
        await game.arena.proxy().award("guest 1", 5)
        await expect(page.locator("#result")).to_contain_text("Red wins!", timeout=15_000)
        await expect(page.locator("#result")).to_contain_text("guest 1 5")
        await expect(page.locator("#time")).to_contain_text("Next round in")
        await expect(page.locator("#result")).to_be_hidden(timeout=15_000)
        await expect(page.locator("#score")).to_have_text("0")


@on_loop
async def test_the_figures_are_shown_as_numbers_and_plots_behind_f2() -> None:
    async with place() as game:
        page = await game.page()
        await come_as_guest(page)
        await plays(page, "guest 1")
        await expect(page.locator("#figures")).to_be_hidden()
        await page.keyboard.press("F2")
        for value in (1, 5, 3):
            game.arena.tell(Figures({"sessions": value, "messages/s": 1234.0, "tick p99 ms": 1.25}))
            await expect(page.locator("[data-figure='sessions']")).to_have_text(f"{value}.0")
        await expect(page.locator("[data-figure='messages/s']")).to_have_text("1,234")
        drawn = (
            "[...document.querySelector('dl canvas').getContext('2d')"
            ".getImageData(0, 0, 200, 20).data].some(Boolean)"
        )
        assert await page.evaluate(drawn)
        await page.keyboard.press("F2")
        await expect(page.locator("#figures")).to_be_hidden()


@on_loop
async def test_the_page_can_be_used_with_the_keyboard_alone_and_everything_has_a_name() -> None:
    async with place() as game:
        page = await game.page()
        await page.locator("#username").focus()
        await page.keyboard.type("ann")
        await page.keyboard.press("Tab")
        await page.keyboard.type(PASSWORDS["ann"])
        await page.keyboard.press("Enter")
        await plays(page, "ann")
        assert await page.evaluate("document.activeElement.id") == "world"
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("dialog")).to_contain_text("ann")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_be_hidden()
        await page.keyboard.press("m")
        sound = page.get_by_role("button", name="Sound")
        await expect(sound).to_have_attribute("aria-pressed", "false")
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "text"
        await page.keyboard.press("Escape")
        assert await page.evaluate("document.activeElement.id") == "world"
        unnamed = """[...document.querySelectorAll('button, input, canvas[tabindex], ol')]
            .filter(element =>
                !element.textContent.trim() && !element.ariaLabel && !element.labels?.length)
            .map(element => element.outerHTML)"""
        assert await page.evaluate(unnamed) == []
        for role in ("status", "log"):
            assert await page.locator(f"[role={role}]").count() == 1


@on_loop
async def test_a_gamepad_walks_and_dashes() -> None:
    async with place() as game:
        page = await game.page()
        await come_as_guest(page)
        await plays(page, "guest 1")
        await page.evaluate(
            """() => {
            const buttons = Array.from({ length: 17 }, () => ({ pressed: false }));
            window.pad = { connected: true, axes: [0, 0], buttons };
            navigator.getGamepads = () => [window.pad];
        }"""
        )
        before = await page.evaluate(POSITION)
        for axes in ("[1, 0]", "[0, 1]", "[-1, 0]", "[0, -1]"):
            await page.evaluate(f"window.pad.axes = {axes}")
            await page.wait_for_timeout(500)
        await page.evaluate("window.pad.axes = [0.7, 0.7]; window.pad.buttons[0].pressed = true")
        await expect(page.locator("#dash")).to_have_class("spent")
        await page.evaluate("window.pad.axes = [0, 0]")
        assert await page.evaluate("window.arena.world.me.walked") > 1
        assert before


@on_loop
async def test_names_over_heads_do_not_cover_each_other() -> None:
    async with place() as game:
        page = await game.page()
        await come_as_guest(page)
        await plays(page, "guest 1")
        await game.arena.proxy().crowd("guest 1", 30)
        await page.wait_for_function("window.arena.world.bodies.size > 30")
        boxes = await page.evaluate("window.arena.scene.tags.boxes")
        assert len(boxes) > 5
        for index, one in enumerate(boxes):
            for other in boxes[:index]:
                assert (
                    one["left"] >= other["left"] + other["width"]
                    or other["left"] >= one["left"] + one["width"]
                    or one["top"] >= other["top"] + other["height"]
                    or other["top"] >= one["top"] + one["height"]
                )
