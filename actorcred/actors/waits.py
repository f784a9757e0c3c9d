"""Deadlock detection: which actors wait for which others.

Actors that wait for themselves get an error; those that wait in a circle are logged.
"""

from __future__ import annotations

import contextlib
from threading import Lock
from time import monotonic

from actorcred.actors._context import Party, current_mailbox

__all__ = [
    "WaitsForItself",
    "acquire",
    "circle_of",
    "circles",
    "describe_circle",
    "refuse_wait",
    "waiting_for",
]


class WaitsForItself(RuntimeError):
    """A blocking `get()` would never return, because it prevents the answer.

    The message names the actors that wait.
    """


def acquire(waiter: Lock, timeout: float | None, target: Party | None = None) -> bool:
    """Wait at most `timeout` seconds for a lock that is released when there is an answer.

    Args:
        waiter: the lock.
        timeout: seconds; None waits forever.
        target: the actor that is waited for; None if that is not known.

    Returns:
        Whether the lock was acquired.

    Raises:
        WaitsForItself: without a time-out, if the running actor waits for itself.
    """
    if (
        timeout is None
        and target is not None
        and target is current_mailbox.get()
        and target.busy.locked()
    ):
        raise refuse_wait(target, "an actor handles one message at a time")
    return waiter.acquire(timeout=-1 if timeout is None else max(timeout, 0.0))


class _Wait:
    """A wait of an actor for another one, which is recorded while it lasts."""

    __slots__ = ("since", "target", "waiter")

    def __init__(self, waiter: Party, target: Party) -> None:
        self.waiter = waiter
        self.target = target
        self.since = monotonic()

    def __enter__(self) -> None:
        _waits[self] = None

    def __exit__(self, *_: object) -> None:
        del _waits[self]


_waits: dict[_Wait, None] = {}
_NO_WAIT = contextlib.nullcontext()


def waiting_for(target: Party | None) -> contextlib.AbstractContextManager[None]:
    """Record that the running actor, if any, waits for an answer of the actor `target`."""
    # Not a generator: each `await` of a future passes here, mostly with nothing to record.
    waiter = current_mailbox.get()
    if waiter is None or target is None:
        return _NO_WAIT
    return _Wait(waiter, target)


def refuse_wait(target: Party, where: str) -> WaitsForItself:
    """Return the error for a blocking `get()` that can never return.

    Args:
        target: the actor that is waited for.
        where: why it cannot answer.
    """
    waiter = current_mailbox.get()
    who = "the running code" if waiter is None else "it" if waiter is target else waiter.label
    remedy = "make the method `async def` and `await` the future instead of get()"
    return WaitsForItself(
        f"{target.label} cannot answer while {who} waits for it: {where}; {remedy}"
    )


def circle_of(waiter: Party, longer_than: float = 0.0) -> list[Party]:
    """Return the circle of waiting actors that an actor is part of; [] if there is none.

    Args:
        waiter: the actor, which is the first of the circle.
        longer_than: seconds; shorter waits do not count.
    """
    latest = monotonic() - longer_than
    targets: dict[Party, list[Party]] = {}
    for wait in list(_waits):
        # If the waiter is idle, only a task that it spawned waits, and it can still answer.
        if wait.since <= latest and wait.waiter.busy.locked():
            targets.setdefault(wait.waiter, []).append(wait.target)
    came_from: dict[Party, Party] = {}
    todo = [waiter]
    while todo:
        one = todo.pop()
        for target in targets.get(one, ()):
            if target is waiter:
                path = [one]
                while path[-1] is not waiter:
                    path.append(came_from[path[-1]])
                return path[::-1]
            if target not in came_from:
                came_from[target] = one
                todo.append(target)
    return []


def circles(longer_than: float) -> list[list[Party]]:
    """Return each circle whose actors have all waited for more than `longer_than` seconds."""
    found: dict[frozenset[Party], list[Party]] = {}
    for waiter in {wait.waiter for wait in list(_waits)}:
        circle = circle_of(waiter, longer_than)
        if circle:
            found.setdefault(frozenset(circle), circle)
    return list(found.values())


def describe_circle(circle: list[Party]) -> str:
    """Return a description of which actor waits for which."""
    return " waits for ".join(mailbox.label for mailbox in (*circle, circle[0]))
