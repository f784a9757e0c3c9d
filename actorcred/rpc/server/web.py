"""Listening for WebSocket: an ASGI application served by uvicorn, under the limits of all other transports."""

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
from actorcred.rpc.protocol.addresses import Address
from actorcred.rpc.server.acceptor import Acceptor
from actorcred.rpc.server.events import ConnectionBroken
from actorcred.rpc.server.guard import Place, RateLimit, Stall
from actorcred.rpc.server.hub import Hub
from actorcred.rpc.server.listeners import bind, server_context
from actorcred.rpc.server.output_queues import untaken

__all__ = ["VISITOR", "WebListener", "WebVisitor"]


logger = logging.getLogger("actorcred.rpc")

FRAMES_PER_SECOND, FRAMES_AT_ONCE = 100.0, 400
"""Frames of WebSocket that are no messages, such as pings and pieces: on the average, and at once."""

VISITOR = "actorcred.visitor"
"""Under this key the scope of a connection has its `WebVisitor`."""

Scope = MutableMapping[str, Any]

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class WebVisitor:
    """A connection to a port for WebSocket. It speaks HTTP first, and perhaps never anything else.

    Args:
        core: what the connections of the server share.
        place: what the connection takes of the limits.
        host: the client's address.
    """

    def __init__(self, core: Hub, place: Place, host: str) -> None:
        self.core = core
        self.host = host
        self._place = place
        self._protocol: Any = None
        self._transport: asyncio.Transport | None = None
        self._stall = Stall(core.options.write_timeout)
        self._frames = RateLimit(FRAMES_PER_SECOND, FRAMES_AT_ONCE, place.since)
        # For what the server waits, and since when. Nothing while it works itself.
        self._waits: dict[str, float] = {"request": place.since}
        core.visitors.add(self)
        core.sweep()

    def speaks(self, protocol: Any, transport: asyncio.Transport) -> None:
        """Note with which of uvicorn's protocols the connection is served from now on."""
        self._protocol = protocol
        self._transport = transport
        self._place.yields = self.make_room

    def claim(self) -> Place:
        """Return the place of the connection to a peer, which sees to its deadlines from now on and gives it back."""
        self.core.visitors.discard(self)
        return self._place

    def lost(self) -> None:
        """Forget the connection, which is gone."""
        self.core.visitors.discard(self)
        self._place.leave()

    def waiting(self) -> int:
        """Return the bytes that the client has not taken yet."""
        return untaken(self._transport)

    def tls(self) -> ssl.SSLObject | None:
        """Return the TLS of the connection; None without."""
        return None if self._transport is None else self._transport.get_extra_info("ssl_object")

    def take_frame(self) -> bool:
        """Return whether a frame that is no message may be handled; a client that sends too many is disconnected."""
        if self._transport is None or self._transport.is_closing():
            return False
        if self._frames.take(self.core.loop.time()):
            self.complain("too many frames that are no messages")
            self.abort()
            return False
        if self._transport.get_write_buffer_size() > 2 * self.core.options.write_buffer:
            self.complain("the answers to its pings are not taken")
            self.abort()
            return False
        return True

    def complain(self, why: str) -> None:
        """Tell of a client that broke the rules."""
        self.core.portal.publish(ConnectionBroken(self.host, why))

    def abort(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def make_room(self) -> bool:
        """Close the connection if nothing is asked for by it; return whether it has been closed."""
        if (
            "request" not in self._waits
            or self.waiting()
            or getattr(self._protocol, "handshake_complete", False)
        ):
            return False
        self.abort()
        return True

    def end_if_overdue(self, now: float) -> None:
        """Close the connection of a client that kept the server waiting for too long."""
        if getattr(self._protocol, "handshake_complete", False):
            self.claim().recognise()  # a WebSocket of somebody else's application, which looks after it
            return
        waiting = self.waiting()
        if waiting:
            self._waits["request"] = now  # it is still busy with the last answer
        if self._stall.is_over(waiting, now) or any(
            now - since >= self.core.options.login_timeout for since in self._waits.values()
        ):
            self.abort()

    async def serve(self, app: Any, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the connection by an application, as ASGI says."""
        scope[VISITOR] = self
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        self._waits.pop("request", None)
        try:
            await app(scope, self._counting(receive), send)
        finally:
            self._waits.pop("body", None)
            self._waits["request"] = (
                self._place.since
            )  # a connection that stays open for further requests has no more time

    def _counting(self, receive: Receive) -> Receive:
        """Return a function that receives, and counts for how long the client lets the server wait for the body."""
        complete = False

        async def hear() -> MutableMapping[str, Any]:
            nonlocal complete
            if complete:
                return await receive()  # the application only wants to know when the client is gone
            self._waits["body"] = self.core.loop.time()
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

    def __init__(self, core: Hub, address: Address, server: Any, sock: socket.socket) -> None:
        self.address = address
        self._core = core
        self._server = server
        self._visitors: dict[Any, WebVisitor] = {}
        config = server.config
        config.http_protocol_class = _watched(config.http_protocol_class, self._visitors)
        config.ws_protocol_class = _watched(config.ws_protocol_class, self._visitors)
        timeout = core.options.login_timeout
        self._tls: dict[str, Any] = {}
        if config.ssl is not None:
            self._tls = {
                "ssl": config.ssl,
                "ssl_handshake_timeout": timeout,
                "ssl_shutdown_timeout": timeout,
            }
        self._task = asyncio.create_task(server.serve(sockets=[]))
        self._acceptor = Acceptor(core, sock, self._open)

    @classmethod
    async def open(
        cls, app: Any, address: Address, context: ssl.SSLContext | None, core: Hub
    ) -> WebListener:
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
            # Debug shows what clients send; info and warning are lines that any client can cause, without an end.
            log_level=max(logging.ERROR, logging.getLogger("uvicorn.error").getEffectiveLevel()),
            access_log=False,
            server_header=False,
            proxy_headers=False,  # who connects is who connects: trusted_fronts and penalties go by it
            ws="websockets-sansio",
            ws_max_size=core.options.wire.frame,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=1,
        )
        config.load()
        config.ssl = context if address.kind == "wss" else None
        sock = bind(address)
        started = asyncio.Event()
        listener = cls(core, _with_port(address, sock), _make_uvicorn(config, started), sock)
        await started.wait()
        return listener

    async def _open(self, stream: socket.socket, place: Place, address: Any) -> None:
        """Serve a connection that was accepted."""
        visitor = WebVisitor(self._core, place, address[0])
        protocol = self._server.config.http_protocol_class(
            config=self._server.config, server_state=self._server.server_state, app_state={}
        )
        protocol.visitor = visitor
        try:
            await self._core.loop.connect_accepted_socket(lambda: protocol, stream, **self._tls)
        except BaseException:
            visitor.lost()
            raise

    def stop_listening(self) -> None:
        """Take no more connections."""
        self._acceptor.close()

    async def close(self) -> None:
        """End, after the connections were told goodbye."""
        self._acceptor.close()
        self._server.should_exit = True
        await self._task
        for visitor in list(self._visitors.values()):
            visitor.abort()


def _watched(base: Any, visitors: dict[Any, WebVisitor]) -> Any:
    """Return one of uvicorn's protocols that tells the visitor what becomes of it."""

    class Watched(base):  # type: ignore[misc]
        visitor: WebVisitor
        app: Any

        def connection_made(self, transport: asyncio.Transport) -> None:
            if (
                transport in visitors
            ):  # it was upgraded to WebSocket, and goes on with another protocol
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
    """Return uvicorn's protocol for WebSocket with a bound on frames that are no messages, which no application sees."""

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
                    # Here and not by uvicorn, which logs an error with a traceback for each.
                    self.visitor.complain("a text that is not UTF-8")
                    self.conn.send_close(1007)
                    self.handle_parser_exception()
                    return
            super().send_receive_event_to_app()

    return Bounded


def _make_uvicorn(config: Any, started: asyncio.Event) -> Any:
    import uvicorn

    class Embedded(uvicorn.Server):
        """A uvicorn that leaves the process's signals alone, and says when it is ready."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started.set()

    return Embedded(config)


def _with_port(address: Address, sock: socket.socket) -> Address:
    return Address(address.kind, address.host, sock.getsockname()[1], address.path)
