"""Snapshots are checked when they are taken, and a sleeping avatar can be made again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from actorcred.dormant import SnapshotTooLarge, after, attempt, pack, unpack


@dataclass
class Place:
    x: int
    name: str


@pytest.mark.parametrize(
    ("taken", "given"),
    [
        (None, None),
        ((1, {"a": b"b"}), [1, {"a": b"b"}]),
        (Place(1, "here"), {"x": 1, "name": "here"}),
        ({1: 2.5}, {1: 2.5}),
    ],
)
def test_a_snapshot_comes_back_as_plain_values(taken: Any, given: Any) -> None:
    assert unpack(pack(taken, 100)) == given


def test_a_snapshot_may_be_as_large_as_the_limit_and_no_larger() -> None:
    assert len(pack(b"x" * 98, 100)) == 100
    with pytest.raises(SnapshotTooLarge, match=r"has 101 bytes, and .* allows 100"):
        pack(b"x" * 99, 100)


def _circle() -> Any:
    circle: list[Any] = []
    circle.append(circle)
    return circle


@pytest.mark.parametrize("odd", [object(), 2**70, _circle(), "\ud800"])
def test_what_cannot_be_encoded_is_named(odd: Any) -> None:
    with pytest.raises(TypeError, match=r"MessagePack|unsupported"):
        pack(odd, 100)


def test_steps_after_a_result_wait_for_it_only_if_they_must() -> None:
    async def value() -> int:
        return 1

    async def more(number: int) -> int:
        return number + 1

    def fail(number: int) -> int:
        raise ZeroDivisionError

    def run(coroutine: Any) -> Any:
        try:
            coroutine.send(None)
        except StopIteration as done:
            return done.value
        raise AssertionError("it waits")

    assert after(1, lambda number: number + 1) == 2
    assert run(after(value(), lambda number: number + 1)) == 2
    assert run(after(value(), more)) == 2
    assert run(attempt(value(), lambda number: number + 1, str)) == 2
    assert run(attempt(value(), fail, repr)) == "ZeroDivisionError()"
