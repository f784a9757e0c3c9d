"""The watchdog: a thread that logs stuck event loops and actors that wait in a circle.

It also ends actors that wait for their turn on a loop that is closed.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback
import weakref
from dataclasses import dataclass
from time import monotonic
from types import FrameType

from actorcred.actors.dispatcher import dispatchers
from actorcred.actors.waits import circles, describe_circle

__all__ = ["Watch", "set_watchdog", "watch_loop"]

logger = logging.getLogger("actorcred.actors")


@dataclass(frozen=True, slots=True)
class Watch:
    """What the watchdog looks for.

    Args:
        stall: seconds after which a stuck event loop is logged, with its stack.
        circle: seconds after which actors that wait for each other in a circle are logged.
        interval: seconds between two checks.
    """

    stall: float = 5.0
    circle: float = 30.0
    interval: float = 1.0


class _Beat:
    """The state of one loop: whether it has answered the last probe."""

    def __init__(self) -> None:
        self.asked: float | None = None
        self.thread: int | None = None
        self.told = False

    def answer(self) -> None:
        """Record that the loop works. Runs on it."""
        self.thread = threading.get_ident()
        self.asked = None


class _Watchdog:
    """The watchdog and its thread, which runs as long as there is a loop to watch."""

    def __init__(self) -> None:
        self._watch: Watch | None = Watch()
        self._wake = threading.Condition()
        self._beats: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Beat] = (
            weakref.WeakKeyDictionary()
        )
        self._thread: threading.Thread | None = None
        self._told: set[frozenset[object]] = set()

    def set(self, watch: Watch | None) -> None:
        """Change what the watchdog looks for; None ends it."""
        with self._wake:
            self._watch = watch
            self._wake.notify_all()
            thread = self._thread
        if watch is None and thread is not None:
            thread.join()
        elif watch is not None and self._beats:
            self._start()

    def add(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch a loop until it is closed."""
        if self._watch is None:
            return
        with self._wake:
            beat = self._beats.setdefault(loop, _Beat())
        if asyncio._get_running_loop() is loop:
            beat.thread = threading.get_ident()
        self._start()

    def _start(self) -> None:
        with self._wake:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="actorcred-watchdog", daemon=True
                )
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._forget_closed()
            with self._wake:
                watch = self._watch
                if watch is None or not self._beats:
                    self._thread = None
                    return
                beats = list(self._beats.items())
                self._wake.wait(watch.interval)
            for loop, beat in beats:
                self._look_at(loop, beat, watch)
            del beats, loop, beat  # else this thread would keep an unused loop alive
            self._look_for_circles(watch)

    def _forget_closed(self) -> None:
        """Forget the loops that are closed, after what was scheduled on them was ended."""
        with self._wake:
            closed = {loop for loop in self._beats if loop.is_closed()}
            for loop in closed:
                del self._beats[loop]
        for dispatcher in dispatchers() if closed else ():
            if dispatcher.loop in closed:
                try:
                    dispatcher.loop_closed()
                except Exception:
                    logger.exception("Actors of %r could not be ended:", dispatcher)

    def _look_at(self, loop: asyncio.AbstractEventLoop, beat: _Beat, watch: Watch) -> None:
        asked, now = beat.asked, monotonic()
        if asked is None:
            if beat.told:
                logger.warning("An event loop that was stuck is running again")
                beat.told = False
            if loop.is_running():
                beat.asked = now
                try:
                    loop.call_soon_threadsafe(beat.answer)
                except RuntimeError:  # it was closed meanwhile
                    beat.asked = None
        elif not loop.is_running():
            beat.asked = None  # it was stopped, and will not answer
        elif now - asked > watch.stall and not beat.told:
            frame = None if beat.thread is None else sys._current_frames().get(beat.thread)
            if not _is_debugged(frame):
                beat.told = True
                stack = (
                    "".join(traceback.format_stack(frame))
                    if frame is not None
                    else "(its thread is not known yet)\n"
                )
                logger.error(
                    "An event loop has been stuck for %.0f s; no actor on it can run. Stack:\n%s",
                    now - asked,
                    stack,
                )

    def _look_for_circles(self, watch: Watch) -> None:
        found = {frozenset[object](circle): circle for circle in circles(watch.circle)}
        for key, circle in found.items():
            if key not in self._told:
                logger.error(
                    "Actors wait for each other in a circle, none of them can continue: %s",
                    describe_circle(circle),
                )
        self._told = set(found)


def _is_debugged(frame: FrameType | None) -> bool:
    """Return whether a debugger has stopped this code at a breakpoint."""
    while frame is not None:
        if frame.f_globals.get("__name__") in {"bdb", "pdb", "pydevd", "debugpy"}:
            return True
        frame = frame.f_back
    return False


_watchdog = _Watchdog()


def set_watchdog(watch: Watch | None) -> None:
    """Set what the watchdog of this process looks for.

    It runs by default, except under pytest, where loops are stuck on purpose.

    Args:
        watch: what to look for; None ends the watchdog.
    """
    _watchdog.set(watch)


def watch_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Watch an event loop until it is closed; called for each loop on which actors run."""
    _watchdog.add(loop)


if "pytest" in sys.modules:
    set_watchdog(None)
