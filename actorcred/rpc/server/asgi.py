"""WebSocket as an ASGI application, to be mounted next to web pages or served alone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from dataclasses import replace
from importlib.resources import files
from typing import Any

from actorcred.audit import printable
from actorcred.credentials import ExternalIdentity
from actorcred.errors import UnauthorizedLogin
from actorcred.fronts.clients import by_headers, endpoint_of
from actorcred.identity import ClientInfo
from actorcred.metrics import Metrics
from actorcred.portal.events import ForwardingIgnored
from actorcred.portal.ref import PortalRef
from actorcred.rpc.protocol.codec import SUBPROTOCOLS
from actorcred.rpc.protocol.connection import Connection
from actorcred.rpc.server.connection import ServerConnection
from actorcred.rpc.server.guard import Place
from actorcred.rpc.server.hub import Hub
from actorcred.rpc.server.options import ServerOptions
from actorcred.rpc.server.setup import open_hub
from actorcred.rpc.server.web import VISITOR, Receive, Scope, Send, WebVisitor
from actorcred.sasl.binding import tls_info

__all__ = ["WebApp"]


logger = logging.getLogger("actorcred.rpc")

LAST_WORDS = 0.5
"""Seconds for a client that is reading to receive the goodbye."""

TEXT_FORMAT = b"text/plain; version=0.0.4; charset=utf-8"
"""The type of Prometheus' text format."""

TRY_AGAIN_LATER = 1013
"""The code with which a WebSocket is closed when the server is full."""


class WebApp:
    """A portal as an ASGI application.

    It serves WebSockets on any path below its own, and the client for browsers at
    `.../actorcred.js`. Mount it in Starlette, FastAPI or Django, or serve it alone with uvicorn.

    Args:
        target: the portal; or the hub of a server, whose limits and sessions it then shares (see
            `Server.web_app`).
        options: settings, if the target is a portal.
        metrics: whether to serve metrics for Prometheus at `.../metrics` to whoever can reach it;
            `PortalOptions.metrics` must be set.

    Raises:
        ValueError: if metrics are to be served, and the portal has none.
    """

    def __init__(
        self,
        target: PortalRef | Hub,
        options: ServerOptions | None = None,
        *,
        metrics: bool = False,
    ) -> None:
        counts = (target if isinstance(target, PortalRef) else target.portal).options.metrics
        self._metrics = counts if metrics and isinstance(counts, Metrics) else None
        if metrics and self._metrics is None:
            raise ValueError("to serve metrics, set PortalOptions(metrics=Metrics())")
        self._hub: Hub | None = None if isinstance(target, PortalRef) else target
        self._portal = target if isinstance(target, PortalRef) else None
        self._options = options
        self._opening: asyncio.Task[Hub] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection according to ASGI."""
        if scope["type"] == "websocket":
            await _Socket(await self._ready(), scope, receive, send).serve()
        elif scope["type"] == "http":
            await _serve_page(scope, send, self._metrics)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _ready(self) -> Hub:
        # A mounted application gets no lifespan events, so the hub is opened when it is needed.
        if self._hub is None:
            assert self._portal is not None
            if self._opening is None:
                self._opening = asyncio.create_task(open_hub(self._portal, self._options))
            self._hub = await asyncio.shield(self._opening)
        return self._hub

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self._ready()
                except Exception as error:
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def close(self, timeout: float = 10.0) -> None:
        """End the sessions of this application. If it is mounted, call this at shutdown.

        Does nothing if the target is the hub of a server, which ends its own sessions.

        Args:
            timeout: seconds for the avatars' `on_logout`, and for the clients to read what they are
                sent.
        """
        if self._hub is not None and self._portal is not None:
            await self._hub.drain(timeout)


class _Socket:
    """One WebSocket, the transport of a peer."""

    def __init__(self, hub: Hub, scope: Scope, receive: Receive, send: Send) -> None:
        self._hub = hub
        self._scope = scope
        self._receive = receive
        self._send = send
        self._visitor: WebVisitor | None = scope.get(VISITOR)
        self._peer: ServerConnection | None = None
        self._text = False
        self._outgoing: deque[bytes] = deque()
        self._size = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closing = False
        self._hold = 0.0
        self._resting: asyncio.Future[None] | None = None
        self._lost = False
        self._task: asyncio.Task[Any] | None = None

    async def serve(self) -> None:
        await self._receive()  # websocket.connect
        name = next(
            (name for name in self._scope.get("subprotocols", ()) if name in SUBPROTOCOLS), None
        )
        if name is None or not self._origin_is_welcome():
            await self._send({"type": "websocket.close", "code": 1008})
            return
        client = self._client()
        place = self._enter(client)
        if place is None:
            await self._send({"type": "websocket.close", "code": TRY_AGAIN_LATER})
            return
        self._task = asyncio.current_task()
        self._text = not SUBPROTOCOLS[name].binary
        connection = Connection(SUBPROTOCOLS[name], self._hub.options.wire, framed=True)
        self._peer = ServerConnection(self._hub, self, connection, client, place)
        writer = asyncio.create_task(self._write_all(name))
        try:
            await self._read_all(self._peer)
        except asyncio.CancelledError:
            if not self._closing:  # by the ASGI server, not by `abort`
                raise
        finally:
            writer.cancel()
            self._peer.lost()

    def _client(self) -> ClientInfo:
        """Return where the client comes from, as far as trusted proxies report it."""
        visitor, hub = self._visitor, self._hub
        peer = self._accepted() if visitor is None else visitor.client
        tls = None if visitor is None else visitor.tls()
        server = self._scope.get("server")
        peer = replace(
            peer,
            transport="websocket",
            local=peer.local or (endpoint_of(server[0], server[1] or 0) if server else ""),
            # Our own listener knows; another server may have TLS without saying more.
            encrypted=peer.encrypted or self._scope.get("scheme") == "wss",
            tls=tls_info(tls),
            asserted=self._identity(peer.address),
            name=printable(" ".join(self._headers(b"user-agent"))),
        )
        client, ignored = by_headers(
            peer, hub.options.proxy, lambda name: self._headers(name.encode())
        )
        if ignored:
            hub.portal.publish(ForwardingIgnored(ignored, client))
        has_socket = not client.address and not client.via
        return replace(client, transport="unix") if has_socket else client

    def _accepted(self) -> ClientInfo:
        """Return who has connected to the server of another application."""
        host, port = self._scope.get("client") or ("", 0)
        return ClientInfo(address=host, port=port or 0, protocol="rpc")

    def _enter(self, client: ClientInfo) -> Place | None:
        """Admit the connection unless our own listener has; return its place, or None."""
        if self._visitor is None or self._visitor.hub is not self._hub:
            return self._hub.admit(client.address)
        known = self._visitor.client.address == client.address
        if not known and not self._hub.move(self._visitor.place, client):
            return None
        return self._visitor.claim()

    def _identity(self, host: str) -> ExternalIdentity | None:
        """Return the client's identity as reported by a trusted proxy."""
        proxy = self._hub.options.proxy
        if proxy is None or not proxy.identity_header or not proxy.includes(host):
            return None
        wanted = proxy.identity_header.lower().encode()
        values = [value for name, value in self._scope.get("headers", ()) if name == wanted]
        if len(values) != 1 or not values[0]:
            return None
        try:
            return ExternalIdentity(values[0], host)
        except UnauthorizedLogin as error:
            client = ClientInfo(address=host, protocol="rpc", transport="websocket")
            self._hub.portal.tell_refused(error, ExternalIdentity.__name__, client=client)
            return None

    def _origin_is_welcome(self) -> bool:
        options = self._hub.options
        if options.origins is None and not (options.proxy and options.proxy.identity_header):
            return True
        origins = self._headers(b"origin")
        if options.origins is not None:
            return all(origin in options.origins for origin in origins)
        # The proxy authenticates the browser's user, so a page of another site must not act for
        # them.
        hosts = self._headers(b"host")
        return all(len(hosts) == 1 and is_same_host(origin, hosts[0]) for origin in origins)

    def _headers(self, wanted: bytes) -> list[str]:
        return [
            value.decode("latin-1")
            for name, value in self._scope.get("headers", ())
            if name == wanted
        ]

    async def _read_all(self, peer: ServerConnection) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            text: str | None = message.get("text")
            if (text is None) == self._text:
                peer.break_off("the frame is text instead of binary, or binary instead of text")
                continue
            peer.received(
                message["bytes"] if text is None else text.encode("utf-8", "surrogatepass")
            )
            if self._hold:
                await self._pause()
            if not self._room.is_set():
                await self._room.wait()  # a client that does not read is not read from
                if self._lost:
                    return

    async def _pause(self) -> None:
        self._resting = asyncio.get_running_loop().create_future()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._resting, self._hold)
        self._hold, self._resting = 0.0, None

    async def _write_all(self, subprotocol: str) -> None:
        try:
            await self._send({"type": "websocket.accept", "subprotocol": subprotocol})
            while True:
                while self._outgoing:
                    await self._write_one(self._outgoing.popleft())
                if self._closing:
                    await self._send({"type": "websocket.close", "code": 1000})
                    return
                self._wake.clear()
                await self._wake.wait()
        except (OSError, RuntimeError):
            # The client has disconnected; servers raise either error. `_read_all` gets an event,
            # too, unless it waits for room.
            pass
        except Exception:
            logger.exception("A WebSocket failed:")
            self.abort()
        finally:
            self._lost = True
            self._room.set()

    async def _write_one(self, data: bytes) -> None:
        message: Any = {"text": data.decode()} if self._text else {"bytes": data}
        await self._send({"type": "websocket.send", **message})
        self._size -= len(data)
        if self._peer is not None and self._size <= self._hub.options.write_buffer // 2:
            self._peer.resume()
            self._room.set()

    # -- called by the peer ------------------------------------------------------------------------

    def write(self, messages: list[bytes]) -> None:
        self._outgoing.extend(messages)
        self._size += sum(map(len, messages))
        self._wake.set()
        if (
            self._size > self._hub.options.write_buffer
            and self._peer is not None
            and not self._lost
        ):
            self._peer.pause()
            self._room.clear()

    def waiting(self) -> int:
        return self._size + (0 if self._visitor is None else self._visitor.waiting())

    def hold(self, seconds: float) -> None:
        self._hold = seconds

    def go_on(self) -> None:
        self._hold = 0.0
        if self._resting is not None and not self._resting.done():
            self._resting.set_result(None)

    def close(self) -> None:
        self._closing = True
        self._wake.set()

    def abort(self) -> None:
        self.close()
        if self._visitor is not None and self._room.is_set() and not self._visitor.waiting():
            # The client is reading, so it can still receive the goodbye.
            self._hub.loop.call_later(LAST_WORDS, self._abort_now)
        else:
            self._abort_now()

    def _abort_now(self) -> None:
        if self._visitor is not None:
            self._visitor.abort()
        if self._task is not None:
            self._task.cancel()


def is_same_host(origin: str, host: str) -> bool:
    """Return whether a page is from the host that a request names.

    Args:
        origin: the Origin header, such as "https://play.example.org"; "null" matches no host.
        host: the Host header, with a port if that is not the default of the scheme.
    """
    scheme, _, place = origin.lower().partition("://")
    port = {"http": ":80", "https": ":443"}.get(scheme)
    return (
        port is not None
        and bool(place)
        and place.removesuffix(port) == host.lower().removesuffix(port)
    )


async def _serve_page(scope: Scope, send: Send, metrics: Metrics | None) -> None:
    """Serve the client for browsers, and metrics if there are any."""
    page = scope["path"].rpartition("/")[2] if scope["method"] in {"GET", "HEAD"} else ""
    found = True
    if page == "actorcred.js":
        body = files("actorcred.rpc").joinpath("browser/actorcred.js").read_bytes()
        kind = b"text/javascript; charset=utf-8"
    elif page == "metrics" and metrics is not None:
        body, kind = metrics.text(), TEXT_FORMAT
    else:
        found, body, kind = False, b"Not Found", b"text/plain"
    headers = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-cache"),
    ]
    await send({"type": "http.response.start", "status": 200 if found else 404, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
