"""Asks of idle actors on an event loop are answered at once, and hold up nothing else on it."""

from __future__ import annotations

import asyncio
import functools
import itertools
import socket
import traceback

import pytest
from pykka.messages import _ActorStop

from actorcred.actors import Actor, ActorRef, AsyncioDispatcher, Future, WaitsForItself
from tests.actors.helpers import Recorder


class Sleeper(Actor):
    """Waits for a future in a coroutine."""

    async def on_receive(self, gate):
        return await gate


async def warm(ref) -> None:
    """Have an ask wait for a turn of the loop, after which the next ones need not."""
    await ref.ask("warm", block=False)
    await ref.ask("warm", block=False)


def on_loop(test):
    """Run a test on an event loop whose default dispatcher is the loop's."""

    @functools.wraps(test)
    def run():
        asyncio.run(asyncio.wait_for(test(), 30))

    return run


@pytest.fixture
def unhurried(monkeypatch):
    """Turns of the loop do not end by time, however busy the machine is."""
    monkeypatch.setattr("actorcred.actors.event_loop.TURN", 60.0)


@pytest.mark.usefixtures("unhurried")
@on_loop
async def test_an_idle_actor_answers_a_coroutine_of_its_loop_at_once():
    dispatcher = AsyncioDispatcher()
    ref = Recorder.start(dispatcher=dispatcher)
    await warm(ref)

    answers = [ref.ask("x", block=False), ref.proxy().echo("y"), ref.proxy().log]
    assert all(answer.done() for answer in answers)
    assert [await answer for answer in answers[:2]] == ["x", "y"]
    with pytest.raises(LookupError, match="as ordered") as raised:
        ref.ask("fail", block=False).get(timeout=0)
    frames = traceback.extract_tb(raised.value.__traceback__)
    assert "on_receive" in [frame.name for frame in frames]
    assert await ref.ask("alive", block=False) == "alive"
    assert await ref.stop(block=False) is True
    assert not ref.is_alive()


@on_loop
async def test_two_actors_that_ask_each_other_all_the_time_let_sockets_and_timers_run():
    dispatcher = AsyncioDispatcher()
    near, far = socket.socketpair()
    near.setblocking(False)
    seen: list[object] = []

    class Asker(Actor):
        async def on_receive(self, other):
            for _ in range(200_000):
                await other.ask("ball", block=False)
                if len(seen) == 2:
                    return "all have run"
            return "starved"

    loop = asyncio.get_running_loop()
    loop.add_reader(near, lambda: (seen.append("socket"), loop.remove_reader(near)))
    loop.call_later(0.01, seen.append, "timer")
    far.send(b"x")
    others = [Recorder.start(dispatcher=dispatcher) for _ in range(2)]
    answers = [Asker.start(dispatcher=dispatcher).ask(one, block=False) for one in others]

    assert [await answer for answer in answers] == ["all have run"] * 2
    assert sorted(seen) == ["socket", "timer"]
    near.close()
    far.close()


def test_handlers_that_take_long_leave_the_loop_after_their_turn(monkeypatch):
    monkeypatch.setattr("actorcred.actors.event_loop.TURN", 0.0)

    @on_loop
    async def run():
        dispatcher = AsyncioDispatcher()
        ref, order = Recorder.start(dispatcher=dispatcher), []
        await warm(ref)
        for number in range(3):
            asyncio.get_running_loop().call_soon(order.append, "socket")
            await ref.ask(number, block=False)
            order.append(number)
        assert order == ["socket", 0, "socket", 1, "socket", 2]

    run()


def test_coroutines_that_ask_all_the_time_get_on_alike(monkeypatch):
    monkeypatch.setattr("actorcred.actors.event_loop.TURN", 60.0)

    @on_loop
    async def run():
        dispatcher = AsyncioDispatcher()
        done, asks = [0] * 8, 2000

        async def ask(index):
            ref = Recorder.start(dispatcher=dispatcher)
            while max(done) < asks:
                await ref.ask("x", block=False)
                done[index] += 1

        await asyncio.gather(*map(ask, range(8)))
        assert min(done) > 0.9 * asks

    run()


@on_loop
async def test_no_coroutine_has_more_than_its_share_of_one_actor():
    ref, order = Recorder.start(dispatcher=AsyncioDispatcher()), []

    async def ask(index):
        while len(order) < 4000:
            await ref.ask("x", block=False)
            order.append(index)

    await asyncio.gather(*map(ask, range(8)))
    runs = [len(list(run)) for _, run in itertools.groupby(order[-1000:])]

    assert max(runs) <= 256 / 8 + 1


@on_loop
async def test_an_ask_does_not_overtake_what_was_sent_before_it():
    dispatcher = AsyncioDispatcher()
    log: list[object] = []
    one, two = (Recorder.start(log, dispatcher=dispatcher) for _ in range(2))
    await warm(one)
    await warm(two)
    log.clear()
    one.tell("told")
    assert await two.ask("asked", block=False) == "asked"
    one.tell("first")
    await one.ask("second", block=False)

    assert log == ["told", "asked", "first", "second"]


@on_loop
async def test_a_handler_that_is_no_coroutine_has_returned_before_the_actor_that_it_asks_runs():
    dispatcher = AsyncioDispatcher()
    log: list[object] = []
    answers = []

    class Asker(Actor):
        def on_receive(self, other):
            log.append("begin")
            answers.append(other.ask("asked", block=False))
            log.append("end")

    asker = Asker.start(dispatcher=dispatcher)
    other = Recorder.start(log, dispatcher=dispatcher)
    await warm(other)
    log.clear()
    await asker.ask(other, block=False)

    assert await answers[0] == "asked"
    assert log == ["begin", "end", "asked"]


@on_loop
async def test_a_coroutine_that_asks_all_the_time_can_be_cancelled():
    dispatcher = AsyncioDispatcher()
    ref = Recorder.start(dispatcher=dispatcher)

    async def ask():
        while True:
            await ref.ask("x", block=False)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ask(), 0.02)
    assert await ref.ask("alive", block=False) == "alive"


@on_loop
async def test_an_ask_of_an_actor_with_a_coroutine_is_answered_by_it_and_the_next_one_waits():
    dispatcher = AsyncioDispatcher()
    ref, gates = Sleeper.start(dispatcher=dispatcher), [Future(), Future()]
    other = Recorder.start(dispatcher=dispatcher)
    await warm(other)
    answers = [ref.ask(gate, block=False) for gate in gates]
    assert not answers[0].done()
    for number, gate in enumerate(gates):
        gate.set(number)

    assert [await answer for answer in answers] == [0, 1]


@on_loop
async def test_asks_can_follow_each_other_by_callbacks_for_ever():
    def ask(number):
        ref.ask(number, block=False).add_done_callback(read)

    def read(answer):
        go_on(answer.get())

    def go_on(number):
        if number < 2000:
            ask(number + 1)
        else:
            last.set(number)

    last: Future = Future()
    ref = Recorder.start(dispatcher=AsyncioDispatcher())
    await warm(ref)
    await warm(Recorder.start(dispatcher=AsyncioDispatcher()))  # another one of the same loop
    ask(0)

    assert await asyncio.wait_for(last, 10) == 2000


@on_loop
async def test_who_blocks_the_loop_on_an_answer_that_needs_it_is_told_also_for_a_stop():
    class Leaving(Recorder):
        async def on_stop(self):
            await gate

    gate: Future = Future()
    ref = Leaving.start(dispatcher=AsyncioDispatcher())
    await warm(ref)
    answer = ref.ask(_ActorStop(), block=False)
    with pytest.raises(WaitsForItself, match="is blocked meanwhile"):
        answer.get()
    gate.set()
    await answer


def test_an_interruption_in_an_ask_ends_the_loop_and_all_actors():
    class Interrupted(Recorder):
        def on_receive(self, message):
            if message == "now":
                raise KeyboardInterrupt
            return message

    async def main():
        dispatcher = AsyncioDispatcher()
        ref = Interrupted.start(dispatcher=dispatcher)
        await warm(ref)
        try:
            ref.ask("now", block=False)
        finally:
            refs.append(ref)

    refs: list[ActorRef] = []
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    assert not refs[0].is_alive()
