"""Raw clients: blocking sockets that follow the protocol or violate it, as the test needs."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import ssl
import struct
from types import TracebackType
from typing import Any, ClassVar, Self

import msgpack

from actorcred.rpc import Address

__all__ = ["ATTACKER", "HONEST", "Closed", "Raw", "WebSocket", "connect", "many", "request"]

HONEST = "127.0.0.1"
ATTACKER = "127.0.0.2"
"""The default source address of misbehaving clients."""

PATIENCE = 30.0
"""Seconds after which a waiting client has been forgotten."""

_TCP_REPAIR = 19


class Closed(Exception):
    """The server has closed the connection."""


def request(method: str, *params: Any, number: int = 1) -> bytes:
    """Return the bytes of a request."""
    return bytes(msgpack.packb([0, number, method, list(params)]))


def plain(user: str, password: str) -> bytes:
    return f"\0{user}\0{password}".encode()


class Raw:
    """A client on a stream: TCP, TLS or a Unix socket. Its constructor connects.

    Attributes:
        notes: the notifications that arrived while it waited for something else.
    """

    living: ClassVar[set[Raw]] = set()
    """Clients that are not closed."""

    def __init__(
        self,
        address: Address,
        source: str = ATTACKER,
        timeout: float = PATIENCE,
        receive_buffer: int = 0,
    ) -> None:
        self.address = address
        family = socket.AF_UNIX if address.kind == "unix" else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(timeout)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if family == socket.AF_INET:
            self.socket.setsockopt(
                socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1
            )
            self.socket.bind((source, 0))
        try:
            self.socket.connect(
                address.path if address.kind == "unix" else (address.host, address.port)
            )
            self.begin()
        except BaseException:
            self.socket.close()
            raise
        self.living.add(self)
        self.notes: list[Any] = []
        self._unpacker = msgpack.Unpacker(raw=False, strict_map_key=False, max_buffer_size=0)
        self._number = 0

    def begin(self) -> None:
        """Perform the handshake, if the transport has one."""
        if self.address.kind in {"tls", "wss"}:
            self.socket = tls_context().wrap_socket(self.socket)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- bytes -------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send bytes: whole messages."""
        self.socket.sendall(data)

    def receive(self) -> bytes:
        """Return received bytes; b"" at the end."""
        return self.socket.recv(65536)

    def close(self) -> None:
        self.living.discard(self)
        self.socket.close()

    @classmethod
    def close_all(cls) -> None:
        """Close the clients that a fault has left open."""
        for client in list(cls.living):
            client.close()

    def reset(self) -> None:
        """Break the connection: the server gets an error instead of an end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def vanish(self) -> bool:
        """Disappear without a packet, like a machine that loses its power.

        Returns whether the system allows it (root).
        """
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
        except OSError:
            return False
        self.close()
        return True

    # -- messages ----------------------------------------------------------------------------------

    def message(self) -> Any:
        """Return the next message.

        Raises:
            Closed: if there is none.
        """
        while True:
            for message in self._unpacker:
                return message
            try:
                data = self.receive()
            except ConnectionError as error:
                raise Closed from error
            if not data:
                raise Closed
            self._unpacker.feed(data)

    def begin_call(self, method: str, *params: Any) -> int:
        """Send a request; return its number."""
        self._number += 1
        try:
            self.send(request(method, *params, number=self._number))
        except ConnectionError as error:
            raise Closed from error
        return self._number

    def answer(self, number: int) -> tuple[Any, Any]:
        """Return error and result of a request."""
        while True:
            message = self.message()
            if message[0] == 1 and message[1] == number:
                return message[2], message[3]
            self.notes.append(message)

    def call(self, method: str, *params: Any) -> Any:
        """Call a method and return its result; fail if there is an error."""
        error, result = self.answer(self.begin_call(method, *params))
        assert error is None, (method, error)
        return result

    def notify(self, method: str, *params: Any) -> None:
        self.send(msgpack.packb([2, method, list(params)]))

    def try_login(self, user: str, password: str = "right", **options: Any) -> tuple[Any, Any]:
        """Return error and result of a login by PLAIN."""
        return self.answer(self.begin_call("cred.login", "PLAIN", plain(user, password), options))

    def login(self, user: str, password: str = "right", **options: Any) -> Any:
        """Log in, and fail if it is refused."""
        error, result = self.try_login(user, password, **options)
        assert error is None, error
        return result

    def until_closed(self) -> list[Any]:
        """Return all messages until the server closes."""
        messages = []
        with contextlib.suppress(Closed):
            while True:
                messages.append(self.message())
        return messages


class WebSocket(Raw):
    """A client on a WebSocket."""

    def begin(self) -> None:
        super().begin()
        self._rest = b""
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            "GET / HTTP/1.1",
            "Host: x",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
        ]
        lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: actorcred.msgpack", "", ""]
        self.socket.sendall("\r\n".join(lines).encode())
        while b"\r\n\r\n" not in self._rest:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionResetError("no WebSocket")
            self._rest += data
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        if b" 101 " not in head:
            raise ConnectionResetError(head.decode().split("\r\n")[0])

    def send(self, data: bytes) -> None:
        self.socket.sendall(frame(data))

    def receive(self) -> bytes:
        head = self._exactly(2)
        size = head[1] & 127
        if size == 126:
            size = int.from_bytes(self._exactly(2), "big")
        elif size == 127:
            size = int.from_bytes(self._exactly(8), "big")
        data = self._exactly(size)
        opcode = head[0] & 15
        if opcode == 8:
            return b""
        return data if opcode in {0, 1, 2} else self.receive()

    def _exactly(self, size: int) -> bytes:
        while len(self._rest) < size:
            data = self.socket.recv(65536)
            if not data:
                raise Closed
            self._rest += data
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def frame(data: bytes, opcode: int = 2) -> bytes:
    """Return a client's WebSocket frame with a zero mask."""
    size = len(data)
    head = (
        bytes([0x80 | size])
        if size < 126
        else b"\xfe" + size.to_bytes(2, "big")
        if size < 65536
        else b"\xff" + size.to_bytes(8, "big")
    )
    return bytes([0x80 | opcode]) + head + bytes(4) + data


def tls_context() -> ssl.SSLContext:
    """Return settings that accept any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect(address: Address, **settings: Any) -> Raw:
    """Connect to an address of any kind."""
    return (WebSocket if address.kind in {"ws", "wss"} else Raw)(address, **settings)


def many(address: Address, users: int, **options: Any) -> list[Raw]:
    """Return logged-in clients, each with its own user name."""
    clients = []
    for number in range(users):
        client = connect(address)
        client.login(f"user{number}", **options)
        clients.append(client)
    return clients
