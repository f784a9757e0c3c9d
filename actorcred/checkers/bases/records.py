"""Records that cannot be used: their users are refused as unknown ones are, and the log says once why."""

from __future__ import annotations

import logging

__all__ = ["Complaints"]


logger = logging.getLogger("actorcred.checkers")

REMEMBERED = 1000
"""Records that are remembered as logged; when there are more, all may be logged once more."""


class Complaints:
    """Logs what is wrong with a record, once and not at each login: names can be tried by anybody."""

    def __init__(self) -> None:
        self._made: set[tuple[str, str, str]] = set()

    def about(self, name: object, why: object, by: str = "") -> None:
        """Log that a user cannot log in. May be called on any thread.

        Args:
            name: the user, or what stands for the record.
            why: what is wrong; it must hold no secret.
            by: what it concerns, if there are other ways in.
        """
        complaint = (f"{name!r:.200}", f" by {by}" if by else "", str(why))
        if complaint in self._made:
            return
        if len(self._made) >= REMEMBERED:
            self._made.clear()
        self._made.add(complaint)
        logger.error("%s cannot log in%s: %s", *complaint)
