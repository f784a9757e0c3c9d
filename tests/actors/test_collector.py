"""The garbage collector of a tuned process leaves alone what was there, and frees new circles."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from actorcred.actors import tune_gc


class Node:
    """Refers to itself, so only the garbage collector frees it."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    """Restore the settings of the process."""
    thresholds = gc.get_threshold()
    yield
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


def test_all_objects_are_examined_sooner_if_that_is_asked_for() -> None:
    tune_gc(full_after=100_000)
    collections = gc.get_stats()[2]["collections"]
    kept: list[list[None]] = [[] for _ in range(500_000)]

    assert gc.get_stats()[2]["collections"] > collections
    assert kept
    with pytest.raises(ValueError, match="not -1"):
        tune_gc(-1)


def test_what_stays_is_examined_again_only_after_millions_of_objects() -> None:
    tune_gc()
    collections = gc.get_stats()[2]["collections"]
    kept: list[list[None]] = [[] for _ in range(500_000)]

    assert gc.get_stats()[2]["collections"] == collections
    assert kept
