"""Sums of repeated events: one report per interval, with a count. Pure: no clock."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["OTHERS", "Repeats", "Told"]


T = TypeVar("T")

OTHERS = "others"
"""The source of sums over sources that are too many to be remembered."""


@dataclass(frozen=True, slots=True)
class Told(Generic[T]):
    """A report that is due.

    Args:
        source: where the events came from, or `OTHERS`.
        what: the latest of them.
        count: their number.
    """

    source: str
    what: T
    count: int


@dataclass(slots=True)
class _Interval(Generic[T]):
    """One interval of one source, and the events in it after the first one."""

    until: float
    latest: T
    count: int = 0


class Repeats(Generic[T]):
    """Sums up events of the same kind and source.

    The first event is reported immediately, those that follow once per interval.

    Args:
        interval: seconds between two reports.
        remember: the number of pairs of kind and source that are distinguished; the other sources
            of a kind are summed as `OTHERS`.
    """

    def __init__(self, interval: float = 10.0, remember: int = 1000) -> None:
        self._interval = interval
        self._remember = remember
        # In the order of their ends, since all intervals are equally long.
        self._spans: OrderedDict[tuple[str, str], _Interval[T]] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of pairs of kind and source that are remembered."""
        return len(self._spans)

    def note(self, kind: str, source: str, what: T, now: float) -> list[Told[T]]:
        """Record an event; return the reports that are due now.

        Args:
            kind: events of the same kind and source are summed.
            source: where it comes from.
            what: the event.
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
        """Return the sums of intervals that have ended; sources without events are forgotten."""
        told = []
        while self._spans and self.next_due() <= now:
            key, span = self._spans.popitem(last=False)
            if span.count:
                told.append(Told(key[1], span.latest, span.count))
                self._spans[key] = _Interval(now + self._interval, span.latest)
        return told

    def next_due(self) -> float:
        """Return when the first interval ends; infinity if there is none."""
        return next(iter(self._spans.values())).until if self._spans else float("inf")

    def flush(self) -> list[Told[T]]:
        """Return what was not reported yet, and forget everything."""
        spans, self._spans = self._spans, OrderedDict()
        return [
            Told(source, span.latest, span.count)
            for (_, source), span in spans.items()
            if span.count
        ]
