"""Actors on a pool of threads: the default dispatcher, also suitable for handlers that block."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from actorcred.actors._context import Awaited
from actorcred.actors.dispatcher import Dispatcher, Resident
from actorcred.actors.event_loop import background_loop
from actorcred.actors.future import Future
from actorcred.actors.workers import Runnable, Workers

__all__ = ["ThreadDispatcher"]

R = TypeVar("R")


class ThreadDispatcher(Dispatcher):
    """Runs actors on a few daemon threads, which start with the first actor.

    A thread that blocks in `Future.get()` inside a handler is replaced for that time, so actors
    that wait for each other never use up the pool. Coroutines run on an event loop in its own
    thread, shared by the process.

    Args:
        name: for logs and for the names of the threads.
        threads: how many run at a time; by default one per processor, 2 to 8.
        slow_handler: seconds; a handler that takes longer is logged.
    """

    caller_runs = True

    def __init__(
        self, name: str = "pool", threads: int | None = None, *, slow_handler: float = 1.0
    ) -> None:
        size = min(8, max(2, os.cpu_count() or 2)) if threads is None else threads
        self._workers = workers = Workers(name, size, owner=self)
        super().__init__(name, slow_handler)
        # Each blocking ask looks this up, which is faster in the instance than in the class.
        self.caller_runs = self.caller_runs
        # Every message that wakes an actor passes here; the queue's own method saves a frame.
        self.schedule = workers.put  # type: ignore[method-assign, assignment]

    def schedule(self, task: Runnable) -> None:
        """Have `task.run()` called soon by one of the threads."""
        self._workers.put(task)  # pragma: no cover  # each instance has the queue's own method

    def start_task(self, task: Runnable) -> None:
        """Have `task.run()` called soon by one of the threads, which may not have started yet."""
        self._workers.ensure()
        self._workers.put(task)

    def attach(self, mailbox: Resident) -> None:
        """Add a new actor."""
        self.mailboxes[mailbox] = None
        workers = self._workers
        if len(workers.threads) < workers.size:
            workers.ensure()

    def submit(self, function: Callable[..., R], *args: Any) -> Future[R]:
        """Run a function that blocks or computes on one of the threads.

        Returns:
            A future of its result. If it is cancelled while the call waits for its turn, the call
            is not made.
        """
        return self._workers.submit(function, *args)

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Run a coroutine on the event loop that all pools of the process share."""
        return background_loop().spawn(coroutine)

    def block(
        self, waiter: threading.Lock, timeout: float | None, future: Awaited | None = None
    ) -> bool:
        """Acquire `waiter`, while another thread replaces the calling one."""
        if waiter.acquire(False):
            return True
        self._workers.step_aside()
        try:
            return super().block(waiter, timeout, future)
        finally:
            self._workers.step_back()

    def close(self, timeout: float) -> None:
        """End the threads; one that is still in a handler ends after it."""
        self._workers.close(timeout)
