"""The speed of logins compared with bare bcrypt, and the effect of a login storm on sessions."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import bcrypt

from actorcred import Admission, Portal, PortalOptions, UsernamePassword
from actorcred.checkers.memory import MemoryChecker
from tests.benchmarks.logins import Game, Player, mind
from tests.benchmarks.measure import alternate, percentile
from tests.benchmarks.report import Pairs

ROUNDS_OF_BCRYPT = 9
WAIT = 0.002
"""Seconds between two calls to the observed avatar."""


def _ask_until(avatar: object, done: threading.Event) -> list[float]:
    times = []
    while not done.is_set():
        started = time.perf_counter()
        avatar.ask("still there?", timeout=60)  # type: ignore[attr-defined]
        times.append((time.perf_counter() - started) * 1e6)
        done.wait(WAIT)
    return times


def storm(scale: float) -> dict[str, Pairs]:
    """Return logins per second, and the median and 99th percentile of call times in microseconds.

    The peer of the first is bare hashing, that of the others an idle server.
    """
    count = max(20, int(200 * scale))
    checker = MemoryChecker.start({"ann": "password"}, rounds=ROUNDS_OF_BCRYPT)
    portal = Portal.start(
        Game.start(), [checker], PortalOptions(admission=Admission(logins=count + 1))
    )
    avatar = portal.login(UsernamePassword("ann", "password"), mind, Player).get().avatar

    def watched(work: Callable[[], None]) -> tuple[float, list[float]]:
        done, times = threading.Event(), list[float]()
        watcher = threading.Thread(target=lambda: times.extend(_ask_until(avatar, done)))
        watcher.start()
        began = time.perf_counter()
        work()
        taken = time.perf_counter() - began
        done.set()
        watcher.join()
        return count / taken, times

    def log_in() -> None:
        logins = [
            portal.login(UsernamePassword("ann", "password"), mind, Player) for _ in range(count)
        ]
        for login in [future.get() for future in logins]:
            login.logout()

    found = alternate(
        lambda: watched(log_in),
        lambda: watched(lambda: time.sleep(max(0.2, scale))),
        lambda: (_bare(count), []),
    )
    return {
        "rate": [[ours, bare] for (ours, _), _, (bare, _) in found],
        "p50": [
            [percentile(busy, 0.5), percentile(idle, 0.5)] for (_, busy), (_, idle), _ in found
        ],
        "p99": [
            [percentile(busy, 0.99), percentile(idle, 0.99)] for (_, busy), (_, idle), _ in found
        ],
    }


def _bare(count: int) -> float:
    stored = bcrypt.hashpw(b"password", bcrypt.gensalt(ROUNDS_OF_BCRYPT))
    started = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda _: bcrypt.checkpw(b"password", stored), range(count)))
    return count / (time.perf_counter() - started)
