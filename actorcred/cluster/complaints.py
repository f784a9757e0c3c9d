"""Log lines about faults that go on: one a minute of each kind, with a count."""

from __future__ import annotations

import logging
from time import monotonic

from actorcred.portal.repeats import Repeats

__all__ = ["Complaints"]

logger = logging.getLogger("actorcred.cluster")

INTERVAL = 60.0
KINDS = 100
"""Kinds that are told apart; what is more is summed up."""


class Complaints:
    """Warns of faults that can come again and again."""

    def __init__(self) -> None:
        self._repeats: Repeats[str] = Repeats(INTERVAL, KINDS)

    def warn(self, kind: str, text: str) -> None:
        """Log a warning, unless one of the same kind was logged within a minute.

        Args:
            kind: what is counted together.
            text: what happened, and what to do.
        """
        for told in self._repeats.note("", kind, text, monotonic()):
            if told.count == 1:
                logger.warning("%s", told.what)
            else:
                logger.warning("%s (%d times in a minute)", told.what, told.count)
