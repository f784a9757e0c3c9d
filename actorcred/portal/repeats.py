"""Telling of what happens again and again once per interval, with a count. Pure: time comes in."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["OTHERS", "Repeats", "Told"]


T = TypeVar("T")

OTHERS = "others"
"""The source under which those are summed that are too many to be remembered."""


@dataclass(frozen=True, slots=True)
class Told(Generic[T]):
    """What is to be told now.

    Args:
        source: where it came from, or `OTHERS`.
        what: the latest of those that are summed.
        count: how many they are.
    """

    source: str
    what: T
    count: int


@dataclass(slots=True)
class _Interval(Generic[T]):
    """One interval of one source, and what has come in it after the first."""

    until: float
    latest: T
    count: int = 0


class Repeats(Generic[T]):
    """Lets the first of a kind from a source be told at once, and those that follow once per interval.

    Args:
        interval: seconds.
        remember: kinds and sources that are told apart at most; the others of a kind are summed as `OTHERS`.
    """

    def __init__(self, interval: float = 10.0, remember: int = 1000) -> None:
        self._interval = interval
        self._remember = remember
        # In the order of their ends, since all are equally long.
        self._spans: OrderedDict[tuple[str, str], _Interval[T]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many kinds and sources are remembered."""
        return len(self._spans)

    def note(self, kind: str, source: str, what: T, now: float) -> list[Told[T]]:
        """Note that something has happened; return what is to be told now.

        Args:
            kind: what is summed together, if it is of one source.
            source: where it comes from.
            what: the thing itself.
            now: the time in seconds.
        """
        told = self.due(now)
        key = (kind, source)
        if key not in self._spans and len(self._spans) >= self._remember:
            key = (kind, OTHERS)
        span = self._spans.get(key)
        if span is None:
            self._spans[key] = _Interval(now + self._interval, what)
            told.append(Told(source, what, 1))
        else:
            span.count += 1
            span.latest = what
        return told

    def due(self, now: float) -> list[Told[T]]:
        """Return what came in the intervals that are over by now; a source from which nothing came is forgotten."""
        told = []
        while self._spans and self.next_due() <= now:
            key, span = self._spans.popitem(last=False)
            if span.count:
                told.append(Told(key[1], span.latest, span.count))
                self._spans[key] = _Interval(now + self._interval, span.latest)
        return told

    def next_due(self) -> float:
        """Return when the first interval is over; infinity if there is none."""
        return next(iter(self._spans.values())).until if self._spans else float("inf")

    def flush(self) -> list[Told[T]]:
        """Return what was not told yet, and forget everything."""
        spans, self._spans = self._spans, OrderedDict()
        return [
            Told(source, span.latest, span.count)
            for (_, source), span in spans.items()
            if span.count
        ]
