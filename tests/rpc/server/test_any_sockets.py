"""Transports of sockets that do, and are done, anything at any moment."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from typing import Any

import pytest

from actorcred.rpc.server.sockets import SocketTransport
from tests.adapters.front import reset
from tests.rpc.stage import on_both_loops


class Careless:
    """The reader of a transport, which uses it at random, also from within its calls.

    What it sends and may receive is one byte again and again, another one for each.
    """

    def __init__(self, dice: random.Random, number: int) -> None:
        self.sign = number % 251
        self.losses = 0
        self.faults: list[str] = []
        self.transport: SocketTransport
        self._dice = dice
        self._depth = 0
        self._paused = False

    def act(self) -> None:
        """Do something with the transport."""
        dice, transport = self._dice, self.transport
        self._depth += 1
        match dice.randrange(12):
            case 0 | 1 | 2 | 3:
                transport.write(bytes([self.sign]) * dice.choice([1, 5_000, 60_000, 400_000]))
            case 4:
                transport.close()
            case 5:
                transport.abort()
            case 6:
                transport.pause_reading()
            case 7 | 8 | 9:
                transport.resume_reading()
            case 10:
                transport.close()
                transport.abort()
                transport.write(b"lost")
                transport.resume_reading()
        self._depth -= 1

    def _called(self, what: str) -> None:
        if self.losses:
            self.faults.append(f"{what} after the end")
        if self._depth and what in {"data", "loss"}:
            self.faults.append(f"{what} from within a call")

    def data_received(self, data: bytes) -> None:
        self._called("data")
        if set(data) != {self.sign}:
            self.faults.append("data of another connection")
        for _ in range(self._dice.randrange(3)):
            self.act()

    def pause_writing(self) -> None:
        self._called("pause")
        if self._paused:
            self.faults.append("paused twice")
        self._paused = True
        self.act()

    def resume_writing(self) -> None:
        self._called("resume")
        if not self._paused:
            self.faults.append("resumed twice")
        self._paused = False
        self.act()

    def connection_lost(self, exc: Exception | None) -> None:
        self._called("loss")
        self.losses += 1
        self.act()


class Clients:
    """Clients that do anything, too, and the transports of the server."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.readers: list[Careless] = []
        self.numbers: set[int] = set()
        self._open: list[tuple[Careless, socket.socket]] = []
        self._server = socket.create_server(("127.0.0.1", 0), backlog=100)

    def connect(self) -> None:
        near = socket.create_connection(self._server.getsockname())
        far, _ = self._server.accept()
        near.setblocking(False)
        far.setblocking(False)
        if self.dice.random() < 0.5:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader = Careless(self.dice, len(self.readers))
        self.numbers.add(far.fileno())
        reader.transport = SocketTransport(asyncio.get_running_loop(), far, reader, 20_000)
        reader.transport.resume_reading()
        self.readers.append(reader)
        self._open.append((reader, near))

    def act(self) -> None:
        """Let something happen at either end of some connections."""
        dice = self.dice
        if len(self._open) < 30:
            self.connect()
        for reader, near in dice.sample(self._open, min(len(self._open), 8)):
            with contextlib.suppress(OSError):
                match dice.randrange(10):
                    case 0 | 1 | 2:
                        reader.act()
                    case 3 | 4 | 5:
                        near.send(bytes([reader.sign]) * dice.choice([1, 100, 70_000]))
                    case 6 | 7:
                        while data := near.recv(65_536):
                            assert set(data) == {reader.sign}
                    case 8:
                        near.shutdown(socket.SHUT_WR)
                    case 9:
                        if dice.random() < 0.5:
                            reset(near)
                        near.close()
                        self._open.remove((reader, near))

    def close(self) -> None:
        self._server.close()
        for _, near in self._open:
            near.close()


@pytest.mark.parametrize("seed", range(6))
@on_both_loops
async def test_a_transport_ends_once_whatever_happens(seed: int) -> None:
    errors: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: errors.append(context))
    clients = Clients(seed)
    for _ in range(400):
        clients.act()
        for _ in range(clients.dice.randrange(3)):
            await asyncio.sleep(0)
    clients.close()
    async with asyncio.timeout(20):
        while left := [one for one in clients.readers if not one.losses]:
            for reader in left:
                reader.transport.resume_reading()  # so that it notices the end
            await asyncio.sleep(0.001)
    assert [fault for one in clients.readers for fault in one.faults] == []
    assert {one.losses for one in clients.readers} == {1}
    assert errors == []
    # Nobody watches the descriptors of connections that are over.
    assert not any(map(loop.remove_reader, clients.numbers))
    assert not any(map(loop.remove_writer, clients.numbers))
