"""What the running thread is doing for the actor system: a leaf that every part of the runtime may import."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import Protocol

__all__ = ["Awaited", "Blocker", "Host", "Party", "current_mailbox", "thread"]


class Awaited(Protocol):
    """What a thread waits for: a future."""

    @property
    def target(self) -> Party | None:
        """The mailbox of the actor that was asked; None where that is not known."""


class Blocker(Protocol):
    """What owns a thread: a dispatcher, or a pool of workers."""

    def block(
        self, waiter: threading.Lock, timeout: float | None, future: Awaited | None = None
    ) -> bool:
        """Acquire `waiter` on a thread of its own, at most `timeout` seconds; return whether it did."""


class Host(Blocker, Protocol):
    """Where an actor runs: a dispatcher, as futures see it."""

    def runs_here(self) -> bool:
        """Return whether the calling thread may run an idle actor itself."""


class Party(Protocol):
    """An actor that runs, waits or is waited for: its mailbox, as everything below the mailbox sees it."""

    number: int
    busy: threading.Lock

    @property
    def label(self) -> str:
        """The name of the actor in texts for humans."""

    @property
    def dispatcher(self) -> Host:
        """Where the actor runs."""

    @property
    def waiting(self) -> object | None:
        """What its coroutine waits for, if it does."""


current_mailbox: ContextVar[Party | None] = ContextVar("actorcred.current_mailbox", default=None)
"""The mailbox whose actor runs now. A context variable, so that it stays right inside of coroutines."""


class _Thread(threading.local):
    """Facts about one thread."""

    dispatcher: Blocker | None = None
    """The dispatcher or the pool that owns this thread, if one does."""

    depth: int = 0
    """How many blocking asks deep this thread runs other actors itself."""


thread = _Thread()
