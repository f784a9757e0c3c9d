"""Too much of something: calls, notifications, logins, garbage, expensive names."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import cast

import msgpack

from tests.faults.clients import Closed, Raw, connect, frame, plain, request
from tests.faults.fault import Ground, fault
from tests.faults.lines import QUICK, TLS, certificates
from tests.faults.served import poll

SECONDS = 2.0
"""Seconds for which a flood lasts."""


@contextlib.contextmanager
def attacking(attack: Callable[[int], None], threads: int = 1) -> Iterator[None]:
    """Run an attack repeatedly on its own threads; errors of its connections are expected."""
    over = threading.Event()

    def storm(number: int) -> None:
        while not over.is_set():
            with contextlib.suppress(Closed, OSError):
                attack(number)

    workers = [
        threading.Thread(target=storm, args=(number,), daemon=True) for number in range(threads)
    ]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        over.set()
        for worker in workers:
            worker.join(30)


def hold(
    ground: Ground, attack: Callable[[int], None], threads: int = 1, seconds: float = SECONDS
) -> None:
    """Attack for some seconds, and note the cost for the server."""
    cpu, begin = ground.server.cpu(), time.monotonic()
    peak = 0
    with attacking(attack, threads):
        for _ in poll(seconds, 0.1):
            peak = max(peak, ground.server.resident())
    spent = (ground.server.cpu() - cpu) / (time.monotonic() - begin)
    ground.note(f"{spent:.0%} CPU, at most {peak // 1024} MB")
    assert peak < 300 * 1024, f"the server took {peak // 1024} MB"


@fault("a flood of requests before the login")
def requests_before_login(ground: Ground) -> None:
    def attack(number: int) -> None:
        with connect(ground.server.address, timeout=5) as client:
            for _ in range(2000):
                client.send(request("cred.mechanisms"))

    hold(ground, attack)


@fault("a flood of calls", options=QUICK)
def calls(ground: Ground) -> None:
    def attack(number: int) -> None:
        with connect(ground.server.address, timeout=5) as client:
            client.login(f"user{number}", resume=False)
            for turn in range(2000):
                client.send(request("echo", turn, number=turn + 10))

    hold(ground, attack, 2)


@fault("a flood of notifications to an avatar that awaits", options=QUICK, auth=("anonymous",))
def notifications(ground: Ground) -> None:
    text = msgpack.packb([2, "absorb", [b"x" * 30_000]])

    def attack(number: int) -> None:
        with connect(ground.server.address, timeout=5) as client:
            client.begin_call("cred.login", "ANONYMOUS", b"", {"resume": False})
            client.message()
            end = time.monotonic() + 2
            while time.monotonic() < end:
                client.send(text)

    before = ground.server.count().memory
    hold(ground, attack)
    grown = ground.server.resident() - before
    assert grown < 60 * 1024, f"{grown // 1024} MB for notifications that nobody looks at"


BAD_FRAMES = [
    b"\xc1", b"\x00", b"\x90", b"\x94\x00", b"\x93\x00\x01\xa1x", b"\x94\x05\x01\xa1x\x90",
    b"\x94\x00\xa1i\xa1x\x90", b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\x91" * 10_000,
    b"\x94\x00\x01\xa1x" + b"\x91" * 60_000, b"\x94\x00\x01\xc4\x02\xff\xff\x90",
    b"\x94\x00\xcf" + b"\xff" * 8 + b"\xa1x\x90", b"\x94\x00\xff\xa1x\x90", b"\x94\x01\x63\xc0\xc0",
    b"\x93\x02\xa1x\x01", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" + b"\0" * 300,
    msgpack.packb([0, 1, "cred.login", [None, None, None]]),
    msgpack.packb([0, 1, "cred.login", ["PLAIN", 7, {"client": {1: 2}}]]),
    msgpack.packb([0, 1, "cred.login", ["PLAIN", b"\xff\0\xff\0\xff", {}]]),
    msgpack.packb([0, 1, "cred.resume", [b"\xff", -1]]),
    msgpack.packb([0, 1, "cred.resume", ["x", 2**63]]),
    msgpack.packb([0, 1, "cred.login", ["SCRAM-SHA-256", b"n,,n=,r=", {}]]),
    msgpack.packb([0, 1, "cred.login", ["CRAM-MD5", b"x" * 30_000, {}]]),
    msgpack.packb([0, 1, "cred.respond", [float("nan")]]), msgpack.packb([0, 1, "x" * 30_000, []]),
    msgpack.packb([0, 1, "cred.ping", [-(2**63)]]),
    msgpack.packb([0, 1, "cred.reauthenticate", ["PLAIN"]]),
    msgpack.packb([0, 1, "cred.end", [{}]]),
    b"\x94\x00\x01\xa1x\x91" + b"\xc7\xff\x01" + b"\0" * 255,
    b"\x94\x00\x01\xa1x\x91\xd7\xff" + b"\xff" * 8,
]  # fmt: skip
"""Messages that are each invalid in a different way."""

BAD_HANDSHAKES = [
    b"\0" * 100, b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"A" * 70_000,
    b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /%ff%00 HTTP/1.1\r\nHost: \xff\r\n\r\n",
]  # fmt: skip


@fault("bad frames", listen=("tcp:127.0.0.1:0", "ws:127.0.0.1:0"), options=QUICK)
def bad_frames(ground: Ground) -> None:
    """Each bad frame before and after a login, on streams and WebSockets; bad WebSocket frames."""
    before_login = after_login = 0
    for address in ground.server.addresses:
        for number, bad in enumerate(BAD_FRAMES):
            for logs_in in (False, True):
                source = f"127.0.0.{40 + (2 * number + logs_in) % 200}"
                with (
                    contextlib.suppress(Closed, OSError),
                    connect(address, source=source) as client,
                ):
                    if logs_in:
                        client.login("user", resume=False)
                    client.send(bad)
                    client.socket.shutdown(1)
                    client.until_closed()
                before_login, after_login = before_login + (not logs_in), after_login + logs_in
    sockets = ground.server.addresses[1]
    for opcode, size in itertools.product((0, 1, 3, 8, 9, 10, 15), (0, 1, 130)):
        with contextlib.suppress(Closed, OSError), connect(sockets, source="127.0.0.250") as client:
            client.socket.sendall(frame(b"\xff" * size, opcode)[: 3 + size])
            client.socket.shutdown(1)
            client.until_closed()
    for handshake in BAD_HANDSHAKES:
        with contextlib.suppress(Closed, OSError), Raw(sockets, source="127.0.0.251") as client:
            client.socket.sendall(handshake)
            client.socket.shutdown(1)
            while client.receive():
                pass
    ground.note(f"{before_login} before and {after_login} after the login")


TLS_GARBAGE = [
    b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 200,
    b"\x16\x03\x01\xff\xff" + b"A" * 70_000, b"\x15\x03\x01\x00\x02\x02\x28",
    b"\x80\x2e\x01\x00\x02", b"GET / HTTP/1.0\r\n\r\n", b"\x17\x03\x03\x40\x00" + b"\0" * 17_000,
    b"\x14\x03\x01\x00\x01\x01" * 100, b"\x94\x00\x01\xa1x\x90", b"\x16\x03\x01\x00\x00" * 5_000,
]  # fmt: skip


@fault(
    "TLS garbage", listen=("tls:127.0.0.1:0" + TLS, "wss:127.0.0.1:0" + TLS), prepare=certificates,
    options=QUICK,
)  # fmt: skip
def tls_garbage(ground: Ground) -> None:
    tried = 0
    for address in ground.server.addresses:
        for number, bad in enumerate([*TLS_GARBAGE, *(os.urandom(2000) for _ in range(20))]):
            with contextlib.suppress(OSError), socket.socket() as client:
                client.bind((f"127.0.0.{50 + number}", 0))
                client.settimeout(5)
                client.connect((address.host, address.port))
                client.sendall(bad)
                if number % 2:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    client.shutdown(1)
                    while client.recv(4096):
                        pass
            tried += 1
        with contextlib.suppress(OSError, Closed), connect(address) as client:
            cast("ssl.SSLSocket", client.socket).unwrap().close()  # an end in mid-stream
    ground.note(f"{tried} handshakes")


def colliding_map() -> bytes:
    """Return a message with a map whose keys have the same hash: colliding tuples of floats."""
    base = [1.5 * 2.0 ** (61 * power) for power in range(-16, 16)]
    keys = list(itertools.islice(itertools.product(base, repeat=3), 2250))
    body = b"".join(
        b"\x93" + b"".join(b"\xcb" + struct.pack(">d", part) for part in key) + b"\xc0"
        for key in keys
    )
    return b"\x94\x00\x01\xa1x\x91\xde" + struct.pack(">H", len(keys)) + body


DEAR = {
    "a SCRAM name of 8,000 CJK signs": request(
        "cred.login", "SCRAM-SHA-256", ("n,,n=" + "王" * 8000 + ",r=a").encode(), {}
    ),
    "a PLAIN name of 8,000 CJK signs": request(
        "cred.login", "PLAIN", plain("王" * 8000, "right"), {}
    ),
    "a PLAIN password of 5,400 CJK signs": request(
        "cred.login", "PLAIN", plain("ann", "王" * 5400), {}
    ),
    "a map whose keys collide": colliding_map(),
}


TRIES = 50


@fault("input that is dear to look at: long names, keys that collide", honest=False)
def dear(ground: Ground) -> None:
    """Each of them, one after the other on its own connection. No other client uses the CPU."""
    for what, message in DEAR.items():
        cpu = ground.server.cpu()
        for _ in range(TRIES):
            with contextlib.suppress(Closed, OSError), connect(ground.server.address) as client:
                client.send(message)
                client.message()
        share = (ground.server.cpu() - cpu) / TRIES
        ground.note(f"{what}: {share * 1000:.1f} ms of CPU")
        assert share < 0.02, f"{what} costs {share * 1000:.0f} ms of CPU"


@fault(
    "anonymous sessions from one source",
    auth=("anonymous",),
    options=("--grace", "2", "--limit-loopback"),
)
def anonymous(ground: Ground) -> None:
    """They log in, keep their sessions for the grace period, and disconnect."""
    refused: Counter[str] = Counter()
    for _ in range(500):
        with contextlib.suppress(Closed, OSError), connect(ground.server.address) as client:
            error, _ = client.answer(client.begin_call("cred.login", "ANONYMOUS", b"", {}))
            refused[error["code"] if error else "in"] += 1
    ground.note(", ".join(f"{count} {what}" for what, count in refused.items()))
    assert refused["in"] <= 100, f"{refused['in']} sessions of one source"


@fault(
    "3,000 logins at once",
    slow=True,
    options=QUICK,
    settings={"descriptors": 8192},
    patience=60.0,
    allowed={"memory": 64 * 1024},
)
def many_logins(ground: Ground) -> None:
    """3,000 clients from 30 sources connect together; each retries until its login succeeds.

    They stay until all are logged in.
    """
    begin = time.monotonic()
    tries = asyncio.run(_all_in(ground, 3000))
    held = ground.server.count()
    ground.note(
        f"{tries} tries, in after {time.monotonic() - begin:.1f} s, {held.memory // 1024} MB"
    )


async def _all_in(ground: Ground, count: int) -> int:
    address, tries, inside, everybody = ground.server.address, 0, 0, asyncio.Event()

    async def one(number: int) -> None:
        nonlocal tries, inside
        source = (f"127.0.0.{60 + number % 30}", 0)
        for attempt in range(200):
            tries += 1
            with contextlib.suppress(OSError, EOFError):
                reader, writer = await asyncio.open_connection(
                    address.host, address.port, local_addr=source
                )
                try:
                    writer.write(
                        request(
                            "cred.login",
                            "PLAIN",
                            plain(f"user{number}", "right"),
                            {"resume": False},
                        )
                    )
                    answer = await reader.read(4096)
                    if answer and _is_in(answer):
                        inside += 1
                        if inside == count:
                            everybody.set()
                        await everybody.wait()
                        return
                finally:
                    writer.close()
            await asyncio.sleep(0.02 * (attempt + 1))  # as a client that backs off

    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(number))
    assert inside == count, f"{inside} of {count} were in"
    return tries


def _is_in(data: bytes) -> bool:
    unpacker = msgpack.Unpacker(raw=False)
    unpacker.feed(data)
    return any(message[0] == 1 and message[2] is None for message in unpacker)


@fault("a penalised source goes on trying", frozen=2.0, options=("--limit-loopback",))
def penalised(ground: Ground) -> None:
    """Wrong passwords at full speed: denials are cheap, logged in few lines, and then ignored."""
    lines = ground.server.said().count("\n")
    answered: Counter[str] = Counter()

    def attack(number: int) -> None:
        answered["connections"] += 1
        with connect(ground.server.address, timeout=5) as client:
            for _ in range(500):
                error, _ = client.try_login("ann", "wrong")
                answered[error["code"] if error else "in"] += 1

    hold(ground, attack, 2, 3.0)
    told = ground.server.said().count("\n") - lines
    ground.note(
        ", ".join(f"{count} {what}" for what, count in answered.items()) + f", {told} lines of log"
    )
    assert told < 100, f"{told} lines of log for {dict(answered)}"
    assert answered["denied"] < 1000, (
        f"a penalised source is answered again and again: {dict(answered)}"
    )
    assert not answered["in"]
