"""Requests as the ASGI adapter reads them, and the answers that it sends itself."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from actorcred.audit import printable
from actorcred.errors import LoginFailed, UnauthorizedLogin
from actorcred.fronts.clients import by_headers, endpoint_of
from actorcred.fronts.trusted import TrustedProxy
from actorcred.identity import ClientInfo

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
    "hashed",
    "is_event_stream",
]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]

SAFE = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))


class HTTPRequest:
    """The parts of a request that the adapter needs.

    Args:
        scope: the ASGI scope.
        proxies: the proxies that are trusted to describe the client's connection.

    Attributes:
        client: where the client comes from.
        ignored: the name of a header that was ignored because the client is not a trusted proxy;
            "" if there is none.
        dead_cookies: values of the session cookie that lead to no session of another node.
    """

    def __init__(self, scope: Scope, proxies: TrustedProxy | None = None) -> None:
        self.scope = scope
        self.is_websocket = scope["type"] == "websocket"
        self.is_http1 = str(scope.get("http_version", "1.1")).startswith("1")
        self.method = str(scope.get("method", "GET"))
        host, port = scope.get("client") or ("", 0)
        server = scope.get("server")
        peer = ClientInfo(
            address=str(host),
            port=int(port or 0),
            protocol="http",
            transport=("websocket" if self.is_websocket else "tcp") if host else "unix",
            local=endpoint_of(str(server[0]), server[1] or 0) if server else "",
            encrypted=scope.get("scheme") in {"https", "wss"},
            name=printable(self.header(b"user-agent")),
        )
        self.client, self.ignored = by_headers(
            peer, proxies, lambda name: self.headers(name.encode())
        )
        self.source = self.client.address
        self.encrypted = self.client.encrypted
        self.private = self.client.private
        path = scope.get("raw_path") or str(scope["path"]).encode()
        query = scope.get("query_string") or b""
        self.target = (path + b"?" + query if query else path).decode("latin-1")
        self.authorization = self.header(b"authorization")
        self.stale = False
        self.dead_cookies: set[str] = set()

    def headers(self, name: bytes) -> list[str]:
        """Return the values of all headers with a name."""
        return [
            value.decode("latin-1")
            for key, value in self.scope.get("headers", ())
            if key.lower() == name
        ]

    def header(self, name: bytes) -> str:
        """Return the value of the header with a name, or "" if it is missing or repeated."""
        found = self.headers(name)
        return found[0] if len(found) == 1 else ""

    @property
    def scheme(self) -> str:
        """The scheme of the Authorization header, such as "Basic"; "" for another one."""
        scheme = self.authorization.partition(" ")[0].capitalize()
        return scheme if scheme in {"Basic", "Bearer", "Digest"} else ""

    def from_own_page(self) -> bool:
        """Return whether this cannot be a cross-site forgery, so that its cookie may be used."""
        origin = self.header(b"origin")
        if not origin or (self.method in SAFE and not self.is_websocket):
            return True
        try:
            return urlsplit(origin).netloc == self.header(b"host")
        except ValueError:  # not a URL, such as http://[
            return False


class Gone(Exception):
    """The client disconnected during its login."""


class Incoming:
    """A client's messages, read ahead during its login so that a disconnection is noticed."""

    AHEAD = 4

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ahead: deque[MutableMapping[str, Any]] = deque()
        self._next: asyncio.Task[MutableMapping[str, Any]] | None = None

    async def while_connected(self, work: Any) -> None:
        """Await something, but cancel it if the client disconnects.

        Raises:
            Gone: if the client disconnects.
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
    """Send an answer that is one line of text."""
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

    The challenge asks for UTF-8. Anything else is decoded as Latin-1, which is what clients send
    that ignore the challenge.
    """
    try:
        raw = base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise UnauthorizedLogin("the Authorization header is not base64") from None
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    name, colon, password = text.partition(":")
    if not colon:
        raise UnauthorizedLogin("the Authorization header has no colon")
    return name, password


def is_event_stream(message: MutableMapping[str, Any]) -> bool:
    """Return whether the start of an answer announces a stream of events."""
    kinds = [
        value
        for name, value in message.get("headers", ())
        if bytes(name).lower() == b"content-type"
    ]
    return any(bytes(kind).lower().startswith(b"text/event-stream") for kind in kinds)


def hashed(secret: str) -> str:
    """Return the hash of a secret, as a key of tables: look-up times reveal nothing about it."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
