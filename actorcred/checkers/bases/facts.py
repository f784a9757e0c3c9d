"""What checkers share that know more of a user than a name: bounds, and names of methods."""

from __future__ import annotations

import logging
from collections.abc import Iterable

__all__ = [
    "LONGEST_FACT",
    "LONGEST_GROUP",
    "METHODS",
    "MOST_GROUPS",
    "IgnoredFacts",
    "bounded_groups",
    "method_names",
    "shown",
    "with_mfa",
]


logger = logging.getLogger("actorcred.checkers")

METHODS = frozenset(
    (
        *("face", "fpt", "geo", "hwk", "iris", "kba", "mca", "mfa", "otp", "pin"),
        *("pwd", "rba", "retina", "sc", "sms", "swk", "tel", "user", "vbm", "wia"),
    )
)
"""The methods of RFC 8176, section 2."""

_FACTORS = (
    frozenset(("pwd", "pin", "kba")),  # what a user knows,
    frozenset(("otp", "hwk", "swk", "sc", "sms", "tel")),  # has,
    frozenset(("face", "fpt", "iris", "retina", "vbm")),  # and is
)

MOST_GROUPS = 1000
"""Groups of one user."""

LONGEST_GROUP = 256
"""Characters of a group's name."""

REMEMBERED = 1000
"""Facts remembered as logged. When there are more, all are forgotten and can be logged again."""

LONGEST_FACT = 1024
"""Characters of an attribute, an issuer or a subject."""


class IgnoredFacts:
    """Logs facts that cannot be used; each of them once, not at each login. Can be used on threads.

    Args:
        checker: the type of the checker, for the log.
    """

    def __init__(self, checker: str) -> None:
        self._checker = checker
        self._told: set[str] = set()

    def about(self, fact: str, why: str) -> None:
        """Log that a fact is ignored.

        Args:
            fact: what it is, such as "the claim groups".
            why: what is wrong with it, without its value.
        """
        if fact not in self._told:
            if len(self._told) >= REMEMBERED:
                self._told.clear()
            self._told.add(fact)
            logger.warning("%s: %s is ignored: %s", self._checker, fact, why)


def bounded_groups(names: Iterable[object]) -> frozenset[str]:
    """Return the names of a user's groups.

    Raises:
        ValueError: if there are more than `MOST_GROUPS`, or one of them is no string of 1 to
            `LONGEST_GROUP` characters. The text does not show it.
    """
    found: set[str] = set()
    for name in names:
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_GROUP:
            raise ValueError(f"a group must be a string of 1 to {LONGEST_GROUP} characters")
        found.add(name)
        if len(found) > MOST_GROUPS:
            raise ValueError(f"there are more than {MOST_GROUPS} groups")
    return frozenset(found)


def method_names(text: str) -> frozenset[str]:
    """Return the methods in an option, which are separated by blanks.

    Raises:
        ValueError: if there are none, or one of them is not in `METHODS`.
    """
    names = frozenset(text.split())
    if not names or not names <= METHODS:
        raise ValueError(f"methods must be names of RFC 8176, such as swk, hwk or sc; not {text!r}")
    return names


def with_mfa(methods: frozenset[str]) -> frozenset[str]:
    """Return methods with "mfa" among them if they are factors of different kinds (RFC 8176).

    Two passwords are not, nor are a code and a key.
    """
    kinds = sum(not methods.isdisjoint(kind) for kind in _FACTORS)
    return methods | {"mfa"} if kinds > 1 else methods


def shown(text: str, longest: int = LONGEST_FACT) -> str:
    """Return a text that others have written: bounded, and without control characters."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text[:longest])
