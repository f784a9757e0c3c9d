"""A client with as little Python as there can be: does what standard input says.

Run it as `python -m tests.benchmarks.wire.client_raw PORT echo|cred`. It sends prepared bytes and
counts what it receives, so that the server of a system, and one that only echoes, have the same
load. It has one order more:

    pause N         N times: how long a call waits that comes behind a broadcast, in milliseconds
"""

from __future__ import annotations

import collections
import itertools
import json
import math
import select
import socket
import statistics
import struct
import sys
import time
from collections.abc import Callable

import msgspec

from tests.benchmarks.measure import raise_descriptor_limit
from tests.benchmarks.wire.game import CALLS_IN_FLIGHT, LOGINS_IN_FLIGHT
from tests.benchmarks.wire.server_echo import FAN, NOTE

PATIENCE = 60.0
"""Seconds to wait for a server."""

BEHIND = 0.0005
"""Seconds between a broadcast and the call behind it."""

BREAK = 0.2
"""Seconds after each, so that the server has nothing left to do."""

PER_ADDRESS = 2000
"""Connections from one address: the kernel looks long for a free port if many are taken."""

IP_BIND_ADDRESS_NO_PORT = 24
"""Of ip(7): the port is chosen by connect."""

encode = msgspec.msgpack.Encoder().encode

ENTERED = b"\x94\x01\x01\xc0"
"""What the answer to a login begins with: `[1, 1, nil, ...`."""

LOGIN = {"client": ["benchmark", ""], "resume": False, "heartbeat": False}


def login_message(number: int) -> bytes:
    """Return the request that logs a user in."""
    return encode((0, 1, "cred.login", ("PLAIN", b"\0u%d\0x" % number, LOGIN)))


class Raw:
    """Sockets, and the bytes of each order.

    Args:
        port: of the server.
        cred: whether the server is ours; else it echoes.
    """

    def __init__(self, port: int, *, cred: bool) -> None:
        self._port = port
        self._cred = cred
        self._numbers = itertools.count()
        self._connections = itertools.count()
        self._epoll = select.epoll()
        self._by_descriptor: dict[int, socket.socket] = {}
        self._sessions: list[socket.socket] = []
        self._visitors: list[socket.socket] = []
        self._call = encode((0, 1, "echo", ("hi",)))
        self._answer = encode((1, 1, None, "hi")) if cred else self._call
        self.orders: dict[str, Callable[[int], float | list[float]]] = {
            "open": lambda count: self._enter(count - len(self._sessions), self._sessions),
            "logins": lambda count: self._enter(count, self._visitors),
            "close": self._close,
            "calls": self._calls,
            "bursts": self._bursts,
            "sequential": self._sequential,
            "fan-out": self._fan_out,
            "pause": self._pause,
        }

    def _ready(self) -> list[socket.socket]:
        found = [self._by_descriptor[fd] for fd, _ in self._epoll.poll(PATIENCE)]
        if not found:
            raise TimeoutError("the server is silent")
        return found

    def _connect(self) -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A reset at the end leaves no port waiting for a minute.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((f"127.0.0.{2 + next(self._connections) // PER_ADDRESS % 250}", 0))
        sock.settimeout(PATIENCE)
        sock.connect(("127.0.0.1", self._port))
        return sock

    def _watch(self, sock: socket.socket) -> None:
        self._by_descriptor[sock.fileno()] = sock
        self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _forget(self, sock: socket.socket) -> None:
        self._epoll.unregister(sock.fileno())
        del self._by_descriptor[sock.fileno()]

    def _enter(self, count: int, into: list[socket.socket]) -> float:
        """Connect and log in; a server that echoes only has to accept the connections."""
        for sock in self._sessions:
            self._forget(sock)
        began = time.perf_counter()
        made = self._log_in(count) if self._cred else [self._connect() for _ in range(count)]
        if made and not self._cred:
            made[-1].sendall(self._call)
            made[-1].recv(100)
        taken = time.perf_counter() - began
        into += made
        for sock in self._sessions:
            self._watch(sock)
        return len(made) / taken

    def _log_in(self, count: int) -> list[socket.socket]:
        made: list[socket.socket] = []
        numbers = iter(range(count))

        def begin() -> None:
            for _ in itertools.islice(numbers, 1):
                sock = self._connect()
                sock.sendall(login_message(next(self._numbers)))
                self._watch(sock)

        for _ in range(LOGINS_IN_FLIGHT):
            begin()
        while len(made) < count:
            for sock in self._ready():
                answer = sock.recv(65536)
                assert answer[:4] == ENTERED, answer
                self._forget(sock)
                made.append(sock)
                begin()
        return made

    def _close(self, _: int) -> float:
        for sock in self._visitors:
            sock.close()
        self._visitors.clear()
        return 0.0

    def _calls(self, count: int) -> float:
        free = collections.deque(self._sessions)
        sent = 0

        def send() -> None:
            nonlocal sent
            if sent < count:
                free.popleft().send(self._call)
                sent += 1

        began = time.perf_counter()
        for _ in range(min(CALLS_IN_FLIGHT, len(free))):
            send()
        answered = 0
        while answered < count:
            for sock in self._ready():
                sock.recv(65536)
                answered += 1
                free.append(sock)
                send()
        return count / (time.perf_counter() - began)

    def _bursts(self, count: int) -> float:
        one = self._sessions[0]
        burst = b"".join(encode((0, n, "echo", ("hi",))) for n in range(CALLS_IN_FLIGHT))
        wanted = len(self._answer) * CALLS_IN_FLIGHT
        bursts = math.ceil(count / CALLS_IN_FLIGHT)
        began = time.perf_counter()
        for _ in range(bursts):
            one.sendall(burst)
            left = wanted
            while left:
                left -= len(one.recv(65536))
        return bursts * CALLS_IN_FLIGHT / (time.perf_counter() - began)

    def _sequential(self, count: int) -> float:
        one = self._sessions[0]
        times = []
        for _ in range(count):
            began = time.perf_counter()
            one.send(self._call)
            one.recv(65536)
            times.append(time.perf_counter() - began)
        return statistics.median(times) * 1e6

    def _broadcast(self, by: socket.socket) -> int:
        """Ask for a broadcast; return the bytes that come from it, its answer included."""
        by.send(encode((0, 1, "fan", ())) if self._cred else FAN)
        answer = len(encode((1, 1, None, len(self._sessions)))) if self._cred else 0
        return len(NOTE) * len(self._sessions) + answer

    def _fan_out(self, count: int) -> float:
        began = time.perf_counter()
        for _ in range(count):
            left = self._broadcast(self._sessions[0])
            while left:
                left -= sum(len(sock.recv(65536)) for sock in self._ready())
        return count * len(self._sessions) / (time.perf_counter() - began)

    def _pause(self, count: int) -> list[float]:
        speaker, caller = self._sessions[:2]
        pauses = []
        for _ in range(count):
            left = self._broadcast(speaker) + len(self._answer)
            time.sleep(BEHIND)
            began = time.perf_counter()
            caller.send(self._call)
            got = b""
            while self._answer not in got:
                got += caller.recv(65536)
            pauses.append((time.perf_counter() - began) * 1000)
            left -= len(got)
            while left:
                left -= sum(len(sock.recv(65536)) for sock in self._ready())
            time.sleep(BREAK)
        return pauses


def main() -> None:
    """Obey until standard input ends."""
    raise_descriptor_limit()
    raw = Raw(int(sys.argv[1]), cred=sys.argv[2] == "cred")
    for line in sys.stdin:
        order, count = line.split()
        print(json.dumps(raw.orders[order](int(count))), flush=True)


if __name__ == "__main__":
    main()
