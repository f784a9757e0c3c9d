"""What more workers bring: `actorcred serve --workers N` beside one process, in alternating rounds.

    make bench-workers WORKERS="--rounds 5 --seconds 4"

Two clients' processes log in over and over, or call avatars that have nothing to do with each
other. Each is pinned to a core, and so are two workers; one process may run on either. On two cores
the clients take from two workers what they leave to one, so the ratio is less than what more
workers bring. The processor time of the servers for each login or call does not depend on that:
from it follows what one core can do, and what more cores could.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgpack

try:
    import uvloop
except ImportError:
    uvloop = None

from actorcred import Avatar, Realm
from actorcred.passwords.hashing import hash_password
from tests.benchmarks.measure import machine, processor_seconds
from tests.cli.served import Served, command_of

SESSIONS = 400
"""Sessions of a client's process; each sends up to 200 requests per second by default."""

LOGINS_AT_ONCE = 25

ROUNDS_OF_BCRYPT = 8
"""Some 15 ms: a password takes many times as long as all else in a login."""

CLIENTS = 2

LOGIN = {"resume": False, "notifications": False}


class Player:
    """The methods that a client can call."""

    def move(self, dx: float) -> float: ...


class GamePlayer(Avatar, Player):
    """An avatar that has nothing to do with others."""

    def move(self, dx: float) -> float:
        return dx


class Game(Realm):
    """The realm."""

    interfaces = (Player,)

    def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        avatar = GamePlayer.start(avatar_id, mind)
        return Player, avatar, avatar.stop


# -- the clients -----------------------------------------------------------------------------------


class Session(asyncio.Protocol):
    """A connection that sends the next request when the last one is answered.

    Args:
        login: the request that logs in.
        count: called with each answer.
        call: the request that follows; None to disconnect.
    """

    def __init__(self, login: bytes, count: Any, call: bytes | None) -> None:
        self._login, self._count, self._call = login, count, call
        self.in_use = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(self._login)

    def data_received(self, data: bytes) -> None:
        _, _, error, _ = msgpack.unpackb(data)
        assert error is None, error
        self._count()
        if self._call is None:
            self._transport.abort()
        else:
            self._transport.write(self._call)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.in_use.done():
            self.in_use.set_result(None)


async def client(port: int, what: str, seconds: float) -> int:
    """Do one thing for some seconds, once standard input says so; return how often."""
    done = 0

    def count() -> None:
        nonlocal done
        done += 1

    call = msgpack.packb([0, 2, "move", [1.0]]) if what == "calls" else None
    loop = asyncio.get_running_loop()
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)

    async def again(user: int) -> None:
        login = _login(f"user{user}" if what == "passwords" else "")
        while True:
            _, session = await loop.create_connection(
                lambda: Session(login, count, call), "127.0.0.1", port
            )
            await session.in_use

    # An account has one login at a time that is hashed, so each has its own.
    tasks = [asyncio.create_task(again(n)) for n in range(SESSIONS if call else LOGINS_AT_ONCE)]
    await asyncio.sleep(1)  # until all sessions are there
    before = done
    print("begun", flush=True)
    await asyncio.sleep(seconds)
    counted = done - before
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return counted


def _login(user: str) -> bytes:
    """Return the request that logs a user in, or an anonymous client."""
    mechanism, data = ("PLAIN", f"\0{user}\0secret".encode()) if user else ("ANONYMOUS", b"")
    return msgpack.packb([0, 1, "cred.login", [mechanism, data, LOGIN]])


# -- the server and the figures --------------------------------------------------------------------


@contextmanager
def served(workers: int, users: Path) -> Iterator[tuple[int, list[int]]]:
    """Serve; return the port and the processes that serve, without their supervisor."""
    words = ("--realm", "tests.benchmarks.workers:Game", "--auth", "anonymous")
    words += ("--auth", f"file:{users}", "--listen", "tcp:127.0.0.1:0", "--log-level", "error")
    with Served(*words, "--workers", str(workers)) as server:
        server.wait_for(1)
        pids = [server.process.pid]
        if workers > 1:
            server.wait_until_said("workers: processes")
            pids = list(server.children())
        serving = [pid for pid in sorted(pids) if "nats.conf" not in command_of(pid)]
        for core, pid in enumerate(serving if workers > 1 else ()):
            for task in os.listdir(f"/proc/{pid}/task"):
                os.sched_setaffinity(int(task), {core})
        yield int(server.addresses[0].rpartition(":")[2].rstrip("/")), pids
        assert server.end() == 0


def measure(workers: int, what: str, seconds: float, users: Path) -> tuple[float, float]:
    """Return how often a thing was done per second, and the servers' microseconds for each."""
    with served(workers, users) as (port, pids), ExitStack() as stack:
        command = [sys.executable, "-m", "tests.benchmarks.workers", "--client", str(port), what]
        clients = []
        for number in range(CLIENTS):
            process = subprocess.Popen(
                [*command, "--seconds", str(seconds)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            os.sched_setaffinity(process.pid, {number})
            clients.append(stack.enter_context(process))
        _each(clients, "ready")
        for process in clients:
            process.stdin.write("go\n")
            process.stdin.flush()
        _each(clients, "begun")
        before = sum(map(processor_seconds, pids))
        counts = [json.loads(process.stdout.readline()) for process in clients]
        return sum(counts) / seconds, (sum(map(processor_seconds, pids)) - before) / sum(
            counts
        ) * 1e6


def _each(clients: list[Any], word: str) -> None:
    for process in clients:
        assert process.stdout.readline().strip() == word


FIGURES = {
    "calls": "calls of avatars",
    "logins": "connections, logins and logouts without a password",
    "passwords": "the same with a password (bcrypt, cost 8)",
}


def compare(
    rounds: int, seconds: float, only: str = ""
) -> dict[str, dict[int, tuple[float, float]]]:
    """Return rates and processor times, by what was done and by the number of workers.

    Args:
        rounds: of which the median counts.
        seconds: for each figure in a round.
        only: what must be in the name of a figure.
    """
    found: dict[str, dict[int, tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        users = Path(folder) / "users"
        hashed = hash_password(password="secret", rounds=ROUNDS_OF_BCRYPT)
        users.write_text("".join(f"user{n}:{hashed}\n" for n in range(LOGINS_AT_ONCE)))
        for what in (what for what in FIGURES if only in what):
            all_of: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
            for _ in range(rounds):
                for workers, results in all_of.items():
                    results.append(measure(workers, what, seconds, users))
            found[what] = {
                workers: (
                    statistics.median(rate for rate, _ in results),
                    statistics.median(time for _, time in results),
                )
                for workers, results in all_of.items()
            }
    return found


def main() -> None:
    """Measure, and print a table; or be one of the clients."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each figure in a round")
    parser.add_argument("--only", default="", metavar="TEXT", help="such as calls")
    parser.add_argument("--client", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        port, what = options.client
        loop = uvloop.new_event_loop if uvloop else None
        with asyncio.Runner(loop_factory=loop) as runner:
            print(runner.run(client(int(port), what, options.seconds)))
        return
    print(machine())
    print(f"{'N = 1':>10} {'N = 2':>10} {'ratio':>6} {'us, N = 1':>10} {'us, N = 2':>10}")
    for what, by in compare(options.rounds, options.seconds, options.only).items():
        (one, cost), (two, costs) = by[1], by[2]
        ratio = two / one
        print(f"{one:8.0f}/s {two:8.0f}/s {ratio:6.2f} {cost:10.0f} {costs:10.0f}  {FIGURES[what]}")


if __name__ == "__main__":
    main()
