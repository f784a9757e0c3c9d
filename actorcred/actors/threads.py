"""The pool of threads: the default dispatcher, and the one for work that blocks."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import threading
import time
from _queue import SimpleQueue
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from actorcred.actors._context import thread
from actorcred.actors.dispatcher import Dispatcher, Runnable
from actorcred.actors.event_loop import background_loop
from actorcred.actors.future import Future

if TYPE_CHECKING:
    pass

__all__ = ["ThreadDispatcher"]

logger = logging.getLogger("actorcred.actors")

R = TypeVar("R")


class ThreadDispatcher(Dispatcher):
    """Runs actors on a few daemon threads, which start with the first actor.

    A thread that blocks in `Future.get()` inside of a handler is replaced for that time, so actors that wait for each
    other never use the pool up. Coroutines run on one event loop in a thread of its own, shared by the process.

    Args:
        name: for logs and for the names of the threads.
        threads: how many run at a time; by default as many as there are processors, 2 to 8.
        slow_handler: a handler that takes more than so many seconds is logged.
        caller_runs: whether a thread that asks an idle actor and waits may run the actor itself.
        niceness: how much more the threads yield to others of the system than the rest of the process does; only Linux knows
            this per thread.
        max_threads: no more threads than this, however many of them are blocked.
    """

    def __init__(
        self,
        name: str = "pool",
        threads: int | None = None,
        *,
        slow_handler: float = 1.0,
        caller_runs: bool = True,
        niceness: int = 0,
        max_threads: int = 10_000,
    ) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"a pool needs at least 1 thread, not {threads}")
        super().__init__(name, slow_handler)
        self.size = threads or min(8, max(2, os.cpu_count() or 2))
        self.caller_runs = caller_runs
        self._niceness = niceness
        self._max_threads = max_threads
        self._ready: SimpleQueue[Runnable | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._blocked = 0
        self._numbers = itertools.count()
        # Every message that wakes an actor passes here: the queue's own method spares a Python frame.
        self.schedule = self._ready.put  # type: ignore[method-assign, assignment]

    def schedule(self, task: Runnable) -> None:
        """Have `task.run()` called soon by one of the threads."""
        self._ready.put(task)

    def attach(self, mailbox: Any) -> None:
        """Take a new actor in."""
        self.mailboxes.add(mailbox)
        if len(self._threads) < self.size:
            self._ensure_threads()

    def submit(self, function: Callable[..., R], *args: Any) -> Future[R]:
        """Run a function that blocks or computes on one of the threads.

        Returns:
            A future of its result. If it is cancelled while the call still waits for its turn, the call is not made.
        """
        job = _Job(function, args)
        self._ensure_threads()
        self._ready.put(job)
        return job.future

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Run a coroutine on the event loop that serves all pools of the process."""
        return background_loop().spawn(coroutine)

    def block(self, waiter: threading.Lock, timeout: float | None, future: Future[Any] | None = None) -> bool:
        """Acquire `waiter`, with another thread in this one's place meanwhile."""
        if waiter.acquire(False):
            return True
        with self._lock:
            self._blocked += 1
            if len(self._threads) - self._blocked < self.size:
                self._start_thread()
        try:
            return super().block(waiter, timeout, future)
        finally:
            with self._lock:
                self._blocked -= 1

    def close(self, timeout: float) -> None:
        """End the threads; those that are still in a handler end after it."""
        deadline = time.monotonic() + timeout
        with self._lock:
            threads = [thread for thread in self._threads if thread is not threading.current_thread()]
        for _ in threads:
            self._ready.put(None)
        for worker in threads:
            worker.join(max(0.0, deadline - time.monotonic()))
        # A thread that went home by itself leaves its order to end behind, which must not meet a later thread.
        tasks = [self._ready.get() for _ in range(self._ready.qsize())] if not self._threads else []
        for task in tasks:
            if task is not None:
                self._ready.put(task)

    # -- the threads --------------------------------------------------------------------------------------------------

    def _ensure_threads(self) -> None:
        if len(self._threads) < self.size:
            with self._lock:
                while len(self._threads) - self._blocked < self.size and self._start_thread():
                    pass

    def _start_thread(self) -> bool:
        if len(self._threads) >= self._max_threads:
            logger.error("All %d threads of %r are blocked: its actors wait until one is free", self._max_threads, self.name)
            return False
        worker = threading.Thread(target=self._work, name=f"{self.name}-{next(self._numbers)}", daemon=True)
        self._threads.add(worker)
        try:
            worker.start()
        except RuntimeError as error:  # the system has no more threads, or the interpreter is about to exit
            self._threads.discard(worker)
            logger.error("%r has %d threads and cannot get another one: %s", self.name, len(self._threads), error)
            return False
        return True

    def _work(self) -> None:
        thread.dispatcher = self
        if self._niceness:
            # Linux applies it to the one thread; elsewhere, and where it is not allowed, the pool works without it.
            with contextlib.suppress(OSError, AttributeError):
                own = os.getpriority(os.PRIO_PROCESS, 0)
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), own + self._niceness)
        take = self._ready.get
        while (task := take()) is not None:
            with contextlib.suppress(BaseException):  # the mailbox has logged it, and stopped what has to stop
                task.run()
            del task  # or an idle thread would keep the last actor or job alive
            if len(self._threads) - self._blocked > self.size and self._retire():
                return
        with self._lock:
            self._threads.discard(threading.current_thread())

    def _retire(self) -> bool:
        with self._lock:
            surplus = len(self._threads) - self._blocked > self.size
            if surplus:
                self._threads.discard(threading.current_thread())
            return surplus


class _Job:
    """One call of a function, as `ThreadDispatcher.submit` queues it."""

    __slots__ = ("_args", "_function", "future")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._function = function
        self._args = args
        self.future: Future[Any] = Future()

    def run(self) -> None:
        if self.future.done():
            return
        try:
            self.future.settle(self._function(*self._args))
        except BaseException as error:
            self.future.settle_error(error)
