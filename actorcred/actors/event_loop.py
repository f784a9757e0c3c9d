"""Actors on an asyncio event loop, without a thread switch between a socket and an avatar."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from actorcred.actors._context import Awaited, Party, current_mailbox, thread
from actorcred.actors.dispatcher import Dispatcher, Resident, Runnable, dispatchers
from actorcred.actors.future import Future
from actorcred.actors.waits import WaitsForItself, refuse_wait
from actorcred.actors.watchdog import watch_loop

__all__ = ["AsyncioDispatcher", "background_loop"]

logger = logging.getLogger("actorcred.actors")

TURN = 0.005
"""Seconds after which the actors yield to the other callbacks of the loop."""

ASKS = 256
"""How many asks may run their idle actor immediately, between two turns of the loop.

The coroutines that wait for actors share them, so that none of them holds up the others.
"""

CHAIN = 64
"""How many actors that others wake may run in the same turn."""

POLL = 0.01
"""Seconds between two checks for scheduled actors while a handler blocks the loop."""


BLOCKED = 1.0
"""Seconds after which a blocked loop is logged."""

ROOM = 40
"""Calls for which there must be room on the stack before another actor runs on it. A turn that had
no room to end would leave its actor stuck."""


def block_and_help(
    ready: deque[Runnable],
    waiter: threading.Lock,
    timeout: float | None,
    stuck: Callable[[], BaseException | None],
    loop: str,
) -> bool:
    """Acquire `waiter` on the only thread of a dispatcher, and run other actors in the meantime.

    Otherwise an actor that blocks on the answer of another one on the same thread would wait
    forever.

    Args:
        ready: the actors that are scheduled.
        waiter: a lock that is released when there is an answer.
        timeout: seconds to wait; None waits forever.
        stuck: called when no actor is scheduled; returns the error if there will be no answer, else
            None.
        loop: what is blocked, for the log.

    Raises:
        RecursionError: if so many actors wait on this stack that it has no room for another one.
    """
    began = time.monotonic()
    deadline = None if timeout is None else began + timeout
    told = False
    while not waiter.acquire(False):
        if ready:
            _reach(ROOM)
            ready.popleft().run()
            continue
        if timeout is None and (error := stuck()) is not None:
            raise error
        now = time.monotonic()
        left = POLL if deadline is None else min(POLL, deadline - now)
        if left <= 0:
            return False
        if waiter.acquire(timeout=left):
            return True
        if now - began > BLOCKED and not told:
            told = True
            blocker = current_mailbox.get()
            logger.warning(
                "%s blocks %s for more than %g s in get(); `await` instead",
                blocker and blocker.label,
                loop,
                BLOCKED,
            )
    return True


def _reach(calls: int) -> None:
    """Raise a `RecursionError` if there is no room for so many nested calls."""
    if calls:
        _reach(calls - 1)


class AsyncioDispatcher(Dispatcher):
    """Runs actors on an asyncio event loop, between its other callbacks.

    Handlers that are coroutines become tasks of the loop. A handler that blocks also blocks the
    loop: use `offload`, or a pool of threads, for such work.

    Args:
        loop: the event loop; by default the running one.
        name: for logs.
        slow_handler: seconds; a handler that takes longer is logged.

    Raises:
        RuntimeError: if there is no `loop` and none is running.
    """

    loop: asyncio.AbstractEventLoop

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop | None = None,
        name: str = "asyncio",
        *,
        slow_handler: float = 0.1,
    ) -> None:
        super().__init__(name, slow_handler)
        self.loop = loop or asyncio.get_running_loop()
        watch_loop(self.loop)
        self._ready: deque[Runnable] = deque()
        self._armed = threading.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        # Turns run in their own context; otherwise each would inherit that of the scheduling actor.
        self._context = contextvars.Context()
        self._until = 0.0
        self._share = 0
        self._resumed = 0
        self._waiters = 1

    def schedule(self, task: Runnable) -> None:
        """Have `task.run()` called in one of the next iterations of the loop."""
        self._ready.append(task)
        self.quota = 0
        if self._armed.acquire(False):
            try:
                self._arm()
            except RecursionError:
                self._armed.release()  # at the end of the stack; the next one schedules this, too
                raise

    def runs_here(self) -> bool:
        """Return whether the calling thread is the loop's."""
        # Not by the thread's number: a loop can stop, and go on in another thread.
        return asyncio._get_running_loop() is self.loop

    def admits(self, asker: Party | None) -> bool:
        """Return whether an ask on the loop's thread may run an idle actor now, and count it.

        So `await ref.ask(...)` costs little more than a call. To let sockets, timers and other
        coroutines run, this ends after `TURN` seconds, or when the coroutine has used its share of
        `ASKS`: its next ask waits for a turn of the loop. So does the next one after a message that
        has woken an actor, which it would overtake, and one of a handler that is not a coroutine:
        it cannot await, and the stack stays flat; see also `nested`.
        """
        if (
            asyncio._get_running_loop() is not self.loop
            or time.monotonic() > self._until
            or (asker is not None and asker.waiting is None and asker.busy.locked())
        ):
            return False
        self.quota -= 1
        return True

    def resumed(self) -> None:
        """Give the coroutine that continues its share of asks."""
        if asyncio._get_running_loop() is self.loop:
            self._resumed += 1
            self.quota = self._share

    def nested(self) -> None:
        """Have asks wait for a turn, so that those made by callbacks do not nest without end."""
        for dispatcher in dispatchers():
            if dispatcher.loop is self.loop:
                dispatcher.quota = 0

    def _allot(self, turns: int) -> None:
        """Set the share of each coroutine that continues after `turns` actors have run."""
        # How many will wait is not known, but about as many as did lately.
        self._waiters = max(turns, self._resumed, self._waiters // 2, 1)
        self._resumed = 0
        self._share = 0 if self._ready else ASKS // self._waiters

    def _arm(self) -> None:
        try:
            if asyncio._get_running_loop() is self.loop:
                self.loop.call_soon(self._turn, context=self._context)
            else:
                self.loop.call_soon_threadsafe(self._turn, context=self._context)
        except RecursionError:
            raise
        except RuntimeError:
            self.loop_closed()

    def _turn(self) -> None:
        thread.dispatcher = self
        ready = self._ready
        self._until = until = time.monotonic() + TURN
        scheduled = len(ready)
        try:
            for _ in range(scheduled + CHAIN):
                if not ready:
                    break
                ready.popleft().run()
                if time.monotonic() > until:
                    break
        finally:
            self._allot(scheduled)
            # Not before: what is scheduled meanwhile runs in this turn, or arms the next one here.
            self._armed.release()
            if ready and self._armed.acquire(False):
                self._arm()

    def loop_closed(self) -> None:
        """End the scheduled actors, so that their callers get an answer. Thread-safe."""
        with contextlib.suppress(RuntimeError):  # nothing was under way, or another thread did it
            self._armed.release()
        with contextlib.suppress(IndexError):
            while True:
                task = self._ready.popleft()
                if hasattr(task, "abandon"):
                    task.abandon(RuntimeError("Event loop is closed"))

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Run a coroutine as a task of the loop."""
        future: Future[Any] = Future()
        if asyncio._get_running_loop() is self.loop:
            self._create_task(coroutine, future)
        else:
            try:
                self.loop.call_soon_threadsafe(self._create_task, coroutine, future)
            except RuntimeError as error:
                coroutine.close()
                future.settle_error(error)
        return future

    def _create_task(self, coroutine: Coroutine[Any, Any, Any], future: Future[Any]) -> None:
        task = self.loop.create_task(_settle(coroutine, future))
        self._tasks.add(task)  # the loop itself keeps only a weak reference
        task.add_done_callback(self._tasks.discard)
        future.add_done_callback(lambda done: self._cancel_task(task) if done.cancelled() else None)

    def _cancel_task(self, task: asyncio.Task[None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, so the task has ended, too
            self.loop.call_soon_threadsafe(task.cancel)

    def block(
        self, waiter: threading.Lock, timeout: float | None, future: Awaited | None = None
    ) -> bool:
        """Acquire `waiter`; on the loop's thread, run the other actors in the meantime."""
        if asyncio._get_running_loop() is not self.loop:
            return super().block(waiter, timeout, future)

        def stuck() -> WaitsForItself | None:
            # The target is further up the stack, or waits for what only the loop can deliver.
            target = None if future is None else future.target
            if target is None or target.dispatcher is not self:
                return None
            return refuse_wait(
                target, f"both are on the event loop of {self.name!r}, which is blocked meanwhile"
            )

        return block_and_help(
            self._ready, waiter, timeout, stuck, f"the event loop of {self.name!r}"
        )


async def _settle(coroutine: Coroutine[Any, Any, Any], future: Future[Any]) -> None:
    try:
        future.settle(await coroutine)
    except asyncio.CancelledError as error:
        future.settle_error(error)
        raise
    except BaseException as error:
        future.settle_error(error)


class _BackgroundLoop(AsyncioDispatcher):
    """An event loop on its own daemon thread, for the coroutines of actors that run on pools."""

    def __init__(self) -> None:
        super().__init__(asyncio.new_event_loop(), "background loop")
        self._thread = threading.Thread(
            target=self.loop.run_forever, name="actorcred-loop", daemon=True
        )
        self._thread.start()

    def attach(self, mailbox: Resident) -> None:
        raise TypeError("the background loop runs coroutines of actors, not actors")

    def close(self, timeout: float) -> None:
        """Cancel the running tasks, and end the loop and its thread."""
        global _background
        with _lock:
            if _background is self:
                _background = None
        if self.loop.is_closed():
            return
        self.loop.call_soon_threadsafe(self._stop)
        self._thread.join(timeout)
        if not self._thread.is_alive():
            self.loop.close()

    def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        # Two iterations later the cancelled tasks have run their `finally` blocks up to an `await`.
        self.loop.call_soon(self.loop.call_soon, self.loop.stop)


_lock = threading.Lock()
_background: _BackgroundLoop | None = None


def background_loop() -> AsyncioDispatcher:
    """Return the event loop for coroutines of actors on pools; the first call starts it."""
    global _background
    with _lock:
        if _background is None:
            _background = _BackgroundLoop()
        return _background
