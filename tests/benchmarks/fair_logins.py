"""Honest logins at one store while another one is flooded with wrong passwords.

The attackers come from ever new addresses, so that no penalty stops them: only the fair queue of
the hashing threads does.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import threading
import time
from typing import Any

from actorcred import ClientInfo, Penalty, Portal, PortalOptions, UsernamePassword
from actorcred.checkers.memory import MemoryChecker
from actorcred.testing import Hall, Visitor
from tests.benchmarks.measure import machine, percentile

WRONG_PER_SECOND = 200
HONEST_PAUSE = 0.05
WANTED = 2.0
"""The most that the median may grow."""


class Flood:
    """Wrong logins at a rate, at a portal."""

    def __init__(self, portal: Any) -> None:
        self._portal = portal
        self._done = threading.Event()
        self.sent = 0
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Flood:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        began = time.perf_counter()
        for number in itertools.count():
            wait = began + number / WRONG_PER_SECOND - time.perf_counter()
            if self._done.wait(max(0.0, wait)):
                return
            address = f"198.{18 + number // 65536 % 2}.{number // 256 % 256}.{number % 256}"
            wrong = UsernamePassword(f"user{number}", "wrong password")
            self._portal.verify(wrong, client=ClientInfo(address=address))
            self.sent += 1


def honest(portal: Any, seconds: float) -> list[float]:
    """Return the milliseconds of honest logins, one after the other."""
    client = ClientInfo(address="192.0.2.1")
    times, until, pause = [], time.perf_counter() + seconds, threading.Event()
    while time.perf_counter() < until:
        began = time.perf_counter()
        credentials = UsernamePassword("ann", "correct horse battery")
        login = portal.login(credentials, None, Visitor, client=client).get(timeout=60)
        times.append((time.perf_counter() - began) * 1e3)
        login.logout()
        pause.wait(HONEST_PAUSE)
    return times


def measured(seconds: float, cheap: int, usual: int) -> tuple[list[float], list[float], float]:
    """Return honest times when idle and when flooded, in turns, and wrong logins per second.

    Args:
        seconds: how long each of the two takes altogether.
        cheap: the bcrypt rounds of the flooded store.
        usual: those of the other one.
    """
    options = PortalOptions(penalty=Penalty(step=0.0))
    flooded = Portal.start(
        Hall.start(), [MemoryChecker.start({"eve": "x" * 8}, rounds=cheap)], options
    )
    other = MemoryChecker.start({"ann": "correct horse battery"}, rounds=usual)
    portal = Portal.start(Hall.start(), [other], options)
    honest(portal, 0.5)
    idle: list[float] = []
    busy: list[float] = []
    sent, spent = 0, 0.0
    for _ in range(4):  # in turns, since the machine's speed drifts
        idle += honest(portal, seconds / 4)
        began = time.perf_counter()
        with Flood(flooded) as flood:
            busy += honest(portal, seconds / 4)
        sent += flood.sent
        spent += time.perf_counter() - began
    return idle, busy, sent / spent


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if honest logins take too long, else 0."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.fair_logins", description=__doc__
    )
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--cheap", type=int, default=6, help="bcrypt rounds of the flooded store")
    parser.add_argument("--usual", type=int, default=10, help="those of the other store")
    arguments = parser.parse_args(argv)
    logging.disable(logging.CRITICAL)
    idle, busy, rate = measured(arguments.seconds, arguments.cheap, arguments.usual)
    print(machine())
    print(f"{rate:.0f} wrong logins per second at another store")
    for name, times in (("idle", idle), ("flooded", busy)):
        p50, p95 = percentile(times, 0.5), percentile(times, 0.95)
        print(f"{name:8} {len(times):4} logins  p50 {p50:7.1f} ms  p95 {p95:7.1f} ms")
    ratio = percentile(busy, 0.5) / percentile(idle, 0.5)
    print(f"ratio of the medians: {ratio:.2f} (wanted: at most {WANTED:g})")
    return int(ratio > WANTED)


if __name__ == "__main__":
    raise SystemExit(main())
