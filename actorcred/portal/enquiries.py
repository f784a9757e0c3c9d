"""Which checker to ask about which accounts next, and when. Pure: the caller passes the time in."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, TypeVar

__all__ = ["Enquiries", "Enquiry"]

C = TypeVar("C")
S = TypeVar("S")


@dataclass(slots=True, eq=False)
class Enquiry(Generic[C, S]):
    """One question to one checker.

    Attributes:
        checker: the checker to ask.
        about: the names, each with its sessions, in order.
    """

    checker: C
    about: dict[str, dict[S, None]]


@dataclass(slots=True)
class _Line(Generic[S]):
    """What a checker is still to be asked.

    Attributes:
        waiting: the names, in order, each with its sessions.
        under_way: whether it has not answered the last question.
        not_before: the earliest time of the next question.
    """

    waiting: dict[str, dict[S, None]] = field(default_factory=dict)
    under_way: bool = False
    not_before: float = 0.0


class Enquiries(Generic[C, S]):
    """The questions to the checkers of a portal.

    Each checker has a line of its own, so that a slow one does not delay the others. It gets one
    question at a time.

    Args:
        batch: the most names in one question.
        pause: seconds between two questions to one checker, at least.
    """

    def __init__(self, batch: int, pause: float) -> None:
        self._batch = batch
        self._pause = pause
        self._lines: dict[C, _Line[S]] = {}

    def __len__(self) -> int:
        """Return the number of names that wait."""
        return sum(len(line.waiting) for line in self._lines.values())

    def add(self, checker: C, name: str, session: S) -> None:
        """Have a checker asked about the account of a session."""
        line = self._lines.get(checker)
        if line is None:
            line = self._lines[checker] = _Line()
        line.waiting.setdefault(name, {})[session] = None

    def take(self, now: float) -> list[Enquiry[C, S]]:
        """Return the questions to ask now. Each must be followed by `answered`."""
        due = []
        for checker in list(self._lines):
            line = self._lines[checker]
            if line.under_way or now < line.not_before:
                continue
            if not line.waiting:
                del self._lines[checker]
                continue
            names = list(islice(line.waiting, self._batch))
            due.append(Enquiry(checker, {name: line.waiting.pop(name) for name in names}))
            line.under_way, line.not_before = True, now + self._pause
        return due

    def answered(self, enquiry: Enquiry[C, S], *, failed: bool = False) -> None:
        """Record that a checker has answered, or failed.

        After a failure the rest of its line is dropped until it is added again, in the next round.
        """
        line = self._lines[enquiry.checker]
        line.under_way = False
        if failed:
            line.waiting.clear()

    def wait(self, now: float) -> float | None:
        """Return the seconds until `take` has something; None if only answers are awaited."""
        waits = [
            line.not_before - now
            for line in self._lines.values()
            if line.waiting and not line.under_way
        ]
        return max(0.0, min(waits)) if waits else None
