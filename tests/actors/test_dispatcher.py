"""What holds of any dispatcher, also of one that others write."""

from __future__ import annotations

import threading

import pytest

from actorcred.actors import Actor, Dispatcher, Future, ThreadDispatcher
from actorcred.actors.dispatcher import dispatchers
from actorcred.actors.fairness import FairQueue
from actorcred.actors.waits import WaitsForItself
from tests.actors.helpers import Recorder


class Foreign(Dispatcher):
    def schedule(self, task):
        task.run()

    def spawn(self, coroutine):
        raise NotImplementedError


def test_dispatchers_of_others_need_not_know_the_target():
    lock = threading.Lock()
    assert Foreign("foreign", 1.0).block(lock, None)


def test_actors_live_on_a_dispatcher_that_only_gives_turns():
    foreign = Foreign("foreign", 1.0)
    ref = Recorder.start(dispatcher=foreign)

    assert ref.ask("x", timeout=10) == "x"
    assert foreign in dispatchers()
    assert repr(foreign) == "<Foreign 'foreign', 1 actors>"
    ref.stop()
    assert not foreign.mailboxes


def test_work_is_offloaded_by_turns_of_the_actor_that_runs(monkeypatch):
    keys = []

    class Busy(Actor):
        def on_receive(self, message):
            return self.offload(int, "1").get(timeout=10)

    put = FairQueue.put
    monkeypatch.setattr(
        FairQueue, "put", lambda self, path, job: keys.append(path) or put(self, path, job)
    )
    ref = Busy.start(dispatcher=Foreign("foreign", 1.0))

    assert ref.ask("go", timeout=10) == 1
    assert keys == [(ref.actor_inbox.number,)]


def test_an_actor_that_blocks_on_its_own_answer_is_told():
    class Lonely(Actor):
        def on_receive(self, message):
            return self.actor_ref.ask("me")

    ref = Lonely.start(dispatcher=ThreadDispatcher("actorcred-test"))

    with pytest.raises(WaitsForItself, match="one message at a time"):
        ref.ask("go", timeout=10)


def test_a_dispatcher_that_says_nothing_of_its_thread_gives_turns_only():
    foreign = Foreign("foreign", 1.0)

    assert not foreign.runs_here()


def test_an_idle_actor_can_be_run_out_of_turn():
    class Here(Foreign):
        def runs_here(self):
            return True

    ref, answer = Recorder.start(dispatcher=Here("here", 1.0)), Future()
    ref.deliver("x", answer)

    assert answer.get(timeout=0) == "x"


def test_its_timers_go_by_the_clock_of_the_system():
    foreign, rang = Foreign("foreign", 1.0), Future()
    before = foreign.now()
    foreign.call_later(0.01, rang.settle)
    rang.get(timeout=10)

    assert foreign.now() - before >= 0.01
