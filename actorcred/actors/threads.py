"""The pool of threads: the default dispatcher, and the one for work that blocks."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import threading
import time
from _queue import SimpleQueue
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from actorcred.actors._context import thread
from actorcred.actors.dispatcher import Dispatcher, Runnable
from actorcred.actors.event_loop import background_loop
from actorcred.actors.future import Future
from actorcred.actors.timers import TimerThread

if TYPE_CHECKING:
    from actorcred.actors.mailbox import Mailbox

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
        patience: seconds that something waits for a thread which is awake, before another one is called in. Waking a
            thread costs more than most handlers; 0 is for jobs that take long.
        niceness: how much the threads yield to others of the system, 0 to 19; only Linux knows this per thread.
        max_threads: no more threads than this, however many of them are blocked.
    """

    def __init__(
        self,
        name: str = "pool",
        threads: int | None = None,
        *,
        slow_handler: float = 1.0,
        caller_runs: bool = True,
        patience: float = 0.005,
        niceness: int = 0,
        max_threads: int = 10_000,
    ) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"a pool needs at least 1 thread, not {threads}")
        super().__init__(name, slow_handler)
        self.size = threads or min(8, max(2, os.cpu_count() or 2))
        self.caller_runs = caller_runs
        self._patience = patience
        self._niceness = niceness
        self._max_threads = max_threads
        self._ready: deque[Runnable] = deque()
        # A thread sleeps at the bell, and is counted as awake from the moment at which somebody rings for it.
        self._bell: SimpleQueue[bool] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._awake = 0
        self._asleep = 0
        self._blocked = 0
        self._numbers = itertools.count()
        self._looks = TimerThread()
        self._look_is_due = False

    def schedule(self, task: Runnable) -> None:
        """Have `task.run()` called soon by one of the threads.

        A thread that is awake comes to it by itself, so that none has to be woken: waking costs more than most handlers.
        If it is still waiting a little later, because that thread is held up, another thread is called in.
        """
        self._ready.append(task)
        if not self._awake:
            with self._lock:
                if not self._awake:
                    self._call_in()
        elif not self._look_is_due:
            self._look_later()

    def attach(self, mailbox: Mailbox) -> None:
        """Take a new actor in."""
        self.mailboxes.add(mailbox)
        if not self._threads:
            with self._lock:
                # All of them now: when the interpreter exits, none can be started any more.
                for _ in range(self.size - len(self._threads)):
                    self._start_thread()

    def submit(self, function: Callable[..., R], *args: Any) -> Future[R]:
        """Run a function that blocks or computes on one of the threads.

        Returns:
            A future of its result. If it is cancelled while the call still waits for its turn, the call is not made.
        """
        job = _Job(function, args)
        self.schedule(job)
        return job.future

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Run a coroutine on the event loop that serves all pools of the process."""
        return background_loop().spawn(coroutine)

    def block(self, waiter: threading.Lock, timeout: float | None) -> bool:
        """Acquire `waiter`, with another thread in this one's place meanwhile."""
        if waiter.acquire(False):
            return True
        with self._lock:
            self._blocked += 1
            self._awake -= 1
            if self._ready and not self._awake:
                self._call_in()
        try:
            return super().block(waiter, timeout)
        finally:
            with self._lock:
                self._blocked -= 1
                self._awake += 1

    def close(self, timeout: float) -> None:
        """End the threads; those that are still in a handler end after it."""
        deadline = time.monotonic() + timeout
        with self._lock:
            threads = [thread for thread in self._threads if thread is not threading.current_thread()]
        for _ in threads:
            self._bell.put(False)
        for worker in threads:
            worker.join(max(0.0, deadline - time.monotonic()))
        self._looks.close(max(0.0, deadline - time.monotonic()))

    # -- the threads --------------------------------------------------------------------------------------------------

    def _call_in(self) -> None:
        """Wake a thread, or start one; the caller has the lock."""
        if self._asleep:
            self._asleep -= 1
            self._awake += 1
            self._bell.put(True)
        elif len(self._threads) - self._blocked < self.size:
            self._start_thread()

    def _start_thread(self) -> None:
        if len(self._threads) >= self._max_threads:
            logger.error("All %d threads of %r are blocked: actors wait until one is free", self._max_threads, self.name)
            return
        worker = threading.Thread(target=self._work, name=f"{self.name}-{next(self._numbers)}", daemon=True)
        self._threads.add(worker)
        self._awake += 1
        try:
            worker.start()
        except RuntimeError as error:  # the system has no more threads, or the interpreter is about to exit
            self._threads.discard(worker)
            self._awake -= 1
            logger.error("%r has %d threads and cannot get another one: %s", self.name, len(self._threads), error)

    def _look_later(self) -> None:
        if self._patience:
            self._look_is_due = True
            try:
                self._looks.add(time.monotonic() + self._patience, self._look)
            except RuntimeError:  # no more threads, as when the interpreter exits
                self._look_is_due = False
            else:
                return
        with self._lock:
            self._call_in()

    def _look(self) -> None:
        """Call another thread in if something still waits; runs on a timer's thread."""
        self._look_is_due = False
        if self._ready:
            with self._lock:
                self._call_in()
            self._look_later()

    def _work(self) -> None:
        thread.dispatcher = self
        if self._niceness:
            # Linux applies it to the one thread; elsewhere, and where it is not allowed, the pool works without it.
            with contextlib.suppress(OSError, AttributeError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self._niceness)
        take = self._ready.popleft
        while True:
            try:
                task = take()
            except IndexError:
                if self._rest():
                    continue
                return
            with contextlib.suppress(BaseException):  # the mailbox has logged it, and stopped what has to stop
                task.run()
            del task  # or an idle thread would keep the last actor or job alive

    def _rest(self) -> bool:
        """Sleep until there is work; return False if the thread has to end."""
        with self._lock:
            self._awake -= 1
            surplus = len(self._threads) - self._blocked > self.size
            if self._ready:
                # Whoever put it there may have seen this thread awake, and then rings for nobody.
                self._awake += 1
                return True
            if surplus:
                self._threads.discard(threading.current_thread())
            else:
                self._asleep += 1
        return not surplus and self._sleep()

    def _sleep(self) -> bool:
        while not self._bell.get():
            with self._lock:
                if self._asleep:
                    self._asleep -= 1
                    self._threads.discard(threading.current_thread())
                    return False
            # The pool is closed, but was used again at the same moment: first come, first served.
            self._bell.put(False)
        return True


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
