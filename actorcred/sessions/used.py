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
        self._keys: set[str] = set()
        self._ends: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._keys)

    def take(self, key: str, seconds: float, now: float) -> bool:
        """Use up a key; return whether it was not used before.

        Args:
            key: what it is.
            seconds: for which it could be used again.
            now: the time in seconds.

        Raises:
            CheckerUnavailable: if too many are remembered.
        """
        while self._ends and self._ends[0][0] <= now:
            self._keys.discard(heapq.heappop(self._ends)[1])
        if key in self._keys:
            return False
        if len(self._keys) >= self._most:
            raise CheckerUnavailable(f"{self._most} one-time codes are in use")
        self._keys.add(key)
        heapq.heappush(self._ends, (now + seconds, key))
        return True
