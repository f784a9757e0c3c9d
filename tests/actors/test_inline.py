"""The inline dispatcher is deterministic: turns run on the sending thread, with its own clock."""

from __future__ import annotations

import asyncio
from typing import Any

import pykka
import pytest

from actorcred.actors import Actor, Future, InlineDispatcher
from actorcred.actors.waits import WaitsForItself
from tests.actors.helpers import Recorder


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


def test_a_handler_that_blocks_lets_the_others_run_and_gets_its_answer(
    inline: InlineDispatcher,
) -> None:
    class Asker(Actor):
        def on_receive(self, other: Any) -> Any:
            return other.ask("question", timeout=10)

    assert Asker.start().ask(Recorder.start(), timeout=10) == "question"


def test_a_wait_that_keeps_its_own_answer_from_coming_is_refused(inline: InlineDispatcher) -> None:
    class Asker(Actor):
        def on_receive(self, other: Any) -> Any:
            return "answer" if other is None else other.ask(self.actor_ref)

    class Back(Actor):
        def on_receive(self, asker: Any) -> Any:
            return asker.ask(None)

    with pytest.raises(WaitsForItself, match="both are on the thread of 'inline'"):
        Asker.start().ask(Back.start())


def test_a_wait_for_a_coroutine_that_may_still_go_on_ends_with_its_time_out(
    inline: InlineDispatcher,
) -> None:
    class Slow(Actor):
        async def on_receive(self, gate: Future[str]) -> str:
            return await gate

    slow, gate = Slow.start(), Future[str]()
    answer = slow.ask(gate, block=False)
    assert not inline.keeps_waiting(slow.actor_inbox)
    with pytest.raises(pykka.Timeout):
        answer.get(timeout=0.01)
    gate.set("opened")
    assert answer.get(timeout=0) == "opened"


def test_ctrl_c_reaches_who_sent_the_message_once_the_others_had_their_turns(
    inline: InlineDispatcher,
) -> None:
    class Interrupted(Actor):
        def on_receive(self, other: Any) -> None:
            other.tell("waiting")
            raise KeyboardInterrupt

    log: list[object] = []
    other = Recorder.start(log)
    with pytest.raises(KeyboardInterrupt):
        Interrupted.start().tell(other)
    assert log == ["start", "waiting", "stop"]


def test_where_an_asyncio_loop_runs_a_coroutine_may_await_anything() -> None:
    async def work() -> str:
        return await asyncio.sleep(0, "slept")

    async def main() -> str:
        return await InlineDispatcher().spawn(work())

    assert asyncio.run(main()) == "slept"


def test_a_coroutine_that_fails_tells_its_future(inline: InlineDispatcher) -> None:
    async def fail() -> None:
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        inline.spawn(fail()).get(timeout=0)


def test_timers_that_wait_are_counted_until_they_fire(inline: InlineDispatcher) -> None:
    inline.call_later(1.0, list)
    inline.call_later(2.0, list)
    assert inline.pending_timers == 2
    inline.advance(1.5)
    assert inline.pending_timers == 1
