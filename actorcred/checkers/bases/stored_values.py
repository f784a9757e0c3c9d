"""Facts of a user from a database or directory, as an `Identity` holds them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

__all__ = ["LONGEST_FACT", "MOST_FACTS", "fact_of", "groups_of", "time_of"]


MOST_FACTS = 100
"""Values of one attribute, and groups of one user, that are kept."""

LONGEST_FACT = 4096
"""Characters of the longest value that is kept."""


def fact_of(value: Any) -> Any:
    """Return a value for `Identity.attributes`: a string, number or boolean, or a tuple of them.

    Args:
        value: as a driver returns it.

    Raises:
        ValueError: if it is binary or too long; the text does not show it.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        if len(value) > MOST_FACTS:
            raise ValueError(f"it has more than {MOST_FACTS} values")
        return tuple(fact_of(one) for one in value)
    if isinstance(value, bytes | bytearray | memoryview):
        raise ValueError("it is binary")
    text = value.isoformat() if isinstance(value, date) else str(value)
    if len(text) > LONGEST_FACT:
        raise ValueError(f"it is longer than {LONGEST_FACT} characters")
    return text


def groups_of(value: Any) -> frozenset[str]:
    """Return the groups in a column: words, a list, or a list in JSON.

    Args:
        value: a list of names; or a string with names between blanks or commas, or of a JSON array.

    Raises:
        ValueError: if it is none of these.
    """
    if value is None:
        return frozenset()
    if isinstance(value, str):
        value = json.loads(value) if value.startswith("[") else re.split(r"[\s,]+", value)
    if not isinstance(value, Iterable) or isinstance(value, bytes | dict):
        raise ValueError(f"it is a {type(value).__name__}, and no list of groups")
    found = frozenset(name for name in value if name)
    if len(found) > MOST_FACTS or not all(isinstance(name, str) for name in found):
        raise ValueError(f"groups are at most {MOST_FACTS} strings")
    return found


def time_of(value: Any) -> datetime | None:
    """Return a time in a column.

    Args:
        value: a time (in UTC, if it has no time zone), seconds since the epoch, a string of ISO
            8601; or None.

    Raises:
        ValueError: if it is none of these.
    """
    if value is None or value == "":
        return None
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        made = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError, OverflowError, OSError):
        raise ValueError("it is no time") from None
    return made.replace(tzinfo=UTC) if made.tzinfo is None else made
