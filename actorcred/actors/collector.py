"""The garbage collector of servers that hold very many objects for a long time."""

from __future__ import annotations

import gc
import sys
from typing import Any

__all__ = ["tune_gc"]

YOUNGEST, YOUNGER = 5_000, 10
"""New objects until the newest are examined, and how often until those before them are, too. With
Python's defaults, 700 and 10, the same work is done in smaller portions."""


class _Freezer:
    """Freezes the objects that stay, and has the collector examine all when there are many more.

    The collector calls it after each of its runs. CPython examines all objects if the younger ones
    were examined more often than the third threshold says (`gc.freeze` begins to count anew), and a
    quarter more have come. So with a threshold of 0 it does so behind a run without `gc.freeze`.
    """

    def __init__(self) -> None:
        self._full_after = 0
        self._limit = 0
        self._all_wait = False
        """Whether nothing is frozen, so that the next full run examines all."""

    def begin(self, full_after: int) -> None:
        """Freeze all that exists, and what will stay."""
        self._full_after = full_after
        self._freeze_all()
        if self.told not in gc.callbacks:
            gc.callbacks.append(self.told)

    def told(self, phase: str, info: dict[str, Any]) -> None:
        """Called by the collector."""
        generation = info["generation"]
        if phase == "start" or generation == 0:
            return
        if self._all_wait:
            if generation == 2:
                self._freeze_all()
        elif sys.getallocatedblocks() >= self._limit:
            gc.unfreeze()
            self._all_wait = True
        else:
            gc.freeze()

    def _freeze_all(self) -> None:
        gc.freeze()
        self._all_wait = False
        blocks = sys.getallocatedblocks()
        self._limit = blocks + max(self._full_after, blocks // 4)


_freezer = _Freezer()


def tune_gc(full_after: int = 3_000_000) -> None:
    """Have the garbage collector of this process stop a server only shortly, and seldom for long.

    The collector finds objects that refer to each other in circles; all others are freed at once
    without it. With Python's settings it examines all sessions again each time that a quarter more
    objects exist. The process stops meanwhile, for some hundred milliseconds with 100,000 sessions,
    and the collector finds nothing: sessions that have ended are no circles.

    Call this once, when the server has started. From then on the collector examines new objects
    twice, at most 50,000 at a time, which takes some 12 ms. Those that stay are frozen
    (`gc.freeze`), like all that exist at the call. Frozen objects are examined again only when the
    process has `full_after` more objects than after the last time, and at least a quarter more.
    That one stop is as long as with Python's settings.

    The price is memory: circles of objects that were frozen stay until then. The libraries for TLS
    and WebSocket leave some for each connection, 22 KB in 100 objects for a WebSocket. To have a
    call of `gc.collect()` free them as well, call `gc.unfreeze()` before it.

    It changes the settings of the whole process, so only the program itself should call it.
    `actorcred serve` does.

    Args:
        full_after: how many more objects may exist until all are examined. All kinds count, as in
            `sys.getallocatedblocks()`: a session is about 20 objects, and a million are about
            100 MB. Without Python's own allocator (`PYTHONMALLOC=malloc`) they cannot be counted;
            then only what exists at the call is frozen.

    Raises:
        ValueError: if it is negative.
    """
    if full_after < 0:
        raise ValueError(f"full_after must be 0 or more, not {full_after}")
    gc.collect()
    if sys.getallocatedblocks():
        _freezer.begin(full_after)
        gc.set_threshold(YOUNGEST, YOUNGER, 0)
    else:
        gc.freeze()
        gc.set_threshold(YOUNGEST, YOUNGER, full_after // (YOUNGEST * YOUNGER))
