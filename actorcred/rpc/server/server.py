"""Serving a portal on the network, in the running event loop or in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
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
"""The default number of seconds to end all sessions when a server closes."""


class Server:
    """A portal on the network, as returned by `serve`.

    Use it as an asynchronous context manager, or call `close`.

    Attributes:
        addresses: where it listens, with the actual ports.
        hub: the hub, which its connections share.
    """

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.addresses: list[Address] = []
        self._streams: list[Acceptor] = []
        self._unix: list[str] = []
        self._web: list[WebListener] = []
        self._closed = asyncio.Event()

    def __repr__(self) -> str:
        return (
            f"<Server on {', '.join(map(str, self.addresses)) or 'nothing'}, "
            f"{len(self.hub.peers)} connections>"
        )

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
        self,
        address: Address | str,
        context: ssl.SSLContext | None = None,
        app: Any = None,
        sock: socket.socket | None = None,
    ) -> Address:
        """Listen on one more address.

        Args:
            address: see `Address.parse`.
            context: for TLS; by default created from the options `cert`, `key` and `client_ca` of
                the address.
            app: for WebSocket, the ASGI application to serve; by default `web_app()` alone. An
                application of your own can serve pages as well, and must have a `web_app()`
                mounted.
            sock: a socket that listens there already, such as one that several processes share.
                The server closes it, and leaves the file of a Unix socket.

        Returns:
            The address, with the actual port.

        Raises:
            ValueError: if it is not an address.
            ActorcredError: if it cannot be listened on.
        """
        where = Address.parse(address) if isinstance(address, str) else address
        if where.kind in {"ws", "wss"}:
            from actorcred.rpc.server.web import WebListener  # needs an extra

            web = await WebListener.open(app or self.web_app(), where, context, self.hub, sock)
            self._web.append(web)
            where = web.address
        else:
            stream, where = listen(self.hub, where, context, sock)
            self._streams.append(stream)
            if where.kind == "unix" and sock is None:
                self._unix.append(where.path)
        self.addresses.append(where)
        logger.debug("Listening on %s", where)
        return where

    def web_app(self, *, metrics: bool = False) -> WebApp:
        """Return an ASGI application for WebSocket, to be mounted next to your pages.

        It shares this server's limits and sessions.

        Args:
            metrics: see `WebApp`.

        Raises:
            ValueError: see `WebApp`.
        """
        return WebApp(self.hub, metrics=metrics)

    async def wait_closed(self) -> None:
        """Wait until the server has been closed."""
        await self._closed.wait()

    async def close(self, timeout: float = DRAIN_TIMEOUT, *, move: bool = False) -> int:
        """Accept no more connections, end all sessions with a goodbye, and stop.

        Args:
            timeout: seconds for the avatars' `on_logout`, and for the clients to read what they are
                sent.
            move: drain the portal, and move its sessions to other servers of the cluster where
                possible; see `PortalRef.drain`.

        Returns:
            The number of sessions that were ended or moved.
        """
        for stream in self._streams:
            stream.close()
        for web in self._web:
            web.stop_listening()
        self.clean_up()  # the sockets are closed, and the rest may be cancelled
        count = await self.hub.portal.drain(timeout, move=True) if move else 0
        count += await self.hub.drain(timeout)
        for web in self._web:
            await web.close()
        self._streams, self._web = [], []
        self._closed.set()
        return count

    def clean_up(self) -> None:
        """Remove the files of Unix sockets. May be called on any thread when a process ends."""
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
    """Serve a portal on the network.

    It serves as long as the running event loop runs. For the best performance, run the portal and
    the realm on that loop, too: start them with `dispatcher=AsyncioDispatcher()`.

    Args:
        portal: where clients log in.
        addresses: where to listen: `tcp:HOST:PORT`, `tls:HOST:PORT?cert=FILE&key=FILE`,
            `unix:PATH`, `ws:HOST:PORT`, `wss:...`.
        options: settings.
        context: for TLS, in place of the options of the addresses.

    Returns:
        The server, which listens.

    Raises:
        ValueError: if an address is not valid, or the realm lists no interfaces or two of the same
            name.
        TypeError: if an interface of the realm has methods that cannot be called over the network.
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
    """A server in a thread of its own, as returned by `serve_in_thread`.

    Attributes:
        addresses: where it listens, with the actual ports.
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

    def close(self, timeout: float = DRAIN_TIMEOUT, *, move: bool = False) -> int:
        """End or move all sessions, and end the thread; see `Server.close`."""
        if not self._thread.is_alive():
            return 0
        closing = self._server.close(timeout, move=move)
        count = asyncio.run_coroutine_threadsafe(closing, self._loop).result()
        self._thread.join()
        return count


def serve_in_thread(
    portal: PortalRef,
    *addresses: Address | str,
    options: ServerOptions | None = None,
    context: ssl.SSLContext | None = None,
) -> ThreadedServer:
    """Serve a portal from a program without an event loop.

    See `serve` for arguments and errors.
    """
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
