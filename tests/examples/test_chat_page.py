"""The chat's page in Chromium: outages, reloads, rooms, moderators, and the size of a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Page, Route, expect

from actorcred import rpc
from examples.chat.__main__ import PAGE
from examples.chat.archive import Archive
from examples.web import COMMON
from tests.examples.chatting import chat, on_its_own_loop

SCRIPT = Path(rpc.__file__).parent / "browser" / "actorcred.js"


FIRST_TRY_FAILS = """
    const Real = WebSocket;
    let tries = 0;
    window.WebSocket = class extends Real {
        constructor(url, ...more) { super(tries++ ? url : "ws://127.0.0.1:1/", ...more); }
    };
"""


async def in_room(page: Page, name: str) -> None:
    await expect(page.locator("#room-title")).to_have_text(name)


@on_its_own_loop
async def test_what_is_typed_while_the_server_is_away_is_said_once_after_a_new_login(tmp_path):
    async with chat(tmp_path) as it:
        bob = await it.by_rpc("bob")
        there = await it.by_page("ann")
        await there.say("before")
        await bob.client.call("say", "@ann", "a private line")
        page = there.page
        await expect(page.locator('#conversations [data-room="@bob"] .badge')).to_have_text("1")
        it.process.process.kill()
        await it.process.ended()
        await expect(page.locator("#status")).to_contain_text("The connection was lost.")
        await there.say("said while it was away")
        await there.say("and one more")
        await expect(page.locator("#pending li")).to_have_count(2)
        await expect(page.locator("#pending")).to_contain_text("Waiting to be sent")

        # A reload has no password to log in again, once the server has forgotten the session.
        await page.route("**/*", from_disk)
        await page.reload()
        await expect(page.locator("#waiting")).to_be_visible()
        async with chat(tmp_path, web=it.web) as back:
            bob = await back.by_rpc("bob")
            await expect(page.locator("#gate")).to_be_visible(timeout=40_000)
            await expect(page.locator("#username")).to_have_value("ann")
            await expect(page.locator("#refusal")).to_have_text(
                "Your session is over. Please log in again. "
                "2 lines are not sent yet; they are kept."
            )
            await there.log_in("ann")
            await bob.until("and one more")
            await expect(page.locator("#pending li")).to_have_count(0)
            said = [*await bob.client.call("lines", "lobby", 0)]
            assert [line["text"] for line in said] == [
                "before",
                "said while it was away",
                "and one more",
            ]
            assert await there.said() == [f"ann> {line['text']}" for line in said]
            # Private lines are there too, and still unread.
            await page.click('[data-room="@bob"]')
            await there.until("a private line")
            assert there.problems == []


async def from_disk(route: Route) -> None:
    """Answer with a file of the page, as a cache would while the server is away."""
    path = urlsplit(route.request.url).path.lstrip("/") or "index.html"
    if path == "rpc/actorcred.js":
        await route.fulfill(path=SCRIPT)
    elif path.startswith("common/"):
        await route.fulfill(path=COMMON / path.removeprefix("common/"))
    else:
        await route.fulfill(path=PAGE / path)


@on_its_own_loop
async def test_a_connection_that_breaks_while_a_line_is_sent_says_it_once(tmp_path):
    async with chat(tmp_path) as it:
        bob = await it.by_rpc("bob")
        there = await it.by_page("ann")
        # The line reaches the server; the answer does not reach the page.
        await there.page.evaluate(
            """() => {
                const send = WebSocket.prototype.send;
                WebSocket.prototype.send = function (data) {
                    send.call(this, data);
                    if (!data.includes("exactly once")) return;
                    WebSocket.prototype.send = send;
                    this.onmessage = null;
                    this.close();
                };
            }"""
        )
        await there.say("exactly once")
        await there.say("and then this")
        await bob.until("and then this")
        await expect(there.page.locator("#pending li")).to_have_count(0)
        texts = [line["text"] for line in await bob.client.call("lines", "lobby", 0)]
        assert texts == ["exactly once", "and then this"]
        assert await there.said() == ["ann> exactly once", "ann> and then this"]


@on_its_own_loop
async def test_a_reload_keeps_the_session_and_the_room(tmp_path):
    async with chat(tmp_path) as it:
        bob = await it.by_rpc("bob")
        there = await it.by_page("ann")
        page = there.page
        await there.say("/join Garden")
        await in_room(page, "# garden")
        await there.say("hello garden")
        bob.heard.clear()
        await page.add_init_script(FIRST_TRY_FAILS)
        await page.reload()
        await in_room(page, "# garden")
        await there.until("hello garden")
        await bob.client.call("say", "lobby", "still there?")
        await expect(page.locator('[data-room="lobby"] .badge')).to_have_text("1")
        # Nobody was told that ann had gone, since the session went on.
        assert [event[0] for event in bob.heard if event[0] in ("came", "went")] == []
        await page.click("#leave")
        await expect(page.locator("#gate")).to_be_visible()
        await bob.until("went")
        await page.reload()
        await expect(page.locator("#gate")).to_be_visible()


@on_its_own_loop
async def test_rooms_are_listed_counted_read_and_left(tmp_path):
    async with chat(tmp_path) as it:
        bob = await it.by_rpc("bob")
        await bob.client.call("join", "garden")
        there = await it.by_page("ann")
        page = there.page
        await page.click("#browse")
        await expect(page.locator("#all-rooms")).to_contain_text("# garden1 here")
        await page.click("#all-rooms button:has-text('garden')")
        await in_room(page, "# garden")
        await expect(page.locator("#names")).to_have_text("AannyouBbob")
        await bob.say("one")
        await bob.say("two")
        badge = page.locator('[data-room="lobby"] .badge')
        await expect(badge).to_have_text("2")
        await expect(page).to_have_title("(2) The chat")
        await page.click('[data-room="lobby"]')
        await expect(badge).to_have_count(0)
        await expect(page.locator("#lines .new + li")).to_contain_text("one")
        await expect(page).to_have_title("The chat")

        await page.click('[data-room="garden"]')
        await page.click("#leave-room")
        await in_room(page, "# lobby")
        await expect(page.locator("#rooms li")).to_have_count(1)
        await bob.until("'went', 'garden', 'ann'")
        await page.click("#leave-room")
        await there.until("This is your last room.")
        # What is read is read everywhere, and rooms that were left stay left.
        ann = await it.by_rpc("ann")
        rooms = (await ann.client.call("welcome"))["rooms"]
        assert [(room["room"], room["unread"]) for room in rooms] == [("lobby", 0)]


@on_its_own_loop
async def test_lines_have_links_dates_rows_and_a_side(tmp_path):
    async with chat(tmp_path) as it:
        bob = await it.by_rpc("bob")
        there = await it.by_page("ann")
        page = there.page
        text = "<b>see</b> https://example.org/a_(b), and (http://[::1]:80/?q=1&r#x)! javascript:x"
        await bob.say(text)
        await there.until("see")
        links = page.locator("#lines a")
        assert await links.evaluate_all("all => all.map((one) => one.getAttribute('href'))") == [
            "https://example.org/a_(b)",
            "http://[::1]:80/?q=1&r#x",
        ]
        assert await links.first.get_attribute("rel") == "noopener noreferrer nofollow"
        assert await there.said() == [f"bob> {text}"]
        await expect(page.locator("#lines .day")).to_have_text("Today")

        await page.type("#text", "first")
        await page.press("#text", "Shift+Enter")
        await page.type("#text", "second")
        await page.press("#text", "Enter")
        await bob.until("second")
        assert bob.heard[-1][2]["text"] == "first\nsecond"
        await expect(page.locator("#lines .own")).to_have_count(1)
        assert await side_of(page, ".own") > await side_of(page, ".said:not(.own)")

        await there.say("/help")
        await expect(page.locator("#help-dialog")).to_contain_text("/kick NAME WHY")
        await page.keyboard.press("Escape")
        await there.say("/nonsense")
        await there.until("There is no /nonsense.")
        await there.say("//nonsense")
        await bob.until("'/nonsense'")


async def side_of(page: Page, selector: str) -> Any:
    return await page.locator(f"#lines {selector} .bubble").evaluate(
        "one => one.getBoundingClientRect().left"
    )


@on_its_own_loop
async def test_a_moderator_mutes_and_kicks_on_the_page(tmp_path):
    async with chat(tmp_path) as it:
        ann, cid = await it.by_page("ann"), await it.by_page("cid")
        await expect(cid.page.locator("#role")).to_be_hidden()
        await expect(ann.page.locator("#role")).to_be_visible()
        await cid.page.click("#names button:has-text('ann')")
        await expect(cid.page.locator("#moderation")).to_be_hidden()
        await cid.page.keyboard.press("Escape")
        await cid.say("/kick ann")
        await cid.until("Only moderators may do that.")

        await ann.page.click("#names button:has-text('cid')")
        await ann.page.click("[data-act=mute]")
        await ann.until("cid is muted for 5 minutes.")
        await cid.until("You are muted for 5 minutes.")
        await cid.say("let me speak")
        failed = cid.page.locator("#pending .failed")
        await expect(failed).to_contain_text("you have been muted")
        await ann.say("/mute cid 0")
        await cid.until("You may speak again.")
        await failed.get_by_text("Send again").click()
        await ann.until("let me speak")
        await expect(failed).to_have_count(0)

        await ann.say("/kick cid enough of that")
        await ann.until("cid went (enough of that)")
        await expect(cid.page.locator("#refusal")).to_have_text("You were kicked: enough of that")


@on_its_own_loop
async def test_a_page_that_is_still_entering_when_the_server_ends_waits_for_it(tmp_path):
    async with chat(tmp_path) as it:
        there = await it.by_page("ann")
        page = there.page
        await page.click("#leave")
        await hold(page, "welcome")
        await there.log_in("ann")
        await expect(page.locator("#waiting")).to_be_visible()
        await page.wait_for_function("window.held > 0")
        assert await it.process.end() == 0
        await expect(page.locator("#status")).to_contain_text("The server is restarting.")
        await expect(page.locator("#gate")).to_be_hidden()
        await page.evaluate("window.letGo()")
        async with chat(tmp_path, web=it.web):
            await expect(page.locator("#names")).to_have_text("Aannyou", timeout=40_000)
            await expect(page.locator("#status")).to_be_hidden()
            await there.say("here I am")
            await there.until("here I am")
        assert there.problems == []


@on_its_own_loop
async def test_a_page_whose_login_is_cut_off_by_the_servers_end_tries_again(tmp_path):
    async with chat(tmp_path) as it:
        there = await it.by_page("ann")
        page = there.page
        await page.click("#leave")
        await hold(page, "cred.respond", "cred.login")
        await there.log_in("ann")
        await page.wait_for_function("window.held > 0")
        assert await it.process.end() == 0
        await expect(page.locator("#waiting")).to_be_visible()
        await expect(page.locator("#status")).to_contain_text("Trying again")
        await page.evaluate("window.letGo()")
        async with chat(tmp_path, web=it.web):
            await expect(page.locator("#names")).to_have_text("Aannyou", timeout=40_000)
        await expect(page.locator("#status")).to_be_visible()
        async with page.expect_websocket():
            await page.click("#try-now")
        await page.click("#leave")
        await expect(page.locator("#gate")).to_be_visible()
        await expect(page.locator("#refusal")).to_be_hidden()


async def hold(page: Page, *methods: str) -> None:
    """Do not send calls of these methods, until `letGo` is called in the page."""
    await page.evaluate(
        """(methods) => {
            const send = WebSocket.prototype.send;
            window.held = 0;
            WebSocket.prototype.send = function (data) {
                if (methods.some((one) => data.includes(`"${one}"`))) window.held += 1;
                else send.call(this, data);
            };
            window.letGo = () => { WebSocket.prototype.send = send; };
        }""",
        list(methods),
    )


@on_its_own_loop
async def test_on_a_phone_the_room_comes_first_and_nothing_is_wider_than_the_screen(tmp_path):
    async with chat(tmp_path) as it:
        bob = await it.by_rpc("bob")
        there = await it.by_page("ann", viewport={"width": 360, "height": 740}, has_touch=True)
        page = there.page
        await bob.client.call("join", "garden")
        await there.say("/join garden")
        await in_room(page, "# garden")
        await bob.say("w" * 300 + " https://example.org/" + "x" * 200)
        await expect(page.locator("#elsewhere")).to_have_text("1")
        await expect(page.locator("#lines")).to_be_in_viewport()
        await expect(page.locator("#rooms")).not_to_be_in_viewport()
        await page.tap("#open-side")
        await page.tap('[data-room="lobby"]')
        await in_room(page, "# lobby")
        await expect(page.locator("#rooms")).not_to_be_in_viewport()
        await page.tap("#open-people")
        await expect(page.locator("#names")).to_be_in_viewport()
        await page.tap("#people .close")
        for selector in ("document.documentElement", "document.querySelector('#scroller')"):
            assert await page.evaluate(f"{selector}.scrollWidth <= {selector}.clientWidth")
        await there.say("from the phone")
        await bob.until("from the phone")


@on_its_own_loop
async def test_earlier_lines_come_on_demand_and_a_gap_leaves_none_out(tmp_path):
    async with chat(tmp_path) as it:
        people = [await it.by_rpc(name) for name in ("bob", "cid", "dan")]
        numbers = iter(range(1000))

        async def talk(count: int) -> None:
            for number in range(count):
                await people[number % 3].say(f"line {next(numbers)}")

        await talk(27)
        archive = tmp_path / "data" / "chat.sqlite"
        fill(archive, [f"old {number}" for number in range(70)])
        there = await it.by_page("ann")
        page = there.page
        await there.until("old 69")
        assert len(await there.said()) == 50
        await page.click("#earlier")
        await expect(page.locator("#lines .said")).to_have_count(97)
        await expect(page.locator("#earlier")).to_be_hidden()
        texts = [line.partition("> ")[2] for line in await there.said()]
        assert texts == [f"line {n}" for n in range(27)] + [f"old {n}" for n in range(70)]


def fill(path: Any, texts: list[str]) -> None:
    """Add lines to a chat's archive, faster than a user may say them."""
    archive = Archive(path)
    for text in texts:
        archive.add("lobby", "bob", text)
    archive.close()
