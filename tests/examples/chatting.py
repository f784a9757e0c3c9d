"""A running chat, and its clients: Chromium, our own client, OpenSSH's and a bare socket."""

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

from actorcred import rpc
from actorcred.passwords.hashing import hash_password
from tests.backends.servers import program
from tests.examples.started import Started, started

PASSWORDS = {"ann": "a1", "bob": "b2", "cid": "c3", "dan": "d4"}


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

    async def by_rpc(self, name: str) -> Rpc:
        heard: list[Any] = []
        made = Rpc(heard)
        made.client = await rpc.connect(
            f"tcp:{self.rpc}",
            name,
            PASSWORDS[name],
            handler=lambda *event: made.hear(event),
        )
        self.stack.push_async_callback(made.client.close)
        made.history = await made.client.call("lines", "lobby", 0)
        return made

    async def by_page(self, name: str, **options: Any) -> Browser:
        """Open the page in Chromium and log in; the options are those of a new page."""
        if shutil.which("chromium") is None:
            pytest.skip("there is no chromium: apt-get install chromium")
        playwright = await self.stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            # Pages that a test answers itself may reach the server, too.
            args=["--no-sandbox", "--disable-features=LocalNetworkAccessChecks"],
        )
        self.stack.push_async_callback(browser.close)
        page = await browser.new_page(**options)
        made = Browser(page)
        page.on("pageerror", lambda error: made.problems.append(str(error)))
        await page.goto(f"http://127.0.0.1:{self.web}/")
        await page.wait_for_selector("body[data-ready]")
        await made.log_in(name)
        await expect(page.locator("#names")).to_contain_text(name)
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

    async def log_in(self, name: str) -> None:
        await self.page.fill("#username", name)
        await self.page.fill("#password", PASSWORDS[name])
        await self.page.click("#login button")

    async def say(self, text: str) -> None:
        await self.page.fill("#text", text)
        await self.page.press("#text", "Enter")

    async def until(self, text: str) -> None:
        await expect(self.page.locator("#lines")).to_contain_text(text, timeout=20_000)

    async def said(self) -> list[str]:
        lines = await self.page.locator("#lines li.said").evaluate_all(
            "items => items.map(item => [item.querySelector('.name').textContent, "
            "item.querySelector('.text').textContent])"
        )
        return [f"{name}> {text}" for name, text in lines]


@contextlib.asynccontextmanager
async def chat(folder: Path, *words: str, web: str = "0") -> AsyncIterator[Chat]:
    """Start a chat whose moderator is ann."""
    users, groups = folder / "users", folder / "groups"
    if not users.exists():
        made = (f"{n}:{hash_password(password=p, rounds=5)}" for n, p in PASSWORDS.items())
        users.write_text("\n".join(made))
        groups.write_text("moderator: ann\n")
    ports = [word for door in ("rpc", "ssh", "telnet") for word in (f"--{door}", "0")]
    auth = f"file[groups={groups}]:{users}"
    async with started(
        "examples.chat", "--web", web, *ports, "--data", folder / "data", "--auth", auth, *words
    ) as process:
        made = Chat(process, folder)
        await made.find_ports()
        async with made.stack:
            yield made
