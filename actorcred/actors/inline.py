"""Actors on the caller's thread, in a fixed order and with a clock that only the caller moves."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, TypeVar

from actorcred.actors._context import Awaited, Party, thread
from actorcred.actors.dispatcher import Dispatcher, Runnable
from actorcred.actors.event_loop import AsyncioDispatcher, block_and_help
from actorcred.actors.future import Future
from actorcred.actors.timers import Owner, Timer, TimerQueue
from actorcred.actors.waits import WaitsForItself, refuse_wait

__all__ = ["InlineDispatcher"]

R = TypeVar("R")

_ONLY_FUTURES = (
    "on this dispatcher a coroutine cannot await {}; "
    "use AsyncioDispatcher, or run it on an asyncio event loop"
)


class InlineDispatcher(Dispatcher):
    """Runs actors immediately on the sending thread; for tests and for foreign event loops.

    The order is deterministic. A send from inside a handler does not nest: the receiver runs when
    the handler has returned. Only `advance` moves the clock. A coroutine handler may await futures
    of this package; if an asyncio loop runs on the thread, it becomes a task of that loop and may
    await anything.

    Args:
        name: for logs.
        slow_handler: seconds; a handler that takes longer is logged.
    """

    def __init__(self, name: str = "inline", *, slow_handler: float = 1.0) -> None:
        super().__init__(name, slow_handler)
        self._ready: deque[Runnable] = deque()
        self._running = threading.Lock()
        self._time = 0.0
        self._timers = TimerQueue()

    def schedule(self, task: Runnable) -> None:
        """Call `task.run()` now, or after the running handler if this is called from inside one."""
        self._ready.append(task)
        self.run_ready()

    def run_ready(self) -> None:
        """Run the scheduled actors, unless another call is already doing so and will run them."""
        while self._ready and self._running.acquire(False):
            outer, thread.dispatcher = thread.dispatcher, self
            interruption: BaseException | None = None
            while self._ready:
                # After an interruption (Ctrl-C), the actors that it stops still run their hooks.
                try:
                    self._ready.popleft().run()
                except BaseException as error:
                    interruption = error
            thread.dispatcher = outer
            self._running.release()
            if interruption is not None:
                raise interruption

    def block(
        self, waiter: threading.Lock, timeout: float | None, future: Awaited | None = None
    ) -> bool:
        """Acquire `waiter` inside a handler, and run the other actors in the meantime."""

        def stuck() -> WaitsForItself | None:
            target = None if future is None else future.target
            if target is None or target.dispatcher is not self or not self.keeps_waiting(target):
                return None
            return refuse_wait(target, f"both are on the thread of {self.name!r}")

        return block_and_help(self._ready, waiter, timeout, stuck, f"the thread of {self.name!r}")

    def keeps_waiting(self, target: Party) -> bool:
        """Return whether an unscheduled actor cannot answer while this thread waits.

        That is so if the actor is running further up the stack.
        """
        return target.busy.locked() and target.waiting is None

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Run a coroutine to its first wait, and continue it when what it waits for is done."""
        loop = asyncio._get_running_loop()
        if loop is not None:
            return AsyncioDispatcher(loop).spawn(coroutine)
        steps = _Steps(coroutine, self)
        steps.run()
        return steps.future

    def future_of(self, awaited: object) -> Future[Any] | None:
        """Return a future of what a coroutine awaits, or None if it cannot be awaited here.

        Overridden for foreign event loops.
        """
        return awaited if isinstance(awaited, Future) else None

    def offload(
        self, function: Callable[..., R], *args: Any, keys: tuple[Hashable, ...] = ()
    ) -> Future[R]:
        """Run a function immediately and block, so that the order is deterministic."""
        future: Future[R] = Future()
        try:
            future.settle(function(*args))
        except Exception as error:
            future.settle_error(error)
        return future

    def now(self) -> float:
        """Return the seconds by which `advance` has moved the clock."""
        return self._time

    @property
    def pending_timers(self) -> int:
        """The number of timers that will still fire."""
        return len(self._timers)

    def call_later(
        self,
        seconds: float,
        callback: Callable[..., object],
        *args: Any,
        interval: float | None = None,
        owner: Owner | None = None,
    ) -> Timer:
        """Call `callback(*args)` in `seconds` of the dispatcher's clock, then every `interval`."""
        return self._timers.add(
            self.now() + seconds, callback, *args, interval=interval, owner=owner
        )

    def advance(self, seconds: float) -> None:
        """Move the clock, and fire the timers that become due, each at its due time."""
        until = self._time + seconds
        while (due := self._timers.next_due()) is not None and due <= until:
            self._time = max(self._time, due)
            timer = self._timers.pop_due(self._time)
            if timer is not None:
                timer.fire()
        self._time = until


class _Steps:
    """Drives a coroutine that awaits futures, or what the dispatcher can convert to one."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], dispatcher: InlineDispatcher) -> None:
        self.future: Future[Any] = Future()
        self._coroutine = coroutine
        self._dispatcher = dispatcher
        self._context = contextvars.copy_context()

    def run(self) -> None:
        self._step(self._coroutine.send, None)

    def _step(self, resume: Callable[[Any], Any], value: Any) -> None:
        try:
            awaited = self._context.run(resume, value)
        except StopIteration as stop:
            self.future.settle(stop.value)
        except BaseException as error:
            self.future.settle_error(error)
        else:
            future = self._dispatcher.future_of(awaited)
            if future is None:
                self._step(
                    self._coroutine.throw,
                    TypeError(_ONLY_FUTURES.format(f"a {type(awaited).__name__}")),
                )
            else:
                future.add_done_callback(lambda _: self._dispatcher.schedule(self))
