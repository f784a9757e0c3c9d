"""Who may connect and try to log in, and how often. Pure: time and chance come in."""

from __future__ import annotations

from collections import Counter

__all__ = ["Admission", "RateLimit"]


class Admission:
    """Limits the connections that have not logged in yet, as OpenSSH's MaxStartups does.

    Args:
        total: connections from everywhere at most. From half of it on, some are refused at random.
        per_source: connections from one source at most.
    """

    def __init__(self, total: int, per_source: int) -> None:
        self._total = total
        self._per_source = per_source
        self._sources: Counter[str] = Counter()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def enter(self, source: str, chance: float) -> str | None:
        """Let a connection in, which has to `leave` later, or say why not.

        Args:
            source: where it comes from; "" for a source that is no network's, which has no limit of its own.
            chance: a random number from 0 to 1.
        """
        if self._count >= self._total:
            return f"{self._count} connections without a login"
        half = self._total / 2
        if chance < (self._count - half) / half:
            return f"{self._count} connections without a login, refused at random"
        if source and self._sources[source] >= self._per_source:
            return f"{self._sources[source]} connections without a login from this source"
        self._count += 1
        self._sources[source] += 1
        return None

    def leave(self, source: str) -> None:
        """Forget a connection that has logged in or is gone."""
        self._count -= 1
        self._sources[source] -= 1
        if not self._sources[source]:
            del self._sources[source]


class RateLimit:
    """A token bucket.

    Args:
        rate: tokens per second.
        burst: tokens that can be saved.
        now: the time in seconds.
    """

    __slots__ = ("_burst", "_rate", "_since", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = self._tokens = burst
        self._since = now

    def take(self, now: float) -> float:
        """Take a token; return 0, or the seconds until there is one."""
        tokens = self._tokens + (now - self._since) * self._rate
        self._since = now
        if tokens < 1:
            self._tokens = tokens
            return (1 - tokens) / self._rate
        self._tokens = min(tokens, self._burst) - 1
        return 0.0
