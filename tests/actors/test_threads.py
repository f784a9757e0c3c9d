"""The pool of threads: no starvation, no needless switches, no secret in a log."""

from __future__ import annotations

import threading

import pykka
import pytest

from actorcred import actors
from actorcred.actors import Actor, Future, ThreadDispatcher
from tests.actors.helpers import Switching


class Echo(Actor):
    registered = False

    def on_receive(self, message):
        return message


def test_a_thousand_actors_that_wait_for_others_do_not_starve_a_pool_of_two():
    pool = Switching("actorcred-test", 2)

    class Asker(Actor):
        registered = False

        def on_receive(self, other):
            return other.ask("x", block=False).get(timeout=60)

    pairs = [(Asker.start(dispatcher=pool), Echo.start(dispatcher=pool)) for _ in range(1000)]
    answers = [asker.ask(echo, block=False) for asker, echo in pairs]

    assert pykka.get_all(answers, timeout=60) == ["x"] * 1000
    assert len(pool.mailboxes) == 2000


def test_threads_that_stood_in_for_blocked_ones_go_home():
    pool = Switching("actorcred-test", 2)
    release = actors.Future()

    class Waiter(Actor):
        def on_receive(self, message):
            return release.get(timeout=30)

    waiters = [Waiter.start(dispatcher=pool) for _ in range(20)]
    answers = [waiter.ask("wait", block=False) for waiter in waiters]
    assert Echo.start(dispatcher=pool).ask(1, timeout=30) == 1  # although 20 handlers are blocked
    release.set("done")
    pykka.get_all(answers, timeout=30)
    for _ in range(100):
        pykka.get_all(
            [Echo.start(dispatcher=pool).ask(n, block=False) for n in range(50)], timeout=30
        )

    assert len(pool._workers.threads) - pool._workers.blocked <= 3


def test_submitted_work_runs_on_the_pool_and_a_cancelled_one_not_at_all():
    pool = ThreadDispatcher("actorcred-test", 1)
    gate, calls = threading.Event(), []
    first = pool.submit(gate.wait, 30)
    second = pool.submit(calls.append, 2)
    third = pool.submit(int, "x")
    second.cancel()
    gate.set()

    assert first.get(timeout=30) is True
    with pytest.raises(ValueError, match="invalid literal"):
        third.get(timeout=30)
    assert calls == []
    pool.close(10)


def test_a_pool_needs_a_thread():
    with pytest.raises(ValueError, match="at least 1 thread"):
        ThreadDispatcher("x", 0)


def test_coroutines_of_pooled_actors_may_use_asyncio():
    import asyncio

    class Sleeper(Actor):
        async def on_receive(self, message):
            await asyncio.sleep(0)
            return message

    assert Sleeper.start().ask("x", timeout=10) == "x"


def test_bursts_blocked_handlers_and_closing_lose_no_message_and_no_thread():
    class Gate(Actor):
        registered = False

        def __init__(self, gate):
            super().__init__()
            self.gate = gate

        def on_receive(self, message):
            return self.gate.get(timeout=30) if message == "block" else message

    for size in (1, 2, 3) * 10:
        pool = ThreadDispatcher("actorcred-test", size)
        gate = actors.Future()
        refs = [Gate.start(gate, dispatcher=pool) for _ in range(20)]

        def send(refs=refs):
            for burst in range(20):
                pykka.get_all(
                    [refs[number].ask(burst, block=False) for number in range(burst % 5)],
                    timeout=30,
                )

        senders = [threading.Thread(target=send) for _ in range(3)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(60)
        blocked = [ref.ask("block", block=False) for ref in refs]
        assert Echo.start(dispatcher=pool).ask("still alive", timeout=30) == "still alive"
        gate.set("open")
        assert pykka.get_all(blocked, timeout=30) == ["open"] * 20
        for mailbox in list(pool.mailboxes):
            actors.ActorRef(mailbox).stop()
        pool.close(30)
        assert (pool._workers.threads, pool._workers.blocked) == (set(), 0)
        late = Echo.start(dispatcher=pool)
        assert late.ask("after closing", timeout=30) == "after closing"
        late.stop()
        pool.close(30)


def test_a_pool_that_gets_no_more_threads_goes_on_with_those_it_has(monkeypatch, caplog):
    pool = ThreadDispatcher("actorcred-test", 3)
    start, started = threading.Thread.start, []

    def start_one(thread):
        if thread.name.startswith("actorcred-test") and started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_one)
    refs = [Echo.start(dispatcher=pool) for _ in range(10)]

    assert pykka.get_all([ref.ask(1, block=False) for ref in refs], timeout=30) == [1] * 10
    assert "cannot get another one: can't start new thread" in caplog.text
    assert len(pool._workers.threads) == 1


def test_a_pool_without_actors_runs_a_task(log):
    done: Future = Future()

    class Task:
        def run(self):
            done.set(threading.current_thread().name)

    pool = ThreadDispatcher("tasks", 1)
    pool.start_task(Task())

    assert done.get(timeout=10) == "tasks-0"
    pool.close(10)
