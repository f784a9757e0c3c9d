"""What the ASGI adapter reads of a request, and what it answers itself."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from actorcred.adapters._proxies import TrustedProxies, said_https
from actorcred.errors import LoginFailed, UnauthorizedLogin
from actorcred.network import is_private_connection

__all__ = [
    "Gone",
    "HTTPRequest",
    "Header",
    "Incoming",
    "Receive",
    "Scope",
    "Send",
    "answer",
    "basic",
]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]

SAFE = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))


NO_PROXIES = TrustedProxies()


class HTTPRequest:
    """What matters here of a request.

    Args:
        scope: the server's.
        proxies: those whose word on the client's connection counts.
    """

    def __init__(self, scope: Scope, proxies: TrustedProxies = NO_PROXIES) -> None:
        self.scope = scope
        self.is_websocket = scope["type"] == "websocket"
        self.method = str(scope.get("method", "GET"))
        self.source = str((scope.get("client") or ("",))[0])
        self.encrypted = scope.get("scheme") in {"https", "wss"}
        if not self.encrypted and self.source in proxies:
            # The proxy may be on this machine, its client is not: without its word on TLS anybody may read along.
            self.encrypted = said_https(
                self.headers(b"forwarded"), self.headers(b"x-forwarded-proto")
            )
            self.private = self.encrypted
        else:
            self.private = is_private_connection(self.source, encrypted=self.encrypted)
        path = scope.get("raw_path") or str(scope["path"]).encode()
        query = scope.get("query_string") or b""
        self.target = (path + b"?" + query if query else path).decode("latin-1")
        self.authorization = self.header(b"authorization")
        self.stale = False

    def headers(self, name: bytes) -> list[str]:
        """Return the headers of a name."""
        return [
            value.decode("latin-1")
            for key, value in self.scope.get("headers", ())
            if key.lower() == name
        ]

    def header(self, name: bytes) -> str:
        """Return the one header of a name, or "" if there is none or more."""
        found = self.headers(name)
        return found[0] if len(found) == 1 else ""

    def from_own_page(self) -> bool:
        """Tell whether no other site's page can have sent this in the name of a client whose browser has the cookie."""
        origin = self.header(b"origin")
        if not origin or (self.method in SAFE and not self.is_websocket):
            return True
        try:
            return urlsplit(origin).netloc == self.header(b"host")
        except ValueError:  # no URL, as http://[
            return False


class Gone(Exception):
    """The client has gone while it was being logged in."""


class Incoming:
    """What a client sends, looked at ahead while it is being logged in, so that its going is seen."""

    AHEAD = 4

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ahead: deque[MutableMapping[str, Any]] = deque()
        self._next: asyncio.Task[MutableMapping[str, Any]] | None = None

    async def while_connected(self, work: Any) -> None:
        """Do something unless the client goes meanwhile.

        Raises:
            Gone: if it goes.
        """
        task = asyncio.ensure_future(work)
        try:
            while not task.done() and len(self._ahead) < self.AHEAD:
                if self._next is None:
                    self._next = asyncio.ensure_future(self._receive())
                await asyncio.wait((task, self._next), return_when=asyncio.FIRST_COMPLETED)
                if self._next.done():
                    message = self._next.result()
                    self._next = None
                    self._ahead.append(message)
                    if message["type"].endswith(".disconnect"):
                        raise Gone
            await task
        finally:
            task.cancel()
            if task.done() and not task.cancelled():
                task.exception()
            else:
                with contextlib.suppress(asyncio.CancelledError, LoginFailed):
                    await task

    async def receive(self) -> MutableMapping[str, Any]:
        """Return the next message."""
        if self._ahead:
            return self._ahead.popleft()
        if self._next is not None:
            pending, self._next = self._next, None
            return await pending
        return await self._receive()


async def answer(send: Send, status: int, text: str, headers: list[Header]) -> None:
    """Send an answer of one line of text."""
    body = (text + "\n").encode()
    kind, size = (
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    )
    headers = [kind, size, (b"cache-control", b"no-store"), *headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def basic(value: str) -> tuple[str, str]:
    """Return the name and password of an Authorization header (RFC 7617).

    They are UTF-8, as the challenge says; what is not, is Latin-1, as clients send it that do not read challenges.
    """
    try:
        raw = base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise UnauthorizedLogin("the Authorization header is no base64") from None
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    name, colon, password = text.partition(":")
    if not colon:
        raise UnauthorizedLogin("the Authorization header has no colon")
    return name, password
