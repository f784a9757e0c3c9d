"""The actor system of the process: default dispatcher, living actors, statistics and shutdown."""

from __future__ import annotations

import atexit
import contextlib
import contextvars
import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import pykka
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from actorcred.actors import _counters
from actorcred.actors.background import is_background
from actorcred.actors.cell import Cell
from actorcred.actors.dispatcher import Dispatcher, dispatchers
from actorcred.actors.future import Future
from actorcred.actors.lifecycle import unregister
from actorcred.actors.threads import ThreadDispatcher
from actorcred.actors.timers import timers
from actorcred.actors.workers import independent_pools

__all__ = [
    "EXIT_TIMEOUT",
    "Statistics",
    "default_dispatcher",
    "set_default_dispatcher",
    "shutdown",
    "starting_on",
    "statistics",
]

logger = logging.getLogger("actorcred.actors")

EXIT_TIMEOUT = 2.0
"""Seconds that actors which were not stopped get for `on_stop` when the interpreter exits."""

_lock = threading.Lock()
_default: Dispatcher | None = None
_chosen: contextvars.ContextVar[Dispatcher | None] = contextvars.ContextVar(
    "actorcred_starting_on", default=None
)


@dataclass(frozen=True, slots=True)
class Statistics:
    """The numbers of actors, timers and lost messages; returned by `actors.statistics()`."""

    actors: int
    """Actors that are alive."""

    timers: int
    """Timers in real time that will still fire."""

    dead_letters: int
    """Messages, not counting asks, that found their actor stopped; since the process started."""

    dropped: int
    """Messages that bounded mailboxes dropped; since the process started."""


def default_dispatcher() -> Dispatcher:
    """Return the dispatcher of actors that are started outside of any actor.

    It is a pool of threads, unless another one was set.
    """
    global _default
    dispatcher = _default
    if dispatcher is None:
        with _lock:
            if _default is None:
                _default = ThreadDispatcher("actorcred")
            dispatcher = _default
    return dispatcher


class _Choice:
    """The block of `starting_on`: each logout has one, so it is no generator."""

    __slots__ = ("_dispatcher", "_token")

    def __init__(self, dispatcher: Dispatcher | None) -> None:
        self._dispatcher = dispatcher

    def __enter__(self) -> None:
        self._token = _chosen.set(self._dispatcher or _chosen.get())

    def __exit__(self, *_: object) -> None:
        _chosen.reset(self._token)


def starting_on(dispatcher: Dispatcher | None) -> contextlib.AbstractContextManager[None]:
    """Set the dispatcher of actors that are started inside the block, unless they specify one.

    None changes nothing.
    """
    return _Choice(dispatcher)


def chosen_dispatcher() -> Dispatcher | None:
    """Return the dispatcher of the enclosing `starting_on`, or None."""
    return _chosen.get()


def set_default_dispatcher(dispatcher: Dispatcher | None) -> None:
    """Set the dispatcher of actors that are started outside of any actor.

    With None, a pool of threads is created when needed.
    """
    global _default
    with _lock:
        _default = dispatcher


def living() -> list[Cell]:
    """Return the mailboxes of all living actors, oldest first."""
    # list(dict) is atomic under the GIL, so other threads can start and stop actors meanwhile.
    cells = cast(
        "Iterable[Cell]",
        (mailbox for dispatcher in dispatchers() for mailbox in list(dispatcher.mailboxes)),
    )
    return sorted(cells, key=lambda cell: cell.number)


def statistics() -> Statistics:
    """Return the numbers of actors, timers and lost messages of this process."""
    alive = sum(len(dispatcher.mailboxes) for dispatcher in dispatchers())
    return Statistics(alive, len(timers()), _counters.dead_letters(), _counters.dropped())


def shutdown(timeout: float = 10.0) -> list[str]:
    """Stop everything: registered actors, the last started first, then all others, then threads.

    The actor system can be used again afterwards.

    Args:
        timeout: seconds for everything together.

    Returns:
        The names of the actors that did not stop in time. They are also logged, and ended without
        their hooks.
    """
    deadline = time.monotonic() + timeout
    ordinary = [mailbox for mailbox in living() if mailbox.actor_class.registered]
    unregister(ordinary)
    _stop(reversed(ordinary), deadline)
    # The remaining actors belonged to those that have stopped, or were started meanwhile.
    while (rest := living()) and _stop(reversed(rest), deadline):
        pass
    left = living()
    stuck = [mailbox.label for mailbox in left]
    if stuck:
        logger.error(
            "%d actors did not stop within %g s: %s", len(stuck), timeout, ", ".join(stuck[:20])
        )
    for mailbox in left:
        mailbox.kill(TimeoutError("the actor did not stop in time"))
    for dispatcher in dispatchers():
        dispatcher.close(max(0.0, deadline - time.monotonic()))
    # The background pool is last, since the other threads submit work to it until they end.
    for pool in sorted(independent_pools(), key=is_background):
        pool.close(max(0.0, deadline - time.monotonic()))
    timers().close(max(0.0, deadline - time.monotonic()))
    return stuck


def _stop(mailboxes: Iterable[Cell], deadline: float) -> bool:
    """Ask actors to stop and wait for them until the deadline; return whether all have stopped."""
    answers = []
    for mailbox in mailboxes:
        answer: Future[None] = Future()
        mailbox.watch(lambda _, answer=answer: answer.settle())  # type: ignore[misc]
        mailbox.put(Envelope(_ActorStop()))
        answers.append(answer)
    try:
        for answer in answers:
            answer.get(timeout=max(0.0, deadline - time.monotonic()))
    except pykka.Timeout:
        return False
    return True


def _at_exit() -> None:
    if living():
        shutdown(EXIT_TIMEOUT)


atexit.register(_at_exit)
