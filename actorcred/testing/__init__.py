"""Test helpers for checkers, realms and servers: contract suites, fakes, and pytest fixtures."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "CheckerContract": "contracts",
    "RealmContract": "contracts",
    "HOSTILE_NAMES": "fakes",
    "Hall": "fakes",
    "RecordingMind": "fakes",
    "Visitor": "fakes",
    "assert_nothing_left": "fakes",
}

__all__ = [
    "HOSTILE_NAMES",
    "CheckerContract",
    "Hall",
    "RealmContract",
    "RecordingMind",
    "Visitor",
    "assert_nothing_left",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
