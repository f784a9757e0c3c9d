"""Streams on asyncio: TCP, TLS and Unix sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import stat
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from actorcred.errors import ActorcredError
from actorcred.identity import ClientInfo
from actorcred.rpc.protocol.addresses import Address, advice
from actorcred.rpc.protocol.buffer import receive_buffer
from actorcred.rpc.protocol.connection import Connection
from actorcred.rpc.server.acceptor import Acceptor, check_proxy
from actorcred.rpc.server.connection import ServerConnection
from actorcred.rpc.server.guard import Place
from actorcred.rpc.server.hub import Hub
from actorcred.rpc.server.output_queues import untaken
from actorcred.rpc.server.sockets import SocketTransport
from actorcred.sasl.binding import served_binding, tls_info
from actorcred.sasl.scram import end_point_binding, has_scram

__all__ = [
    "BACKLOG",
    "StreamListener",
    "StreamTransport",
    "bind",
    "listen",
    "reserve",
    "server_context",
]


_END = "-----END CERTIFICATE-----"

RECEIVE_BUFFER = 128 * 1024
"""Bytes that the kernel buffers for a client that is not read from; connections inherit it.

The end of a connection is only seen after these bytes, which would be late with megabytes.
"""

BACKLOG = 4096
"""Connections that the kernel queues until they are accepted, up to its own limit."""


class StreamTransport(asyncio.BufferedProtocol):
    """The transport of one connection, around one of asyncio's.

    Args:
        hub: the hub of the server.
        place: its place in the limits.
        client: where the client comes from.
        binding: the data for channel binding; None without.

    Attributes:
        peer: the server's end of the connection, once it is established.
    """

    __slots__ = (
        "_full",
        "_held",
        "_hub",
        "_start",
        "_transport",
        "peer",
    )

    def __init__(
        self,
        hub: Hub,
        place: Place,
        client: ClientInfo,
        binding: tuple[str, bytes] | None = None,
    ) -> None:
        self._hub = hub
        self._start: tuple[Place, ClientInfo, tuple[str, bytes] | None] | None
        self._start = place, client, binding  # until the connection is established
        self._transport: asyncio.Transport | None = None
        self._full = False
        """Whether nothing is read from the client, since it does not read."""
        self._held: asyncio.TimerHandle | None = None
        """Ends a pause in reading from a client that has sent too much."""
        self.peer: ServerConnection | None = None

    # -- called by asyncio, or by a `SocketTransport` ----------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to serve the connection, after a handshake if there is TLS."""
        stream = cast("asyncio.Transport", transport)
        stream.set_write_buffer_limits(high=self._hub.options.write_buffer)
        self.begin(stream, stream.get_extra_info("ssl_object"))

    def begin(self, transport: asyncio.Transport, tls: ssl.SSLObject | None = None) -> None:
        """Start to serve the connection.

        Args:
            transport: what carries it.
            tls: the TLS of the connection; None without.
        """
        self._transport = transport
        assert self._start is not None
        place, client, binding = self._start
        self._start = None
        if tls is not None:
            client = replace(client, encrypted=True, tls=tls_info(tls, binding))
        self.peer = ServerConnection(
            self._hub, self, Connection(limits=self._hub.options.wire), client, place
        )

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer for received data."""
        return receive_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """Handle received data."""
        if self.peer is not None:
            self.peer.received(bytes(receive_buffer()[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Handle received data. An exception closes the connection."""
        peer = self.peer
        if peer is not None:
            try:
                peer.received(data)
            except Exception as error:
                self._hub.give_up(peer, error)

    def pause_writing(self) -> None:
        """Hold notifications back, and stop reading from a client that does not read."""
        if self.peer is not None and self._transport is not None:
            self.peer.pause()
            self._full = True
            if not self._transport.is_closing():
                self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Stop holding back, and read again."""
        if self.peer is not None and self._transport is not None:
            self.peer.resume()
            self._full = False
            self._read_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called when the connection is lost."""
        if self._held is not None:
            self._held.cancel()
        # The peer refers to this. Without circles, an ended connection is freed at once.
        peer, self.peer = self.peer, None
        if peer is not None:
            peer.lost()
        with contextlib.suppress(AttributeError):  # only asyncio's own has it, and refers to itself
            self._transport._read_ready_cb = None  # type: ignore[union-attr]

    # -- called by the peer ------------------------------------------------------------------------

    def write(self, messages: list[bytes]) -> None:
        """Send messages. Does nothing if the connection is lost."""
        assert self._transport is not None
        try:
            self._transport.write(messages[0] if len(messages) == 1 else b"".join(messages))
        except (OSError, RuntimeError):
            # uvloop raises if the connection was reset; `connection_lost` follows a turn later.
            self.abort()

    def waiting(self) -> int:
        """Return the number of bytes that the client has not read yet."""
        return untaken(self._transport)

    def hold(self, seconds: float) -> None:
        """Pause reading for `seconds`."""
        assert self._transport is not None
        if self._held is None and not self._transport.is_closing():
            self._transport.pause_reading()
            self._held = self._hub.loop.call_later(seconds, self._release)

    def _release(self) -> None:
        self._held = None
        self._read_on()

    def go_on(self) -> None:
        """End a pause in reading."""
        if self._held is not None:
            self._held.cancel()
            self._release()

    def _read_on(self) -> None:
        assert self._transport is not None
        if not self._full and self._held is None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Close when everything is sent."""
        assert self._transport is not None
        self._transport.close()

    def abort(self) -> None:
        """Close immediately."""
        assert self._transport is not None
        self._transport.abort()


class StreamListener:
    """Sets up the stream connections that an `Acceptor` accepts.

    Args:
        hub: the hub of the server.
        context: the TLS settings; None without TLS.
        binding: the data for channel binding; None without.
    """

    def __init__(
        self,
        hub: Hub,
        context: ssl.SSLContext | None = None,
        binding: tuple[str, bytes] | None = None,
    ) -> None:
        self._hub = hub
        self._binding = binding
        timeout = hub.options.login_timeout
        self._tls: dict[str, Any] = {}
        if context is not None:
            self._tls = {
                "ssl": context,
                "ssl_handshake_timeout": timeout,
                "ssl_shutdown_timeout": timeout,
            }

    def open(
        self, stream: socket.socket, place: Place, client: ClientInfo
    ) -> Coroutine[Any, Any, object] | None:
        """Set up a connection: now, or by the coroutine that is returned."""
        hub, wire = self._hub, StreamTransport(self._hub, place, client, self._binding)
        if self._tls:
            return self._open_tls(stream, wire)
        transport = SocketTransport(hub.loop, stream, wire, hub.options.write_buffer)
        wire.begin(transport)
        try:
            transport.resume_reading()
        except BaseException:  # no more descriptors can be watched
            wire.connection_lost(None)
            raise
        return None

    async def _open_tls(self, stream: socket.socket, wire: StreamTransport) -> None:
        try:
            await self._hub.loop.connect_accepted_socket(lambda: wire, stream, **self._tls)
        except asyncio.CancelledError:
            # If it has just been made, uvloop does not tell that it is lost.
            wire.connection_lost(None)
            raise


def _keep_alive(sock: socket.socket) -> None:
    """Have the kernel detect dead peers. Connections inherit this from the listening socket."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):  # each system has some of them
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def server_context(address: Address) -> ssl.SSLContext:
    """Return the TLS settings for an address.

    Its options `cert`, `key` and `client_ca` are names of files.

    Raises:
        ActorcredError: if `cert` is missing, or a file cannot be used.
    """
    cert = address.options.get("cert")
    if not cert:
        raise ActorcredError(f"{address} needs a certificate: add ?cert=FILE&key=FILE")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert, address.options.get("key"))
        if client_ca := address.options.get("client_ca"):
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
    except (OSError, ssl.SSLError) as error:
        raise ActorcredError(f"the certificates of {address} cannot be used: {error}") from None
    return context


def _binding_of(address: Address) -> tuple[str, bytes] | None:
    """Return the data for channel binding, if the server's certificate is known.

    It is read from the file, since an SSL context does not reveal its certificate.
    """
    cert = address.options.get("cert")
    if not cert or not has_scram():
        return None
    pem = Path(cert).read_text()
    end = pem.find(_END) + len(_END)
    return end_point_binding(
        ssl.PEM_cert_to_DER_cert(pem[pem.find("-----BEGIN CERTIFICATE") : end])
    )


def listen(
    hub: Hub, address: Address, context: ssl.SSLContext | None, sock: socket.socket | None = None
) -> tuple[Acceptor, Address]:
    """Listen on a TCP, TLS or Unix address; return the acceptor and the address with its port.

    Args:
        hub: the hub of the server.
        address: where to listen.
        context: the TLS settings; None for those of the address.
        sock: a socket that listens there already; None to make one.

    Raises:
        ActorcredError: if that fails.
    """
    check_proxy(hub, address)
    if address.kind == "tls" and context is None:
        context = server_context(address)
    sock = sock or bind(address, reuse_port=hub.options.reuse_port)
    if address.kind == "unix":
        return Acceptor(hub, sock, StreamListener(hub).open, address), address
    binding = None if context is None else _binding_of(address) or served_binding(context)
    stream = StreamListener(hub, context if address.kind == "tls" else None, binding)
    return Acceptor(hub, sock, stream.open, address), Address(
        address.kind, address.host, sock.getsockname()[1], address.path
    )


def bind(address: Address, *, reuse_port: bool = False) -> socket.socket:
    """Return a socket that listens on an address.

    Args:
        address: where to listen.
        reuse_port: see `ServerOptions`.

    Raises:
        ActorcredError: if that fails.
    """
    if reuse_port and not hasattr(socket, "SO_REUSEPORT"):
        raise ActorcredError(f"cannot share {address}: this system has no SO_REUSEPORT")
    with _naming(address):
        if address.kind == "unix":
            return _bind_unix(address.path)
        family, where = _resolve(address)
        sock = socket.create_server(where, family=family, backlog=BACKLOG, reuse_port=reuse_port)
    _keep_alive(sock)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    return sock


def reserve(address: Address) -> socket.socket:
    """Return a socket that holds a TCP port for the processes that will share it.

    It does not listen. No other program gets the port, not even one that would share it, and a port
    0 is chosen once for all processes.

    Raises:
        ActorcredError: if another program has the port.
    """
    with _naming(address):
        family, where = _resolve(address)
        sock = socket.socket(family)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(where)
            # Not before, or the port of another server of this user would be shared.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        except BaseException:
            sock.close()
            raise
    return sock


def _resolve(address: Address) -> tuple[int, tuple[str, int]]:
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    family, *_, where = found[0]
    return family, (str(where[0]), int(where[1]))


@contextlib.contextmanager
def _naming(address: Address) -> Iterator[None]:
    """Add the address to errors of the system."""
    try:
        yield
    except UnicodeError:
        raise ActorcredError(f"cannot listen on {address}: the host is not a valid name") from None
    except OSError as error:
        what_to_do = advice(error)
        why = f"{error.strerror or error}; {what_to_do}" if what_to_do else error.strerror or error
        raise ActorcredError(f"cannot listen on {address}: {why}") from None


def _bind_unix(path: str) -> socket.socket:
    """Return a listening Unix socket. It replaces one that a killed server left, but no other."""
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(path) == 0:
            raise OSError(None, "another server listens there")
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise OSError(None, "the path exists and is not a socket: use another path")
        os.unlink(path)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sock.bind(path)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock
