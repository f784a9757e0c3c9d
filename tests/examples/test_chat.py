"""The chat with real clients: Chromium, our own client, OpenSSH's and a bare socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright, expect

from actorcred import CallError, ConnectionLost, LoginDenied, LoginFailed, rpc
from tests.backends.servers import program
from tests.examples.started import Started, run, started

PASSWORDS = {"ann": "a1", "bob": "b2", "cid": "c3", "dan": "d4"}
AUTH = "memory:" + ":".join(f"{name}:{password}" for name, password in PASSWORDS.items())


def on_its_own_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a coroutine function as a test."""

    def body(tmp_path: Path) -> None:
        async def limited() -> None:
            async with asyncio.timeout(120):
                await test(tmp_path)

        asyncio.run(limited())

    body.__name__, body.__doc__ = test.__name__, test.__doc__
    return body


class Chat:
    """A running chat and its clients."""

    def __init__(self, process: Started, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.stack = contextlib.AsyncExitStack()

    async def find_ports(self) -> None:
        match = await self.process.read_until(
            r"browser: http://127.0.0.1:(\d+)/\s+ssh: +ssh -p (\d+) "
            r"\S+\s+telnet: +telnet 127.0.0.1 (\d+)\s+rpc: .*tcp://(\S+)"
        )
        self.web, self.ssh, self.telnet, self.rpc = match.groups()

    async def by_telnet(self, name: str, password: str | None = None) -> Telnet:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(self.telnet))
        self.stack.callback(writer.close)
        made = Telnet(reader, writer)
        made.type(name, password or PASSWORDS[name])
        return made

    async def by_ssh(self, name: str) -> Ssh:
        asker = self.folder / f"ask-{name}"
        asker.write_text(f"#!/bin/sh\necho '{PASSWORDS[name]}'\n")
        asker.chmod(0o700)
        options = [
            "StrictHostKeyChecking=no",
            f"UserKnownHostsFile={self.folder / 'known'}",
            "PreferredAuthentications=password",
        ]
        words = [
            "-F",
            "none",
            "-p",
            self.ssh,
            *(f"-o{option}" for option in options),
            f"{name}@127.0.0.1",
        ]
        environment = {**os.environ, "SSH_ASKPASS": str(asker), "SSH_ASKPASS_REQUIRE": "force"}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            program("ssh", "openssh-client"),
            *words,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=environment,
        )
        self.stack.push_async_callback(kill, process)
        return Ssh(process)

    async def by_rpc(self, name: str, interface: str = "Chatter") -> Rpc:
        heard: list[Any] = []
        made = Rpc(heard)
        made.client = await rpc.connect(
            f"tcp:{self.rpc}",
            name,
            PASSWORDS[name],
            handler=lambda *event: made.hear(event),
            options=rpc.ClientOptions(interface=interface),
        )
        self.stack.push_async_callback(made.client.close)
        made.history = await made.client.call("join", "lobby")
        return made

    async def by_page(self, name: str) -> Browser:
        if shutil.which("chromium") is None:
            pytest.skip("there is no chromium: apt-get install chromium")
        playwright = await self.stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        self.stack.push_async_callback(browser.close)
        page = await browser.new_page()
        made = Browser(page)
        page.on("pageerror", lambda error: made.problems.append(str(error)))
        await page.goto(f"http://127.0.0.1:{self.web}/")
        await page.wait_for_selector("body[data-ready]")
        await page.fill("#username", name)
        await page.fill("#password", PASSWORDS[name])
        await page.click("#login button")
        await page.wait_for_selector("#chat:not([hidden])")
        # The rooms are still entered then; the last step is the cursor in the line for the text.
        await page.wait_for_function("document.activeElement.id === 'text'")
        return made


async def kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.communicate()


class Telnet:
    """A bare socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.text = ""

    def type(self, *lines: str) -> None:
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode())

    async def say(self, text: str) -> None:
        self.type(text)

    async def read(self) -> bytes:
        return await self.reader.read(4096)

    async def until(self, text: str) -> str:
        """Read until a string has arrived; return everything read."""
        while text not in self.text:
            data = await self.read()
            assert data, f"it ended without {text!r}: {self.text!r}"
            self.text += data.decode("utf-8", "replace")
        return self.text

    def said(self) -> list[str]:
        return re.findall(r"^<(\w+> .*?)\r?$", self.text, re.MULTILINE)


class Ssh(Telnet):
    """OpenSSH's client."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.text = ""

    def type(self, *lines: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{line}\n" for line in lines).encode())

    async def read(self) -> bytes:
        assert self.process.stdout is not None
        return await self.process.stdout.read(4096)


class Rpc:
    """Our own client."""

    client: rpc.Client
    history: list[Any]

    def __init__(self, heard: list[Any]) -> None:
        self.heard = heard
        self._changed = asyncio.Event()

    def hear(self, event: tuple[Any, ...]) -> None:
        self.heard.append(event)
        self._changed.set()

    async def say(self, text: str) -> None:
        await self.client.call("say", "lobby", text)

    async def until(self, text: str) -> None:
        while text not in str(self.heard):
            self._changed.clear()
            await self._changed.wait()

    def said(self) -> list[str]:
        lines = [event[2] for event in self.heard if event[0] == "said"]
        return [f"{line['name']}> {line['text']}" for line in [*self.history, *lines]]


class Browser:
    """A page in Chromium."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []

    async def say(self, text: str) -> None:
        await self.page.fill("#text", text)
        await self.page.press("#text", "Enter")

    async def until(self, text: str) -> None:
        await expect(self.page.locator("#lines")).to_contain_text(text, timeout=20_000)

    async def said(self) -> list[str]:
        lines = await self.page.locator("#lines li.said").evaluate_all(
            "items => items.map(item => [item.querySelector('b').textContent, "
            "item.lastChild.textContent.slice(1)])"
        )
        return [f"{name}> {text}" for name, text in lines]


@contextlib.asynccontextmanager
async def chat(folder: Path, *words: str, auth: str = AUTH) -> AsyncIterator[Chat]:
    ports = [word for door in ("web", "rpc", "ssh", "telnet") for word in (f"--{door}", "0")]
    async with started(
        "examples.chat", *ports, "--data", folder / "data", "--auth", auth, "--admin", "ann", *words
    ) as process:
        made = Chat(process, folder)
        await made.find_ports()
        async with made.stack:
            yield made


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
        assert [event for event, _, who in watcher.heard if who == "ann"] == ["came", "went"]


@on_its_own_loop
async def test_an_administrator_keeps_order(tmp_path):
    async with chat(tmp_path) as it:
        ann, dan, cid = await it.by_telnet("ann"), await it.by_telnet("dan"), await it.by_ssh("cid")
        await asyncio.gather(ann.until("/mute NAME"), dan.until("/quit"), cid.until("/quit"))
        dan.type("/kick cid", "/nonsense", "/ban")
        await dan.until("there is no /nonsense")
        assert dan.text.count("that is for administrators") == 1

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
        assert (await it.by_rpc("cid")).history[-1]["text"] == "hello!"
        with pytest.raises(LoginFailed):
            await it.by_rpc("bob", "Moderator")
        admin = await it.by_rpc("ann", "Moderator")
        assert await admin.client.call("kick", "dan") == 1


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
        await dan.until("'nobody' is not here")
        await dan.until("(dan to bob) psst")
        for words, code in (
            (("say", "cellar", "x"), "not-there"), (("say", "lobby", "\x1b\n"), "bad-text"),
            (("join", ""), "bad-text"), (("say", "lobby", "x" * 1001), "bad-text"),
            (("kick", "dan"), "unknown-method"), (("shell_line", None, "x"), "unknown-method"),
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
        await expect(page.page.locator("#status")).to_have_text(
            "The server is restarting. Trying again."
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
