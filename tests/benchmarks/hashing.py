"""The speed of logins compared with bare bcrypt, and the effect of a login storm on sessions."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import bcrypt

from actorcred import Admission, Portal, PortalOptions, UsernamePassword
from actorcred.checkers.memory import MemoryChecker
from tests.benchmarks.logins import Game, Player, mind
from tests.benchmarks.measure import percentile

ROUNDS = 9
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


def storm(scale: float) -> dict[str, tuple[float, float]]:
    """Return logins per second, and the median and 99th percentile of call times in microseconds.

    The peer of the first is bare hashing, that of the others an idle server.
    """
    count = max(20, int(400 * scale))
    checker = MemoryChecker.start({"ann": "password"}, rounds=ROUNDS)
    portal = Portal.start(
        Game.start(), [checker], PortalOptions(admission=Admission(logins=count + 1))
    )
    avatar = portal.login(UsernamePassword("ann", "password"), mind, Player).get().avatar

    idle_done = threading.Event()
    threading.Timer(max(0.5, 3 * scale), idle_done.set).start()
    idle = _ask_until(avatar, idle_done)

    ours, theirs, busy = [], [], []
    for _ in range(3):  # in turns, since the machine's speed drifts
        theirs.append(_bare(count))
        done = threading.Event()
        times: list[float] = []
        watcher = threading.Thread(
            target=lambda done=done, times=times: times.extend(_ask_until(avatar, done))
        )
        started = time.perf_counter()
        watcher.start()
        futures = [
            portal.login(UsernamePassword("ann", "password"), mind, Player) for _ in range(count)
        ]
        logins = [future.get() for future in futures]
        ours.append(count / (time.perf_counter() - started))
        done.set()
        watcher.join()
        busy += times
        for login in logins:
            login.logout()
    return {
        "rate": (sorted(ours)[1], sorted(theirs)[1]),
        "p50": (percentile(busy, 0.5), percentile(idle, 0.5)),
        "p99": (percentile(busy, 0.99), percentile(idle, 0.99)),
    }


def _bare(count: int) -> float:
    stored = bcrypt.hashpw(b"password", bcrypt.gensalt(ROUNDS))
    started = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda _: bcrypt.checkpw(b"password", stored), range(count)))
    return count / (time.perf_counter() - started)
