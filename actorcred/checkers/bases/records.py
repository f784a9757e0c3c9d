"""Logging of records that cannot be used.

Their users are refused like unknown ones, and the log says why, once.
"""

from __future__ import annotations

import logging

__all__ = ["Complaints"]


logger = logging.getLogger("actorcred.checkers")

REMEMBERED = 1000
"""Records remembered as logged. When there are more, all are forgotten and can be logged again."""


class Complaints:
    """Logs what is wrong with a record once, not at each login, since anyone can try a name."""

    def __init__(self) -> None:
        self._made: set[tuple[str, str, str]] = set()

    def about(self, name: object, why: object, by: str = "") -> None:
        """Log that a user cannot log in. Can be called on any thread.

        Args:
            name: the user, or whatever identifies the record.
            why: what is wrong; it must not contain a secret.
            by: the login method affected, if the user has several.
        """
        complaint = (f"{name!r:.200}", f" by {by}" if by else "", str(why))
        if self._is_new(complaint):
            logger.error("%s cannot log in%s: %s", *complaint)

    def lacks(self, name: object, why: object) -> None:
        """Log that a fact of a user is left out. Can be called on any thread.

        Args:
            name: the user, or whatever identifies the record.
            why: which fact, and what is wrong with it; it must not contain a secret.
        """
        complaint = (f"{name!r:.200}", "", str(why))
        if self._is_new(complaint):
            logger.warning("A fact of %s is left out%s: %s", *complaint)

    def _is_new(self, complaint: tuple[str, str, str]) -> bool:
        if complaint in self._made:
            return False
        if len(self._made) >= REMEMBERED:
            self._made.clear()
        self._made.add(complaint)
        return True
