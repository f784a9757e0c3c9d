"""Messages keep their order and are handled one at a time, on each dispatcher."""

from __future__ import annotations

import threading

import pykka
import pytest
from pykka._envelope import Envelope

from actorcred import actors
from actorcred.actors import Actor, CancelledError, Future
from actorcred.actors.messages import AnsweredMessage
from tests.actors.helpers import Recorder


def test_on_start_comes_before_the_first_message_and_messages_keep_their_order(recorder, log):
    for number in range(500):
        recorder.tell(number)
    recorder.ask("last", timeout=10)

    assert log == ["start", *range(500), "last"]


def test_messages_of_each_of_several_senders_keep_their_order(recorder, log):
    def send(name: str) -> None:
        for number in range(300):
            recorder.tell((name, number))

    senders = [threading.Thread(target=send, args=(name,)) for name in "abc"]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    recorder.ask("end", timeout=10)

    for name in "abc":
        assert [entry[1] for entry in log if isinstance(entry, tuple) and entry[0] == name] == list(
            range(300)
        )


def test_an_actor_handles_one_message_at_a_time(dispatcher):
    class Careful(Actor):
        inside = 0
        worst = 0

        def on_receive(self, message):
            self.inside += 1
            self.worst = max(self.worst, self.inside)
            for _ in range(20):
                threading.Event().wait(0)  # let other threads run
            self.inside -= 1

    ref = Careful.start()
    senders = [threading.Thread(target=lambda: [ref.tell(0) for _ in range(50)]) for _ in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()

    assert ref.proxy().worst.get(timeout=10) == 1


def test_a_message_for_an_actor_that_has_stopped_meanwhile_is_counted_as_a_dead_letter(inline):
    class Stopper(Actor):
        def on_receive(self, message):
            self.stop()
            self.actor_ref.tell("too late")

    before = actors.statistics().dead_letters
    Stopper.start().tell("go")

    assert actors.statistics().dead_letters == before + 1


class Answered(AnsweredMessage):
    def __init__(self):
        self.answer = Future()


class Waiting(Actor):
    """Waits for the future that it is sent."""

    async def on_receive(self, gate):
        return await gate


def test_a_mailbox_names_its_actor_in_texts(inline):
    mailbox = Recorder.start().actor_inbox

    assert repr(mailbox) == f"<Cell of Recorder ({mailbox.urn})>"


def test_whoever_asked_is_told_when_an_actor_ends_before_it_comes_to_the_message(inline):
    ref, message = Waiting.start(), Answered()
    ref.tell(Future())
    asked = ref.ask("unheard", block=False)
    ref.tell(message)
    stopped = ref.stop(block=False)
    ref.actor_inbox.kill(TimeoutError("it took too long"))

    assert stopped.get(timeout=0) is True
    for answer in (asked, message.answer):
        with pytest.raises(pykka.ActorDeadError, match="did not handle the message"):
            answer.get(timeout=0)


def test_nothing_is_handled_while_a_coroutine_waits_and_all_is_after_it(dispatcher):
    class Noting(Waiting):
        async def on_receive(self, message):
            return await message if isinstance(message, Future) else message

    ref, gate = Noting.start(), Future()
    first, second = ref.ask(gate, block=False), ref.ask("second", block=False)
    assert not second.done()
    gate.set("first")

    assert pykka.get_all([first, second], timeout=10) == ["first", "second"]


def test_what_an_actor_waits_for_can_be_cancelled_and_it_goes_on(inline):
    ref = Waiting.start()
    waiting = ref.ask(Future(), block=False)
    assert ref.actor_inbox.interrupt()
    with pytest.raises(CancelledError):
        waiting.get(timeout=0)

    assert not ref.actor_inbox.interrupt()
    done: Future = Future()
    done.set("on")
    assert ref.ask(done, block=False).get(timeout=0) == "on"


def test_a_message_that_comes_while_the_turn_ends_is_not_left_behind(inline):
    class Last(Actor):
        def on_receive(self, message):
            return message

    mailbox = Last.start().actor_inbox
    answer: Future = Future()
    assert mailbox.busy.acquire(False)
    mailbox.put(Envelope("meanwhile", answer))
    assert not answer.done()
    mailbox.leave()

    assert answer.get(timeout=0) == "meanwhile"


def test_a_message_that_another_thread_took_is_not_missed(inline, monkeypatch):
    mailbox = Recorder.start().actor_inbox
    assert mailbox.take() is None
    monkeypatch.setattr(type(mailbox), "empty", lambda self: False)

    assert mailbox.take() is None
