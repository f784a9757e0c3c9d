"""The channel from a session to its HTTP client, whose notifications wait until they are read."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from actorcred.adapters._client import LoopChannel
from actorcred.logout import LogoutReason

__all__ = ["NOTIFICATIONS", "HTTPChannel"]

NOTIFICATIONS = 256
"""Unread notifications that are kept for a session; further ones displace the oldest."""


class HTTPChannel(LoopChannel):
    """The channel to the client of a session. Notifications are queued until they are read."""

    __slots__ = ("_arrived", "_waiting", "_watchers", "reason")

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[tuple[str, tuple[Any, ...]]] = deque(maxlen=NOTIFICATIONS)
        self._arrived = asyncio.Event()
        self.reason: LogoutReason | None = None
        # A set that keeps their order.
        self._watchers: dict[Callable[[LogoutReason], object], None] = {}

    def told(self, name: str, args: tuple[Any, ...]) -> None:
        """Queue a notification."""
        self._waiting.append((name, args))
        self._arrived.set()

    def over(self, reason: LogoutReason) -> None:
        """Notify the watchers that the session has ended."""
        self.reason = reason
        self._arrived.set()
        watchers, self._watchers = self._watchers, {}
        for tell in watchers:
            tell(reason)

    @property
    def waiting(self) -> int:
        """How many notifications have not been read."""
        return len(self._waiting)

    def run(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop of this channel; at once if that is here. Thread-safe."""
        self._here(function, *args)

    def watch(self, tell: Callable[[LogoutReason], object]) -> None:
        """Call a function when the session has ended; immediately, if it has already."""
        if self.reason is None:
            self._watchers[tell] = None
        else:
            tell(self.reason)

    def unwatch(self, tell: Callable[[LogoutReason], object]) -> None:
        """Remove a function that `watch` added."""
        self._watchers.pop(tell, None)

    async def next(self) -> tuple[str, tuple[Any, ...]] | None:
        """Return the next notification, or None when the session has ended."""
        while not self._waiting and self.reason is None:
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft() if self._waiting else None
