"""The garbage collector of servers that hold very many objects for a long time."""

from __future__ import annotations

import gc

__all__ = ["tune_gc"]

YOUNGEST, YOUNGER = 5_000, 10
"""New objects until the newest are examined, and how often until those before them are, too. With
Python's defaults, 700 and 10, the same work is done in smaller portions."""


def tune_gc(full_after: int = 2_000_000) -> None:
    """Have the garbage collector of this process stop a server rarely, and not for long.

    The collector finds objects that refer to each other in circles; all others are freed at once
    without it. With Python's settings it examines all sessions again each time that a quarter more
    objects exist. The process stops meanwhile, for some hundred milliseconds with 100,000 sessions,
    and the collector finds nothing: sessions that have ended are no circles.

    Call this once, when the server has started. The modules and other objects that exist then are
    never examined again (`gc.freeze`), and all others only when there are `full_after` more. The
    price is memory: circles of long-lived objects are freed that much later. The libraries for TLS
    and WebSocket leave some for each connection, 22 KB in 100 objects for a WebSocket.

    It changes the settings of the whole process, so only the program itself should call it.
    `actorcred serve` does.

    Args:
        full_after: how many more objects may exist until all are examined.

    Raises:
        ValueError: if it is negative.
    """
    if full_after < 0:
        raise ValueError(f"full_after must be 0 or more, not {full_after}")
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNGEST, YOUNGER, full_after // (YOUNGEST * YOUNGER))
