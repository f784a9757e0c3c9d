"""Limits on connections, rates and queues. Pure: time and random numbers are passed in."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable

from actorcred.throttle import decrease

__all__ = ["Backlog", "ConnectionLimiter", "Flow", "Place", "RateLimit", "Stall"]


OLD_ENOUGH = 1.0
"""Seconds after which a connection that has not begun to log in may make room for another."""

LOOKED_AT = 64
"""The number of connections that are examined for one that may make room."""


class ConnectionLimiter:
    """Limits connections, and more strictly those without a login, like OpenSSH's MaxStartups.

    Args:
        unauthenticated: maximum number of connections without a login. From half of it on, some are
            refused at random.
        per_source: maximum number of connections without a login from one source.
        connections: maximum number of all connections; None is no limit. Those without a login may
            take half of them, so that logged-in clients can always reconnect.

    Attributes:
        connections: the number of connections, including those without a login.
    """

    def __init__(
        self,
        unauthenticated: int,
        per_source: int,
        connections: int | None = None,
    ) -> None:
        self._limit = connections
        self._total = (
            unauthenticated
            if connections is None
            else min(unauthenticated, max(1, connections // 2))
        )
        # One source must not take all places, even if there are few.
        self._per_source = min(per_source, max(1, self._total // 2))
        self._sources: Counter[str] = Counter()
        self._count = 0
        self.connections = 0
        self.places: dict[Place, None] = {}
        """The places of connections without a login, oldest first."""

    def __len__(self) -> int:
        """Return the number of connections without a login."""
        return self._count

    def enter(self, source: str, chance: float) -> str | None:
        """Count a connection, or return why it is refused. `leave` and `gone` must be called later.

        Args:
            source: where it comes from; "" for a connection without a limit per source.
            chance: a random number from 0 to 1.
        """
        refusal = self.source_is_full(source) or self.is_crowded(chance)
        if refusal is not None:
            return refusal
        self._count += 1
        self.connections += 1
        self._sources[source] += 1
        return None

    def source_is_full(self, source: str) -> str | None:
        """Return why a source may not open more connections; None if it may."""
        if source and self._sources[source] >= self._per_source:
            return f"{self._sources[source]} connections without a login from this source"
        return None

    def is_crowded(self, chance: float) -> str | None:
        """Return why no more connections may be opened at all; None if they may.

        None for a chance of 0 means that they may for any chance.
        """
        if self._limit is not None and self.connections >= self._limit:
            return f"{self.connections} connections"
        if self._count >= self._total:
            return f"{self._count} connections without a login"
        half = self._total / 2
        if chance < (self._count - half) / half:
            return f"{self._count} connections without a login, refused at random"
        return None

    def move(self, source: str, to: str) -> str | None:
        """Count a connection for another source, or return why that is refused.

        Args:
            source: the source for which it is counted.
            to: the source where it comes from.
        """
        refusal = None if source == to else self.source_is_full(to)
        if refusal is None:
            decrease(self._sources, source)
            self._sources[to] += 1
        return refusal

    def make_room(self, now: float) -> Place | None:
        """End the oldest connection that has not begun to log in; return its place, or None."""
        for place in list(itertools.islice(self.places, LOOKED_AT)):
            if now - place.since < OLD_ENOUGH:
                return None
            if place.yields is not None and place.yields():
                place.leave()
                return place
        return None

    def leave(self, source: str) -> None:
        """Stop counting a connection as one without a login: it has logged in or ended."""
        self._count -= 1
        decrease(self._sources, source)

    def gone(self) -> None:
        """Stop counting a connection."""
        self.connections -= 1


class Place:
    """The place of an admitted connection in the limits, from the moment it was accepted.

    Args:
        admission: the limiter, which has counted the connection.
        source: where it comes from, as it was counted.
        since: when it was accepted, on the loop's clock.
        address: of the client, for the log.

    Attributes:
        yields: ends the connection if it has not begun to log in; returns whether it did so.
    """

    __slots__ = ("_admission", "_recognised", "_taken", "address", "since", "source", "yields")

    def __init__(
        self, admission: ConnectionLimiter, source: str, since: float, address: str = ""
    ) -> None:
        self._admission = admission
        self.source = source
        self.since = since
        self.address = address
        self.yields: Callable[[], bool] | None = None
        self._recognised = False
        self._taken = True
        admission.places[self] = None

    def recognise(self) -> None:
        """Stop counting it as a connection without a login."""
        if not self._recognised:
            self._recognised = True
            self.yields = None
            del self._admission.places[self]
            self._admission.leave(self.source)

    def move(self, source: str, address: str) -> str | None:
        """Count it for the client behind a proxy, or return why that is refused.

        Args:
            source: the client's source.
            address: of the client, for the log.
        """
        refusal = None if self._recognised else self._admission.move(self.source, source)
        if refusal is None:
            self.source, self.address = source, address
        return refusal

    def leave(self) -> None:
        """Release the place, since the connection has ended."""
        if self._taken:
            self._taken = False
            self.recognise()
            self._admission.gone()


class RateLimit:
    """A token bucket.

    Args:
        rate: tokens per second.
        burst: the maximum number of saved tokens.
        now: the time in seconds.
    """

    __slots__ = ("_burst", "_rate", "_since", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = self._tokens = burst
        self._since = now

    def take(self, now: float) -> float:
        """Take a token; return 0, or the seconds until one is available."""
        tokens = self._tokens + (now - self._since) * self._rate
        self._since = now
        if tokens < 1:
            self._tokens = tokens
            return (1 - tokens) / self._rate
        self._tokens = min(tokens, self._burst) - 1
        return 0.0


class Flow:
    """Limits the bytes per second from a connection on average, and allows bursts.

    Args:
        rate: bytes per second.
        burst: bytes that may arrive at once.
        now: the time in seconds.
    """

    __slots__ = ("_burst", "_left", "_rate", "_since")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = self._left = burst
        self._since = now

    def spend(self, size: int, now: float) -> float:
        """Count received bytes; return the seconds for which reading should pause, or 0."""
        self._left = min(self._burst, self._left + (now - self._since) * self._rate) - size
        self._since = now
        return 0.0 if self._left >= 0 else -self._left / self._rate


class Stall:
    """Detects a reader that has stopped: it reads nothing of what waits for it.

    Args:
        limit: seconds for which it may read nothing.
    """

    __slots__ = ("_least", "_limit", "_since")

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._least = 0
        self._since = 0.0

    def is_over(self, waiting: int, now: float) -> bool:
        """Return whether the reader has stopped for too long. Must be called periodically.

        Args:
            waiting: bytes that wait for it.
            now: the time in seconds.
        """
        if not waiting or not self._least or waiting < self._least:
            self._least, self._since = waiting, now
        return waiting > 0 and now - self._since >= self._limit


class Backlog:
    """Limits a queue in number and in bytes of memory. One item may always wait, whatever its size.

    Args:
        count: how many items may wait.
        size: the bytes of all of them together.
    """

    __slots__ = ("_count", "_limit", "_size", "_size_limit")

    def __init__(self, count: int, size: int) -> None:
        self._limit = count
        self._size_limit = size
        self._count = 0
        self._size = 0

    @property
    def full(self) -> bool:
        """Whether no more items may wait."""
        return self._count >= self._limit or self._size >= self._size_limit

    def enter(self, size: int) -> bool:
        """Count an item, or return False if it may not wait. `leave` must be called later."""
        if self.full or (self._count and self._size + size > self._size_limit):
            return False
        self._count += 1
        self._size += size
        return True

    def leave(self, size: int) -> None:
        """Stop counting an item."""
        self._count -= 1
        self._size -= size
