"""Timers: a queue that is independent of a clock, and a thread that serves it in real time."""

from __future__ import annotations

import heapq
import itertools
import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Owner", "Timer", "TimerQueue", "TimerThread", "timers"]

logger = logging.getLogger("actorcred.actors")

LONGEST_WAIT = 3600.0
"""Seconds that the thread sleeps at most; more, such as infinity, overflows the system's clocks."""


class Owner(Protocol):
    """The mailbox of an actor that owns timers, which end with it."""

    timers: set[Timer] | None

    @property
    def stopped(self) -> bool:
        """Whether the actor handles no more messages."""


class Timer:
    """A call in the future, once or at an interval. Created by a dispatcher, an actor or a ref."""

    __slots__ = ("_queue", "args", "callback", "interval", "owner", "when")

    def __init__(
        self, queue: TimerQueue, when: float, callback: Callable[..., object], args: tuple[Any, ...]
    ) -> None:
        self._queue = queue
        self.when = when
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.interval: float | None = None
        self.owner: Owner | None = None

    def __repr__(self) -> str:
        state = (
            "done"
            if self.callback is None
            else f"every {self.interval} s"
            if self.interval
            else f"due at {self.when:.3f}"
        )
        return f"<Timer {state}>"

    @property
    def pending(self) -> bool:
        """Whether it will still fire."""
        return self.callback is not None

    def cancel(self) -> None:
        """Never fire again. Thread-safe; may be called more than once."""
        self._queue.cancel(self)
        self._leave_owner()

    def _leave_owner(self) -> None:
        owner, self.owner = self.owner, None
        if owner is not None and (timers := owner.timers) is not None:
            timers.discard(self)

    def fire(self) -> None:
        """Call the callback; what it raises is logged. For implementers of dispatchers."""
        callback = self.callback
        if callback is None:
            return
        args = self.args
        if self.interval is None:
            self.callback = None
            self._leave_owner()
        try:
            callback(*args)
        except Exception:
            logger.exception("A timer's callback failed:")


class TimerQueue:
    """Timers in the order in which they are due. Pure: `now` is an argument.

    Cancelling is O(1): the timer releases its callback immediately, and its heap entry is removed
    when it is due, or when such entries are more than half of the heap.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._cancelled = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the number of timers that will still fire."""
        return len(self._heap) - self._cancelled

    def add(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        interval: float | None = None,
        owner: Owner | None = None,
    ) -> Timer:
        """Add a timer.

        Args:
            when: when it is due, in seconds on the clock with which this queue is served.
            callback: called with `args`.
            args: for the callback.
            interval: seconds after which it fires again, repeatedly; None fires once.
            owner: the mailbox of the actor with which the timer ends.
        """
        timer = Timer(self, when, callback, args)
        timer.interval = interval
        if owner is not None:
            timer.owner = owner
            if owner.timers is None:
                owner.timers = set()
            owner.timers.add(timer)
        self._push(timer)
        if owner is not None and owner.stopped:
            timer.cancel()
        return timer

    def _push(self, timer: Timer) -> None:
        with self._lock:
            heapq.heappush(self._heap, (timer.when, next(self._order), timer))

    def cancel(self, timer: Timer) -> None:
        """Remove a timer; see `Timer.cancel`."""
        with self._lock:
            if timer.callback is None:
                return
            timer.callback = None
            timer.args = ()
            self._cancelled += 1
            if self._cancelled > 64 and self._cancelled * 2 > len(self._heap):
                self._heap = [entry for entry in self._heap if entry[2].callback is not None]
                heapq.heapify(self._heap)
                self._cancelled = 0

    def next_due(self) -> float | None:
        """Return when the next timer is due, or None."""
        with self._lock:
            self._drop_cancelled()
            return self._heap[0][0] if self._heap else None

    def _drop_cancelled(self) -> None:
        while self._heap and self._heap[0][2].callback is None:
            heapq.heappop(self._heap)
            self._cancelled -= 1

    def pop_due(self, now: float) -> Timer | None:
        """Take out one timer that is due at `now`; return None if there is none.

        An interval timer is put back for its next time.
        """
        with self._lock:
            self._drop_cancelled()
            if not self._heap or self._heap[0][0] > now:
                return None
            timer = heapq.heappop(self._heap)[2]
            if timer.interval is not None:
                # Missed times (after a suspend of the machine) are skipped, not fired in a burst.
                behind = max(0.0, now - timer.when) // timer.interval
                timer.when += timer.interval * (behind + 1)
                heapq.heappush(self._heap, (timer.when, next(self._order), timer))
            return timer


class TimerThread(TimerQueue):
    """A timer queue on `time.monotonic()` with a daemon thread, which the first timer starts."""

    def __init__(self) -> None:
        super().__init__()
        self._wake = threading.Condition(threading.Lock())
        self._thread: threading.Thread | None = None
        self._sleeps_until = 0.0

    def _push(self, timer: Timer) -> None:
        super()._push(timer)
        with self._wake:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._serve, name="actorcred-timers", daemon=True
                )
                # The system has no more threads, or the interpreter is about to exit: neither is a
                # reason to crash actors.
                try:
                    self._thread.start()
                except RuntimeError as error:
                    self._thread = None
                    logger.error(
                        "No timer fires until the next one is added, "
                        "because no thread can be started: %s",
                        error,
                    )
            elif timer.when < self._sleeps_until:
                self._wake.notify()

    def close(self, timeout: float) -> None:
        """End the thread. Pending timers then fire only after a new timer starts another thread."""
        with self._wake:
            thread, self._thread = self._thread, None
            self._wake.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _serve(self) -> None:
        while True:
            while (timer := self.pop_due(time.monotonic())) is not None:
                self._fire(timer)
                del timer  # else the thread would keep the last timer's callback while it sleeps
            with self._wake:
                if self._thread is not threading.current_thread():
                    return
                due = self.next_due()
                self._sleeps_until = math.inf if due is None else due
                self._wake.wait(
                    None if due is None else min(LONGEST_WAIT, max(0.0, due - time.monotonic()))
                )
                self._sleeps_until = 0.0

    @staticmethod
    def _fire(timer: Timer) -> None:
        try:
            timer.fire()
        except BaseException:  # such as sys.exit(): all other timers need this thread
            logger.exception("A timer's callback failed:")


_of_process = TimerThread()


def timers() -> TimerThread:
    """Return the real-time timers of this process."""
    return _of_process
