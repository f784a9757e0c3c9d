"""What the running thread is doing for the actor system.

This module imports no other part of the runtime, so every part can import it.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import Protocol

__all__ = ["Awaited", "Blocker", "Host", "Party", "current_mailbox", "thread"]


class Awaited(Protocol):
    """What a thread waits for: a future."""

    @property
    def target(self) -> Party | None:
        """The mailbox of the actor that was asked; None if that is not known."""


class Blocker(Protocol):
    """The owner of a thread: a dispatcher, or a pool of workers."""

    def block(
        self, waiter: threading.Lock, timeout: float | None, future: Awaited | None = None
    ) -> bool:
        """Acquire `waiter` on a thread of this owner within `timeout` seconds.

        Returns:
            Whether `waiter` was acquired.
        """

    def nested(self) -> None:
        """Called when callbacks of futures nest deeply on a thread of this owner."""


class Host(Blocker, Protocol):
    """Where an actor runs: a dispatcher, as futures see it."""

    def runs_here(self) -> bool:
        """Return whether the calling thread may run an idle actor itself."""

    def resumed(self) -> None:
        """Called when a coroutine continues that has waited for an actor of this dispatcher."""


class Party(Protocol):
    """The mailbox of an actor that runs, waits or is waited for, as lower layers see it."""

    number: int
    busy: threading.Lock

    @property
    def label(self) -> str:
        """The name of the actor in logs and error messages."""

    @property
    def dispatcher(self) -> Host:
        """Where the actor runs."""

    @property
    def waiting(self) -> object | None:
        """What its coroutine waits for, or None."""


current_mailbox: ContextVar[Party | None] = ContextVar("actorcred.current_mailbox", default=None)
"""The mailbox of the running actor. A context variable, so that it is also right in coroutines."""


class _Thread(threading.local):
    """Facts about one thread."""

    dispatcher: Blocker | None = None
    """The dispatcher or the pool that owns this thread, or None."""

    depth: int = 0
    """The number of nested blocking asks in which this thread runs other actors itself."""

    callbacks: int = 0
    """The number of nested callbacks of futures that already had their result."""


thread = _Thread()
