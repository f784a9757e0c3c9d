"""Listening behind proxies that send a PROXY header, for servers on an asyncio loop."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from actorcred.fronts.clients import by_proxy_header
from actorcred.fronts.proxy_header import ProxyHeaderError
from actorcred.fronts.reading import VERSIONS, read_proxy_header
from actorcred.fronts.trusted import TrustedProxy
from actorcred.identity import ClientInfo
from actorcred.portal.ref import PortalRef
from actorcred.rpc.server.events import ConnectionBroken, ConnectionRefused

__all__ = ["ProxyListener", "Serve", "proxy_socket"]

logger = logging.getLogger("actorcred.adapters")

MOST_WAITING = 512
"""Connections whose PROXY header is still awaited."""

PAUSE = 0.5
"""Seconds to wait when no more file descriptors are available."""

Serve = Callable[[socket.socket, ClientInfo], Coroutine[Any, Any, object]]
"""Serves a connection, given its socket and the client that the proxy reports."""


async def proxy_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address.

    Raises:
        OSError: if that fails.
    """
    loop = asyncio.get_running_loop()
    family, *_, where = (await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
    return socket.create_server((str(where[0]), int(where[1])), family=family, backlog=1024)


class ProxyListener:
    """Accepts connections of trusted proxies, and reads their PROXY headers.

    It has the methods of `asyncio.Server` that end it, and `get_port`.

    Args:
        sock: the listening socket, which is closed with the listener.
        portal: the portal, to which refused connections are reported.
        proxies: the proxies that may connect; None for none.
        versions: "v1", "v2" or "any".
        serve: serves a connection after its header.

    Raises:
        ValueError: if no proxy is trusted, or the versions are unknown.
    """

    def __init__(
        self,
        sock: socket.socket,
        portal: PortalRef,
        proxies: TrustedProxy | None,
        versions: str,
        serve: Serve,
    ) -> None:
        if proxies is None:
            sock.close()
            raise ValueError("a listener for PROXY headers needs trusted_proxies")
        if versions not in VERSIONS:
            sock.close()
            raise ValueError(f"proxy must be one of {', '.join(VERSIONS)}, not {versions!r}")
        self._socket = sock
        self._portal = portal
        self._proxies = proxies
        self._versions = VERSIONS[versions]
        self._serve = serve
        self._waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()
        sock.setblocking(False)
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The listening socket, as of `asyncio.Server`."""
        return (self._socket,)

    def get_port(self) -> int:
        """Return the port."""
        return int(self._socket.getsockname()[1])

    def close(self) -> None:
        """Accept no more connections, and close those without a header."""
        self._accepting.cancel()
        for task in self._tasks:
            task.cancel()

    async def wait_closed(self) -> None:
        """Wait until the socket is closed."""
        await asyncio.wait([self._accepting])

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    stream, address = await loop.sock_accept(self._socket)
                except OSError as error:
                    logger.warning("A connection cannot be accepted: %s", error.strerror)
                    await asyncio.sleep(PAUSE)
                    continue
                self._take(stream, address)
        finally:
            self._socket.close()

    def _take(self, stream: socket.socket, address: Any) -> None:
        host, port = address[:2] if isinstance(address, tuple) else ("", 0)
        trusted = self._proxies.includes(host)
        if not trusted or self._waiting >= MOST_WAITING:
            stream.close()
            why = "too many PROXY headers are awaited" if trusted else "it is not a trusted proxy"
            self._portal.publish(ConnectionRefused(ClientInfo(address=host), why))
            return
        stream.setblocking(False)
        peer = ClientInfo(address=host, port=port)
        self._waiting += 1
        task = asyncio.get_running_loop().create_task(self._open(stream, peer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open(self, stream: socket.socket, peer: ClientInfo) -> None:
        client = await self._client_of(stream, peer)
        if client is None:
            stream.close()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.discard(task)  # from now on, the connection is the server's
        try:
            await self._serve(stream, client)
        except Exception as error:
            # Such as a failed handshake, which the server has reported if that matters.
            logger.debug("A connection could not be served: %s", type(error).__name__)
            stream.close()

    async def _client_of(self, stream: socket.socket, peer: ClientInfo) -> ClientInfo | None:
        """Return the client that a proxy reports; None if the connection must be closed."""
        try:
            header = await read_proxy_header(stream, self._versions)
        except ProxyHeaderError as error:
            self._portal.publish(ConnectionBroken(peer, str(error)))
            return None
        except OSError:
            return None
        except asyncio.CancelledError:
            stream.close()
            raise
        finally:
            self._waiting -= 1
        client = by_proxy_header(peer, header)
        if self._portal.is_shut_out(client):
            why = "too many logins during the penalty of this source"
            self._portal.publish(ConnectionRefused(client, why))
            return None
        return client
