"""Accepting connections.

All transports use this, so that limits apply from the first moment, before any handshake. A PROXY
header is read here, before TLS begins.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Coroutine
from functools import lru_cache, partial
from typing import Any

from actorcred.errors import ActorcredError
from actorcred.fronts.clients import by_proxy_header
from actorcred.fronts.proxy_header import ProxyHeaderError
from actorcred.fronts.reading import HEADER_TIMEOUT, VERSIONS, read_proxy_header
from actorcred.identity import ClientInfo
from actorcred.rpc.protocol.addresses import Address
from actorcred.rpc.server.events import ConnectionBroken, stranger
from actorcred.rpc.server.guard import Place
from actorcred.rpc.server.hub import Hub

__all__ = ["Acceptor", "Serve", "check_proxy"]


logger = logging.getLogger("actorcred.rpc")

BATCH = 64
"""Connections that are accepted in a row before the loop handles its other sockets."""

PAUSE = 0.5
"""Seconds to wait when no more file descriptors are available."""

_SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

Serve = Callable[[socket.socket, Place, ClientInfo], Coroutine[Any, Any, object] | None]
"""Sets up the connection of an accepted socket, given its place and where the client comes from.

If that takes longer, it returns a coroutine.
"""

HOST = socket.gethostname()

_ANY = frozenset({"0.0.0.0", "::"})


class _Refused(Exception):
    """The client behind a proxy is refused, which has been reported."""


def check_proxy(hub: Hub, address: Address) -> None:
    """Check the option `proxy` of an address.

    Raises:
        ActorcredError: if it has an unknown value, or no proxy is trusted.
    """
    wanted = address.options.get("proxy")
    if wanted is None:
        return
    if wanted not in VERSIONS:
        known = ", ".join(VERSIONS)
        raise ActorcredError(f"{address}: the option proxy must be one of {known}, not {wanted!r}")
    if hub.options.proxy is None:
        raise ActorcredError(
            f"{address} expects a PROXY header, but no proxy is trusted: "
            "set ServerOptions.proxy, or --trusted-proxy"
        )


class Acceptor:
    """Accepts connections from one listening socket.

    Args:
        hub: the hub of the server.
        sock: the listening socket, which is closed with the acceptor.
        serve: sets up a connection that was admitted. If it fails, the connection is closed and its
            place is released.
        address: where it listens. With its option `proxy`, all connections must come from trusted
            proxies, and begin with a PROXY header.
    """

    def __init__(self, hub: Hub, sock: socket.socket, serve: Serve, address: Address) -> None:
        self._hub = hub
        self._socket = sock
        self._serve = serve
        wanted = address.options.get("proxy")
        self._versions = None if wanted is None else VERSIONS[wanted]
        # HTTP proxies report their clients with the requests.
        self._reads_headers = address.kind in {"ws", "wss"}
        self._transport = "websocket" if self._reads_headers else address.kind
        self._opening: set[asyncio.Task[object]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._closed = False
        sock.setblocking(False)
        name = sock.getsockname()
        # All connections share one string, unless it listens on several addresses.
        self._local = "" if isinstance(name, tuple) and name[0] in _ANY else _shown(name)
        self._family, self._type, self._proto = sock.family, sock.type, sock.proto
        if address.kind != "unix":
            # Connections inherit it: small messages do not wait until those before them have been
            # acknowledged. Asyncio sets it only for sockets whose protocol number is known.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._listen()

    def close(self) -> None:
        """Accept no more connections, and cancel those that are being set up."""
        if self._closed:
            return
        self._closed = True
        if self._pause is None:
            self._hub.loop.remove_reader(self._socket)
        else:
            self._pause.cancel()
        self._socket.close()
        for task in list(self._opening):
            task.cancel()

    def _listen(self) -> None:
        self._pause = None
        self._hub.loop.add_reader(self._socket, self._accept_all)

    def _accept_all(self) -> None:
        for _ in range(BATCH):
            if self._closed:
                return
            try:
                stream, address = self._accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _SHORT:
                    self._wait(error)
                    return
                continue  # this client has disconnected, or a firewall blocks it
            self._take(stream, address)

    def _accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection; as `socket.accept`, which converts numbers to enums each time."""
        number, address = self._socket._accept()  # type: ignore[attr-defined]
        return socket.socket(self._family, self._type, self._proto, fileno=number), address

    def _wait(self, error: OSError) -> None:
        """Stop accepting for a while. Descriptors become available when connections end."""
        self._hub.shortage.met(error.strerror or "no more file descriptors", len(self._hub.peers))
        self._hub.loop.remove_reader(self._socket)
        self._pause = self._hub.loop.call_later(PAUSE, self._listen)

    def _take(self, stream: socket.socket, address: Any) -> None:
        # The system assigns the lowest free descriptor, so its number shows how many are in use by
        # the whole process.
        spare = self._hub.spare_descriptors(stream.fileno())
        host = address[0] if isinstance(address, tuple) else ""
        place = self._admit(host) if spare else None
        if place is None:
            # Closed without a message: a full server must not spend time on clients that it
            # refuses.
            stream.close()
            return
        stream.setblocking(False)
        port = address[1] if isinstance(address, tuple) else 0
        peer = ClientInfo(
            address=host,
            port=port,
            protocol="rpc",
            transport=self._transport,
            local=self._local or _reached(stream),
        )
        try:
            set_up = self._serve if self._versions is None else self._serve_reported
            work = set_up(stream, place, peer)
        except Exception as error:
            self._failed(stream, place, host, error)
            return
        if work is None:
            return
        task = self._hub.loop.create_task(work)
        # For the handshake. The connection sets its own when it is served.
        place.yields = task.cancel
        self._opening.add(task)
        # Not in the coroutine: a task that is cancelled before it begins does not run at all.
        task.add_done_callback(partial(self._opened, stream, place, host))

    def _admit(self, host: str) -> Place | None:
        if self._versions is None:
            is_proxy = self._reads_headers and self._hub.trusts(host)
            return self._hub.admit(host, is_proxy=is_proxy)
        if not self._hub.trusts(host):
            self._hub.refuse(host, "it is not a trusted proxy")
            return None
        return self._hub.admit(host, is_proxy=True)

    async def _serve_reported(self, stream: socket.socket, place: Place, peer: ClientInfo) -> None:
        """Set up a connection after its PROXY header."""
        assert self._versions is not None
        timeout = min(HEADER_TIMEOUT, self._hub.options.login_timeout)
        header = await read_proxy_header(stream, self._versions, timeout)
        client = by_proxy_header(peer, header)
        if not self._is_followed(client) and not self._hub.move(place, client):
            raise _Refused
        work = self._serve(stream, place, client)
        if work is not None:
            await work

    def _is_followed(self, client: ClientInfo) -> bool:
        """Return whether a client is an HTTP proxy, which will report its own client."""
        return self._reads_headers and self._hub.trusts(client.address)

    def _opened(
        self, stream: socket.socket, place: Place, host: str, task: asyncio.Task[object]
    ) -> None:
        self._opening.discard(task)
        if task.cancelled():
            self._failed(stream, place, host, None)
        elif (error := task.exception()) is not None:
            self._failed(stream, place, host, error)

    def _failed(
        self, stream: socket.socket, place: Place, host: str, error: BaseException | None
    ) -> None:
        """Close a connection that could not be set up; without an error if that was cancelled."""
        if isinstance(error, ProxyHeaderError):
            self._hub.portal.publish(ConnectionBroken(stranger(host), str(error)))
        elif isinstance(error, OSError):
            # Such as a TLS error. Clients can cause these at will, so they are events, which are
            # summed up.
            self._hub.portal.publish(
                ConnectionBroken(stranger(host), f"it could not be opened: {type(error).__name__}")
            )
        elif error is not None and not isinstance(error, _Refused):
            logger.error("A connection could not be opened: %s", type(error).__name__)
        place.leave()
        stream.close()


def _reached(stream: socket.socket) -> str:
    """Return the address and port of the server that a client has reached."""
    try:
        return _shown(stream.getsockname())
    except OSError:  # some systems do not know it if the connection was reset
        return HOST


@lru_cache(64)
def _shown(name: Any) -> str:
    """Return the name of a socket for display."""
    if not isinstance(name, tuple):
        return HOST
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
