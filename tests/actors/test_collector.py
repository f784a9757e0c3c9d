"""The garbage collector of a tuned process leaves alone what was there, and frees new circles."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator

import pytest

from actorcred.actors import tune_gc


class Node:
    """Refers to itself, so only the garbage collector frees it."""

    def __init__(self) -> None:
        self.me = self


def circle_that_has_stayed() -> tuple[weakref.ref[Node], list[list[None]]]:
    """Return a circle that nobody refers to any more, and so many objects that it was frozen."""
    node = Node()
    return weakref.ref(node), [[] for _ in range(100_000)]


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    """Restore the settings of the process."""
    thresholds, callbacks = gc.get_threshold(), list(gc.callbacks)
    yield
    gc.callbacks[:] = callbacks
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_what_was_there_when_the_server_had_started_is_not_examined_again() -> None:
    node = Node()
    seen = weakref.ref(node)
    tune_gc()
    del node
    gc.collect()

    assert seen() is not None


def test_circles_that_are_made_later_are_freed_without_a_call() -> None:
    tune_gc()
    seen = weakref.ref(Node())
    kept: list[list[None]] = [[] for _ in range(2 * gc.get_threshold()[0])]

    assert seen() is None
    assert kept


def test_objects_that_stay_are_examined_only_once_or_twice() -> None:
    tune_gc()
    collections = gc.get_stats()[2]["collections"]
    kept: list[list[None]] = [[] for _ in range(500_000)]
    tracked = len(gc.get_objects())

    assert gc.get_stats()[2]["collections"] == collections
    assert len(kept) > 4 * tracked


def test_a_circle_that_was_frozen_is_freed_when_the_process_has_grown() -> None:
    """And only then: it takes a stop as long as without `tune_gc`."""
    tune_gc(full_after=300_000)
    seen, kept = circle_that_has_stayed()
    gc.collect()
    assert seen() is not None

    kept += [[] for _ in range(_enough_for_all(300_000))]
    assert seen() is None
    assert kept


def test_all_are_examined_again_and_again_if_the_process_grows_and_grows() -> None:
    tune_gc(full_after=0)
    kept: list[list[None]] = []
    for _ in range(2):
        seen, more = circle_that_has_stayed()
        kept += more
        kept += [[] for _ in range(_enough_for_all(0))]
        assert seen() is None


def _enough_for_all(full_after: int) -> int:
    """Return how many more objects have all examined, with those that come between two looks."""
    return max(full_after, sys.getallocatedblocks() // 2) + 150_000


def test_frozen_circles_are_freed_at_once_if_that_is_asked_for() -> None:
    tune_gc()
    seen, kept = circle_that_has_stayed()
    gc.unfreeze()
    gc.collect()

    assert seen() is None
    assert kept


def test_it_can_be_called_again() -> None:
    tune_gc()
    callbacks = list(gc.callbacks)
    tune_gc(full_after=1_000_000)

    assert gc.callbacks == callbacks


def test_without_a_count_of_objects_only_what_was_there_is_frozen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise, circles would stay for ever."""
    monkeypatch.setattr(sys, "getallocatedblocks", lambda: 0)  # as with PYTHONMALLOC=malloc
    tune_gc()
    seen, kept = circle_that_has_stayed()
    gc.collect()

    assert seen() is None
    assert kept


def test_a_negative_number_is_an_error() -> None:
    with pytest.raises(ValueError, match="not -1"):
        tune_gc(-1)
