"""The actor system of the process: the default dispatcher, the timers, what is alive, and how it all ends."""

from __future__ import annotations

import atexit
import contextlib
import contextvars
import logging
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pykka
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from actorcred.actors import _counters
from actorcred.actors.future import Future
from actorcred.actors.timers import TimerThread

if TYPE_CHECKING:
    from actorcred.actors.background import BackgroundPool
    from actorcred.actors.dispatcher import Dispatcher
    from actorcred.actors.mailbox import Mailbox

__all__ = [
    "EXIT_TIMEOUT",
    "Statistics",
    "default_dispatcher",
    "set_default_dispatcher",
    "shutdown",
    "starting_on",
    "statistics",
    "timers",
]

logger = logging.getLogger("actorcred.actors")

EXIT_TIMEOUT = 2.0
"""Seconds that actors which were forgotten get for their `on_stop` when the interpreter exits."""

_lock = threading.Lock()
_dispatchers: weakref.WeakSet[Dispatcher] = weakref.WeakSet()
_default: Dispatcher | None = None
_background: BackgroundPool | None = None
_timers = TimerThread()
_chosen: contextvars.ContextVar[Dispatcher | None] = contextvars.ContextVar("actorcred_starting_on", default=None)


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


def register(dispatcher: Dispatcher) -> None:
    """Count a dispatcher in; its constructor calls this."""
    with _lock:
        _dispatchers.add(dispatcher)


def default_dispatcher() -> Dispatcher:
    """Return the dispatcher of actors that are started from outside of any actor: a pool of threads, unless it was set."""
    global _default
    with _lock:
        dispatcher = _default
    if dispatcher is None:
        from actorcred.actors.threads import ThreadDispatcher

        dispatcher = ThreadDispatcher("actorcred")
        with _lock:
            _default = dispatcher = _default or dispatcher
    return dispatcher


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


def background_pool() -> BackgroundPool:
    """Return the pool for work that computes for long, as hashing passwords: one thread per processor, low priority."""
    global _background
    from actorcred.actors.background import BackgroundPool

    with _lock:
        pool = _background
    if pool is None:
        pool = BackgroundPool()
        with _lock:
            _background = pool = _background or pool
    return pool


def timers() -> TimerThread:
    """Return the timers that go by real time."""
    return _timers


def living() -> list[Mailbox]:
    """Return the mailboxes of all living actors, oldest first."""
    with _lock:
        dispatchers = list(_dispatchers)
    # list(set) happens in one step under the interpreter's lock, so it is safe beside other threads' starts and stops.
    return sorted((m for d in dispatchers for m in list(d.mailboxes)), key=lambda mailbox: mailbox.number)


def statistics() -> Statistics:
    """Count what the actor system holds and what it lost."""
    with _lock:
        alive = sum(len(dispatcher.mailboxes) for dispatcher in _dispatchers)
    return Statistics(alive, len(_timers), _counters.dead_letters(), _counters.dropped())


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
        logger.error("%d actors did not stop within %g s: %s", len(stuck), timeout, ", ".join(stuck[:20]))
    for mailbox in left:
        mailbox.kill(TimeoutError("the actor did not stop in time"))
    with _lock:
        dispatchers = list(_dispatchers)
    # The background pool is the last, since threads of the others hand work to it until they end.
    last = () if _background is None else _background.dispatchers
    for dispatcher in sorted(dispatchers, key=lambda dispatcher: dispatcher in last):
        dispatcher.close(max(0.0, deadline - time.monotonic()))
    _timers.close(max(0.0, deadline - time.monotonic()))
    return stuck


def unregister(mailboxes: Iterable[Mailbox]) -> None:
    """Take actors out of Pykka's registry, many at once: one by one that is quadratic, since it is a list."""
    going = set(mailboxes)
    registry = pykka.ActorRegistry
    with registry._actor_refs_lock:
        registry._actor_refs[:] = [ref for ref in registry._actor_refs if ref.actor_inbox not in going]


def _stop(mailboxes: Iterable[Mailbox], deadline: float) -> bool:
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
