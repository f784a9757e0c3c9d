"""Waiting to reconnect, and telling the application of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

__all__ = ["Pause", "tell"]

logger = logging.getLogger("actorcred.rpc.client")


class Pause:
    """A wait that can be cut short."""

    def __init__(self) -> None:
        self._over: asyncio.Event | None = None

    async def wait(self, seconds: float) -> None:
        """Wait for some seconds, but only until `end`."""
        self._over = asyncio.Event()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._over.wait()
        finally:
            self._over = None

    def end(self) -> bool:
        """End the wait, if there is one; return whether there is."""
        if self._over is not None:
            self._over.set()
        return self._over is not None


def tell(name: str, callback: Callable[..., object] | None, *args: object) -> None:
    """Call a callback of the application, if it is set. What it raises is logged."""
    if callback is None:
        return
    try:
        callback(*args)
    except Exception:
        logger.exception("%s failed:", name)
