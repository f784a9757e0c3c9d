"""Background threads for long computations, such as hashing passwords, with fair scheduling."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from actorcred.actors._context import current_mailbox
from actorcred.actors.fairness import Entry, FairQueue
from actorcred.actors.future import Future
from actorcred.actors.workers import Job, Workers

__all__ = [
    "BACKLOG",
    "BOUND",
    "BackgroundPool",
    "Overloaded",
    "background_pool",
    "is_background",
    "waiting_in_background",
]

R = TypeVar("R")

BOUND = 10_000
"""The maximum number of waiting calls."""

BACKLOG = 30.0
"""Seconds of work per thread that may wait for one key: a portal's default login time-out."""

NICENESS = 10
"""The niceness of the threads, so that they yield to event loops and everything else."""


EXPRESS_NICENESS = 2
"""The niceness of the threads for newcomers: before the other threads, just after event loops."""


class Overloaded(Exception):
    """Work was not done because too much was waiting."""


class BackgroundPool:
    """Runs functions on low-priority threads, one per processor, in the order of a `FairQueue`.

    As many further threads, with a higher priority, run only work of keys that have nothing
    running. So a newcomer need not wait until a call of another key has finished, and gets more
    than an even share of the processor.

    Args:
        threads: how many run at a time, not counting those for newcomers; by default one per
            processor.
        bound: the maximum number of waiting calls.
    """

    def __init__(self, threads: int | None = None, bound: int = BOUND) -> None:
        threads = threads or os.cpu_count() or 1
        self._queue: FairQueue[Job] = FairQueue(bound, BACKLOG * threads, levels=4)
        self._lock = threading.Lock()
        name = "actorcred-background"
        self._pool = Workers(name, threads, niceness=NICENESS)
        self._express = Workers(f"{name}-express", threads, niceness=EXPRESS_NICENESS)
        self._express_called = 0
        self.pools = (self._pool, self._express)

    def __len__(self) -> int:
        """Return how many calls wait."""
        with self._lock:
            return len(self._queue)

    def submit(
        self, keys: tuple[Hashable, ...], function: Callable[..., R], *args: Any
    ) -> Future[R]:
        """Run a function on one of the threads when it is its turn.

        Args:
            keys: whose work it is, four at most, the most general one first; by default the
                running actor.
            function: what to call.
            args: the arguments of the function.

        Returns:
            A future of the result. If it is cancelled while the call waits for its turn, the call
            is not made. It fails with `Overloaded` if too much is waiting and most of it belongs to
            its key.
        """
        if not keys:
            mailbox = current_mailbox.get()
            keys = (None if mailbox is None else mailbox.number,)
        job = Job(function, args)
        with self._lock:
            entry, dropped = self._queue.put(keys, job)
            call_express = dropped is not entry and self._express_called < self._express.size
            self._express_called += call_express
        if dropped is not entry:
            job.future.add_done_callback(
                lambda done: self._forget(entry) if done.cancelled() else None
            )
            self._pool.submit(self._take_turn)
            if call_express:
                self._express.submit(self._take_express_turns)
        if dropped is not None:
            dropped.item.future.settle_error(Overloaded("too much is waiting"))
        return job.future

    def _forget(self, entry: Entry[Job]) -> None:
        with self._lock:
            self._queue.discard(entry)

    def _take_turn(self) -> None:
        self._run_next(newcomers_only=False)

    def _take_express_turns(self) -> None:
        with self._lock:
            self._express_called -= 1
        while self._run_next(newcomers_only=True):
            pass

    def _run_next(self, *, newcomers_only: bool) -> bool:
        with self._lock:
            entry = self._queue.take(newcomers_only=newcomers_only)
        if entry is None:
            return False  # it was cancelled, or another thread took it
        started = time.monotonic()
        try:
            entry.item.run()
        finally:
            with self._lock:
                self._queue.finish(entry, time.monotonic() - started)
        return True


_lock = threading.Lock()
_of_process: BackgroundPool | None = None


def background_pool() -> BackgroundPool:
    """Return the pool of this process; the first call creates it."""
    global _of_process
    with _lock:
        if _of_process is None:
            _of_process = BackgroundPool()
        return _of_process


def waiting_in_background() -> int:
    """Return how many calls wait for a thread; 0 if there is no pool."""
    return 0 if _of_process is None else len(_of_process)


def is_background(pool: Workers) -> bool:
    """Return whether a pool does the background work of this process."""
    return _of_process is not None and pool in _of_process.pools
