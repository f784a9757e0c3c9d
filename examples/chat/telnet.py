"""A line protocol without a library, for telnet and nc: name, password, then lines both ways."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from typing import Any

import pykka

from actorcred import (
    Channel,
    ClientInfo,
    LoginFailed,
    LogoutCode,
    LogoutReason,
    Notification,
    PortalRef,
    UsernamePassword,
)

HIDE, SHOW = (
    b"\xff\xfb\x01",
    b"\xff\xfc\x01",
)  # RFC 857: the server announces echo but does not echo, so the password is not shown
SLOW = 3.0  # seconds of waiting after which the user is told that the server is busy
Render = Callable[..., str | None]  # the text of a notification, given its name and arguments
COMMAND = re.compile(rb"\xff\xff|\xff[\xfb-\xfe].|\xff.", re.DOTALL)  # RFC 854


class Telnet(Channel):
    """One connection: the channel of its client's mind, and the terminal of its avatar.

    Its methods can be called from any thread.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, render: Render
    ) -> None:
        self._reader, self._writer, self._loop = reader, writer, asyncio.get_running_loop()
        self._render = render

    def write(self, text: str) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._send, text.replace("\n", "\r\n").encode())

    def _send(self, data: bytes) -> None:
        self._writer.write(data)
        if self._writer.transport.get_write_buffer_size() > 1_000_000:
            self._writer.transport.abort()  # the client does not read

    def close(self, reason: LogoutReason | None = None) -> None:
        if reason is not None and not reason.by_client:
            self.write(f"logged out: {reason}\n")
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._writer.close)

    def notify(self, notification: Notification) -> None:
        if text := self._render(notification.name, *notification.args):
            self.write(f"{text}\n")

    def call(self, name: str, args: tuple[Any, ...]) -> Any:
        raise OSError("this client does not answer requests")

    async def line(self) -> str:
        raw = await self._reader.readuntil(b"\n")
        return COMMAND.sub(b"", raw).decode("utf-8", "replace").strip("\r\n\0")

    async def serve(self, portal: PortalRef, *interfaces: type) -> None:
        source, port = self._writer.get_extra_info("peername")[:2]
        client = ClientInfo(address=source, port=port, protocol="telnet", transport="tcp")
        try:
            if portal.is_shut_out(client):
                return self.close()
            self._writer.write(b"name: ")
            name = await asyncio.wait_for(self.line(), 60)
            self._writer.write(b"password: " + HIDE)
            password = await asyncio.wait_for(self.line(), 60)
            self._writer.write(SHOW + b"\r\n")
            slow = self._loop.call_later(
                SLOW, self.write, "the server is busy: still waiting for its answer\n"
            )
            try:
                _, avatar, logout = await portal.login(
                    UsernamePassword(name, password, source=source),
                    self,
                    *interfaces,
                    client=client,
                )
            finally:
                slow.cancel()
        except (
            LoginFailed,
            TimeoutError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
        ) as error:
            self.write(f"{error if isinstance(error, LoginFailed) else 'goodbye'}\n")
            return self.close()
        shell = avatar.proxy()
        try:
            await shell.shell_opened(self)
            while True:
                await shell.shell_line(self, await self.line())
        except (OSError, EOFError, asyncio.LimitOverrunError, pykka.ActorDeadError):
            with contextlib.suppress(pykka.ActorDeadError):
                await shell.shell_closed(self)
            await logout(LogoutCode.LOST)  # does nothing if the session has ended


async def listen(
    portal: PortalRef, host: str, port: int, *interfaces: type, render: Render = lambda *_: None
) -> asyncio.Server:
    return await asyncio.start_server(
        lambda reader, writer: Telnet(reader, writer, render).serve(portal, *interfaces), host, port
    )
