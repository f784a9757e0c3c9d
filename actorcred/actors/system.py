"""The actor system of the process: the default dispatcher, the timers, what is alive, and how it all ends."""

from __future__ import annotations

import atexit
import contextlib
import contextvars
import logging
import threading
import time
from collections.abc import Iterable, Iterator
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
"""Seconds that actors which were forgotten get for their `on_stop` when the interpreter exits."""

_lock = threading.Lock()
_default: Dispatcher | None = None
_chosen: contextvars.ContextVar[Dispatcher | None] = contextvars.ContextVar(
    "actorcred_starting_on", default=None
)


@dataclass(frozen=True, slots=True)
class Statistics:
    """A count of what the actor system holds and what it lost; from `actors.statistics()`."""

    actors: int
    """Actors that are alive."""

    timers: int
    """Timers in real time that will still fire."""

    dead_letters: int
    """Messages, asks not counted, that waited in vain for an actor that stopped; since the process started."""

    dropped: int
    """Messages that bounded mailboxes dropped; since the process started."""


def default_dispatcher() -> Dispatcher:
    """Return the dispatcher of actors that are started from outside of any actor: a pool of threads, unless it was set."""
    global _default
    with _lock:
        if _default is None:
            _default = ThreadDispatcher("actorcred")
        return _default


@contextlib.contextmanager
def starting_on(dispatcher: Dispatcher | None) -> Iterator[None]:
    """Have the actors that are started inside run on a dispatcher, if nothing else says where; None changes nothing."""
    token = _chosen.set(dispatcher or _chosen.get())
    try:
        yield
    finally:
        _chosen.reset(token)


def chosen_dispatcher() -> Dispatcher | None:
    """Return the dispatcher of `starting_on`, or None outside of it."""
    return _chosen.get()


def set_default_dispatcher(dispatcher: Dispatcher | None) -> None:
    """Set the dispatcher of actors that are started from outside of any actor; None makes a pool of threads when needed."""
    global _default
    with _lock:
        _default = dispatcher


def living() -> list[Cell]:
    """Return the mailboxes of all living actors, oldest first."""
    # list(set) happens in one step under the interpreter's lock, so it is safe beside other threads' starts and stops.
    cells = cast(
        "Iterable[Cell]",
        (mailbox for dispatcher in dispatchers() for mailbox in list(dispatcher.mailboxes)),
    )
    return sorted(cells, key=lambda cell: cell.number)


def statistics() -> Statistics:
    """Count what the actor system holds and what it lost."""
    alive = sum(len(dispatcher.mailboxes) for dispatcher in dispatchers())
    return Statistics(alive, len(timers()), _counters.dead_letters(), _counters.dropped())


def shutdown(timeout: float = 10.0) -> list[str]:
    """Stop everything: ordinary actors, the last started first, then all others, then the threads.

    The actor system can be used again afterwards.

    Args:
        timeout: seconds for all of it.

    Returns:
        The names of the actors that did not stop in time; they are logged, too, and ended as they are.
    """
    deadline = time.monotonic() + timeout
    ordinary = [mailbox for mailbox in living() if mailbox.actor_class.registered]
    unregister(ordinary)
    _stop(reversed(ordinary), deadline)
    # What is left belongs to actors that are gone, or was started meanwhile.
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
    # The background pool is the last, since threads of the others hand work to it until they end.
    for pool in sorted(independent_pools(), key=is_background):
        pool.close(max(0.0, deadline - time.monotonic()))
    timers().close(max(0.0, deadline - time.monotonic()))
    return stuck


def _stop(mailboxes: Iterable[Cell], deadline: float) -> bool:
    """Ask actors to stop and wait for them until the deadline; tell whether all did."""
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
