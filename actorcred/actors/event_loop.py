"""Actors on an asyncio event loop: no thread hop between a socket and an avatar."""

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

from actorcred.actors._context import Awaited, current_mailbox, thread
from actorcred.actors.dispatcher import Dispatcher, Resident, Runnable
from actorcred.actors.future import Future
from actorcred.actors.waits import WaitsForItself, refuse_wait
from actorcred.actors.watchdog import watch_loop

__all__ = ["AsyncioDispatcher", "background_loop"]

logger = logging.getLogger("actorcred.actors")

TURN = 0.005
"""Seconds after which the actors let the loop see to its sockets."""

POLL = 0.01
"""Seconds between two looks for mail while a handler blocks the loop."""


BLOCKED = 1.0
"""Seconds after which a blocked loop is logged."""


def block_and_help(
    ready: deque[Runnable],
    waiter: threading.Lock,
    timeout: float | None,
    stuck: Callable[[], BaseException | None],
    loop: str,
) -> bool:
    """Acquire `waiter` on the only thread of a dispatcher: the other actors have their turns meanwhile.

    Without that, an actor which blocks on the answer of another one of the same thread would wait for ever.

    Args:
        ready: the actors that want a turn.
        waiter: a lock that is released when there is an answer.
        timeout: seconds to wait; None waits for ever.
        stuck: asked when nobody wants a turn; returns the error if there will be no answer, None otherwise.
        loop: what is blocked, for the log.
    """
    began = time.monotonic()
    deadline = None if timeout is None else began + timeout
    told = False
    while not waiter.acquire(False):
        if ready:
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


class AsyncioDispatcher(Dispatcher):
    """Runs actors on an asyncio event loop, between its other callbacks.

    Handlers that are coroutines become tasks of the loop. A handler that blocks, blocks the loop: use a pool for it.

    Args:
        loop: the event loop; by default the running one.
        name: for logs.
        slow_handler: a handler that takes more than so many seconds is logged.

    Raises:
        RuntimeError: if there is no `loop` and none is running.
    """

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
        # Turns run in a context of their own, or each would keep what the actor that scheduled it had set.
        self._context = contextvars.Context()

    def schedule(self, task: Runnable) -> None:
        """Have `task.run()` called in one of the next turns of the loop."""
        self._ready.append(task)
        if self._armed.acquire(False):
            self._arm()

    def runs_here(self) -> bool:
        """Tell whether this is the loop's thread."""
        return asyncio._get_running_loop() is self.loop

    def _arm(self) -> None:
        try:
            if asyncio._get_running_loop() is self.loop:
                self.loop.call_soon(self._turn, context=self._context)
            else:
                self.loop.call_soon_threadsafe(self._turn, context=self._context)
        except RuntimeError as error:
            self._armed.release()
            self._abandon(error)

    def _turn(self) -> None:
        thread.dispatcher = self
        self._armed.release()
        ready = self._ready
        until = time.monotonic() + TURN
        try:
            for _ in range(len(ready)):
                if not ready:  # a handler that blocked has run them
                    break
                ready.popleft().run()
                if time.monotonic() > until:
                    break
        finally:
            if ready and self._armed.acquire(False):
                self._arm()

    def _abandon(self, error: RuntimeError) -> None:
        """End the actors after the loop was closed under them, so that whoever asks gets an answer."""
        while self._ready:
            task = self._ready.popleft()
            if hasattr(task, "abandon"):
                task.abandon(error)

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
        with contextlib.suppress(RuntimeError):  # the loop is closed, and with it the task is gone
            self.loop.call_soon_threadsafe(task.cancel)

    def block(
        self, waiter: threading.Lock, timeout: float | None, future: Awaited | None = None
    ) -> bool:
        """Acquire `waiter`; on the loop's thread the other actors have their turns meanwhile."""
        if asyncio._get_running_loop() is not self.loop:
            return super().block(waiter, timeout, future)

        def stuck() -> WaitsForItself | None:
            # It is waited for up the stack, or goes on with something that only the loop can bring.
            target = None if future is None else future.target
            if target is None or target.dispatcher is not self:
                return None
            return refuse_wait(
                target, f"both are on the event loop of {self.name!r}, which stands still meanwhile"
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
    """An event loop on a daemon thread of its own, for the coroutines of actors that run on pools."""

    def __init__(self) -> None:
        super().__init__(asyncio.new_event_loop(), "background loop")
        self._thread = threading.Thread(
            target=self.loop.run_forever, name="actorcred-loop", daemon=True
        )
        self._thread.start()

    def attach(self, mailbox: Resident) -> None:
        raise TypeError("the background loop runs coroutines of actors, not actors")

    def close(self, timeout: float) -> None:
        """Cancel what still runs, and end the loop and its thread."""
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
        # Two turns later the cancelled tasks have run their `finally` parts as far as these do not wait again.
        self.loop.call_soon(self.loop.call_soon, self.loop.stop)


_lock = threading.Lock()
_background: _BackgroundLoop | None = None


def background_loop() -> AsyncioDispatcher:
    """Return the event loop for the coroutines of actors on pools; the first call starts it."""
    global _background
    with _lock:
        if _background is None:
            _background = _BackgroundLoop()
        return _background
