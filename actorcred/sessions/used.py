"""What was used in this process that can be used once, such as a one-time code. Pure: no clock."""

from __future__ import annotations

import heapq

from actorcred.errors import CheckerUnavailable

__all__ = ["Used"]


class Used:
    """Remembers keys for as long as what they stand for could be used again.

    Args:
        most: how many are remembered. Beyond it nothing more can be used, until some have expired.
    """

    def __init__(self, most: int = 100_000) -> None:
        self._most = most
        self._keys: dict[str, str] = {}
        self._ends: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._keys)

    def take(self, key: str, use: str, *, until: float, now: float) -> bool:
        """Use up a key; return whether it was not used before, except by the same use.

        Args:
            key: what it is.
            use: stands for this use.
            until: the time in seconds until which it could be used again.
            now: the time now.

        Raises:
            CheckerUnavailable: if too many are remembered.
        """
        while self._ends and self._ends[0][0] <= now:
            del self._keys[heapq.heappop(self._ends)[1]]
        if key in self._keys:
            return self._keys[key] == use
        if len(self._keys) >= self._most:
            raise CheckerUnavailable(f"{self._most} one-time codes are in use")
        self._keys[key] = use
        heapq.heappush(self._ends, (until, key))
        return True
