"""Refs hold nothing of an actor, and whoever asks by one and waits gets the answer."""

from __future__ import annotations

import asyncio
import threading

import pykka
import pytest

from actorcred.actors import (
    Actor,
    AsyncioDispatcher,
    Future,
    MailboxFull,
    MailboxLimit,
    ThreadDispatcher,
)
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


def test_a_coroutine_has_the_answer_of_an_idle_actor_on_its_loop_at_once():
    class Later(Actor):
        async def on_receive(self, message):
            return message

    async def main():
        dispatcher = AsyncioDispatcher()
        ref, later = Recorder.start(dispatcher=dispatcher), Later.start(dispatcher=dispatcher)
        assert not ref.ask("the first one waits for a turn of the loop", block=False).done()
        await ref.ask("so does the second one", block=False)
        answer, failure = (ref.ask(message, block=False) for message in ("x", "fail"))
        assert (answer.done(), failure.done()) == (True, True)
        with pytest.raises(LookupError, match="as ordered"):
            await failure
        return await answer, await later.ask("y", block=False)

    assert asyncio.run(main()) == ("x", "y")


def test_a_thread_that_runs_an_actor_itself_waits_for_its_coroutine():
    class Later(Actor):
        async def on_receive(self, message):
            await asyncio.sleep(0)
            return message

    ref = Later.start(dispatcher=ThreadDispatcher("actorcred-test"))

    assert ref.ask("x") == "x"


def test_a_ref_names_its_actor_and_says_whether_it_lives(inline):
    ref = Recorder.start()
    assert str(ref) == f"Recorder ({ref.actor_urn})"
    assert ref.is_alive()
    assert not ref.actor_stopped.is_set()
    ref.stop()

    assert not ref.is_alive()
    assert ref.actor_stopped.is_set()


def test_the_end_of_an_actor_can_be_waited_for(dispatcher):
    ref = Recorder.start()
    flag = ref.actor_stopped
    assert flag.wait(0.01) is False
    ref.stop(block=False)

    assert flag.wait(10) is True


def test_messages_are_told_without_waiting_and_asked_with_a_future(inline, log):
    ref = Recorder.start(log)
    ref.tell("told")
    answer = ref.ask("asked", block=False)

    assert answer.get(timeout=0) == "asked"
    assert log == ["start", "told", "asked"]


def test_a_dead_actor_answers_everybody_that_it_is_dead(inline):
    ref, answer = Recorder.start(), Future()
    assert ref.stop() is True
    ref.deliver("dead?", answer)

    for ask in (
        lambda: ref.tell("dead?"),
        lambda: ref.ask("dead?"),
        lambda: ref.deliver("dead?", None),
        lambda: answer.get(timeout=0),
    ):
        with pytest.raises(pykka.ActorDeadError, match="not found"):
            ask()
    assert ref.stop() is False


def test_a_full_mailbox_is_an_answer_or_an_error_of_the_sender(inline):
    class Narrow(Actor):
        mailbox_limit = MailboxLimit(1)

        async def on_receive(self, gate):
            await gate

    ref, gate, answer = Narrow.start(), Future(), Future()
    ref.tell(gate)
    ref.tell(gate)
    ref.deliver(gate, answer)

    for send in (lambda: ref.deliver(gate, None), lambda: answer.get(timeout=0)):
        with pytest.raises(MailboxFull, match="has 1 messages waiting"):
            send()
    gate.set()


def test_messages_can_be_planned_and_an_interval_of_nothing_is_refused(inline, log):
    ref = Recorder.start(log)
    ref.send_after(1, "once")
    ref.send_every(2, "again")
    inline.advance(4.5)

    assert log == ["start", "once", "again", "again"]
    with pytest.raises(ValueError, match="more than 0 seconds, not 0"):
        ref.send_every(0, "never")


def test_only_the_first_supervisor_counts(inline):
    ref = Recorder.start()
    ref.supervise("first")
    ref.supervise("second")

    assert ref.actor_inbox.supervisor == "first"


def test_a_watcher_is_told_once(inline):
    ref, told = Recorder.start(), []
    ref.watch(told.append)
    ref.stop()

    assert told == [None]
