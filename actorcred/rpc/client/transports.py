"""The client's end of each transport."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from typing import Any, Protocol, cast

from actorcred.errors import ConnectionLost, MissingExtra
from actorcred.rpc.protocol.addresses import Address
from actorcred.rpc.protocol.buffer import receive_buffer
from actorcred.rpc.protocol.codec import MSGPACK, SUBPROTOCOLS, Codec

__all__ = ["ClientTransport", "Receiver", "open_wire"]


LARGEST_FRAME = 16 * 1024 * 1024


class Receiver(Protocol):
    """What a transport reports to."""

    def received(self, data: bytes) -> None:
        """Process received data."""

    def lost(self, why: str) -> None:
        """Called when the connection is lost."""


class ClientTransport(Protocol):
    """What a client needs from its transport."""

    codec: Codec
    framed: bool

    def start(self, receiver: Receiver) -> None:
        """Report to a receiver from now on."""

    def write(self, message: bytes) -> None:
        """Send a message."""

    def writelines(self, messages: list[bytes]) -> None:
        """Send messages."""

    def abort(self) -> None:
        """Close immediately."""

    def server_certificate(self) -> bytes | None:
        """Return the certificate of the server, in DER form, or None without TLS."""


async def open_wire(
    address: Address, context: ssl.SSLContext | None, *, json: bool
) -> ClientTransport:
    """Connect to an address.

    Raises:
        ConnectionLost: if that fails.
        MissingExtra: for WebSocket without the extra "websocket".
        ValueError: for JSON on a stream.
    """
    if address.encrypted and context is None:
        context = ssl.create_default_context(cafile=address.options.get("ca"))
    if address.kind in {"ws", "wss"}:
        return await _open_websocket(address, context, json=json)
    if json:
        raise ValueError(
            f"{address} is a stream, which supports MessagePack only; JSON needs ws: or wss:"
        )
    loop = asyncio.get_running_loop()
    kind = _BufferedStreamTransport if _allocates(loop) else _PlainStreamTransport
    try:
        if address.kind == "unix":
            _, stream = await loop.create_unix_connection(kind, address.path)
        else:
            name = address.host if context is not None else None
            _, stream = await loop.create_connection(
                kind,
                address.host,
                address.port,
                ssl=context,
                server_hostname=address.options.get("name", name),
            )
    except OSError as error:
        raise ConnectionLost(f"cannot connect to {address}: {error.strerror or error}") from None
    return stream


class ClientStreamTransport(asyncio.BaseProtocol):
    """TCP, TLS or a Unix socket.

    Attributes:
        write: sends a message.
    """

    __slots__ = ("_receiver", "_transport", "write")

    codec = MSGPACK
    framed = False

    def __init__(self) -> None:
        self._receiver: Receiver = _Early()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self.write = self._transport.write

    def start(self, receiver: Receiver) -> None:
        """Report to a receiver from now on."""
        early, self._receiver = self._receiver, receiver
        if isinstance(early, _Early):
            early.tell(receiver)

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the loss of the connection."""
        self._receiver.lost(
            "the server closed the connection" if exc is None else f"the connection was lost: {exc}"
        )

    def writelines(self, messages: list[bytes]) -> None:
        """Send messages."""
        self.write(b"".join(messages))

    def abort(self) -> None:
        """Close immediately."""
        self._transport.abort()

    def server_certificate(self) -> bytes | None:
        """Return the certificate of the server, in DER form, or None without TLS."""
        return _certificate(self._transport)


class _Early:
    """Keeps what a connection reports before it has a receiver."""

    __slots__ = ("_data", "_why")

    def __init__(self) -> None:
        self._data = b""
        self._why: str | None = None

    def received(self, data: bytes) -> None:
        self._data += data

    def lost(self, why: str) -> None:
        self._why = why

    def tell(self, receiver: Receiver) -> None:
        if self._data:
            receiver.received(self._data)
        if self._why is not None:
            receiver.lost(self._why)


class _PlainStreamTransport(ClientStreamTransport, asyncio.Protocol):
    """A stream of a loop that hands over what it received."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Process received bytes."""
        self._receiver.received(data)


class _BufferedStreamTransport(ClientStreamTransport, asyncio.BufferedProtocol):
    """A stream of a loop that receives into our buffer."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        super().__init__()
        self._buffer = receive_buffer()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer to receive into."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Process received bytes."""
        self._receiver.received(bytes(self._buffer[:nbytes]))


def _allocates(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether a loop allocates memory for each read, as asyncio's own do."""
    return isinstance(loop, asyncio.BaseEventLoop)


async def _open_websocket(
    address: Address, context: ssl.SSLContext | None, *, json: bool
) -> ClientTransport:
    try:
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidHandshake, InvalidURI
    except ImportError:
        raise MissingExtra("a WebSocket client", "websocket") from None
    subprotocol: Any = "actorcred.json" if json else "actorcred.msgpack"
    try:
        socket = await connect(
            str(address),
            subprotocols=[subprotocol],
            ssl=context,
            max_size=LARGEST_FRAME,
            compression=None,
            proxy=None,
            logger=_frames_logger(),
        )
    except (OSError, InvalidHandshake, InvalidURI) as error:
        raise ConnectionLost(f"cannot connect to {address}: {error}") from None
    return ClientWebSocketTransport(socket)


def _frames_logger() -> logging.Logger:
    """Return websockets' logger at level info: at debug it logs what is sent, with passwords."""
    logger = logging.getLogger("actorcred.rpc.client.websocket")
    logger.setLevel(max(logging.INFO, logging.getLogger("websockets.client").getEffectiveLevel()))
    return logger


class ClientWebSocketTransport:
    """A WebSocket."""

    framed = True

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self.codec = SUBPROTOCOLS.get(socket.subprotocol, MSGPACK)
        self._tasks: list[asyncio.Task[None]] = []
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue()

    def start(self, receiver: Receiver) -> None:
        """Report to a receiver from now on."""
        self._tasks = [
            asyncio.create_task(self._read(receiver)),
            asyncio.create_task(self._write()),
        ]

    async def _read(self, receiver: Receiver) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            while True:
                receiver.received(await self._socket.recv(decode=False))
        except ConnectionClosed as error:
            why = error.rcvd.reason if error.rcvd is not None else ""
            receiver.lost(why or "the server closed the connection")
        finally:
            self._tasks[1].cancel()

    async def _write(self) -> None:
        from websockets.exceptions import ConnectionClosed

        with contextlib.suppress(ConnectionClosed):
            while True:
                await self._socket.send(await self._outgoing.get(), text=not self.codec.binary)

    def write(self, message: bytes) -> None:
        """Send a message."""
        self._outgoing.put_nowait(message)

    def writelines(self, messages: list[bytes]) -> None:
        """Send messages, a frame each."""
        for message in messages:
            self._outgoing.put_nowait(message)

    def abort(self) -> None:
        """Close immediately."""
        self._socket.transport.abort()

    def server_certificate(self) -> bytes | None:
        """Return the certificate of the server, in DER form, or None without TLS."""
        return _certificate(self._socket.transport)


def _certificate(transport: asyncio.BaseTransport) -> bytes | None:
    tls = transport.get_extra_info("ssl_object")
    return None if tls is None else tls.getpeercert(binary_form=True)
