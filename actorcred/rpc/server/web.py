"""WebSocket listeners: ASGI applications served by uvicorn, with the limits of all transports."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from functools import partial
from typing import Any

from actorcred.errors import MissingExtra
from actorcred.identity import ClientInfo
from actorcred.rpc.protocol.addresses import Address
from actorcred.rpc.server.acceptor import Acceptor, check_proxy
from actorcred.rpc.server.events import ConnectionBroken
from actorcred.rpc.server.guard import Place, RateLimit, Stall
from actorcred.rpc.server.hub import Hub
from actorcred.rpc.server.listeners import bind, server_context
from actorcred.rpc.server.output_queues import untaken

__all__ = ["VISITOR", "WebListener", "WebVisitor"]


logger = logging.getLogger("actorcred.rpc")

FRAMES_PER_SECOND, FRAMES_AT_ONCE = 100.0, 400
"""WebSocket frames that are not messages, such as pings and fragments: per second, and at once."""

VISITOR = "actorcred.visitor"
"""The key of the `WebVisitor` in the scope of a connection."""

Scope = MutableMapping[str, Any]

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class WebVisitor:
    """A connection to a WebSocket port. It begins with HTTP, and might never become a WebSocket.

    Args:
        hub: the hub of the server.
        place: its place in the limits.
        client: who has connected; behind a proxy that reports it by a PROXY header, the client.

    Attributes:
        place: its place in the limits.
    """

    def __init__(self, hub: Hub, place: Place, client: ClientInfo) -> None:
        self.hub = hub
        self.client = client
        self.place = place
        self._protocol: Any = None
        self._transport: asyncio.Transport | None = None
        self._stall = Stall(hub.options.write_timeout)
        self._frames = RateLimit(FRAMES_PER_SECOND, FRAMES_AT_ONCE, place.since)
        # What the server waits for, and since when. Empty while the server itself works.
        self._waits: dict[str, float] = {"request": place.since}
        hub.visitors.add(self)
        hub.sweep()

    def speaks(self, protocol: Any, transport: asyncio.Transport) -> None:
        """Set the uvicorn protocol that serves the connection from now on."""
        self._protocol = protocol
        self._transport = transport
        self.place.yields = self.make_room

    def claim(self) -> Place:
        """Hand the place over to a peer, which must release it and enforce the deadlines."""
        self.hub.visitors.discard(self)
        return self.place

    def lost(self) -> None:
        """Called when the connection is lost."""
        self.hub.visitors.discard(self)
        self.place.leave()

    def waiting(self) -> int:
        """Return the number of bytes that the client has not read yet."""
        return untaken(self._transport)

    def tls(self) -> ssl.SSLObject | None:
        """Return the TLS object of the connection; None without TLS."""
        return None if self._transport is None else self._transport.get_extra_info("ssl_object")

    def take_frame(self) -> bool:
        """Return whether a frame that is not a message may be handled.

        A client that sends too many is disconnected.
        """
        if self._transport is None or self._transport.is_closing():
            return False
        if self._frames.take(self.hub.loop.time()):
            self.complain("too many frames that are not messages")
            self.abort()
            return False
        if self._transport.get_write_buffer_size() > 2 * self.hub.options.write_buffer:
            self.complain("the answers to its pings are not read")
            self.abort()
            return False
        return True

    def complain(self, why: str) -> None:
        """Report a client that violated the protocol or a limit."""
        self.hub.portal.publish(ConnectionBroken(self.client, why))

    def abort(self) -> None:
        """Close the connection immediately."""
        if self._transport is not None:
            self._transport.abort()

    def make_room(self) -> bool:
        """Close the connection if no request is in progress; return whether it was closed."""
        if (
            "request" not in self._waits
            or self.waiting()
            or getattr(self._protocol, "handshake_complete", False)
        ):
            return False
        self.abort()
        return True

    def end_if_overdue(self, now: float) -> None:
        """Close the connection of a client that has kept the server waiting for too long."""
        if getattr(self._protocol, "handshake_complete", False):
            # A WebSocket of another application, which is responsible for it.
            self.claim().recognise()
            return
        waiting = self.waiting()
        if waiting:
            self._waits["request"] = now  # the client still reads the last answer
        if self._stall.is_over(waiting, now) or any(
            now - since >= self.hub.options.login_timeout for since in self._waits.values()
        ):
            self.abort()

    async def serve(self, app: Any, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the connection with an application, according to ASGI."""
        scope[VISITOR] = self
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        self._waits.pop("request", None)
        try:
            await app(scope, self._counting(receive), send)
        finally:
            self._waits.pop("body", None)
            # A connection that stays open for further requests gets no more time.
            self._waits["request"] = self.place.since

    def _counting(self, receive: Receive) -> Receive:
        """Return a `receive` that measures how long the server waits for the body."""
        complete = False

        async def hear() -> MutableMapping[str, Any]:
            nonlocal complete
            if complete:
                return await receive()  # the application only waits for the disconnection
            self._waits["body"] = self.hub.loop.time()
            try:
                message = await receive()
            finally:
                self._waits.pop("body", None)
            complete = not message.get("more_body", False)
            return message

        return hear


class WebListener:
    """An ASGI application served by uvicorn on the running loop.

    Attributes:
        address: where it listens.
    """

    def __init__(self, hub: Hub, address: Address, server: Any, sock: socket.socket) -> None:
        self.address = _with_port(address, sock)
        self._hub = hub
        self._server = server
        self._visitors: dict[Any, WebVisitor] = {}
        config = server.config
        config.http_protocol_class = _watched(config.http_protocol_class, self._visitors)
        config.ws_protocol_class = _watched(config.ws_protocol_class, self._visitors)
        timeout = hub.options.login_timeout
        self._tls: dict[str, Any] = {}
        if config.ssl is not None:
            self._tls = {
                "ssl": config.ssl,
                "ssl_handshake_timeout": timeout,
                "ssl_shutdown_timeout": timeout,
            }
        self._task = asyncio.create_task(server.serve(sockets=[]))
        self._acceptor = Acceptor(hub, sock, self._open, address)

    @classmethod
    async def open(
        cls,
        app: Any,
        address: Address,
        context: ssl.SSLContext | None,
        hub: Hub,
        sock: socket.socket | None = None,
    ) -> WebListener:
        """Listen on an address, or use a socket that listens there already.

        Raises:
            ActorcredError: if that fails.
            MissingExtra: without the extra "websocket".
        """
        try:
            import uvicorn
        except ImportError:
            raise MissingExtra("serving WebSocket", "websocket") from None
        check_proxy(hub, address)
        if address.kind == "wss" and context is None:
            context = server_context(address)
        config = uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            # Debug shows what clients send, and any client can cause endless lines of info and
            # warning.
            log_level=max(logging.ERROR, logging.getLogger("uvicorn.error").getEffectiveLevel()),
            access_log=False,
            server_header=False,
            proxy_headers=False,  # `TrustedProxy` and penalties need the real peer
            ws="websockets-sansio",
            ws_max_size=hub.options.wire.frame,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=1,
        )
        config.load()
        config.ssl = context if address.kind == "wss" else None
        sock = sock or bind(address, reuse_port=hub.options.reuse_port)
        started = asyncio.Event()
        listener = cls(hub, address, _make_uvicorn(config, started), sock)
        await started.wait()
        return listener

    async def _open(self, stream: socket.socket, place: Place, client: ClientInfo) -> None:
        """Set up a connection that was accepted."""
        visitor = WebVisitor(self._hub, place, client)
        protocol = self._server.config.http_protocol_class(
            config=self._server.config, server_state=self._server.server_state, app_state={}
        )
        protocol.visitor = visitor
        try:
            await self._hub.loop.connect_accepted_socket(lambda: protocol, stream, **self._tls)
        except BaseException:
            visitor.lost()
            raise

    def stop_listening(self) -> None:
        """Accept no more connections."""
        self._acceptor.close()

    async def close(self) -> None:
        """Stop, after goodbyes were sent on the connections."""
        self._acceptor.close()
        self._server.should_exit = True
        await self._task
        for visitor in list(self._visitors.values()):
            visitor.abort()


def _watched(base: Any, visitors: dict[Any, WebVisitor]) -> Any:
    """Return a subclass of a uvicorn protocol that reports to its visitor."""

    class Watched(base):  # type: ignore[misc]
        visitor: WebVisitor
        app: Any

        def connection_made(self, transport: asyncio.Transport) -> None:
            if transport in visitors:  # upgraded to WebSocket, which is another protocol
                self.visitor = visitors[transport]
            visitors[transport] = self.visitor
            self.visitor.speaks(self, transport)
            super().connection_made(transport)
            self.app = partial(self.visitor.serve, self.app)

        def connection_lost(self, exc: Exception | None) -> None:
            try:
                super().connection_lost(exc)
            finally:
                visitors.pop(self.transport, None)
                self.visitor.lost()

    return _bounded(Watched) if hasattr(base, "handle_ping") else Watched


def _bounded(base: Any) -> Any:
    """Return uvicorn's WebSocket protocol with a limit on frames that are not messages.

    Applications do not see such frames.
    """

    class Bounded(base):  # type: ignore[misc]
        def handle_ping(self, *event: Any) -> None:
            if self.visitor.take_frame():
                super().handle_ping(*event)

        def handle_pong(self, *event: Any) -> None:
            if self.visitor.take_frame():
                super().handle_pong(*event)

        def handle_cont(self, event: Any) -> None:
            if event.fin or self.visitor.take_frame():
                super().handle_cont(event)

        def send_receive_event_to_app(self) -> None:
            if self.curr_msg_data_type == "text":
                try:
                    b"".join(self.frames if hasattr(self, "frames") else (self.bytes,)).decode()
                except UnicodeDecodeError:
                    # Not left to uvicorn, which logs an error with a traceback for each.
                    self.visitor.complain("a text message that is not UTF-8")
                    self.conn.send_close(1007)
                    self.handle_parser_exception()
                    return
            super().send_receive_event_to_app()

    return Bounded


def _make_uvicorn(config: Any, started: asyncio.Event) -> Any:
    import uvicorn

    class Embedded(uvicorn.Server):
        """A uvicorn server that handles no signals, and reports when it is ready."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started.set()

    return Embedded(config)


def _with_port(address: Address, sock: socket.socket) -> Address:
    return Address(address.kind, address.host, sock.getsockname()[1], address.path)
