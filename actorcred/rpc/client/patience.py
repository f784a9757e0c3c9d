"""Waiting for a server that takes long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Patience"]


class Patience:
    """A wait that has one timer: at first it reports a slow server, and in the end it gives up.

    Args:
        loop: the event loop.
        slow: seconds until `on_slow`.
        longest: seconds until `on_late`. If they are fewer, there is no report.
        on_slow: called when it takes long.
        on_late: called when it takes too long.

    Attributes:
        over: whether it took too long.
    """

    __slots__ = ("_left", "_loop", "_on_late", "_on_slow", "_timer", "over")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        slow: float,
        longest: float,
        on_slow: Callable[[], object],
        on_late: Callable[[], object],
    ) -> None:
        self.over = False
        self._loop = loop
        self._on_slow, self._on_late = on_slow, on_late
        self._left = longest - slow
        self._timer = (
            loop.call_later(slow, self._slow)
            if self._left > 0
            else loop.call_later(longest, self._late)
        )

    def _slow(self) -> None:
        self._timer = self._loop.call_later(self._left, self._late)
        self._on_slow()

    def _late(self) -> None:
        self.over = True
        self._on_late()

    def end(self) -> None:
        """End the wait."""
        self._timer.cancel()
