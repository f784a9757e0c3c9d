"""A pool of threads, independent of actors; the base of dispatchers and of backends that block."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import threading
import time
import weakref
from _queue import SimpleQueue
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from actorcred.actors._context import Awaited, Blocker, thread
from actorcred.actors.future import Future
from actorcred.actors.waits import acquire

__all__ = ["Job", "Runnable", "Workers", "independent_pools"]

logger = logging.getLogger("actorcred.actors")

R = TypeVar("R")

MAX_THREADS = 10_000
"""The maximum number of threads of one pool, including those that are blocked."""

_lock = threading.Lock()
_independent: weakref.WeakSet[Workers] = weakref.WeakSet()


class Runnable(Protocol):
    """Something that a thread can run: a mailbox with messages, or a job."""

    def run(self) -> None:
        """Take the turn."""


class Job:
    """One call of a function, whose result goes to a future."""

    __slots__ = ("_args", "_function", "future")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._function = function
        self._args = args
        self.future: Future[Any] = Future()

    def run(self) -> None:
        """Make the call, unless the future was cancelled."""
        if self.future.done():
            return
        try:
            self.future.settle(self._function(*self._args))
        except BaseException as error:
            self.future.settle_error(error)


class Workers:
    """A few daemon threads, which start with the first task.

    A thread that blocks in `Future.get()` is replaced for that time, so calls that wait for each
    other never use up the pool.

    Args:
        name: for logs and for the names of the threads.
        size: how many run at a time.
        niceness: added to the niceness of the process for these threads; only Linux supports this
            per thread.
        owner: the dispatcher that owns the threads and closes them; without one, `actors.shutdown`
            closes them.
    """

    def __init__(
        self, name: str, size: int, *, niceness: int = 0, owner: Blocker | None = None
    ) -> None:
        if size < 1:
            raise ValueError(f"a pool needs at least 1 thread, not {size}")
        self.name = name
        self.size = size
        self.threads: set[threading.Thread] = set()
        self.blocked = 0
        """How many of the threads wait in `Future.get()`."""
        self._niceness = niceness
        self._owner = owner
        self._ready: SimpleQueue[Runnable | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self.put: Callable[[Runnable], None] = self._ready.put
        """Have a thread call `task.run()`; the caller must call `ensure` before.

        It is the queue's own method, which saves a Python frame.
        """
        if owner is None:
            with _lock:
                _independent.add(self)

    def submit(self, function: Callable[..., R], *args: Any) -> Future[R]:
        """Call a function on one of the threads.

        Returns:
            A future of its result. If it is cancelled while the call waits for its turn, the call
            is not made.
        """
        job = Job(function, args)
        self.ensure()
        self.put(job)
        return job.future

    def ensure(self) -> None:
        """Start the threads that are missing."""
        if len(self.threads) < self.size:
            with self._lock:
                while len(self.threads) - self.blocked < self.size and self._start_thread():
                    pass

    def block(
        self, waiter: threading.Lock, timeout: float | None, future: Awaited | None = None
    ) -> bool:
        """Acquire `waiter` on one of the threads, while another one replaces it."""
        if waiter.acquire(False):
            return True
        self.step_aside()
        try:
            return acquire(waiter, timeout, None if future is None else future.target)
        finally:
            self.step_back()

    def nested(self) -> None:
        """Do nothing: only the actors of event loops can run within callbacks."""

    def step_aside(self) -> None:
        """Have another thread replace the calling one, which is about to block."""
        with self._lock:
            self.blocked += 1
            if len(self.threads) - self.blocked < self.size:
                self._start_thread()

    def step_back(self) -> None:
        """Undo `step_aside`: the calling thread no longer blocks."""
        with self._lock:
            self.blocked -= 1

    def close(self, timeout: float) -> None:
        """End the threads; one that is still in a call ends after it. Later calls start others."""
        deadline = time.monotonic() + timeout
        with self._lock:
            threads = [
                worker for worker in self.threads if worker is not threading.current_thread()
            ]
        for _ in threads:
            self._ready.put(None)
        for worker in threads:
            worker.join(max(0.0, deadline - time.monotonic()))
        # A thread that retired by itself leaves its None in the queue, where it must not end a
        # later thread.
        tasks = [self._ready.get() for _ in range(self._ready.qsize())] if not self.threads else []
        for task in tasks:
            if task is not None:
                self._ready.put(task)

    # -- threads -----------------------------------------------------------------------------------

    def _start_thread(self) -> bool:
        if len(self.threads) >= MAX_THREADS:
            logger.error(
                "All %d threads of %r are blocked: its tasks wait until one is free",
                MAX_THREADS,
                self.name,
            )
            return False
        worker = threading.Thread(
            target=self._work, name=f"{self.name}-{next(self._numbers)}", daemon=True
        )
        self.threads.add(worker)
        try:
            worker.start()
        except RuntimeError as error:  # no more threads, or the interpreter is about to exit
            self.threads.discard(worker)
            logger.error(
                "%r has %d threads and cannot get another one: %s",
                self.name,
                len(self.threads),
                error,
            )
            return False
        return True

    def _work(self) -> None:
        thread.dispatcher = self._owner or self
        if self._niceness:
            self._yield_more()
        take = self._ready.get
        while (task := take()) is not None:
            # The mailbox has already logged the exception, and stopped what must stop.
            with contextlib.suppress(BaseException):
                task.run()
            del task  # else an idle thread would keep the last actor or job alive
            if len(self.threads) - self.blocked > self.size and self._retire():
                return
        with self._lock:
            self.threads.discard(threading.current_thread())

    def _yield_more(self) -> None:
        # Linux applies this to one thread. Elsewhere, or if it is not permitted, the pool works
        # without it.
        with contextlib.suppress(OSError, AttributeError):
            own = os.getpriority(os.PRIO_PROCESS, 0)
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), own + self._niceness)

    def _retire(self) -> bool:
        with self._lock:
            surplus = len(self.threads) - self.blocked > self.size
            if surplus:
                self.threads.discard(threading.current_thread())
            return surplus


def independent_pools() -> list[Workers]:
    """Return the pools without an owner, which no dispatcher closes."""
    with _lock:
        return list(_independent)
