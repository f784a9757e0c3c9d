"""Who waits for whom, so that actors which wait for themselves, or in a circle, are told instead of hanging in silence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from threading import Lock
from time import monotonic
from typing import NamedTuple

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
    """A blocking `get()` would never return, since it keeps the answer from coming; the text names who waits for whom."""


class _Wait(NamedTuple):
    waiter: Party
    target: Party
    since: float


# There is an entry only while an actor waits; the keys mean nothing.
_waits: dict[object, _Wait] = {}


def acquire(waiter: Lock, timeout: float | None) -> bool:
    """Acquire a lock that is released when there is an answer, at most `timeout` seconds; return whether it did."""
    return waiter.acquire(timeout=-1 if timeout is None else max(timeout, 0.0))


@contextlib.contextmanager
def waiting_for(target: Party | None) -> Iterator[None]:
    """Note that the running actor, if one runs, waits for the answer of another one."""
    waiter = current_mailbox.get()
    if waiter is None or target is None:
        yield
        return
    key = object()
    _waits[key] = _Wait(waiter, target, monotonic())
    try:
        yield
    finally:
        del _waits[key]


def refuse_wait(target: Party, where: str) -> WaitsForItself:
    """Return the error for a blocking `get()` that can never return.

    Args:
        target: the actor whose answer is wanted.
        where: why that is so.
    """
    waiter = current_mailbox.get()
    who = "the running code" if waiter is None else "it" if waiter is target else waiter.label
    remedy = "make the method `async def` and `await` the future instead of get()"
    return WaitsForItself(
        f"{target.label} cannot answer while {who} waits for it: {where}; {remedy}"
    )


def circle_of(waiter: Party, longer_than: float = 0.0) -> list[Party]:
    """Return the actors that wait for each other in a circle, beginning with this one; [] if it is in none.

    Args:
        waiter: the actor.
        longer_than: waits that have lasted for fewer seconds do not count.
    """
    latest = monotonic() - longer_than
    targets: dict[Party, list[Party]] = {}
    for wait in list(_waits.values()):
        if (
            wait.since <= latest and wait.waiter.busy.locked()
        ):  # an idle one is only waited in, by tasks of its own
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
    """Return the circles whose actors all have waited for more than so many seconds, each once."""
    found: dict[frozenset[Party], list[Party]] = {}
    for waiter in {wait.waiter for wait in list(_waits.values())}:
        circle = circle_of(waiter, longer_than)
        if circle:
            found.setdefault(frozenset(circle), circle)
    return list(found.values())


def describe_circle(circle: list[Party]) -> str:
    """Return in words who waits for whom."""
    return " waits for ".join(mailbox.label for mailbox in (*circle, circle[0]))
