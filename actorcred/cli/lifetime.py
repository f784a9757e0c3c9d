"""The lifetime of a server process: startup, serving until a signal arrives, orderly shutdown.

The examples use it, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
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
"""Default timeout of the shutdown, in seconds."""

HURRIED = 0.3
"""Seconds for stopping the actors if there is no time left."""

RESERVE = 1.0
"""Seconds of the timeout that are reserved for stopping the actors, after all sessions have ended.

If the timeout is short, it is a quarter of it.
"""

GRACE = 3.0
"""Seconds after the timeout until another thread ends a process whose event loop is blocked."""

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Interrupted(Exception):
    """A signal arrived before the server was open."""


class Life:
    """The shutdown state of a process; created by `run`.

    The first SIGINT, SIGTERM or SIGHUP starts the shutdown, and a second one cancels what the
    shutdown still waits for. A process that was started to ignore SIGHUP, as by nohup, continues to
    ignore it.

    Attributes:
        drain_timeout: seconds from the first signal to the end of the process.
    """

    def __init__(self, last_resort: LastResort) -> None:
        self.drain_timeout = DRAIN_TIMEOUT
        self._loop = asyncio.get_running_loop()
        self._last_resort = last_resort
        self._asked = asyncio.Event()
        self._hurried = asyncio.Event()
        self._deadline: float | None = None
        self._signals = 0
        self._waking: tuple[socket.socket, socket.socket] | None = None

    # -- signals -----------------------------------------------------------------------------------

    def take_signals(self) -> None:
        """Install the signal handlers. This has no effect outside the main thread."""
        with contextlib.suppress(ValueError):
            for number in SIGNALS:
                if number is signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
                    # Not the loop's own handlers: they do not run if something blocks the loop.
                    signal.signal(number, self._came)
            self._wake_for_signals()

    def _wake_for_signals(self) -> None:
        """Have the loop wake up for each signal.

        Python calls a handler in the main thread, between two steps of the program. A signal that
        comes just before the loop waits, or in another thread, does not end this wait.
        """
        before = signal.set_wakeup_fd(-1)
        if before != -1:  # uvloop and the loop of Windows do this themselves
            signal.set_wakeup_fd(before)
            return
        self._waking = reader, writer = socket.socketpair()
        for end in self._waking:
            end.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self._loop.add_reader(reader, reader.recv, 4096)

    def leave_signals(self) -> None:
        """Undo what `take_signals` has done to the loop."""
        if self._waking is not None:
            signal.set_wakeup_fd(-1)
            self._loop.remove_reader(self._waking[0])
            for end in self._waking:
                end.close()
            self._waking = None

    def _came(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        first = self._signals == 1
        self._last_resort.end_in(self.drain_timeout + GRACE if first else GRACE)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe((self._asked if first else self._hurried).set)

    # -- what the program calls --------------------------------------------------------------------

    @property
    def asked(self) -> bool:
        """Whether the shutdown has started."""
        return self._asked.is_set()

    @property
    def hurried(self) -> bool:
        """Whether a second signal has arrived."""
        return self._hurried.is_set()

    async def opened(self, opening: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine that opens something, and return its result.

        Raises:
            Interrupted: if a signal arrives before it has finished; it is then cancelled.
        """
        return await self._unless(self._asked, opening)

    async def until_asked(self, seconds: float | None = None) -> None:
        """Wait until the shutdown is requested, or for some seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._asked.wait(), seconds)

    def end(self) -> None:
        """Start the shutdown, as a signal does."""
        self._asked.set()

    def clean_up(self, function: Callable[[], object]) -> None:
        """Register a function to call before the process is ended without its event loop."""
        self._last_resort.clean_up.append(function)

    def left(self) -> float:
        """Return the seconds left for ending sessions; the first call starts the countdown."""
        if self._deadline is None:
            self._deadline = self._loop.time() + self.drain_timeout
        return max(0.0, self._deadline - self._loop.time() - min(RESERVE, self.drain_timeout / 4))

    async def wait_for(self, *endings: Coroutine[Any, Any, Any]) -> list[Any]:
        """Wait for the steps of the shutdown; a second signal cancels those still running.

        Returns:
            The results, with None for cancelled steps.
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
        """Stop all actors while the loop still runs, so that their `on_stop` is called.

        Returns:
            The names of those that did not stop.
        """
        seconds = (
            HURRIED
            if self.hurried
            else max(self.left() + min(RESERVE, self.drain_timeout / 4), HURRIED)
        )
        return await asyncio.to_thread(actors.shutdown, seconds)


async def drained(portal: PortalRef, seconds: float) -> int:
    """End all sessions of a portal; return how many there were."""
    return await portal.drain(seconds)


class LastResort(threading.Thread):
    """Ends a process whose event loop is blocked; SIGTERM alone would not."""

    def __init__(self) -> None:
        super().__init__(name="actorcred-last-resort", daemon=True)
        self._orders: Queue[float | None] = Queue()
        self.clean_up: list[Callable[[], object]] = []
        """Functions to call before the process ends, such as one that removes a Unix socket."""

    def end_in(self, seconds: float) -> None:
        """End the process after some seconds. A signal handler may call this at any point."""
        self._orders.put(time.monotonic() + seconds)

    def retire(self) -> None:
        """Stop this thread without ending the process."""
        self._orders.put(None)
        self.join()

    def run(self) -> None:
        """Wait for orders and for the deadline, then end the process."""
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
        # In another thread, since it might be blocked as well.
        flushing = threading.Thread(target=logging.shutdown, daemon=True)
        flushing.start()
        flushing.join(GRACE)
        os.write(2, b"something blocks the event loop: the process ends without it\n")
        os._exit(0)


def run(
    main: Callable[[Life], Awaitable[int]],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> int:
    """Run a server's main coroutine, then stop all actors while its loop still runs.

    A signal that arrives during startup ends it, too: if `main` raises `Interrupted`, the exit code
    is 0.

    Returns:
        The exit code.
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
            life.leave_signals()

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
