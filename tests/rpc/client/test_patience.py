"""A wait with one timer: first it is slow, then it is over."""

from __future__ import annotations

import asyncio

import pytest

from actorcred.rpc.client.patience import Patience
from tests.rpc.stage import on_loop


@pytest.mark.parametrize(
    ("slow", "longest", "told"),
    [(0.01, 0.02, ["slow", "late"]), (0.02, 0.01, ["late"]), (0.01, 0.01, ["late"])],
)
@on_loop
async def test_it_reports_once_and_then_gives_up(
    slow: float, longest: float, told: list[str]
) -> None:
    said: list[str] = []
    late = asyncio.Event()
    patience = Patience(
        asyncio.get_running_loop(), slow, longest, lambda: said.append("slow"), late.set
    )
    assert not patience.over
    await late.wait()

    assert patience.over
    assert [*said, "late"] == told


@on_loop
async def test_nothing_is_said_once_it_has_ended() -> None:
    said: list[str] = []
    loop = asyncio.get_running_loop()
    patience = Patience(loop, 0.0, 0.0, lambda: said.append("slow"), lambda: said.append("late"))
    patience.end()
    other = asyncio.Event()
    loop.call_later(0.0, other.set)  # a later timer
    await other.wait()

    assert said == []
    assert not patience.over
