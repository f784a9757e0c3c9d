"""The arena on three nodes, as `make arena ARENA="--nodes 3"` starts it."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import math
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright, expect

from examples.arena.__main__ import main
from examples.arena.bots.atlas import Atlas, Camp
from examples.arena.nodes import show
from tests.backends.servers import program
from tests.cli.served import children_of, command_of
from tests.examples.arena.walker import Walker
from tests.examples.started import Started, started, with_nats

pytestmark = [pytest.mark.foreign, pytest.mark.slow]

BORDERS = (48.0, 96.0)
"""Of three regions, if there are few bots."""


class Example:
    """A running arena."""

    def __init__(self, process: Started, address: str, password: str) -> None:
        self.process = process
        self.address = address
        self.password = password

    def enter(self, *secrets: str, interface: str = "Player") -> Awaitable[Walker]:
        """Log in at one of the nodes."""
        return Walker.enter(f"ws:{self.address}/rpc/socket", *secrets, interface=interface)

    def nodes(self) -> list[int]:
        """Return the process ids of the nodes, the westernmost first."""
        pids = sorted(children_of(self.process.process.pid))
        return [pid for pid in pids if "examples.arena.nodes.node" in str(command_of(pid))]


@asynccontextmanager
async def example(folder: Path) -> AsyncIterator[Example]:
    words = ("--nodes", 3, "--avatars", 30, "--wrong", 0, "--crash-rate", 0, "--data", folder)
    async with started("examples.arena", "--listen", "ws:127.0.0.1:0", *words) as process:
        found = await process.read_until(r"http://(127.0.0.1:\d+)/.* ann with (\S+)")
        made = Example(process, found[1], found[2])
        reading = asyncio.create_task(_read(process))
        try:
            yield made
        finally:
            reading.cancel()
            await asyncio.wait({reading})


async def _read(process: Started) -> None:
    """Keep its output, so that it never waits."""
    assert process.process.stdout is not None
    async for line in process.process.stdout:
        process.text += line.decode()


def beyond(x: float, camps: Any) -> tuple[Camp, ...]:
    """Return the camps beyond the border that is nearest."""
    border = min(BORDERS, key=lambda one: abs(one - x))
    return tuple(camp for camp in camps if (camp[1] > border) is not (x > border))


@with_nats(example, 150)
async def test_who_walks_to_another_node_keeps_name_points_and_session_and_is_seen_once(
    arena: Example,
) -> None:
    async with (
        await arena.enter("ann", arena.password) as ann,
        await arena.enter() as guest,
        await arena.enter(interface="Spectator") as watcher,
    ):
        players = (ann, guest)
        for player in players:
            await player.until(lambda player=player: player.eye in player.bodies)
            await player.until(lambda player=player: "node" in player.figures)
        before = [(p.client.session, p.land["name"], p.bodies[p.eye][:2], p.eye) for p in players]
        nodes = [player.figures["node"] for player in players]
        await asyncio.gather(
            *(player.walk(*beyond(player.place[0], player.atlas.camps)) for player in players)
        )
        for player, node in zip(players, nodes, strict=True):
            await player.until(lambda player=player, node=node: player.figures["node"] != node)
            assert player.moves >= 1
            assert player.doubles == []
        assert before == [
            (p.client.session, p.land["name"], p.bodies[p.eye][:2], p.eye) for p in players
        ]
        assert watcher.doubles == []
        assert (watcher.land["name"], watcher.moves) == (None, 0)

        # All nodes have the same clock, and all know of all.
        rounds = [player.land["round"] for player in (ann, guest, watcher)]
        assert len({(r["number"], r["begins"], r["ends"], str(r["storm"])) for r in rounds}) == 1
        named = dict(await watcher.client.call("who"))
        assert {"ann", guest.land["name"]} <= named.keys()


@with_nats(example, 150)
async def test_players_of_a_node_that_is_killed_go_on_at_the_others_with_their_points(
    arena: Example,
) -> None:
    async with await arena.enter("ann", arena.password) as ann:
        await ann.until(lambda: ann.eye in ann.bodies and "node" in ann.figures)
        own = tuple(camp for camp in ann.atlas.camps if camp[0] == ann.bodies[ann.eye][1])
        while not ann.points:
            await ann.gather()
            await ann.walk(*own)
        await ann.until(lambda: ann.tick % 10 > 5)  # the points are stored once a second
        tick = ann.tick
        await ann.until(lambda: ann.tick > tick + 10)
        points, eye, node = ann.points, ann.eye, ann.figures["node"]
        os.kill(arena.nodes()[int(node) - 1], signal.SIGKILL)
        await ann.until(lambda: ann.eye not in {0, eye} and ann.eye in ann.bodies)
        await ann.until(lambda: ann.figures["node"] != node)
        await ann.until(lambda: ann.points >= points)
        # The ground of the dead node can be walked on.
        left, right = (0.0, *BORDERS, 144.0)[int(node) - 1 :][:2]
        await ann.walk(*(camp for camp in ann.atlas.camps if left < camp[1] < right))
        assert ann.figures["node"] != node
        assert ann.doubles == []
        arena.process.process.send_signal(signal.SIGINT)
        assert await arena.process.process.wait() == 0
    assert f"node {node:g} was ended by SIGKILL" in " ".join(arena.process.text.split())


@with_nats(example, 150)
async def test_ctrl_c_ends_all_processes_and_the_counts_of_all_agree(arena: Example) -> None:
    pids = children_of(arena.process.process.pid)
    assert len(pids) == 4
    async with await arena.enter("ann", arena.password):
        words = ("--nodes", 2, "--avatars", 5, "--listen", f"ws:{arena.address}")
        async with started("examples.arena", *words, "--data", "/tmp/unused-arena") as second:
            assert await second.ended() == 2
        assert "another program listens there" in " ".join(second.text.split())
        arena.process.process.send_signal(signal.SIGINT)
        assert await arena.process.process.wait() == 0
    while ": yes" not in arena.process.text:
        await asyncio.sleep(0.01)
    assert not any(map(command_of, pids))
    assert "Traceback" not in arena.process.text
    assert "Interrupted: ending all sessions." in arena.process.text


def test_without_nats_server_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(show.shutil, "which", lambda *_: None)
    assert main(["--nodes", "3", "--data", str(tmp_path)]) == 2
    said = " ".join(capsys.readouterr().out.split())
    assert "apt-get install nats-server" in said
    assert "without --nodes, the arena is one process" in said


RECORD = """() => {
  globalThis.recorded = [];
  let before = performance.now();
  const picture = () => {
    const { world } = arena;
    const names = [...world.bodies.values()].map((body) => body.name);
    recorded.push({
      x: world.me?.x, y: world.me?.y, doubles: names.length - new Set(names).size,
      status: !document.querySelector("#status").hidden,
    });
    requestAnimationFrame(picture);
  };
  requestAnimationFrame(picture);
}"""

ME = """arena.world?.me
  && [arena.world.me.x, arena.world.me.y,
      ...arena.camera.toScreen(arena.world.me.x, arena.world.me.y)]"""


async def node_of(page: Page) -> int:
    """Return the number of the node whose ground the player of a page is on."""
    x, *_ = await (await page.wait_for_function(ME)).json_value()
    return 1 + sum(border < x for border in BORDERS)


async def shows_its_node(page: Page) -> None:
    """Wait until the figures are of the player's node, not of the one that it watched before."""
    number = str(await node_of(page))
    await expect(page.locator("[data-figure=node]")).to_have_text(number, timeout=30_000)


async def walk_over(page: Page) -> None:
    """Have the player of a page walk over the nearest border, by the mouse."""
    land = await page.evaluate("arena.world.land")
    atlas = Atlas(land["rows"], land["tile"], [tuple(camp) for camp in land["camps"]])
    x, *_ = await page.evaluate(ME)
    border = min(BORDERS, key=lambda one: abs(one - x))
    goals, side = beyond(x, atlas.camps), 1 if x < border else -1
    dice, before, detour, steps = random.Random(1), (0.0, 0.0), 0.0, 0
    await page.mouse.down()
    while (me := await page.evaluate(ME)) is None or side * (me[0] - border) < 4:
        if me is not None:
            steps += 1
            if steps % 8 == 0:
                detour = dice.uniform(0, math.tau) if math.dist(before, me[:2]) < 0.6 else 0.0
                before = (me[0], me[1])
            way = (math.cos(detour), math.sin(detour)) if detour else atlas.way(goals, *me[:2])
            await page.mouse.move(me[2] + way[0] * 110, me[3] + way[1] * 110)
        await page.wait_for_timeout(100)
    await page.mouse.up()


@with_nats(example, 150)
async def test_in_the_page_a_border_cannot_be_noticed(arena: Example) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program("chromium", "chromium"), args=["--no-sandbox"]
        )
        for width, height in ((1280, 800), (390, 844)):
            context = await browser.new_context(viewport={"width": width, "height": height})
            page = await context.new_page()
            faults: list[str] = []
            page.on("pageerror", lambda error, faults=faults: faults.append(str(error)))
            await page.goto(f"http://{arena.address}/")
            await page.wait_for_selector("body[data-ready]")
            await page.fill("#username", "ann")
            await page.fill("#password", arena.password)
            await page.click("#login button")
            await page.wait_for_function("arena.world?.land.name === 'ann' && arena.world.me")
            await page.keyboard.press("F2")
            await shows_its_node(page)
            await page.keyboard.press("F2")
            await page.evaluate(RECORD)
            before = await node_of(page)
            await walk_over(page)
            recorded = await page.evaluate("recorded")
            assert await node_of(page) != before
            await page.keyboard.press("F2")
            await shows_its_node(page)
            pairs = itertools.pairwise(recorded)
            assert max(math.dist((a["x"], a["y"]), (b["x"], b["y"])) for a, b in pairs) < 2
            assert not any(one["doubles"] or one["status"] for one in recorded)
            assert faults == []
            await context.close()
        await browser.close()


def test_the_task_of_a_node_shows_no_password() -> None:
    task = show.Task(show.Seat(1, 3), argparse.Namespace(), "nats://x", "user", "secret")
    assert "secret" not in repr(task)
