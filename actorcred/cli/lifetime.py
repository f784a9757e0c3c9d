"""The life of a server's process: it opens, serves until a signal comes, and ends in good order. The examples use it, too."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from queue import Empty
from queue import SimpleQueue as Queue
from types import FrameType
from typing import Any, TypeVar

from actorcred import actors
from actorcred.portal.ref import PortalRef

__all__ = ["DRAIN_TIMEOUT", "Interrupted", "Life", "drained", "run"]

T = TypeVar("T")

DRAIN_TIMEOUT = 10.0
"""Seconds for the end, unless something else was said."""

HURRIED = 0.3
"""Seconds that actors have to stop if there is no time for it."""

RESERVE = 1.0
"""Seconds of them that are kept for stopping the actors, once everybody is logged out; a quarter, if there are few."""

GRACE = 3.0
"""Seconds after the end should have come at which a process whose event loop is blocked is ended from another thread."""

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Interrupted(Exception):
    """A signal came before the server was open."""


class Life:
    """What a process knows of its end; `run` makes it.

    The first SIGINT, SIGTERM or SIGHUP begins the end, and a second one ends what is still waited for. A process that was
    told to ignore SIGHUP, as by nohup, goes on ignoring it.

    Attributes:
        drain_timeout: seconds from the first signal to the end.
    """

    def __init__(self, last_resort: LastResort) -> None:
        self.drain_timeout = DRAIN_TIMEOUT
        self._loop = asyncio.get_running_loop()
        self._last_resort = last_resort
        self._asked = asyncio.Event()
        self._hurried = asyncio.Event()
        self._deadline: float | None = None
        self._signals = 0

    # -- signals ------------------------------------------------------------------------------------------------------

    def take_signals(self) -> None:
        """Begin to go by signals. On another thread than the main one there are none."""
        with contextlib.suppress(ValueError):
            for number in SIGNALS:
                if number is signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
                    # Not the loop's own handlers: these have no turn if something blocks the loop.
                    signal.signal(number, self._came)

    def _came(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        first = self._signals == 1
        self._last_resort.end_in(self.drain_timeout + GRACE if first else GRACE)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe((self._asked if first else self._hurried).set)

    # -- what the program asks ----------------------------------------------------------------------------------------

    @property
    def asked(self) -> bool:
        """Whether the end has begun."""
        return self._asked.is_set()

    @property
    def hurried(self) -> bool:
        """Whether a second signal came."""
        return self._hurried.is_set()

    async def opened(self, opening: Coroutine[Any, Any, T]) -> T:
        """Open something; return its result.

        Raises:
            Interrupted: if a signal comes before; opening is cancelled then.
        """
        return await self._unless(self._asked, opening)

    async def until_asked(self, seconds: float | None = None) -> None:
        """Serve until a signal comes, or for some seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._asked.wait(), seconds)

    def end(self) -> None:
        """Begin the end, as a signal does."""
        self._asked.set()

    def clean_up(self, function: Callable[[], object]) -> None:
        """Have a function called before the process is ended without its event loop."""
        self._last_resort.clean_up.append(function)

    def left(self) -> float:
        """Return the seconds that are left for logging everybody out; the first call begins to count."""
        if self._deadline is None:
            self._deadline = self._loop.time() + self.drain_timeout
        return max(0.0, self._deadline - self._loop.time() - min(RESERVE, self.drain_timeout / 4))

    async def wait_for(self, *endings: Coroutine[Any, Any, Any]) -> list[Any]:
        """Wait for all that belongs to the end; what still runs when a second signal comes is cancelled.

        Returns:
            The results, None for what was cancelled.
        """
        tasks = [asyncio.ensure_future(ending) for ending in endings]
        if not tasks:
            return []

        async def all_of_them() -> None:
            await asyncio.wait(tasks)

        with contextlib.suppress(Interrupted):
            await self._unless(self._hurried, all_of_them())
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return [None if task.cancelled() else task.result() for task in tasks]

    async def _unless(self, event: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
        task, came = asyncio.ensure_future(work), asyncio.ensure_future(event.wait())
        try:
            await asyncio.wait({task, came}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            came.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        if task.cancelled():
            raise Interrupted
        return task.result()

    async def stop_actors(self) -> list[str]:
        """Stop all actors while the loop runs, so that they have their `on_stop`; return the names of those that did not."""
        seconds = (
            HURRIED
            if self.hurried
            else max(self.left() + min(RESERVE, self.drain_timeout / 4), HURRIED)
        )
        return await asyncio.to_thread(actors.shutdown, seconds)


async def drained(portal: PortalRef, seconds: float) -> int:
    """Log everybody out of a portal; return the number of sessions that ended."""
    return await portal.drain(seconds)


class LastResort(threading.Thread):
    """Ends a process whose event loop is blocked: nothing else would, SIGTERM included."""

    def __init__(self) -> None:
        super().__init__(name="actorcred-last-resort", daemon=True)
        self._orders: Queue[float | None] = Queue()
        self.clean_up: list[Callable[[], object]] = []
        """What is called before the end, such as taking a Unix socket away."""

    def end_in(self, seconds: float) -> None:
        """End the process in so many seconds. May be called by a signal handler, whatever it interrupts."""
        self._orders.put(time.monotonic() + seconds)

    def retire(self) -> None:
        """Have no part in the end."""
        self._orders.put(None)
        self.join()

    def run(self) -> None:
        """Wait for orders, and for the time."""
        until: float | None = None
        while True:
            try:
                order = self._orders.get(
                    timeout=None if until is None else max(0.0, until - time.monotonic())
                )
            except Empty:
                break
            if order is None:
                return
            until = order if until is None else min(until, order)
        for clean_up in self.clean_up:
            with contextlib.suppress(Exception):
                clean_up()
        flushing = threading.Thread(
            target=logging.shutdown, daemon=True
        )  # which what is blocked may block, too
        flushing.start()
        flushing.join(GRACE)
        os.write(2, b"something blocks the event loop: the process ends without it\n")
        os._exit(0)


def run(
    main: Callable[[Life], Awaitable[int]],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> int:
    """Run a server's main coroutine, and stop all actors at its end while its loop runs; return the exit code.

    A signal that comes while it opens ends it, too: `Interrupted` out of `main` is exit code 0.
    """
    last_resort = LastResort()

    async def live() -> int:
        life = Life(last_resort)
        life.take_signals()
        try:
            return await main(life)
        except Interrupted:
            sys.stdout.write("Interrupted before it was open; nothing is left running.\n")
            return 0
        finally:
            await life.stop_actors()

    before = [(number, signal.getsignal(number)) for number in SIGNALS]
    last_resort.start()
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(live())
    finally:
        last_resort.retire()
        with contextlib.suppress(ValueError):  # not the main thread
            for number, handler in before:
                signal.signal(number, handler)
