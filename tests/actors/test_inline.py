"""The inline dispatcher is deterministic: turns run on the sending thread, with its own clock."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actorcred.actors import Actor, Future, InlineDispatcher


class Pair(Actor):
    """Tells another one, and notes when it is through."""

    def __init__(self, log: list[str], name: str, other: Any = None) -> None:
        super().__init__()
        self.log, self.name, self.other = log, name, other

    def on_receive(self, message: str) -> None:
        if self.other is not None:
            self.other.tell(message)
        self.log.append(f"{self.name} is through")


def test_what_a_handler_sends_is_handled_when_it_is_through_and_before_the_sender_goes_on(
    inline: InlineDispatcher,
) -> None:
    log: list[str] = []
    Pair.start(log, "one", Pair.start(log, "other")).tell("go")

    assert log == ["one is through", "other is through"]


def test_the_clock_moves_only_when_it_is_advanced(inline: InlineDispatcher) -> None:
    times: list[float] = []
    inline.call_later(2.0, lambda: times.append(inline.now()))
    assert inline.now() == 0.0
    inline.advance(5.0)

    assert (times, inline.now()) == ([2.0], 5.0)


def test_offloaded_work_is_done_at_once(inline: InlineDispatcher) -> None:
    assert inline.offload(int, "7").done()
    with pytest.raises(ValueError, match="invalid literal"):
        inline.offload(int, "x").get()


def test_a_coroutine_goes_on_when_its_future_has_a_result(inline: InlineDispatcher) -> None:
    gate: Future[int] = Future()

    async def work() -> int:
        return await gate + 1

    answer = inline.spawn(work())
    assert not answer.done()
    gate.set(1)
    assert answer.get(timeout=0) == 2


def test_a_coroutine_that_awaits_something_else_is_told_what_to_use(
    inline: InlineDispatcher,
) -> None:
    async def work() -> None:
        await asyncio.sleep(0)

    with pytest.raises(TypeError, match="use AsyncioDispatcher"):
        inline.spawn(work()).get(timeout=0)
