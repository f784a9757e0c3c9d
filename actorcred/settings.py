"""The check of dataclasses of settings, so that a mistake is named where it is made."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

__all__ = ["check_settings"]


def check_settings(settings: Any, *, or_zero: frozenset[str] = frozenset()) -> None:
    """Check numbers, flags and groups in a dataclass of settings by its annotations.

    Numbers must be positive and finite. A group is a field whose default is made by a class.

    Args:
        settings: an instance, whose class has its annotations as strings.
        or_zero: the names of numbers that may also be 0.

    Raises:
        TypeError: if a value has the wrong type.
        ValueError: if a number is out of its range.
    """
    for field in fields(settings):
        value = getattr(settings, field.name)
        kind, _, optional = str(field.type).partition(" | ")
        if value is None and optional == "None":
            continue
        if kind in {"int", "float"}:
            _check_number(field.name, value, whole=kind == "int", or_zero=field.name in or_zero)
        elif kind == "bool" and not isinstance(value, bool):
            raise TypeError(f"{field.name} must be True or False, not {value!r}")
        group: Any = field.default_factory
        if isinstance(group, type) and not isinstance(value, group):
            raise TypeError(f"{field.name} must be a {group.__name__}, not {value!r}")


def _check_number(name: str, value: object, *, whole: bool, or_zero: bool) -> None:
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise TypeError(f"{name} must be a {'whole ' if whole else ''}number, not {value!r}")
    if not (value > 0 or (or_zero and value == 0)) or not math.isfinite(value):
        least = "0 or more" if or_zero else "more than 0"
        raise ValueError(f"{name} must be {least}, not {value!r}")
