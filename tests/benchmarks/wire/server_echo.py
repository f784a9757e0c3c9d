"""The floor: servers that only echo what they receive, or send one notification to all.

Run it as `python -m tests.benchmarks.wire.server_echo epoll|asyncio|uvloop`.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import sys
from typing import Any

from tests.benchmarks.measure import raise_descriptor_limit, run_on_loop

FAN = b"F"
"""The message that asks for a notification to all."""

NOTE = b"\x93\x02\xa1n\x91\xa5hello"
"""The notification `[2, "n", ["hello"]]` in MessagePack."""


def listen() -> socket.socket:
    """Listen, and print the port and the process."""
    sock = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print(sock.getsockname()[1], os.getpid(), flush=True)
    return sock


class ByEpoll:
    """Serves with as little Python as there can be."""

    def __init__(self) -> None:
        self._listener = listen()
        self._listener.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)
        self._connections: dict[int, socket.socket] = {}

    def serve(self) -> None:
        """Serve until killed."""
        while True:
            for descriptor, _ in self._epoll.poll():
                if descriptor == self._listener.fileno():
                    self._accept()
                else:
                    self._receive(self._connections[descriptor])

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[sock.fileno()] = sock
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _receive(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            self._epoll.unregister(sock.fileno())
            del self._connections[sock.fileno()]
            sock.close()
        elif data[0] == FAN[0]:
            for other in self._connections.values():
                other.send(NOTE)
        else:
            sock.send(data)


class Echo(asyncio.Protocol):
    """A connection of an event loop."""

    all: set[Echo] = set()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.all.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.all.discard(self)

    def data_received(self, data: bytes) -> None:
        if data[0] == FAN[0]:
            self.transport.write(NOTE)  # first, as it is the answer, too
            for other in self.all - {self}:
                other.transport.write(NOTE)
        else:
            self.transport.write(data)


async def serve() -> None:
    """Serve on the running loop until killed."""
    server = await asyncio.get_running_loop().create_server(Echo, sock=listen(), backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    raise_descriptor_limit()
    kind = sys.argv[1]
    if kind == "epoll":
        ByEpoll().serve()
    else:
        run_on_loop(serve(), kind)
