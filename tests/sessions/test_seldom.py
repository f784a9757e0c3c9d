"""An attribute that few instances have is None for the others, and can be set and removed."""

from __future__ import annotations

from typing import Any

from actorcred.sessions.seldom import Seldom


class Thing:
    _seldom: dict[str, Any] | None = None
    colour = Seldom[str]()
    size = Seldom[int]()


def test_it_is_none_until_it_is_set_and_after_it_is_removed() -> None:
    thing = Thing()
    thing.colour = None
    assert thing._seldom is None
    thing.colour, thing.size = "red", 3
    assert (thing.colour, thing.size) == ("red", 3)
    thing.colour = None
    assert (thing.colour, thing.size) == (None, 3)
    assert Thing().size is None
