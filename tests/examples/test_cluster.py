"""The cluster example: nats-server, three nodes and the page, as `make cluster` starts them."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from actorcred import ConnectionLost, rpc
from tests.backends.servers import program
from tests.cli.served import children_of, command_of
from tests.examples.started import Started, started, with_nats

pytestmark = [pytest.mark.foreign, pytest.mark.slow]

ORDER = {"X-Cluster-Page": "1"}


class Example:
    """A running example and its clients."""

    def __init__(self, process: Started, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.passwords = dict(re.findall(r"account: (\w+) with (\S+)", process.text))
        self.nodes = re.findall(r"node \d: +http://(127.0.0.1:\d+)/", process.text)
        page = re.search(r"page: +(http://127.0.0.1:\d+)/", process.text)
        assert page is not None
        self.page = page[1]
        self.http = httpx.AsyncClient(base_url=self.page, trust_env=False)

    async def login(self, node: int, name: str, handler: Any = None) -> rpc.Client:
        """Log in on a node, numbered from 1 on."""
        address = f"ws:{self.nodes[node - 1]}/rpc/socket"
        return await rpc.connect(address, name, self.passwords[name], handler=handler)

    async def order(self, node: int, what: str) -> dict[str, Any]:
        """Press a button; return what the page then shows of the node."""
        answer = await self.http.post(f"/nodes/{node}/{what}", headers=ORDER)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["nodes"][node - 1])

    async def until(self, node: int, **expected: Any) -> None:
        """Wait until the page shows something of a node."""
        while True:
            shown = (await self.http.get("/state")).json()["nodes"][node - 1]
            shown["users"].sort()
            if shown | expected == shown:
                return
            await asyncio.sleep(0.05)


@asynccontextmanager
async def example(folder: Path) -> AsyncIterator[Example]:
    async with started("examples.cluster", "--web", 0, "--data", folder / "data") as process:
        await process.read_until("page: ")
        made = Example(process, folder)
        try:
            yield made
        finally:
            await made.http.aclose()


@with_nats(example, 100)
async def test_a_user_has_one_place_also_when_a_node_is_killed_and_starts_again(
    cluster: Example,
) -> None:
    first = await cluster.login(1, "bob")
    await cluster.until(1, users=["bob"])
    async with await cluster.login(3, "bob"):
        await cluster.until(3, users=["bob"])
        await cluster.until(1, users=[])
        with pytest.raises(ConnectionLost):
            await first.call("who", "lobby")
    await first.close()
    await cluster.until(3, users=[])

    lost = await cluster.login(1, "cleo")
    await cluster.until(1, users=["cleo"])
    await cluster.order(1, "kill")
    await cluster.until(1, state="killed", users=[])
    with pytest.raises(ConnectionLost):
        await lost.call("who", "lobby")
    await lost.close()
    async with await cluster.login(2, "cleo"):
        await cluster.until(2, users=["cleo"])
    assert (await cluster.order(1, "start"))["state"] in {"starting", "serving"}
    await cluster.until(1, state="serving", port=int(cluster.nodes[0].rpartition(":")[2]))
    async with await cluster.login(1, "dan"):
        await cluster.until(1, users=["dan"])


@with_nats(example, 100)
async def test_a_drained_node_ends_in_good_order_and_a_moderator_kicks_anywhere(
    cluster: Example,
) -> None:
    leaving, other = await cluster.login(2, "bob"), await cluster.login(3, "dan")
    async with await cluster.login(1, "ann") as admin:
        assert await admin.call("kick", "dan", "enough") == 1
        await cluster.until(3, users=[])
        await cluster.order(2, "drain")
        await cluster.until(2, state="stopped", users=[])
        with pytest.raises(ConnectionLost):
            await leaving.call("who", "lobby")
        async with await cluster.login(1, "bob"):
            await cluster.until(1, users=["ann", "bob"])
    await leaving.close()
    await other.close()


@with_nats(example, 100)
async def test_rooms_and_private_lines_span_the_nodes(cluster: Example) -> None:
    told: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()

    async def next_of(event: str) -> tuple[Any, ...]:
        while (heard := await told.get())[0] != event:
            pass
        return heard

    async with (
        await cluster.login(1, "ann") as ann,
        await cluster.login(2, "bob", lambda *event: told.put_nowait(event)) as bob,
        await cluster.login(3, "cleo") as cleo,
    ):
        for client in (ann, bob, cleo):
            await client.call("join", "garden")
        await ann.call("say", "garden", "from node 1")
        assert (await next_of("said"))[2]["text"] == "from node 1"
        assert await cleo.call("who", "garden") == ["ann", "bob", "cleo"]
        assert [room["members"] for room in await bob.call("rooms")] == [3, 3]
        await cleo.call("say", "@bob", "from node 3")
        _, room, line = await next_of("said")
        assert (room, line["text"]) == ("@cleo", "from node 3")
        assert [one["text"] for one in await bob.call("lines", "@cleo", 0)] == ["from node 3"]

        # A node that dies has told nothing; that its users are gone shows by their presence.
        await cluster.order(3, "kill")
        while (await next_of("presence"))[1:3] != ("cleo", False):
            pass
        assert await ann.call("who", "garden") == ["ann", "bob"]
        await ann.call("mute", "bob", 5.0)
        assert (await next_of("muted"))[1] == 300.0


@with_nats(example, 100)
async def test_only_the_page_itself_gives_orders(cluster: Example) -> None:
    assert (await cluster.http.post("/nodes/1/kill")).status_code == 403
    for path in ("/nodes/4/kill", "/nodes/0/kill", "/nodes/1/explode"):
        assert (await cluster.http.post(path, headers=ORDER)).status_code == 404
    elsewhere = {"Host": "evil.example"}
    assert (await cluster.http.get("/state", headers=elsewhere)).status_code == 400
    await cluster.order(1, "start")  # it runs
    await cluster.until(1, state="serving")


@with_nats(example, 100)
async def test_ctrl_c_ends_all_processes_and_a_port_that_is_taken_is_named(
    cluster: Example,
) -> None:
    words = ("--web", cluster.page.rpartition(":")[2], "--data", cluster.folder / "other")
    async with started("examples.cluster", *words) as second:
        assert await second.ended() == 2
    assert "cannot open" in second.text
    assert "another program listens there" in second.text
    pids = children_of(cluster.process.process.pid)
    assert len(pids) == 4
    async with await cluster.login(1, "ann"):
        cluster.process.process.send_signal(signal.SIGINT)
        assert await cluster.process.ended() == 0
    assert not any(map(command_of, pids))
    assert "Traceback" not in cluster.process.text


async def log_in(browser: Browser, where: str, name: str, password: str) -> Page:
    page = await browser.new_page()
    await page.goto(f"http://{where}/")
    await page.fill("#username", name)
    await page.fill("#password", password)
    await page.click("#login button")
    await expect(page.locator("#you")).to_have_text(name)
    return page


@with_nats(example, 100)
async def test_the_page_in_a_browser_at_desk_and_phone_size(cluster: Example) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program("chromium", "chromium"), args=["--no-sandbox"]
        )
        page = await browser.new_page(viewport={"width": 1200, "height": 800})
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        await page.goto(cluster.page)
        await expect(page.locator("article")).to_have_count(3)
        first = await log_in(browser, cluster.nodes[0], "ann", cluster.passwords["ann"])
        await expect(page.locator("#node-1 .users")).to_have_text("ann")
        await first.fill("#text", "hello from node 1")
        await first.press("#text", "Enter")
        second = await log_in(browser, cluster.nodes[1], "ann", cluster.passwords["ann"])
        await expect(second.locator("#lines")).to_contain_text("hello from node 1")
        await expect(page.locator("#node-2 .users")).to_have_text("ann")
        await expect(page.locator("#happened")).to_contain_text("ann went from node 1 to node 2")
        await page.click("#node-2 [data-order=kill]")
        await expect(page.locator("#node-2 .state")).to_have_text("killed")
        await page.click("#node-2 [data-order=start]")
        await expect(page.locator("#node-2 .state")).to_have_text("serving")
        await page.set_viewport_size({"width": 360, "height": 740})
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= 360
        assert faults == []
        await browser.close()
