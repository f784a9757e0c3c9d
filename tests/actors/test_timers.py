"""Timers fire in order, end with their actors, and cost little in great numbers."""

from __future__ import annotations

import threading
import time

import pytest

from actorcred import actors
from actorcred.actors import Actor, Future
from actorcred.actors.timers import TimerQueue, TimerThread


class Clock(Actor):
    def __init__(self, log):
        super().__init__()
        self.log = log

    def on_receive(self, message):
        self.log.append(message)


@pytest.mark.parametrize("far", [float("inf"), 1e12])
def test_a_timer_that_is_never_due_does_not_end_the_others(far):
    class Waiting(Actor):
        def __init__(self):
            super().__init__()
            self.got = Future()

        def on_receive(self, message):
            self.got.settle(message)

        def received(self):
            return self.got

    ref = Waiting.start()
    never = ref.send_after(far, "never")
    soon = ref.proxy().received().get(timeout=10)
    ref.send_after(0.01, "soon")
    assert soon.get(timeout=10) == "soon"
    never.cancel()


def test_a_callback_that_wants_to_end_the_program_does_not_end_the_others(caplog):
    def ends():
        raise SystemExit

    done = Future()
    actors.timers.timers().add(0.0, ends)
    actors.timers.timers().add(time.monotonic() + 0.01, done.settle)
    done.get(timeout=10)
    assert "A timer's callback failed" in caplog.text


def test_timers_fire_once_at_their_time_in_order(inline):
    log: list[str] = []
    ref = Clock.start(log)
    ref.send_after(3, "three")
    ref.send_after(1, "one")
    ref.send_after(2, "two").cancel()

    inline.advance(0.5)
    assert log == []
    inline.advance(0.5)
    assert log == ["one"]
    inline.advance(10)
    assert log == ["one", "three"]
    assert inline.pending_timers == 0


def test_an_interval_goes_on_until_it_is_cancelled(inline):
    log: list[str] = []
    timer = Clock.start(log).send_every(1, "tick")
    inline.advance(3.5)
    timer.cancel()
    timer.cancel()
    inline.advance(3)

    assert log == ["tick"] * 3
    assert not timer.pending


def test_an_interval_of_nothing_is_refused(inline):
    with pytest.raises(ValueError, match="more than 0"):
        Clock.start([]).send_every(0, "tick")


def test_timers_end_with_their_actor(inline):
    log: list[str] = []
    ref = Clock.start(log)
    ref.send_after(1, "later")
    ref.send_every(1, "always")
    ref.stop()
    assert inline.pending_timers == 0
    late = ref.send_after(1, "too late")

    assert not late.pending
    inline.advance(5)
    assert log == []


def test_timers_fire_on_every_dispatcher(dispatcher):
    fired: Future[str] = Future()

    class Alarm(Actor):
        def on_start(self):
            self.send_after(60, "late")
            self.send_after(0.01, "early")

        def on_receive(self, message):
            fired.set(message)

    def pending():
        inline = isinstance(dispatcher, actors.InlineDispatcher)
        return dispatcher.pending_timers if inline else actors.statistics().timers

    ref = Alarm.start()
    if isinstance(dispatcher, actors.InlineDispatcher):
        dispatcher.advance(1)  # it goes by a clock of its own

    assert fired.get(timeout=10) == "early"
    assert pending() == 1
    ref.stop()
    assert pending() == 0


def test_a_hundred_thousand_timers_come_out_in_order_and_cancelled_ones_leave_no_trace():
    queue = TimerQueue()
    fired: list[int] = []
    timers = [
        queue.add((n * 7919) % 100_000, fired.append, (n * 7919) % 100_000) for n in range(100_000)
    ]
    for timer in timers[::2]:
        timer.cancel()

    assert len(queue) == 50_000
    assert len(queue._heap) <= 100_000
    assert all(timer.callback is None and timer.args == () for timer in timers[::2])
    while (timer := queue.pop_due(100_000)) is not None:
        timer.fire()
    assert len(fired) == 50_000
    assert fired == sorted(fired)


def test_intervals_that_were_missed_are_skipped():
    queue = TimerQueue()
    fired: list[float] = []
    queue.add(1.0, lambda: fired.append(0), interval=1.0)
    while (timer := queue.pop_due(100.5)) is not None:
        timer.fire()

    assert len(fired) == 1
    assert queue.next_due() == 101.0


def test_a_callback_that_fails_is_logged_and_harms_no_other(inline, caplog):
    log: list[int] = []
    inline.call_later(1, lambda: 1 / 0)
    inline.call_later(1, log.append, 1)
    inline.advance(1)

    assert log == [1]
    assert "ZeroDivisionError" in caplog.text


def test_planning_a_timer_when_no_thread_can_be_started_harms_no_actor_and_the_next_serves_both(
    monkeypatch, caplog
):
    fired: list[str] = []
    done: Future[None] = Future()
    queue = TimerThread()
    start = threading.Thread.start

    def refuse(thread):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    queue.add(0.0, fired.append, "first")
    assert "No timer fires until the next one is added" in caplog.text
    monkeypatch.setattr(threading.Thread, "start", start)
    queue.add(0.0, done.set)
    done.get(timeout=10)
    queue.close(10)

    assert fired == ["first"]
