"""Actors on an event loop run while one of them blocks it, and are ended when it is closed."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import sys
import threading

import pykka
import pytest

from actorcred import actors
from actorcred.actors import (
    Actor,
    AsyncioDispatcher,
    Future,
    InlineDispatcher,
    ThreadDispatcher,
)
from actorcred.actors.event_loop import background_loop
from actorcred.actors.waits import WaitsForItself
from tests.actors.helpers import Recorder, Switching


def test_actors_on_a_loop_that_was_closed_answer_that_they_are_dead(caplog):
    class Echo(Actor):
        def on_receive(self, message):
            return message

    loop = asyncio.new_event_loop()
    ref = Echo.start(dispatcher=AsyncioDispatcher(loop))
    loop.close()

    with pytest.raises(pykka.ActorDeadError):
        ref.ask("anybody?", timeout=10)
    assert not ref.is_alive()
    assert ref not in pykka.ActorRegistry.get_all()
    assert "is lost" in caplog.text


def test_blocking_on_the_loops_own_thread_lets_its_other_actors_run():
    class Echo(Actor):
        def on_receive(self, message):
            return message

    async def main() -> object:
        ref = Echo.start(dispatcher=AsyncioDispatcher())
        ref.tell("first")
        await asyncio.sleep(0)
        return ref.ask("second", timeout=10)

    assert asyncio.run(main()) == "second"


class Sleeper(Actor):
    """Waits for a future in a coroutine."""

    async def on_receive(self, gate):
        return await gate


def test_a_dispatcher_without_a_loop_says_so():
    with pytest.raises(RuntimeError, match="no running event loop"):
        AsyncioDispatcher()


def test_coroutines_of_actors_are_tasks_of_the_loop_which_is_not_blocked(event_loop):
    dispatcher = AsyncioDispatcher(event_loop)
    gate: Future = Future()
    waiting = Sleeper.start(dispatcher=dispatcher).ask(gate, block=False)
    assert Recorder.start(dispatcher=dispatcher).ask("meanwhile", timeout=10) == "meanwhile"
    gate.set("opened")

    assert waiting.get(timeout=10) == "opened"


def test_a_coroutine_for_a_closed_loop_is_not_run_and_its_future_says_why():
    loop = asyncio.new_event_loop()
    dispatcher = AsyncioDispatcher(loop)
    loop.close()

    with pytest.raises(RuntimeError, match="closed"):
        dispatcher.spawn(asyncio.sleep(0)).get(timeout=10)


def test_a_future_that_is_cancelled_cancels_its_coroutine(event_loop):
    dispatcher, cancelled, begun = AsyncioDispatcher(event_loop), Future(), Future()

    async def wait():
        try:
            begun.set(None)
            await asyncio.sleep(60)
        finally:
            cancelled.set("cancelled")

    future = dispatcher.spawn(wait())
    begun.get(timeout=10)
    future.cancel()

    assert cancelled.get(timeout=10) == "cancelled"


def test_a_coroutine_that_cancels_itself_or_fails_tells_its_future(event_loop):
    dispatcher = AsyncioDispatcher(event_loop)

    async def give_up():
        asyncio.current_task().cancel()
        await asyncio.sleep(60)

    async def fail():
        raise LookupError("no")

    with pytest.raises(asyncio.CancelledError):
        dispatcher.spawn(give_up()).get(timeout=10)
    with pytest.raises(LookupError, match="no"):
        dispatcher.spawn(fail()).get(timeout=10)


def test_a_wait_on_the_loop_ends_with_its_time_out_and_goes_on_with_an_answer():
    async def main():
        dispatcher = AsyncioDispatcher()
        ref = Sleeper.start(dispatcher=dispatcher)
        with pytest.raises(pykka.Timeout):
            ref.ask(Future(), timeout=0.02)
        slow = ThreadDispatcher("actorcred-test").offload(sum, [1, 2])
        return await slow

    assert asyncio.run(main()) == 3


def test_an_actor_of_a_loop_gets_the_answer_of_a_thread_that_it_blocks_on():
    class Asker(Actor):
        def on_receive(self, other):
            return other.ask("question")

    async def main():
        elsewhere = Slow.start(dispatcher=Switching("actorcred-test"))
        return await Asker.start(dispatcher=AsyncioDispatcher()).ask(elsewhere, block=False)

    class Slow(Actor):
        async def on_receive(self, message):
            await asyncio.sleep(0.02)
            return message

    assert asyncio.run(main()) == "question"


def test_code_of_a_loop_that_blocks_on_what_only_the_loop_can_bring_is_told():
    async def main():
        ref = Sleeper.start(dispatcher=AsyncioDispatcher(name="home"))
        with pytest.raises(WaitsForItself, match="both are on the event loop of 'home'"):
            ref.ask(Future())
        ref.actor_inbox.interrupt()

    asyncio.run(main())


@pytest.mark.parametrize("kind", [AsyncioDispatcher, InlineDispatcher])
def test_actors_that_block_on_each_other_deeper_than_the_stack_are_not_stuck(kind):
    class Link(Actor):
        def on_receive(self, others):
            return others[0].ask(others[1:]) if others else "end"

    def from_depth(depth, function):
        return from_depth(depth - 1, function) if depth else function()

    async def main():
        dispatcher = kind()
        # The deepest actor reaches the end of the stack at each step of its turn.
        for depth in range(16):
            first, *others = refs = [Link.start(dispatcher=dispatcher) for _ in range(200)]
            assert first.ask([]) == "end"
            with pytest.raises(RecursionError):
                from_depth(depth, lambda: first.ask(others))  # noqa: B023
            assert [ref.ask([], timeout=10) for ref in refs] == ["end"] * 200
            for ref in refs:
                ref.stop()

    asyncio.run(main())


def test_a_message_from_the_end_of_the_stack_stops_no_other_actor_of_the_loop():
    class Echo(Actor):
        def on_receive(self, message):
            return message

    def from_depth(depth, function):
        return from_depth(depth - 1, function) if depth else function()

    async def main():
        dispatcher = AsyncioDispatcher()
        other = Echo.start(dispatcher=dispatcher)
        left = sys.getrecursionlimit() - len(inspect.stack())
        for depth in range(left - 40, left):
            ref = Echo.start(dispatcher=dispatcher)
            with contextlib.suppress(RecursionError):
                from_depth(depth, lambda: ref.tell("too deep"))  # noqa: B023
            async with asyncio.timeout(10):
                assert await other.ask(depth, block=False) == depth
            ref.actor_inbox.kill(ValueError())
        other.stop(block=False)
        await asyncio.sleep(0)

    asyncio.run(main())


def test_a_loop_that_is_blocked_for_long_is_named_in_the_log(monkeypatch, caplog):
    monkeypatch.setattr("actorcred.actors.event_loop.BLOCKED", 0.02)

    async def main():
        answer: Future = Future()
        answer.expect_from(Recorder.start(dispatcher=AsyncioDispatcher(name="home")).actor_inbox)
        with pytest.raises(pykka.Timeout):
            answer.get(timeout=0.1)

    asyncio.run(main())

    assert caplog.text.count("blocks the event loop of 'home' for more than 0.02 s") == 1


def test_many_actors_share_the_loop_with_its_other_callbacks(monkeypatch):
    monkeypatch.setattr("actorcred.actors.event_loop.TURN", 0.0)

    async def main():
        dispatcher, order = AsyncioDispatcher(), []
        for number in range(3):
            Recorder.start(order, dispatcher=dispatcher).tell(number)
        asyncio.get_running_loop().call_soon(order.append, "socket")
        while len(order) < 7:
            await asyncio.sleep(0)
        return order

    order = asyncio.run(main())
    assert order.index("socket") < 6  # it did not wait for all of the actors


class Unregistered(Actor):
    registered = False


def test_coroutines_of_actors_on_pools_run_on_a_loop_that_a_shutdown_ends():
    loop, ended = background_loop(), Future()
    assert background_loop() is loop

    async def wait():
        try:
            await asyncio.sleep(60)
        finally:
            ended.set("ended")

    loop.spawn(wait())
    assert loop.spawn(asyncio.sleep(0, "slept")).get(timeout=10) == "slept"
    with pytest.raises(TypeError, match="not actors"):
        Unregistered.start(dispatcher=loop)
    actors.shutdown(10)

    assert ended.get(timeout=10) == "ended"
    assert loop.loop.is_closed()
    loop.close(0)  # closing it again is in nobody's way
    assert background_loop() is not loop


def test_a_loop_that_goes_on_in_another_thread_runs_its_actors_there():
    class Where(Actor):
        def on_receive(self, message):
            return threading.get_ident()

    async def begin():
        ref = Where.start(dispatcher=AsyncioDispatcher(loop))
        assert await ref.ask("x", block=False) == threading.get_ident()
        return ref

    loop, running = asyncio.new_event_loop(), threading.Event()
    ref = loop.run_until_complete(begin())
    loop.call_soon(running.set)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        assert running.wait(10)
        answer: Future = Future()
        ref.deliver("x", answer)
        assert answer.get(timeout=10) == thread.ident
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_actors_that_a_turn_of_the_loop_wakes_need_no_further_turn():
    """Each one is an iteration of the loop, which other programs on it would pay for."""

    class Counting(AsyncioDispatcher):
        turns = 0

        def _turn(self) -> None:
            self.turns += 1
            super()._turn()

    class Chained(Actor):
        def on_receive(self, message):
            later, done = message
            if later:
                later[0].tell((later[1:], done))
            else:
                done.settle(len(later))

    async def main() -> tuple[object, int]:
        dispatcher = Counting()
        chain = [Chained.start(dispatcher=dispatcher) for _ in range(5)]
        done: Future[int] = Future()
        chain[0].tell((chain[1:], done))
        found = await done, dispatcher.turns
        done = Future()
        chain[0].tell((chain[1:], done))  # the loop can be woken again
        await done
        for ref in chain:
            ref.stop(block=False)
        return found

    assert asyncio.run(main()) == (0, 1)
