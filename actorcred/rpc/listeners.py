"""Streams on asyncio: TCP, TLS and Unix sockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, cast

from actorcred.credentials import Certificate
from actorcred.errors import ActorcredError
from actorcred.rpc._buffer import receive_buffer
from actorcred.rpc.addresses import Address, is_loopback
from actorcred.rpc.connection import Connection
from actorcred.rpc.core import ServerCore
from actorcred.rpc.peer import Origin, Peer
from actorcred.sasl.mechanism import Situation
from actorcred.sasl.scram import end_point_binding

__all__ = ["BACKLOG", "Listener", "StreamWire", "TLSListener", "bind", "listen", "server_context"]

logger = logging.getLogger("actorcred.rpc")

HOST = socket.gethostname()

_END = "-----END CERTIFICATE-----"

ACCEPT_PAUSE = 0.5
"""Seconds to wait when the system has no more file descriptors."""

BACKLOG = 4096
"""Connections that the kernel keeps until they are accepted; it takes less if its own limit is lower."""


class Listener(Protocol):
    """What takes connections on one address."""

    def close(self) -> None:
        """Take no more."""


class StreamWire(asyncio.BufferedProtocol):
    """The transport of one connection.

    Args:
        core: what the connections of the server share.
        protocol: "tcp", "tls" or "unix".
        source: what `ServerCore.admit` returned, if the connection was let in already.
        binding: what channel binding goes by; None without.

    Attributes:
        peer: the protocol's end, once the connection was let in.
    """

    __slots__ = ("_binding", "_buffer", "_core", "_protocol", "_source", "_transport", "peer")

    def __init__(
        self, core: ServerCore, protocol: str, source: str | None = None, binding: tuple[str, bytes] | None = None
    ) -> None:
        self._core = core
        self._protocol = protocol
        self._source = source
        self._binding = binding
        self._buffer = receive_buffer()
        self._transport: asyncio.Transport | None = None
        self.peer: Peer | None = None

    # -- what asyncio says --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the connection in, if there is room."""
        stream = self._transport = cast("asyncio.Transport", transport)
        name = stream.get_extra_info("peername")
        host, port = name[:2] if isinstance(name, tuple) else ("", 0)
        source = self._core.admit(host) if self._source is None else self._source
        if source is None:
            # Closed without a word: a server that is full has no time for those it refuses.
            stream.abort()
            return
        stream.set_write_buffer_limits(high=self._core.options.write_buffer)
        address = "" if not host else f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        private = self._protocol != "tcp" or is_loopback(host)
        origin = Origin(
            self._protocol, address, source, Situation(private, _certificate_of(stream), HOST, host, binding=self._binding)
        )
        self.peer = Peer(self._core, self, Connection(limits=self._core.options.wire), origin)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where to put what comes."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what came."""
        if self.peer is not None:
            self.peer.received(bytes(self._buffer[:nbytes]))

    def pause_writing(self) -> None:
        """Hold back, and read no more requests of a client that does not read its answers."""
        if self.peer is not None and self._transport is not None:
            self.peer.pause()
            if not self._transport.is_closing():
                self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        if self.peer is not None and self._transport is not None:
            self.peer.resume()
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Learn that the connection is gone."""
        if self.peer is not None:
            self.peer.lost()

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


class TLSListener:
    """Listens for TLS. Connections are let in before their handshakes, or these would be without a limit.

    Args:
        core: what the connections of the server share.
        sock: listens already.
        context: the TLS settings.
        binding: what channel binding goes by; None without.
    """

    def __init__(
        self, core: ServerCore, sock: socket.socket, context: ssl.SSLContext, binding: tuple[str, bytes] | None = None
    ) -> None:
        self.sockets = (sock,)
        self._core = core
        self._socket = sock
        self._context = context
        self._binding = binding
        self._handshakes: set[asyncio.Task[None]] = set()
        self._accepting = core.loop.create_task(self._accept_all())

    def close(self) -> None:
        """Take no more connections, and give up the handshakes that are under way."""
        for task in (self._accepting, *self._handshakes):
            task.cancel()
        self._socket.close()

    async def _accept_all(self) -> None:
        while True:
            try:
                stream, address = await self._core.loop.sock_accept(self._socket)
            except OSError as error:
                # The system has no more file descriptors; there will be some when connections end.
                logger.error("No connection can be accepted: %s", error.strerror)
                await asyncio.sleep(ACCEPT_PAUSE)
                continue
            source = self._core.admit(address[0])
            if source is None:
                stream.close()
                continue
            wire = StreamWire(self._core, "tls", source, self._binding)
            task = self._core.loop.create_task(self._shake_hands(stream, wire))
            self._handshakes.add(task)
            task.add_done_callback(partial(self._shaken, stream, wire, source))

    async def _shake_hands(self, stream: socket.socket, wire: StreamWire) -> None:
        timeout = self._core.options.login_timeout
        await self._core.loop.connect_accepted_socket(
            lambda: wire, stream, ssl=self._context, ssl_handshake_timeout=timeout, ssl_shutdown_timeout=timeout
        )

    def _shaken(self, stream: socket.socket, wire: StreamWire, source: str, task: asyncio.Task[None]) -> None:
        # Not in the coroutine: a task that is cancelled before it begins does not run at all.
        self._handshakes.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            level = logging.INFO if isinstance(error, OSError) else logging.ERROR
            logger.log(level, "A TLS handshake failed: %s", type(error).__name__)
        if wire.peer is None:
            self._core.admission.leave(source)
            stream.close()


def _keep_alive(sock: socket.socket) -> None:
    """Have the kernel find peers that are gone without a word; connections inherit it from the socket that listens."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):  # each system has some of them
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


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


def _binding_of(address: Address) -> tuple[str, bytes] | None:
    """Return what channel binding goes by, if the server's own certificate is known: a context does not tell it."""
    cert = address.options.get("cert")
    if not cert or find_spec("scramp") is None:
        return None
    pem = Path(cert).read_text()
    end = pem.find(_END) + len(_END)
    return end_point_binding(ssl.PEM_cert_to_DER_cert(pem[pem.find("-----BEGIN CERTIFICATE") : end]))


async def listen(core: ServerCore, address: Address, context: ssl.SSLContext | None) -> tuple[Listener, Address]:
    """Listen on a TCP, TLS or Unix address; return the listener and the address, with the port that it got.

    Raises:
        ActorcredError: if that is not possible.
    """
    if address.kind == "tls" and context is None:
        context = server_context(address)
    if address.kind == "unix":
        with _naming(address):
            return await _listen_unix(core, address.path), address
    sock = bind(address)
    _keep_alive(sock)
    sock.setblocking(False)
    listener: Listener
    if address.kind == "tls":
        assert context is not None
        listener = TLSListener(core, sock, context, _binding_of(address))
    else:
        listener = await core.loop.create_server(lambda: StreamWire(core, address.kind), sock=sock, backlog=BACKLOG)
    return listener, Address(address.kind, address.host, sock.getsockname()[1], address.path)


def bind(address: Address) -> socket.socket:
    """Return a socket that listens on a network address.

    Raises:
        ActorcredError: if that is not possible.
    """
    with _naming(address):
        family, *_, where = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((str(where[0]), int(where[1])), family=family, backlog=BACKLOG)


@contextlib.contextmanager
def _naming(address: Address) -> Iterator[None]:
    """Have an error of the system name the address."""
    try:
        yield
    except OSError as error:
        raise ActorcredError(f"cannot listen on {address}: {error.strerror or error}") from None


async def _listen_unix(core: ServerCore, path: str) -> Listener:
    """Listen on a Unix socket. The loop replaces the socket of a server that was killed, but also that of a living one."""
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(path) == 0:
            raise OSError(None, "another server listens there")
    return await core.loop.create_unix_server(lambda: StreamWire(core, "unix"), path, backlog=BACKLOG)
