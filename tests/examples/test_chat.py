"""The chat with real clients: Chromium, our own client, OpenSSH's and a bare socket."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import expect

from actorcred import CallError, ConnectionLost, LoginDenied
from tests.examples.chatting import chat, on_its_own_loop
from tests.examples.started import run


@on_its_own_loop
async def test_one_conversation_by_four_protocols_reaches_everyone_once_and_in_order(tmp_path):
    async with chat(tmp_path) as it:
        early = await it.by_telnet("dan")
        await early.until("/quit")
        await early.say("before all others")
        await early.until("<dan> before all others")
        page, own, ssh = await it.by_page("ann"), await it.by_rpc("bob"), await it.by_ssh("cid")
        await ssh.until("<dan> before")
        people = [page, own, ssh, early]
        for number in range(5):
            await asyncio.gather(
                *(person.say(f"line {number} of {index}") for index, person in enumerate(people))
            )
        await early.until("line 4 of 0")  # the page sends one after the other
        await early.say("the end")
        await asyncio.gather(*(person.until("the end") for person in people))

        heard = [await page.said(), own.said(), ssh.said(), early.said()]
        assert heard[0] == heard[1] == heard[2] == heard[3]
        assert len(heard[0]) == len(set(heard[0])) == 22
        for index in range(4):
            assert [line.split()[2] for line in heard[0] if line.endswith(f"of {index}")] == list(
                "01234"
            )
        assert page.problems == []
        assert await it.process.end() == 0


@on_its_own_loop
async def test_a_person_with_two_connections_is_one_and_stays_when_one_is_lost(tmp_path):
    async with chat(tmp_path, "--grace", "0.5") as it:
        watcher = await it.by_rpc("bob")
        ssh, page = await it.by_ssh("ann"), await it.by_page("ann")
        await ssh.until("/quit")
        assert await watcher.client.call("who", "lobby") == ["ann", "bob"]
        await page.say("by page")
        await ssh.say("by ssh")
        await asyncio.gather(ssh.until("by ssh"), page.until("by ssh"))
        assert ssh.said() == await page.said() == ["ann> by page", "ann> by ssh"]

        ssh.process.kill()
        await ssh.process.wait()
        await page.say("still here")
        await watcher.until("still here")
        assert await watcher.client.call("who", "lobby") == ["ann", "bob"]
        await page.page.close()
        await watcher.until("went")
        assert await watcher.client.call("who", "lobby") == ["bob"]
        told = [event[0] for event in watcher.heard if event[0] in ("came", "went")]
        assert told == ["came", "went"]


@on_its_own_loop
async def test_a_moderator_keeps_order(tmp_path):
    async with chat(tmp_path) as it:
        ann, dan, cid = await it.by_telnet("ann"), await it.by_telnet("dan"), await it.by_ssh("cid")
        await asyncio.gather(ann.until("/mute NAME"), dan.until("/quit"), cid.until("/quit"))
        dan.type("/kick cid", "/nonsense", "/ban")
        await dan.until("there is no /nonsense")
        assert dan.text.count("that is for moderators") == 1

        ann.type("/mute dan 5")
        await ann.until("dan is muted")
        dan.type("hello?")
        await dan.until("you have been muted")
        ann.type("/mute dan 0")
        await ann.until("dan may speak")
        dan.type("hello!")
        await ann.until("<dan> hello!")

        ann.type("/kick dan no shouting", "/ban cid 5")
        await dan.until("logged out: kicked: no shouting")
        await ann.until("* cid went")
        assert cid.process.stderr is not None
        assert b"banned for 5 minutes" in (said := await cid.process.stderr.read()), (
            said,
            cid.text,
            await cid.process.wait(),
        )
        back = await it.by_telnet("dan")
        await back.until("<dan> hello!")
        with pytest.raises(LoginDenied) as denied:
            await it.by_rpc("cid")
        assert denied.value.retry_after > 200
        ann.type("/ban cid 0", "/who")
        await ann.until("In lobby: ann, dan")
        cid = await it.by_rpc("cid")
        assert cid.history[-1]["text"] == "hello!"
        for words in (("kick", "dan"), ("ban", "dan", 5.0), ("mute", "dan", 5.0)):
            with pytest.raises(CallError) as refused:
                await cid.client.call(*words)
            assert refused.value.code == "forbidden", words
        moderator = await it.by_rpc("ann")
        assert await moderator.client.call("kick", "dan") == 1
        for words, code in (
            (("mute", "eve", 5.0), "not-there"),
            (("ban", "cid", -1.0), "bad-time"),
        ):
            with pytest.raises(CallError) as refused:
                await moderator.client.call(*words)
            assert refused.value.code == code, words


@on_its_own_loop
async def test_rooms_whispers_and_what_cannot_be_done(tmp_path):
    async with chat(tmp_path) as it:
        bob, dan = await it.by_rpc("bob"), await it.by_telnet("dan")
        await dan.until("/quit")
        dan.type(
            "/join  Garden",
            "in the garden",
            "/msg bob psst",
            "/msg nobody x",
            "/leave",
            "back again",
        )
        await bob.until("psst")
        await bob.until("back again")
        assert "in the garden" not in str(bob.heard)
        await dan.until("'nobody' has never been here")
        await dan.until("(dan to bob) psst")
        for words, code in (
            (("say", "cellar", "x"), "not-there"), (("say", "lobby", "\x1b\n"), "bad-text"),
            (("join", ""), "bad-text"), (("say", "lobby", "x" * 2001), "bad-text"),
            (("join", "@dan"), "bad-text"), (("say", "@bob", "x"), "not-there"),
            (("say", "lobby", "x", "k" * 65), "bad-text"),
            (("shell_line", None, "x"), "unknown-method"),
        ):  # fmt: skip
            with pytest.raises(CallError) as refused:
                await bob.client.call(*words)
            assert refused.value.code == code, words
        with pytest.raises(CallError, match="too fast"):
            for number in range(20):
                await bob.say(f"flood {number}")


@on_its_own_loop
async def test_history_outlives_a_crash_of_the_server_and_its_end_is_told(tmp_path):
    async with chat(tmp_path) as it:
        dan = await it.by_telnet("dan")
        await dan.until("/quit")
        await dan.say("remember this")
        await dan.until("<dan> remember this")
        it.process.process.kill()
        await it.process.ended()
    async with chat(tmp_path) as it:
        dan, bob, page = await it.by_telnet("dan"), await it.by_rpc("bob"), await it.by_page("ann")
        await dan.until("<dan> remember this")
        assert await it.process.end() == 0
        await dan.until("logged out: drained")
        await expect(page.page.locator("#status")).to_contain_text(
            "The server is restarting. Trying again"
        )
        with pytest.raises((ConnectionLost, CallError)):
            await bob.client.call("who", "lobby")


@on_its_own_loop
async def test_telnet_refuses_what_is_no_login_and_takes_its_commands_out(tmp_path):
    async with chat(tmp_path) as it:
        wrong, nobody, gone = (
            await it.by_telnet("dan", "wrong"),
            await it.by_telnet("nobody", "x"),
            await it.by_telnet("dan"),
        )
        assert (await wrong.until("refused")).replace("dan", "") == (
            await nobody.until("refused")
        ).replace("nobody", "")
        gone.writer.close()
        polite = await it.by_telnet("bob")
        await polite.until("/quit")
        polite.writer.write(b"\xff\xfd\x03\xff\xfb\x18he\xff\xf1llo\r\n" + b"x" * 70_000)
        await polite.until("<bob> hello")
        while await polite.read():
            pass


@on_its_own_loop
async def test_the_command_says_what_is_wrong(tmp_path):
    code, text = await run("examples.chat", "--help")
    assert code == 0
    assert "--ssh PORT" in text
    code, text = await run("examples.chat", "--data", tmp_path, "--auth", "nonsense:x")
    assert code == 2
    assert "unknown type of authentication" in text
    async with chat(tmp_path) as it:
        code, text = await run(
            "examples.chat",
            "--data",
            tmp_path / "other",
            "--web",
            it.web,
            "--rpc",
            "0",
            "--ssh",
            "0",
        )
        assert code == 2
        assert "The chat cannot open" in text
