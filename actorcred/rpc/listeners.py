"""Streams on asyncio: TCP, TLS and Unix sockets."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any, cast

from actorcred.credentials import Certificate
from actorcred.errors import ActorcredError
from actorcred.rpc._buffer import receive_buffer
from actorcred.rpc.addresses import Address, is_loopback
from actorcred.rpc.connection import Connection
from actorcred.rpc.core import ServerCore
from actorcred.rpc.peer import Origin, Peer
from actorcred.sasl.mechanism import Situation

__all__ = ["StreamWire", "listen", "server_context"]

logger = logging.getLogger("actorcred.rpc")

HOST = socket.gethostname()

BACKLOG = 4096
"""Connections that the kernel keeps until they are accepted; it takes less if its own limit is lower."""


class StreamWire(asyncio.BufferedProtocol):
    """The transport of one connection.

    Args:
        core: what the connections of the server share.
        protocol: "tcp", "tls" or "unix".
        context: for TLS, which begins when the connection was let in.
    """

    __slots__ = ("_buffer", "_context", "_core", "_early", "_peer", "_protocol", "_source", "_task", "_transport")

    def __init__(self, core: ServerCore, protocol: str, context: ssl.SSLContext | None) -> None:
        self._core = core
        self._buffer = receive_buffer()
        self._protocol = protocol
        self._context = context
        self._early = b""
        self._peer: Peer | None = None
        self._transport: asyncio.Transport | None = None
        self._source: str | None = None
        self._task: asyncio.Task[None] | None = None

    # -- what asyncio says --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the connection in, if there is room."""
        stream = cast("asyncio.Transport", transport)
        name = stream.get_extra_info("peername")
        host = name[0] if isinstance(name, tuple) else ""
        self._source = self._core.admit(host)
        if self._source is None:
            # Closed without a word: a server that is full has no time for those it refuses.
            stream.abort()
            return
        if self._context is None:
            self._begin(stream)
        else:
            stream.pause_reading()  # the client's first words are for TLS
            # A loop keeps only weak references to tasks.
            self._task = self._core.loop.create_task(self._start_tls(stream, self._context))

    async def _start_tls(self, stream: asyncio.Transport, context: ssl.SSLContext) -> None:
        timeout = self._core.options.login_timeout
        try:
            secured = await self._core.loop.start_tls(
                stream, self, context, server_side=True, ssl_handshake_timeout=timeout, ssl_shutdown_timeout=timeout
            )
        except (OSError, ssl.SSLError) as error:
            logger.info("A TLS handshake failed: %s", type(error).__name__)
            stream.abort()
            self._leave()
            return
        finally:
            self._task = None
        assert secured is not None
        self._begin(secured)

    def _begin(self, stream: asyncio.Transport) -> None:
        core = self._core
        self._transport = stream
        stream.set_write_buffer_limits(high=core.options.write_buffer)
        address = _address_of(stream)
        host = address.rpartition(":")[0].strip("[]")
        private = self._protocol != "tcp" or is_loopback(host)
        situation = Situation(private, _certificate_of(stream), HOST)
        source, self._source = self._source, None
        assert source is not None
        origin = Origin(self._protocol, address, source, situation)
        self._peer = Peer(core, self, Connection(limits=core.options.wire), origin)
        if self._early:
            early, self._early = self._early, b""
            self._peer.received(early)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where to put what comes."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what came."""
        data = bytes(self._buffer[:nbytes])
        if self._peer is not None:
            self._peer.received(data)
        else:
            self._early += data  # it came together with the end of the TLS handshake

    def pause_writing(self) -> None:
        """Hold back, and read no more requests of a client that does not read its answers."""
        if self._peer is not None and self._transport is not None:
            self._peer.pause()
            if not self._transport.is_closing():
                self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        if self._peer is not None and self._transport is not None:
            self._peer.resume()
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Learn that the connection is gone."""
        if self._task is not None:
            return  # the handshake fails as well, and counts out
        self._leave()
        if self._peer is not None:
            self._peer.lost()

    def _leave(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            self._core.admission.leave(source)

    # -- what the peer wants ------------------------------------------------------------------------------------------

    def write(self, messages: list[bytes]) -> None:
        """Send messages."""
        assert self._transport is not None
        self._transport.write(messages[0] if len(messages) == 1 else b"".join(messages))

    def close(self) -> None:
        """Close when all is sent."""
        assert self._transport is not None
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        assert self._transport is not None
        self._transport.abort()


def _keep_alive(server: asyncio.Server) -> None:
    """Have the kernel find peers that are gone without a word; connections inherit it from the socket that listens."""
    for sock in server.sockets:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
            if hasattr(socket, name):  # each system has some of them
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _address_of(stream: asyncio.Transport) -> str:
    name = stream.get_extra_info("peername")
    if not isinstance(name, tuple):
        return ""
    host = name[0]
    return f"[{host}]:{name[1]}" if ":" in host else f"{host}:{name[1]}"


def _certificate_of(stream: asyncio.Transport) -> Certificate | None:
    tls = stream.get_extra_info("ssl_object")
    der = None if tls is None else tls.getpeercert(binary_form=True)
    if der is None:
        return None
    return make_certificate(der, tls.getpeercert() or {})


def make_certificate(der: bytes, fields: dict[str, Any]) -> Certificate:
    """Return a verified certificate as credentials.

    Args:
        der: the certificate.
        fields: what `ssl.SSLSocket.getpeercert()` returns.
    """
    subject = {name: value for pair in fields.get("subject", ()) for name, value in pair}
    return Certificate(der, subject, tuple(fields.get("subjectAltName", ())))


def server_context(address: Address) -> ssl.SSLContext:
    """Return the TLS settings for an address with the options `cert`, `key` and `client_ca`, which are names of files.

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


async def listen(core: ServerCore, address: Address, context: ssl.SSLContext | None) -> tuple[asyncio.Server, Address]:
    """Listen on a TCP, TLS or Unix address; return the server and the address, with the port that it got.

    Raises:
        ActorcredError: if that is not possible.
    """
    if address.kind == "tls" and context is None:
        context = server_context(address)

    def wire() -> StreamWire:
        return StreamWire(core, address.kind, context if address.kind == "tls" else None)

    try:
        if address.kind == "unix":
            return await _listen_unix(core, wire, address.path), address
        server = await core.loop.create_server(wire, address.host, address.port, backlog=BACKLOG)
    except OSError as error:
        raise ActorcredError(f"cannot listen on {address}: {error.strerror or error}") from None
    _keep_alive(server)
    port = server.sockets[0].getsockname()[1]
    return server, Address(address.kind, address.host, port, address.path)


async def _listen_unix(core: ServerCore, wire: Callable[[], StreamWire], path: str) -> asyncio.Server:
    """Listen on a Unix socket. The loop replaces the socket of a server that was killed, but also that of a living one."""
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(path) == 0:
            raise OSError(None, "another server listens there")
    return await core.loop.create_unix_server(wire, path, backlog=BACKLOG)
