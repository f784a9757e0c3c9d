"""Counters of the process: actor numbers, dead letters and dropped messages."""

from __future__ import annotations

import itertools
import os
import threading
import uuid

__all__ = ["count_dead_letter", "count_dropped", "dead_letters", "dropped", "next_actor", "urn"]

_lock = threading.Lock()
_lost = {"dead letters": 0, "dropped": 0}
_first = uuid.uuid4().int

next_actor = itertools.count(1).__next__
"""Return the number of the next actor; atomic."""


def urn(number: int) -> str:
    """Return the URN of an actor.

    It is a random UUID of this process plus the actor's number, and so as unique as a UUID.
    """
    return uuid.UUID(int=(_first + number) % (1 << 128)).urn


def _begin_anew() -> None:
    global _first
    _first = uuid.uuid4().int


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def count_dead_letter() -> None:
    """Count a message whose actor had stopped."""
    with _lock:
        _lost["dead letters"] += 1


def count_dropped() -> None:
    """Count a message that a bounded mailbox dropped."""
    with _lock:
        _lost["dropped"] += 1


def dead_letters() -> int:
    """Return how many messages found their actor stopped, since the process started."""
    return _lost["dead letters"]


def dropped() -> int:
    """Return how many messages bounded mailboxes have dropped since the process started."""
    return _lost["dropped"]
