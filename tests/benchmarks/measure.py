"""Small helpers of the benchmarks."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import datetime
import gc
import importlib.util
import multiprocessing
import os
import platform
import resource
import signal
import statistics
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, TypeVar

ROUNDS = 5
"""Alternating rounds of each figure, after one that warms up."""

T = TypeVar("T")

_libc = ctypes.CDLL(None)


class Missing(Exception):
    """A program or a package that a figure needs is not here; the text says which."""


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, with the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Return the spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        digits = 2 if abs(self.median) < 10 else 1 if abs(self.median) < 1000 else 0
        median, least, most = (
            f"{value:,.{digits}f}" for value in (self.median, self.least, self.most)
        )
        return f"{median} ({least} to {most})"


def machine() -> str:
    """Return the date and a description of the machine."""
    return (
        f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}"
    )


def resident(pid: int | None = None) -> int:
    """Return the resident memory of a process in bytes, by default of this one."""
    with open(f"/proc/{pid or 'self'}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process with all its threads, ended ones included.

    Unlike the ticks in /proc it is exact to less than a microsecond (clock_getcpuclockid(3)).
    """
    clock = ctypes.c_int()
    error = _libc.clock_getcpuclockid(pid, ctypes.byref(clock))
    if error:
        raise OSError(error, os.strerror(error))
    return time.clock_gettime(clock.value)


def raise_descriptor_limit() -> int:
    """Allow this process and its children as many descriptors as they may have; return the limit.

    A process of 20,000 connections needs that many.
    """
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def end_on_sigterm() -> None:
    """Let SIGTERM end this process as Ctrl-C does, so that its children end."""

    def leave(*_: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, leave)


def loop_name() -> str:
    """Return the event loop that the benchmarks run on: uvloop where it is installed."""
    return "uvloop" if importlib.util.find_spec("uvloop") else "asyncio"


def run_on_loop(work: Coroutine[Any, Any, T], loop: str = "") -> T:
    """Run a coroutine on uvloop or asyncio, by default as `loop_name` says."""
    if (loop or loop_name()) == "asyncio":
        return asyncio.run(work)
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _answer(orders: Connection, function: Callable[..., AsyncIterator[Any]], args: Any) -> None:
    async def run() -> None:
        async for value in function(*args):
            orders.send(value)
            try:
                await asyncio.to_thread(orders.recv)
            except EOFError:  # the process that measures has ended
                return

    run_on_loop(run())


@contextlib.contextmanager
def elsewhere(
    function: Callable[..., AsyncIterator[Any]], *args: object
) -> Iterator[Callable[[], Any]]:
    """Run a generator on a loop in a process of its own; provide what returns its next value.

    It runs only while a value is asked for. Its first value is taken before the block begins.
    """
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_answer, args=(theirs, function, args), daemon=True)
    process.start()
    theirs.close()

    def following() -> Any:
        ours.send(None)
        return ours.recv()

    try:
        ours.recv()
        yield following
    finally:
        process.kill()
        process.join()


def bytes_per(count: int, make: Callable[[], object]) -> tuple[float, object]:
    """Return the memory in bytes per item, and the result of `make`, which must be kept."""
    gc.collect()
    before = resident()
    made = make()
    gc.collect()
    return (resident() - before) / count, made


def microseconds(
    count: int, run: Callable[[], object], clock: Callable[[], float] = time.process_time
) -> float:
    """Return the time per item of a run of `count` items, by default processor time."""
    gc.collect()
    began = clock()
    run()
    return (clock() - began) / count * 1e6


def alternate(*variants: Callable[[], T], rounds: int = ROUNDS) -> list[list[T]]:
    """Return what the variants return in each round, in their order.

    One round goes before to warm up. The order changes from round to round, so that what an
    earlier variant leaves behind, and a machine whose speed drifts, meet all alike.
    """
    for variant in variants:
        variant()
    found = []
    for number in range(rounds):
        numbered = list(enumerate(variants))
        results = {at: variant() for at, variant in numbered[:: -1 if number % 2 else 1]}
        found.append([results[at] for at in range(len(variants))])
    return found


def percentile(values: list[float], share: float) -> float:
    """Return the value below which a share of the values lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
