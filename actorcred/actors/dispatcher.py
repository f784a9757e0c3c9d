"""The base class of dispatchers, which give actors their turns. Each kind has its own module."""

from __future__ import annotations

import threading
import time
import weakref
from abc import ABC, abstractmethod
from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Protocol, TypeVar

from actorcred.actors._context import Awaited, Party
from actorcred.actors.background import background_pool
from actorcred.actors.future import Future
from actorcred.actors.messages import Receiver
from actorcred.actors.timers import Owner, Timer, timers
from actorcred.actors.waits import acquire
from actorcred.actors.workers import Runnable

__all__ = ["Dispatcher", "Resident", "Runnable", "dispatchers"]

R = TypeVar("R")

_lock = threading.Lock()
_dispatchers: weakref.WeakSet[Dispatcher] = weakref.WeakSet()


class Resident(Party, Protocol):
    """The mailbox of an actor, as its dispatcher sees it."""

    def run_now(self, message: Any, reply: Receiver | None) -> bool:
        """Handle a message on the calling thread, which has taken `busy`.

        Returns:
            Whether the message was handled.
        """


class Dispatcher(ABC):
    """Runs the actors that were started on it.

    Args:
        name: for logs and threads.
        slow_handler: seconds; a handler that takes longer is logged.
    """

    loop: AbstractEventLoop | None = None
    """The event loop whose callbacks may run an idle actor without `run_here`, or None."""

    caller_runs = False
    """Whether a thread that asks an idle actor and waits may run the actor itself."""

    quota = 0
    """How many asks may still run an idle actor immediately; then others have a turn."""

    def __init__(self, name: str, slow_handler: float) -> None:
        self.name = name
        self.slow_handler = slow_handler
        self.mailboxes: dict[Resident, None] = {}
        """The living actors, which this keeps alive until they are stopped. A large set would take
        up to three times as much memory."""
        with _lock:
            _dispatchers.add(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}, {len(self.mailboxes)} actors>"

    def attach(self, mailbox: Resident) -> None:
        """Add a new actor."""
        self.mailboxes[mailbox] = None

    def detach(self, mailbox: Resident) -> None:
        """Remove an actor that has stopped."""
        self.mailboxes.pop(mailbox, None)

    @abstractmethod
    def schedule(self, task: Runnable) -> None:
        """Have `task.run()` called soon. The caller ensures that it is scheduled only once."""

    def loop_closed(self) -> None:
        """Called by the watchdog when the loop is closed. What is scheduled on it will not run."""

    def start_task(self, task: Runnable) -> None:
        """Have `task.run()` called soon. Unlike the mailbox of an actor, it was never attached."""
        self.schedule(task)

    @abstractmethod
    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Run a coroutine; return a future of its result."""

    def offload(
        self, function: Callable[..., R], *args: Any, keys: tuple[Hashable, ...] = ()
    ) -> Future[R]:
        """Run a function that blocks or computes for long, in the background.

        It runs on a low-priority pool that the whole process shares, with one thread per processor.
        Keys take turns there, so that one that requests much does not delay the others.

        Args:
            function: what to call.
            args: the arguments of the function.
            keys: whose work it is, four at most, the most general one first; by default the
                running actor.

        Returns:
            A future of the result. If it is cancelled while the call waits for its turn, the call
            is not made. It fails with `Overloaded` if too much is waiting and most of it belongs to
            the same keys.
        """
        return background_pool().submit(keys, function, *args)

    def block(
        self, waiter: threading.Lock, timeout: float | None, future: Awaited | None = None
    ) -> bool:
        """Acquire `waiter` on a thread of this dispatcher without starving its other actors.

        Args:
            waiter: a lock that is released when there is an answer.
            timeout: seconds to wait; None waits forever.
            future: what is waited for; its `target` might become known in the meantime.

        Raises:
            WaitsForItself: without a time-out, if the wait itself prevents the answer.
        """
        return acquire(waiter, timeout, None if future is None else future.target)

    def runs_here(self) -> bool:
        """Return whether the calling thread may run an idle actor of this dispatcher itself."""
        return False

    def admits(self, asker: Party | None) -> bool:
        """Return whether an ask without blocking may run an idle actor now, and count it.

        For dispatchers that set a `quota`.

        Args:
            asker: the actor that asks, or None.
        """
        return False

    def nested(self) -> None:
        """Called when callbacks of futures nest deeply on a thread of this dispatcher."""

    def resumed(self) -> None:
        """Called when a coroutine continues that has waited for an actor of this dispatcher."""

    def run_here(self, mailbox: Resident, message: Any, reply: Receiver | None) -> bool:
        """Have an idle actor handle a message now; for dispatchers whose `runs_here` can be true.

        The caller has taken `busy` of the mailbox.

        Returns:
            Whether the message was handled; if not, the caller must put it into the queue.
        """
        return mailbox.run_now(message, reply)

    now = staticmethod(time.monotonic)
    """Returns the time in seconds on the clock of this dispatcher's timers; each call asks it."""

    def call_later(
        self,
        seconds: float,
        callback: Callable[..., object],
        *args: Any,
        interval: float | None = None,
        owner: Owner | None = None,
    ) -> Timer:
        """Call `callback(*args)` in `seconds`, then every `interval` seconds.

        The callback runs on the timer thread and must be short. With an `owner` the timer ends with
        that actor.
        """
        return timers().add(self.now() + seconds, callback, *args, interval=interval, owner=owner)

    def close(self, timeout: float) -> None:
        """Release what this dispatcher holds, within `timeout` seconds. For `actors.shutdown`."""


def dispatchers() -> list[Dispatcher]:
    """Return the dispatchers of this process."""
    with _lock:
        return list(_dispatchers)
