"""The garbage collector of servers that hold very many objects for a long time."""

from __future__ import annotations

import gc

__all__ = ["tune_gc"]

THRESHOLDS = (5_000, 10, 200)
"""New objects until the youngest are examined; how often that happens until the next older ones
are, too; and how often this happens until all are. The defaults of Python are 700, 10 and 10."""


def tune_gc() -> None:
    """Have the garbage collector of this process stop a server rarely, and not for long.

    The collector examines objects that refer to each other in circles; all others are freed at once
    without it. Sessions are no circles when they have ended. But with Python's settings the
    collector examines all sessions again whenever a quarter more objects exist, and the process
    stops for that time, which is half a second with 100,000 sessions.

    Call this once, when the server has started. The modules and other objects that exist then are
    never examined again (`gc.freeze`). Younger objects are examined in larger portions, and all of
    them only when there are millions more than the last time. The price is memory: circles that the
    application makes, and that live for some time, are freed later.

    It changes settings of the whole process, so only the program should call it. `actorcred serve`
    does.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
