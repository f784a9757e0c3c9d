"""File descriptors: how many connections may take, and logging of shortages."""

from __future__ import annotations

import asyncio
import logging
import resource

__all__ = ["RESERVE", "Shortage", "descriptor_limit"]


logger = logging.getLogger("actorcred.rpc")

RESERVE = 64
"""Descriptors that connections never take, reserved for databases, files and logs."""

QUIET = 5.0
"""Seconds without a shortage after which it is over."""


def descriptor_limit() -> int | None:
    """Return how many of the process's descriptors connections may take; None is no limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else max(soft - RESERVE, soft // 2, 1)


class Shortage:
    """Logs when a shortage of descriptors begins and when it is over, not each refused connection.

    Args:
        loop: for the time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def met(self, what: str, connections: int) -> None:
        """Record that a connection could not be accepted.

        Args:
            what: the problem, for the log.
            connections: how many are served.
        """
        self._last = self._loop.time()
        if self._timer is None:
            logger.error(
                "No connection can be accepted: %s; %d are served. Allow the process more "
                "descriptors (ulimit -n), or fewer connections (Admission.connections).",
                what,
                connections,
            )
            self._timer = self._loop.call_later(QUIET, self._look)

    def close(self) -> None:
        """Log nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        left = self._last + QUIET - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._timer = None
            logger.warning("Connections are accepted again: there are enough file descriptors.")
