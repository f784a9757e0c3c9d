"""What holds of any dispatcher, also of one that others write."""

from __future__ import annotations

import threading

from actorcred.actors import Actor, Dispatcher
from actorcred.actors.dispatcher import dispatchers
from actorcred.actors.fairness import FairQueue
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
