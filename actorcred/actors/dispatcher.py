"""What a dispatcher is: the thing that gives actors their turns. One file per kind stands beside this one."""

from __future__ import annotations

import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Protocol, TypeVar

from actorcred.actors._context import Awaited, Party, current_mailbox
from actorcred.actors.background import background_pool
from actorcred.actors.future import Future
from actorcred.actors.messages import Receiver
from actorcred.actors.timers import Owner, Timer, timers
from actorcred.actors.waits import acquire, refuse_wait
from actorcred.actors.workers import Runnable

__all__ = ["Dispatcher", "Resident", "Runnable", "dispatchers"]

R = TypeVar("R")

_lock = threading.Lock()
_dispatchers: weakref.WeakSet[Dispatcher] = weakref.WeakSet()


class Resident(Party, Protocol):
    """The mailbox of an actor, as the dispatcher sees it that the actor lives on."""

    def run_now(self, message: Any, reply: Receiver | None) -> bool:
        """Have the idle actor handle a message on the calling thread, which has taken the mailbox; return whether it could."""


class Dispatcher(ABC):
    """Runs the actors that were started on it.

    Args:
        name: for logs and threads.
        slow_handler: a handler that takes more than so many seconds is logged.
    """

    caller_runs = False
    """Whether a thread that asks an idle actor and waits may run the actor itself."""

    def __init__(self, name: str, slow_handler: float) -> None:
        self.name = name
        self.slow_handler = slow_handler
        self.mailboxes: set[Resident] = set()
        """The living actors. This is what keeps an actor alive until it is stopped."""
        with _lock:
            _dispatchers.add(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}, {len(self.mailboxes)} actors>"

    def attach(self, mailbox: Resident) -> None:
        """Take a new actor in."""
        self.mailboxes.add(mailbox)

    def detach(self, mailbox: Resident) -> None:
        """Let an actor go that has stopped."""
        self.mailboxes.discard(mailbox)

    @abstractmethod
    def schedule(self, task: Runnable) -> None:
        """Have `task.run()` called soon. The caller made sure that it is scheduled only once."""

    @abstractmethod
    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Run a coroutine; return a future of its result."""

    def offload(
        self, function: Callable[..., R], *args: Any, keys: tuple[Hashable, ...] = ()
    ) -> Future[R]:
        """Run a function that blocks or computes for long where it delays no actor, and return a future of its result.

        It runs on a pool that the whole process shares, one thread per processor, which yields to everything else. Keys
        take turns there, so that one that wants much does not make the others wait.

        Args:
            function: what to call.
            args: for it.
            keys: whose work it is, three at most, the most general one first; by default the actor's that runs.

        Returns:
            A future of the result. If it is cancelled while the call waits for its turn, the call is not made. It fails with
            `Overloaded` if too much is waiting, most of it of the same keys.
        """
        return background_pool().submit(keys, function, *args)

    def block(
        self, waiter: threading.Lock, timeout: float | None, future: Awaited | None = None
    ) -> bool:
        """Acquire `waiter` on a thread of this dispatcher, without starving the actors that wait for a turn.

        Args:
            waiter: a lock that is released when there is an answer.
            timeout: seconds to wait; None waits for ever.
            future: what is waited for; its `target` may become known meanwhile.

        Raises:
            WaitsForItself: without a time-out, if the wait keeps the answer from coming.
        """
        target = None if future is None else future.target
        if (
            timeout is None
            and target is not None
            and target is current_mailbox.get()
            and target.busy.locked()
        ):
            raise refuse_wait(target, "an actor handles one message at a time")
        return acquire(waiter, timeout)

    def runs_here(self) -> bool:
        """Tell whether the calling thread may run an idle actor of this dispatcher itself, out of turn."""
        return False

    def run_here(self, mailbox: Resident, message: Any, reply: Receiver | None) -> bool:
        """Have an idle actor, whose mailbox the caller has taken, handle a message now. For dispatchers with `runs_here`.

        Returns:
            Whether it could; otherwise the message has to be put into the queue.
        """
        return mailbox.run_now(message, reply)

    def now(self) -> float:
        """Return the time in seconds on the clock that this dispatcher's timers go by."""
        return time.monotonic()

    def call_later(
        self,
        seconds: float,
        callback: Callable[..., object],
        *args: Any,
        interval: float | None = None,
        owner: Owner | None = None,
    ) -> Timer:
        """Call `callback(*args)` in `seconds`, then each `interval` seconds.

        The callback runs on the timers' thread and must be short. With an `owner` the timer ends with that actor.
        """
        return timers().add(self.now() + seconds, callback, *args, interval=interval, owner=owner)

    def close(self, timeout: float) -> None:
        """End what belongs to this dispatcher, at most `timeout` seconds. Called by `actors.shutdown`."""


def dispatchers() -> list[Dispatcher]:
    """Return the dispatchers of this process."""
    with _lock:
        return list(_dispatchers)
