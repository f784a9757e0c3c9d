"""A slow login is never reported as an unreachable server.

The pages, telnet and the clients wait, and say so.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright, expect

from actorcred import CheckerUnavailable, LoginDenied, Portal, PortalOptions, actors, rpc
from actorcred.actors import AsyncioDispatcher
from actorcred.checkers.anonymous import AnonymousChecker
from actorcred.rpc.client import client as client_module
from actorcred.rpc.client.client import ClientOptions
from examples.arena.__main__ import PAGE as ARENA
from examples.arena.realm import Arena, Player
from examples.chat import telnet
from examples.chat.__main__ import PAGE as CHAT
from examples.web import make_app
from tests.examples.gate import Gate
from tests.rpc.stage import on_loop
from tests.settings import portal_options

BUSY = "The server is busy: still waiting for its answer."
PATIENCE = ClientOptions().login_timeout


@pytest.mark.parametrize("options", [PortalOptions(), rpc.ServerOptions()])
def test_the_clients_patience_is_longer_than_the_servers(options: Any) -> None:
    assert options.login_timeout < PATIENCE
    script = Path(rpc.__file__).parent / "browser" / "actorcred.js"
    assert f"loginTimeout: {PATIENCE:g}" in script.read_text()


class Place:
    """A portal on the network, with a gate as its checker."""

    def __init__(self, gate: Any, portal: Any, server: rpc.Server) -> None:
        self.gate = gate
        self.portal = portal
        self.server = server

    async def somebody_waits(self) -> None:
        async with asyncio.timeout(30):
            while not await self.gate.proxy().waiting():
                await asyncio.sleep(0.01)

    def open(self, refusal: Any = None) -> None:
        self.gate.proxy().open(refusal)


@asynccontextmanager
async def place(page: Path = ARENA, **options: Any) -> AsyncIterator[Place]:
    actors.set_default_dispatcher(AsyncioDispatcher())
    gate = Gate.start()
    portal = Portal.start(
        Arena.start(), [gate, AnonymousChecker.start()], portal_options(**options)
    )
    async with await rpc.serve(portal, "tcp:127.0.0.1:0") as server:
        await server.listen("ws:127.0.0.1:0", app=make_app(server, page))
        yield Place(gate, portal, server)


@asynccontextmanager
async def browser_at(it: Place) -> AsyncIterator[Page]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = await browser.new_page()
        page.set_default_timeout(15_000)
        await page.clock.install()
        await page.goto(f"http://127.0.0.1:{it.server.addresses[1].port}/")
        await page.wait_for_selector("body[data-ready]")
        yield page
        await browser.close()


async def log_in(page: Page, it: Place) -> None:
    await page.fill("#username", "ann")
    await page.fill("#password", "s3cret")
    await page.click("#login button")
    await it.somebody_waits()


@on_loop
async def test_the_arenas_page_waits_for_a_slow_login_and_says_so() -> None:
    async with place() as it, browser_at(it) as page:
        await log_in(page, it)
        await page.clock.fast_forward(29_000)
        await expect(page.get_by_role("status")).to_have_text(BUSY)
        await expect(page.locator("#refusal")).to_be_hidden()
        it.open()
        await expect(page.locator("#name")).to_have_text("ann")
        await expect(page.locator("#status")).to_be_hidden()


@on_loop
@pytest.mark.parametrize(
    ("refusal", "text"),
    [
        (LoginDenied("full", retry_after=7.0), "Try again in 7 s."),
        (
            CheckerUnavailable("down"),
            "The server is up, but logging in is not possible at the moment.",
        ),
    ],
)
@pytest.mark.parametrize("files", [ARENA, CHAT])
async def test_a_page_tells_denied_unavailable_and_unreachable_apart(
    files: Path, refusal: Any, text: str
) -> None:
    async with place(files) as it, browser_at(it) as page:
        await log_in(page, it)
        await page.clock.fast_forward(12_000)
        await expect(page.get_by_role("status")).to_have_text(BUSY)
        it.open(refusal)
        await expect(page.get_by_role("alert")).to_contain_text(text)
        await expect(page.locator("#status")).to_be_hidden()
        await it.server.close(5)
        await page.fill("#username", "ann")
        await page.fill("#password", "s3cret")
        await page.click("#login button")
        await expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached")


@on_loop
async def test_a_page_that_has_no_answer_at_all_says_unavailable_in_the_end() -> None:
    async with place() as it, browser_at(it) as page:
        await log_in(page, it)
        await page.clock.fast_forward(45_000)
        await expect(page.get_by_role("alert")).to_contain_text("The server is up")


@on_loop
async def test_the_python_client_waits_for_a_slow_login_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module, "SLOW_LOGIN", 0.0)
    said = asyncio.Event()
    async with place() as it:
        # The timeout for connecting is over long before the login ends.
        options = ClientOptions(timeout=1.0, on_slow_login=said.set)
        login = asyncio.create_task(
            rpc.connect(it.server.addresses[0], "ann", "s3cret", options=options)
        )
        await it.somebody_waits()
        await asyncio.wait_for(said.wait(), 30)
        done, _ = await asyncio.wait({login}, timeout=1.5)
        assert not done
        it.open()
        async with await login as client:
            assert client.avatar_id == "ann"


@on_loop
async def test_the_python_client_without_any_answer_says_unavailable_and_not_unreachable() -> None:
    async with place() as it:
        with pytest.raises(CheckerUnavailable) as refused:
            await rpc.connect(
                it.server.addresses[0],
                "ann",
                "s3cret",
                options=rpc.ClientOptions(login_timeout=0.3),
            )
        assert "can be reached" in refused.value.detail


@on_loop
async def test_a_client_comes_back_after_a_time_in_which_nobody_could_log_in() -> None:
    async with place() as it:
        it.open()
        client = await rpc.connect(
            it.server.addresses[0], "ann", "s3cret", options=rpc.ClientOptions(reconnect=True)
        )
        back: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        client.on_reconnect = back.set_result
        client._token = None  # as after a restart of the server: the session cannot be resumed
        it.open(CheckerUnavailable("down"))
        assert client._line is not None
        client._line.abort()
        async with asyncio.timeout(30):
            while client._options.reconnect and client._line is None and client._comeback is None:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.5)  # time for one or two tries, which must not be the last
            it.open()
            assert not await back
        assert client.avatar_id == "ann"
        await client.close()


@on_loop
async def test_telnet_waits_for_a_slow_login_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telnet, "SLOW", 0.0)
    async with place() as it:
        server = await telnet.listen(it.portal, "127.0.0.1", 0, Player)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        writer.write(b"ann\r\ns3cret\r\n")
        async with asyncio.timeout(30):
            await reader.readuntil(b"still waiting for its answer\r\n")
            it.open(LoginDenied("full", retry_after=7.0))
            assert b"login denied, try again in 7 s" in await reader.read()
        writer.close()
        server.close()
