"""Serving a portal: listeners, in one's own event loop or in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
import threading
from types import TracebackType
from typing import Any, Self

from actorcred.actors import Future
from actorcred.portal.ref import PortalRef
from actorcred.rpc.protocol.addresses import Address
from actorcred.rpc.server.acceptor import Acceptor
from actorcred.rpc.server.asgi import WebApp
from actorcred.rpc.server.hub import Hub
from actorcred.rpc.server.listeners import listen
from actorcred.rpc.server.options import ServerOptions
from actorcred.rpc.server.setup import open_hub
from actorcred.rpc.server.web import WebListener

__all__ = ["Server", "ThreadedServer", "serve", "serve_in_thread"]


logger = logging.getLogger("actorcred.rpc")

DRAIN_TIMEOUT = 10.0
"""Seconds for logging everybody out when a server closes, unless it is told otherwise."""


class Server:
    """A portal on the network, as `serve` returns it. Use it as an asynchronous context manager, or call `close`.

    Attributes:
        addresses: where it listens, with the ports that it got.
        core: what its connections share.
    """

    def __init__(self, core: Hub) -> None:
        self.core = core
        self.addresses: list[Address] = []
        self._streams: list[Acceptor] = []
        self._unix: list[str] = []
        self._web: list[WebListener] = []
        self._closed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Server on {', '.join(map(str, self.addresses)) or 'nothing'}, {len(self.core.peers)} connections>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def listen(
        self, address: Address | str, context: ssl.SSLContext | None = None, app: Any = None
    ) -> Address:
        """Listen on one more address.

        Args:
            address: see `Address.parse`.
            context: for TLS; by default made from the options `cert`, `key` and `client_ca` of the address.
            app: for WebSocket, the ASGI application that is served there; by default `web_app()` alone. It is for
                pages beside the sockets, and has a `web_app()` mounted somewhere.

        Returns:
            The address, with the port that it got.

        Raises:
            ValueError: if it is not an address.
            ActorcredError: if it cannot be listened on.
        """
        where = Address.parse(address) if isinstance(address, str) else address
        if where.kind in {"ws", "wss"}:
            from actorcred.rpc.server.web import WebListener  # needs an extra

            web = await WebListener.open(app or self.web_app(), where, context, self.core)
            self._web.append(web)
            where = web.address
        else:
            stream, where = listen(self.core, where, context)
            self._streams.append(stream)
            if where.kind == "unix":
                self._unix.append(where.path)
        self.addresses.append(where)
        logger.debug("Listening on %s", where)
        return where

    def web_app(self) -> WebApp:
        """Return an ASGI application for WebSocket that shares this server's limits and sessions, to mount beside one's pages."""
        return WebApp(self.core)

    async def wait_closed(self) -> None:
        """Wait until somebody has closed the server."""
        await self._closed.wait()

    async def close(self, timeout: float = DRAIN_TIMEOUT) -> int:
        """Take no more connections, log everybody out with a goodbye, and end.

        Args:
            timeout: seconds for the avatars' `on_logout`, and for the clients to take what they are sent.

        Returns:
            The number of sessions that were ended.
        """
        for stream in self._streams:
            stream.close()
        for web in self._web:
            web.stop_listening()
        self.clean_up()  # nobody comes in by it any more, and the rest may be cancelled
        count = await self.core.drain(timeout)
        for web in self._web:
            await web.close()
        self._streams, self._web = [], []
        self._closed.set()
        return count

    def clean_up(self) -> None:
        """Take away the files of Unix sockets. May be called by any thread, for a process that is about to end."""
        paths, self._unix = self._unix, []
        for path in paths:
            with contextlib.suppress(FileNotFoundError):  # newer Pythons have removed it
                os.unlink(path)


async def serve(
    portal: PortalRef,
    *addresses: Address | str,
    options: ServerOptions | None = None,
    context: ssl.SSLContext | None = None,
) -> Server:
    """Put a portal on the network.

    It serves as long as the running event loop does. For the best speed the portal and the realm run on that loop, too:
    start them with `dispatcher=AsyncioDispatcher()`.

    Args:
        portal: where clients log in.
        addresses: where to listen: `tcp:HOST:PORT`, `tls:HOST:PORT?cert=FILE&key=FILE`, `unix:PATH`, `ws:HOST:PORT`, `wss:...`.
        options: settings.
        context: for TLS, in place of the options of the addresses.

    Returns:
        The server, which listens.

    Raises:
        ValueError: if one is not an address, or the realm's interfaces have no names of their own.
        TypeError: if an interface of the realm has methods that cannot be called over a wire.
        ActorcredError: if an address cannot be listened on.
        MissingExtra: for WebSocket without the extra "websocket".
    """
    server = Server(await open_hub(portal, options))
    try:
        for address in addresses:
            await server.listen(address, context)
    except BaseException:
        await server.close()
        raise
    return server


class ThreadedServer:
    """A server in a thread of its own, as `serve_in_thread` returns it.

    Attributes:
        addresses: where it listens, with the ports that it got.
    """

    def __init__(
        self, server: Server, loop: asyncio.AbstractEventLoop, thread: threading.Thread
    ) -> None:
        self.addresses = server.addresses
        self._server = server
        self._loop = loop
        self._thread = thread

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self, timeout: float = DRAIN_TIMEOUT) -> int:
        """Log everybody out and end the thread; return the number of sessions that were ended."""
        if not self._thread.is_alive():
            return 0
        count = asyncio.run_coroutine_threadsafe(self._server.close(timeout), self._loop).result()
        self._thread.join()
        return count


def serve_in_thread(
    portal: PortalRef,
    *addresses: Address | str,
    options: ServerOptions | None = None,
    context: ssl.SSLContext | None = None,
) -> ThreadedServer:
    """Put a portal on the network from a program without an event loop; see `serve` for arguments and errors."""
    ready: Future[tuple[Server, asyncio.AbstractEventLoop]] = Future()

    async def run() -> None:
        try:
            server = await serve(portal, *addresses, options=options, context=context)
        except BaseException as error:
            ready.settle_error(error)
            return
        ready.settle((server, asyncio.get_running_loop()))
        await server.wait_closed()

    thread = threading.Thread(
        target=asyncio.run, args=(run(),), name="actorcred-server", daemon=True
    )
    thread.start()
    try:
        server, loop = ready.get()
    except BaseException:
        thread.join()
        raise
    return ThreadedServer(server, loop, thread)
