"""WebSocket: an ASGI application to mount beside one's pages, and a listener that serves it with uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from importlib.resources import files
from typing import Any, Protocol

from actorcred.credentials import ExternalIdentity
from actorcred.errors import MissingExtra, UnauthorizedLogin
from actorcred.portal import PortalRef
from actorcred.rpc.addresses import Address, is_loopback
from actorcred.rpc.client_wires import SUBPROTOCOLS
from actorcred.rpc.connection import Connection
from actorcred.rpc.core import ServerCore, open_core
from actorcred.rpc.listeners import bind, server_context
from actorcred.rpc.options import ServerOptions
from actorcred.rpc.peer import Origin, Peer
from actorcred.sasl.mechanism import Situation

__all__ = ["WebApp", "WebListener"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

TRY_AGAIN_LATER = 1013
"""The code with which a WebSocket is closed when the server is full."""


class HasCore(Protocol):
    """A server of `rpc.serve`, as far as it matters here."""

    core: ServerCore


class WebApp:
    """A portal as an ASGI application: WebSockets on any path below it, and the browser's client at `.../actorcred.js`.

    Mount it in Starlette, FastAPI or Django, or serve it alone with uvicorn.

    Args:
        target: the portal; or a server of `rpc.serve`, whose limits and sessions it then shares.
        options: settings, with a portal.
    """

    def __init__(self, target: PortalRef | HasCore, options: ServerOptions | None = None) -> None:
        self._core: ServerCore | None = None if isinstance(target, PortalRef) else target.core
        self._portal = target if isinstance(target, PortalRef) else None
        self._options = options
        self._opening: asyncio.Task[ServerCore] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection, as ASGI says."""
        if scope["type"] == "websocket":
            await _Socket(await self._ready(), scope, receive, send).serve()
        elif scope["type"] == "http":
            await _serve_client(scope, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _ready(self) -> ServerCore:
        # Where it is mounted, nobody tells an application that the server starts.
        if self._core is None:
            assert self._portal is not None
            if self._opening is None:
                self._opening = asyncio.create_task(open_core(self._portal, self._options))
            self._core = await asyncio.shield(self._opening)
        return self._core

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
        """Log out those who came by this application; call it at shutdown where it is mounted in another one."""
        if self._core is not None and self._portal is not None:
            await self._core.drain(timeout)


class _Socket:
    """One WebSocket, the transport of a peer."""

    def __init__(self, core: ServerCore, scope: Scope, receive: Receive, send: Send) -> None:
        self._core = core
        self._scope = scope
        self._receive = receive
        self._send = send
        self._peer: Peer | None = None
        self._text = False
        self._outgoing: deque[bytes] = deque()
        self._size = 0
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[Any] | None = None

    async def serve(self) -> None:
        await self._receive()  # the client's wish to connect
        name = next((name for name in self._scope.get("subprotocols", ()) if name in SUBPROTOCOLS), None)
        host, port = self._scope.get("client") or ("", 0)
        if name is None or not self._origin_is_welcome():
            await self._send({"type": "websocket.close", "code": 1008})
            return
        source = self._core.admit(host)
        if source is None:
            await self._send({"type": "websocket.close", "code": TRY_AGAIN_LATER})
            return
        self._task = asyncio.current_task()
        self._text = not SUBPROTOCOLS[name].binary
        private = self._scope.get("scheme") == "wss" or not host or is_loopback(host)
        server = self._scope.get("server") or ("localhost", None)
        connection = Connection(SUBPROTOCOLS[name], self._core.options.wire, framed=True)
        address = f"{host}:{port}" if host else ""
        origin = Origin("websocket", address, source, Situation(private, None, server[0], host, self._identity(host)))
        self._peer = Peer(self._core, self, connection, origin)
        writer = asyncio.create_task(self._write_all(name))
        try:
            await self._read_all(self._peer)
        except asyncio.CancelledError:
            if not self._closing:  # the server's own wish, not that of `abort`
                raise
        finally:
            writer.cancel()
            self._peer.lost()

    def _identity(self, host: str) -> ExternalIdentity | None:
        """Return who the client is by the word of a front, which must be one of those that are trusted."""
        options = self._core.options
        if not options.trusts(host):
            return None
        wanted = options.identity_header.lower().encode()
        values = [value for name, value in self._scope.get("headers", ()) if name == wanted]
        if len(values) != 1 or not values[0]:
            return None
        try:
            return ExternalIdentity(values[0], host)
        except UnauthorizedLogin as error:
            self._core.portal.tell_refused(error, ExternalIdentity.__name__, address=host)
            return None

    def _origin_is_welcome(self) -> bool:
        welcome = self._core.options.origins
        if welcome is None:
            return True
        origins = [value.decode("latin-1") for name, value in self._scope.get("headers", ()) if name == b"origin"]
        return all(origin in welcome for origin in origins)

    async def _read_all(self, peer: Peer) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            text: str | None = message.get("text")
            if (text is None) == self._text:
                peer.break_off("the frame is text instead of binary, or binary instead of text")
                continue
            peer.received(message["bytes"] if text is None else text.encode("utf-8", "surrogatepass"))
            if peer.drained is not None:
                await peer.drained  # who does not read what is sent is not read from

    async def _write_all(self, subprotocol: str) -> None:
        await self._send({"type": "websocket.accept", "subprotocol": subprotocol})
        limit = self._core.options.write_buffer
        with contextlib.suppress(OSError):  # the client is gone, as `_read_all` learns, too
            while True:
                while self._outgoing:
                    data = self._outgoing.popleft()
                    self._size -= len(data)
                    message: Any = {"text": data.decode()} if self._text else {"bytes": data}
                    await self._send({"type": "websocket.send", **message})
                    if self._peer is not None and self._size <= limit // 2:
                        self._peer.resume()
                if self._closing:
                    await self._send({"type": "websocket.close", "code": 1000})
                    return
                self._wake.clear()
                await self._wake.wait()

    # -- what the peer wants ------------------------------------------------------------------------------------------

    def write(self, messages: list[bytes]) -> None:
        self._outgoing.extend(messages)
        self._size += sum(map(len, messages))
        self._wake.set()
        if self._size > self._core.options.write_buffer and self._peer is not None:
            self._peer.pause()

    def close(self) -> None:
        self._closing = True
        self._wake.set()

    def abort(self) -> None:
        self._closing = True
        if self._task is not None:
            self._task.cancel()


async def _serve_client(scope: Scope, send: Send) -> None:
    """Serve the browser's client."""
    found = scope["path"].endswith("/actorcred.js") and scope["method"] in {"GET", "HEAD"}
    body = files("actorcred.rpc").joinpath("browser/actorcred.js").read_bytes() if found else b"Not Found"
    kind = b"text/javascript; charset=utf-8" if found else b"text/plain"
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": 200 if found else 404, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


class WebListener:
    """An ASGI application served by uvicorn on the running loop.

    Attributes:
        address: where it listens.
    """

    def __init__(self, address: Address, server: Any, sock: socket.socket) -> None:
        self.address = address
        self._server = server
        self._socket = sock
        self._task = asyncio.create_task(server.serve(sockets=[sock]))

    @classmethod
    async def open(cls, app: Any, address: Address, context: ssl.SSLContext | None, options: ServerOptions) -> WebListener:
        """Listen.

        Raises:
            ActorcredError: if that is not possible.
            MissingExtra: without the extra "websocket".
        """
        try:
            import uvicorn
        except ImportError:
            raise MissingExtra("serving WebSocket", "websocket") from None
        if address.kind == "wss" and context is None:
            context = server_context(address)
        config = uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            log_level=max(logging.INFO, logging.getLogger("uvicorn.error").getEffectiveLevel()),  # debug shows what clients send
            access_log=False,
            server_header=False,
            proxy_headers=False,  # who connects is who connects: trusted_fronts and penalties go by it
            ws="websockets-sansio",
            ws_max_size=options.wire.frame,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=1,
        )
        config.load()
        config.ssl = context if address.kind == "wss" else None
        sock = bind(address)
        started = asyncio.Event()
        listener = cls(_with_port(address, sock), _make_uvicorn(config, started), sock)
        await started.wait()
        return listener

    def stop_listening(self) -> None:
        """Take no more connections."""
        for server in self._server.servers:
            server.close()

    async def close(self) -> None:
        """End, after the connections were told goodbye."""
        self._server.should_exit = True
        await self._task
        self._socket.close()


def _make_uvicorn(config: Any, started: asyncio.Event) -> Any:
    import uvicorn

    class Embedded(uvicorn.Server):
        """A uvicorn that leaves the process's signals alone, and says when it listens."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started.set()

    return Embedded(config)


def _with_port(address: Address, sock: socket.socket) -> Address:
    return Address(address.kind, address.host, sock.getsockname()[1], address.path)
