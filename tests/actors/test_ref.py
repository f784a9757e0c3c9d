"""Refs hold nothing of an actor, and whoever asks by one and waits gets the answer."""

from __future__ import annotations

import asyncio
import threading

from actorcred.actors import Actor, AsyncioDispatcher, Future, ThreadDispatcher
from tests.actors.helpers import Recorder, Switching


def test_an_actor_that_asks_another_one_and_waits_gets_its_answer(dispatcher):
    class Asker(Actor):
        def on_receive(self, other):
            return other.ask("question", timeout=10)

    assert Asker.start().ask(Recorder.start(), timeout=10) == "question"


def test_a_stopped_actor_is_not_held_by_its_ref(dispatcher):
    ref = Recorder.start()
    ref.stop()

    assert ref._actor_weakref() is None
    assert ref.actor_class is Recorder


def test_a_blocking_ask_of_an_idle_actor_runs_on_the_callers_thread():
    class Where(Actor):
        def on_receive(self, message):
            return threading.current_thread()

    ref = Where.start(dispatcher=ThreadDispatcher("actorcred-test"))
    elsewhere = Where.start(dispatcher=Switching("actorcred-test"))

    assert ref.ask("where?") is threading.current_thread()
    assert (
        ref.ask("where?", timeout=10) is not threading.current_thread()
    )  # or the time-out could not be kept
    assert elsewhere.ask("where?") is not threading.current_thread()


def test_deep_chains_of_blocking_asks_do_not_exhaust_the_stack():
    class SessionChannel(Actor):
        registered = False

        def __init__(self, following):
            super().__init__()
            self.following = following

        def on_receive(self, message):
            return 0 if self.following is None else 1 + self.following.ask(message)

    link = None
    for _ in range(300):
        link = SessionChannel.start(link)

    assert link.ask("how long?") == 299


def test_a_message_that_is_handed_over_on_the_actors_own_loop_is_handled_at_once():
    class Echo(Actor):
        def on_receive(self, message):
            return message

    async def main():
        ref, answer = Echo.start(dispatcher=AsyncioDispatcher()), Future()
        ref.deliver("x", answer)
        return answer.get(timeout=0)

    assert asyncio.run(main()) == "x"
