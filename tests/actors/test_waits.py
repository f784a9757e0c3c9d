"""Actors that wait for themselves or in a circle are reported; other waits work as before."""

from __future__ import annotations

import asyncio
import threading

import pykka
import pytest

from actorcred import Channel, actors
from actorcred.actors import (
    Actor,
    AsyncioDispatcher,
    Future,
    InlineDispatcher,
    ThreadDispatcher,
    WaitsForItself,
)
from actorcred.actors.background import background_pool
from actorcred.actors.waits import circle_of, circles
from actorcred.mind.mind import Mind


class Waiter(Actor):
    """Asks others, in the manner that it is told."""

    def echo(self, value):
        return value

    def blocks_on_itself(self, timeout=None):
        return self.actor_ref.proxy().echo("me").get(timeout=timeout)

    def stops_itself(self):
        return self.actor_ref.stop()

    def waits_for_its_end(self):
        return self.actor_ref.actor_stopped.wait()

    def asks_its_client(self, mind, timeout=None):
        return mind.call("question").get(timeout=timeout)

    def blocks_on(self, other, timeout=None):
        return other.proxy().echo("you").get(timeout=timeout)

    def hands_on(self, other, then, timeout=None):
        return other.proxy().blocks_on(then, timeout).get(timeout=timeout)

    async def awaits(self, other):
        return await other.proxy().echo("you")

    async def awaits_circle(self, other):
        return await other.proxy().awaits(self.actor_ref)

    async def sleeps(self, future):
        return await future

    def blocks_on_sleeping(self, other, future):
        return other.proxy().sleeps(future).get()


def test_an_actor_that_blocks_on_itself_is_told_who_and_what_to_do(dispatcher):
    ref = Waiter.start()
    with pytest.raises(WaitsForItself, match="await") as told:
        ref.proxy().blocks_on_itself().get(timeout=10)

    assert str(ref) in str(told.value)
    assert ref.ask(pykka.messages.ProxyCall(("echo",), (1,), {}), timeout=10) == 1


@pytest.mark.parametrize("method", ["blocks_on_itself", "waits_for_its_end"])
@pytest.mark.parametrize("run", [lambda ask: ask(), lambda ask: background_pool().submit((), ask)])
def test_an_actor_that_blocks_on_itself_on_the_thread_of_its_asker_is_told(dispatcher, method, run):
    ref, answers = Waiter.start(), Future()

    def ask():
        with pytest.raises(WaitsForItself):
            ref.ask(pykka.messages.ProxyCall((method,), (), {}))
        answers.settle("told")

    # Another thread, since nothing would end it if the actor were not told.
    threading.Thread(target=run, args=(ask,), daemon=True).start()
    assert answers.get(timeout=10) == "told"
    assert ref.ask(pykka.messages.ProxyCall(("echo",), (1,), {})) == 1


@pytest.mark.parametrize("method", ["stops_itself", "waits_for_its_end"])
def test_an_actor_that_waits_for_its_own_end_is_told(dispatcher, method):
    ref = Waiter.start()
    with pytest.raises(WaitsForItself):
        getattr(ref.proxy(), method)().get(timeout=10)
    ref.stop(timeout=10)


def test_an_actor_of_a_loop_that_blocks_on_its_client_of_that_loop_is_told(event_loop):
    never = Future()

    class Client(Channel):
        def notify(self, notification):
            pass

        def call(self, name, args):
            return never

    dispatcher = AsyncioDispatcher(event_loop)
    ref, mind = Waiter.start(dispatcher=dispatcher), Mind.start(Client(), dispatcher=dispatcher)
    with pytest.raises(WaitsForItself):
        ref.proxy().asks_its_client(mind).get(timeout=10)
    mind.stop(timeout=10)


def test_an_actor_of_a_loop_may_wait_for_a_client_that_runs_elsewhere(event_loop):
    class Client(Actor):
        def question(self):
            return "answer"

    dispatcher = AsyncioDispatcher(event_loop)
    client = Client.start(dispatcher=ThreadDispatcher("actorcred-test", 1))
    ref, mind = Waiter.start(dispatcher=dispatcher), Mind.start(client, dispatcher=dispatcher)
    assert ref.proxy().asks_its_client(mind).get(timeout=10) == "answer"
    mind.stop(timeout=10)


def test_actors_of_a_loop_that_block_on_each_other_are_told_both_names(event_loop):
    one, other = (Waiter.start(dispatcher=AsyncioDispatcher(event_loop)) for _ in range(2))
    assert (
        one.proxy().blocks_on(other).get(timeout=10) == "you"
    )  # that one is idle, so it has its turn meanwhile
    with pytest.raises(WaitsForItself) as told:
        one.proxy().hands_on(other, one).get(timeout=10)

    assert str(one) in str(told.value)
    assert str(other) in str(told.value)


def test_an_actor_of_a_loop_that_blocks_on_what_only_the_loop_can_bring_is_told(event_loop):
    dispatcher = AsyncioDispatcher(event_loop)
    one, other = Waiter.start(dispatcher=dispatcher), Waiter.start(dispatcher=dispatcher)
    with pytest.raises(WaitsForItself):
        one.proxy().blocks_on_sleeping(other, Future()).get(timeout=10)
    other.actor_inbox.interrupt()


def test_code_of_a_loop_that_no_actor_runs_is_told(dispatcher):
    async def main():
        on_loop = Waiter.start(dispatcher=AsyncioDispatcher())
        assert on_loop.proxy().echo(1).get() == 1  # it has its turn
        never = Future()
        with pytest.raises(WaitsForItself, match="the running code"):
            on_loop.proxy().sleeps(never).get()
        never.settle()
        assert await on_loop.proxy().echo(1) == 1
        await asyncio.to_thread(actors.shutdown, 10)

    asyncio.run(main())


def test_a_wait_with_a_time_out_or_for_others_waits_as_before(event_loop):
    loop, pool = AsyncioDispatcher(event_loop), ThreadDispatcher("actorcred-test", 2)
    on_loop, on_pool = Waiter.start(dispatcher=loop), Waiter.start(dispatcher=pool)

    assert on_loop.proxy().blocks_on(on_pool).get(timeout=10) == "you"
    assert on_pool.proxy().blocks_on(on_loop).get(timeout=10) == "you"
    with pytest.raises(pykka.Timeout):
        on_loop.proxy().blocks_on_itself(0.01).get(timeout=10)
    with pytest.raises(pykka.Timeout):
        on_pool.proxy().blocks_on_itself(0.01).get(timeout=10)


def test_blocking_a_loop_for_long_is_logged(event_loop, caplog, monkeypatch):
    monkeypatch.setattr("actorcred.actors.event_loop.BLOCKED", 0.05)
    on_loop = Waiter.start(dispatcher=AsyncioDispatcher(event_loop))
    on_pool = Waiter.start(dispatcher=ThreadDispatcher("actorcred-test", 2))
    slow = Slow()
    with pytest.raises(pykka.Timeout):
        on_loop.ask(
            pykka.messages.ProxyCall(
                ("hands_on",), (on_pool, Waiter.start(dispatcher=slow), 0.3), {}
            ),
            timeout=10,
        )
    slow.catch_up()  # otherwise the end of the test would wait for its actor in vain

    assert "blocks the event loop" in caplog.text
    assert on_loop.actor_inbox.label in caplog.text


class Slow(InlineDispatcher):
    """Gives nobody a turn until it catches up."""

    late = True

    def run_ready(self):
        if not self.late:
            super().run_ready()

    def catch_up(self):
        self.late = False
        self.run_ready()


def test_a_circle_is_named_when_a_time_out_comes(caplog):
    actors.set_default_dispatcher(ThreadDispatcher("actorcred-test", 2))
    one, other = Waiter.start(), Waiter.start()
    with pytest.raises(pykka.Timeout):
        one.proxy().hands_on(other, one, 0.05).get(timeout=10)

    assert "in a circle" in caplog.text
    assert (
        f"{one} waits for {other} waits for {one}" in caplog.text
        or f"{other} waits for {one} waits for {other}" in caplog.text
    )


def test_a_circle_on_the_thread_of_an_asker_is_named_when_a_time_out_comes(dispatcher, caplog):
    class Asker(Actor):
        def on_receive(self, chain):
            ref, *others = chain
            return ref.ask(others, timeout=None if others else 0.01)

    one, other = Asker.start(), Asker.start()
    with pytest.raises(pykka.Timeout):
        one.ask([other, one])
    assert "in a circle" in caplog.text
    assert str(one) in caplog.text
    assert not circles(0.0)


def test_a_circle_of_coroutines_is_found(event_loop):
    one, other = (Waiter.start(dispatcher=AsyncioDispatcher(event_loop)) for _ in range(2))
    answer = one.proxy().awaits_circle(other)

    def found() -> bool:
        return bool(circles(0.0))

    from tests.helpers import until

    until(found)
    assert {frozenset(circle) for circle in circles(0.0)} == {
        frozenset((one.actor_inbox, other.actor_inbox))
    }
    assert not circles(60.0)
    other.actor_inbox.interrupt()
    with pytest.raises((asyncio.CancelledError, actors.CancelledError)):
        answer.get(timeout=10)
    assert circle_of(one.actor_inbox) == []


def test_waiting_threads_that_are_no_actors_are_in_no_circle():
    actors.set_default_dispatcher(ThreadDispatcher("actorcred-test", 2))
    ref, asked = Waiter.start(), threading.Event()

    def wait():
        asked.set()
        assert ref.proxy().echo(1).get(timeout=10) == 1

    thread = threading.Thread(target=wait)
    thread.start()
    assert asked.wait(10)
    thread.join(10)
    assert not circles(0.0)
