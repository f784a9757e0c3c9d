"""A logfmt parser, like those of log tools."""

from __future__ import annotations

import json
import re

_PAIR = re.compile(r'(?P<key>[^\s="]+)(?:=(?P<value>"(?:[^"\\]|\\.)*"|[^\s="\\]*))?(?: |$)')


def parse(line: str) -> dict[str, str | bool]:
    """Return the fields of a line; a word without a value is True.

    Raises:
        ValueError: if the line is not logfmt.
    """
    found: dict[str, str | bool] = {}
    position = 0
    while position < len(line):
        pair = _PAIR.match(line, position)
        if pair is None or pair["key"] in found:
            raise ValueError(f"no logfmt from {position} on: {line!r}")
        value = pair["value"]
        found[pair["key"]] = (
            True if value is None else json.loads(value) if value.startswith('"') else value
        )
        position = pair.end()
    return found
