"""Connections that break, hang or are silent."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import trustme

from actorcred.rpc import Address
from tests.faults.clients import ATTACKER, Closed, Raw, connect, many, request
from tests.faults.fault import Ground, fault
from tests.faults.served import ROOT, poll

QUICK = ("--grace", "1")
"""Options of a server that gives up lost sessions soon."""

TLS = "?cert={folder}/cert.pem&key={folder}/key.pem"
EVERY = (
    "tcp:127.0.0.1:0",
    "tls:127.0.0.1:0" + TLS,
    "unix:{folder}/game.sock",
    "ws:127.0.0.1:0",
    "wss:127.0.0.1:0" + TLS,
)
"""An address of each kind."""

KILLED = """
import sys
from actorcred.rpc import Address
from tests.faults.clients import connect, many
clients = many(Address.parse(sys.argv[1]), 20)
silent = [connect(Address.parse(sys.argv[1])) for _ in range(20)]
print("in", flush=True)
sys.stdin.read()
"""


def certificates(folder: Path) -> None:
    """Make a certificate for TLS."""
    made = trustme.CA().issue_cert("127.0.0.1")
    made.private_key_pem.write_to_path(folder / "key.pem")
    made.cert_chain_pems[0].write_to_path(folder / "cert.pem")


@contextlib.contextmanager
def process_with_clients(ground: Ground) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process with 20 logged-in and 20 silent clients; the test kills it."""
    command = [sys.executable, "-c", KILLED, str(ground.server.address)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        yield process


@fault("clients are killed (kill -9)", options=QUICK)
def killed_clients(ground: Ground) -> None:
    with process_with_clients(ground) as process:
        held = ground.server.count()
        ground.note(f"{held.sessions} sessions, {held.connections} connections")
        process.kill()


@fault(
    "the server is killed (kill -9) and started again",
    listen=("tcp:127.0.0.1:0", "unix:{folder}/game.sock"),
    honest=False,
)
def killed_server(ground: Ground) -> None:
    server = ground.server
    clients = many(server.address, 5)
    server.kill()
    for client in clients:
        client.until_closed()
        client.close()
    begin = time.monotonic()
    server.restart()
    for address in server.addresses:
        with connect(address) as client:
            client.login("user1", resume=False)
    server.warm_up()
    ground.note(f"in again after {time.monotonic() - begin:.1f} s")


@fault("half-open: clients vanish without a packet", options=QUICK)
def half_open(ground: Ground) -> None:
    clients = many(ground.server.address, 20)
    vanished = sum(client.vanish() for client in clients)
    ground.note(f"{vanished} vanished")
    # Writing to them is answered by a reset.
    with connect(ground.server.address) as caster:
        caster.login("caster", resume=False)
        for number in range(3):
            caster.call("broadcast", number, 10)
    if not vanished:
        for client in clients:
            client.close()


@fault(
    "half-open: clients vanish before and after the login, and nothing is written to them",
    slow=True,
    options=QUICK,
    patience=60.0,
)
def half_open_silent(ground: Ground) -> None:
    clients = many(ground.server.address, 20)
    clients += [connect(ground.server.address) for _ in range(20)]
    vanished = sum(client.vanish() for client in clients)
    ground.note(f"{vanished} vanished")
    for client in clients:
        client.close()


@fault("clients that promised a heartbeat fall silent", slow=True, options=QUICK, patience=90.0)
def silent(ground: Ground) -> None:
    clients = many(ground.server.address, 20, heartbeat=True)
    begin = time.monotonic()
    for client in clients:
        client.socket.settimeout(90)
        assert client.until_closed()[-1][1] == "cred.goodbye"
        client.close()
    ground.note(f"given up after {time.monotonic() - begin:.0f} s")


@fault("slowloris on each transport", slow=True, listen=EVERY, prepare=certificates, patience=60.0)
def slowloris(ground: Ground) -> None:
    """Half of the connections are silent, half send a byte now and then.

    All have the login's deadline of 30 s.
    """
    sockets = []
    for kind, address in enumerate(ground.server.addresses):
        for number in range(40):
            sock = socket.socket(socket.AF_UNIX if address.kind == "unix" else socket.AF_INET)
            if address.kind != "unix":
                sock.bind((f"127.0.0.{10 + kind}", 0))
            sock.connect(address.path if address.kind == "unix" else (address.host, address.port))
            sockets.append((address.kind, sock, number % 2 == 1))
    ends: dict[str, float] = {}
    begin = time.monotonic()
    for _ in poll(60, 1.0):
        sockets = [one for one in sockets if not _drip(one, ends, begin)]
        if not sockets:
            break
    for _, sock, _ in sockets:
        sock.close()
    left = {kind: sum(one[0] == kind for one in sockets) for kind in {one[0] for one in sockets}}
    assert not left, f"after 60 s there are still connections without a login: {left}"
    ground.note(", ".join(f"{kind} {seconds:.0f} s" for kind, seconds in ends.items()))


def _drip(one: tuple[str, socket.socket, bool], ends: dict[str, float], begin: float) -> bool:
    """Send a byte if this connection does; return whether the server has closed it."""
    kind, sock, drips = one
    beginning = {"tcp": b"\x94", "unix": b"\x94", "tls": b"\x16", "wss": b"\x16", "ws": b"G"}[kind]
    sock.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        try:
            if drips:
                sock.send(beginning)
            while sock.recv(4096):  # perhaps a goodbye
                pass
        except BlockingIOError:
            raise
        except OSError:
            pass
        sock.close()
        ends[kind] = time.monotonic() - begin
        return True
    return False


def burst(ground: Ground, address: Address, count: int) -> list[Raw]:
    """Return clients that requested 10 MB of notifications each and do not read."""
    clients = []
    for number in range(count):
        client = connect(address, receive_buffer=4096)
        client.login(f"user{number}")
        client.begin_call("spam", 1000, 10_000)
        clients.append(client)
    held = ground.server.count()
    ground.note(f"{address.kind}: {held.memory // 1024} MB with {count}")
    return clients


def stopped_readers(ground: Ground) -> None:
    before = ground.server.count()
    for address in ground.server.addresses:
        clients = burst(ground, address, 20)
        grown = ground.server.count().memory - before.memory
        assert grown < 100 * 1024, (
            f"{address.kind}: {grown // 1024} MB for clients that do not read"
        )
        for client in clients:
            client.reset()


fault("stopped readers: 10 MB to clients that do not read and reset (tcp)", options=QUICK)(
    stopped_readers
)
fault(
    "stopped readers: 10 MB to clients that do not read and reset (ws)",
    options=QUICK,
    listen=("ws:127.0.0.1:0",),
)(stopped_readers)


@fault(
    "readers that stop for good, but stay connected",
    slow=True,
    options=QUICK,
    listen=("tcp:127.0.0.1:0", "ws:127.0.0.1:0"),
    patience=60.0,
)
def stalled(ground: Ground) -> None:
    clients = [
        client for address in ground.server.addresses for client in burst(ground, address, 5)
    ]
    for _ in poll(120, 1.0):
        if ground.server.count().sessions <= 2:  # the counter's and the honest client's
            break
    else:
        left = ground.server.count()
        ground.note(f"after 120 s {left.sessions - 2} sessions, {left.memory // 1024} MB")
    for client in clients:
        client.close()


@fault("resets in the middle of broadcasts", both=True, options=QUICK)
def resets(ground: Ground) -> None:
    """Listeners, one broadcaster, and clients that log in and reset repeatedly."""
    listeners = many(ground.server.address, 20, resume=False)
    over = threading.Event()

    def storm(source: str) -> None:
        while not over.is_set():
            with contextlib.suppress(Closed, OSError):
                client = connect(ground.server.address, source=source)
                client.login("storm", resume=False)
                client.reset()

    threads = [
        threading.Thread(target=storm, args=(f"127.0.0.{20 + number}",), daemon=True)
        for number in range(3)
    ]
    for thread in threads:
        thread.start()
    with connect(ground.server.address) as caster:
        caster.login("caster", resume=False)
        for number in range(100):
            caster.call("broadcast", number, 100)
        over.set()
        for thread in threads:
            thread.join()
        caster.call("broadcast", LAST, 10)
    deadline = time.monotonic() + 10
    ended = sum(_heard_the_last(client, deadline) for client in listeners)
    ground.note(f"{ended} of 20 listeners heard the last broadcast")
    for client in listeners:
        client.close()
    assert ended == 20, f"only {ended} of 20 listeners heard the last broadcast"


LAST = -1
"""The number of the last broadcast."""


def _heard_the_last(client: Raw, deadline: float) -> bool:
    try:
        while True:
            client.socket.settimeout(max(0.1, deadline - time.monotonic()))
            if client.message()[2][0] == LAST:
                return True
    except (Closed, TimeoutError):
        return False


@fault("connections are made and dropped as fast as it goes", options=QUICK)
def churn(ground: Ground) -> None:
    made = 0
    for _ in poll(3, 0.0):
        with contextlib.suppress(OSError):
            client = connect(ground.server.address, source=f"127.0.0.{30 + made % 10}")
            if made % 3:
                client.send(request("cred.mechanisms"))
            client.reset() if made % 2 else client.close()
        made += 1
    ground.note(f"{made} connections")


@fault("the client's process is stopped (SIGSTOP) in the middle of notifications", options=QUICK)
def stopped_process(ground: Ground) -> None:
    with process_with_clients(ground) as process:
        os.kill(process.pid, signal.SIGSTOP)
        with connect(ground.server.address, source=ATTACKER) as caster:
            caster.login("caster", resume=False)
            for number in range(200):
                caster.call("broadcast", number, 10_000)
        grown = ground.server.count()
        ground.note(f"{grown.memory // 1024} MB for 40 MB to them")
        process.kill()
