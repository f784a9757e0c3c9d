"""A mailbox with a bound drops or refuses what its policy says."""

from __future__ import annotations

import pytest

from actorcred import actors
from actorcred.actors import Actor, ControlMessage, MailboxFull, MailboxLimit, Overflow
from tests.actors.helpers import Recorder


@pytest.mark.parametrize(
    ("overflow", "kept"),
    [(Overflow.DROP_OLDEST, ["first", 3, 4]), (Overflow.DROP_NEWEST, ["first", 0, 1])],
)
def test_a_bounded_mailbox_drops_what_its_policy_says_and_counts_it(inline, log, overflow, kept):
    class Bounded(Recorder):
        mailbox_limit = MailboxLimit(2, overflow)

        def on_receive(self, message):
            if message == "first":
                for number in range(5):
                    self.actor_ref.tell(number)
            return super().on_receive(message)

    before = actors.statistics().dropped
    ref = Bounded.start(log)
    ref.tell("first")

    assert log == ["start", *kept]
    assert actors.statistics().dropped - before == 3
    assert ref.actor_inbox.dropped == 3
    assert ref.stop() is True


def test_a_bounded_mailbox_can_refuse_the_sender(inline):
    answers = []

    class Bounded(Actor):
        mailbox_limit = MailboxLimit(1)

        def on_receive(self, message):
            if message == "first":
                self.actor_ref.tell("second")
                with pytest.raises(MailboxFull, match="1 messages waiting"):
                    self.actor_ref.tell("third")
                answers.append(self.actor_ref.ask("fourth", block=False))

    ref = Bounded.start()
    ref.tell("first")

    with pytest.raises(MailboxFull):
        answers[0].get()
    assert ref.is_alive()


def test_a_bound_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        MailboxLimit(0)
    with pytest.raises(ValueError, match="refuze"):
        MailboxLimit(1, "refuze")


def test_internal_messages_keep_their_place_when_the_oldest_of_the_others_is_dropped(inline, log):
    answers = []

    class Bounded(Recorder):
        mailbox_limit = MailboxLimit(3, Overflow.DROP_OLDEST)

        def on_receive(self, message):
            if message == "first":
                self.actor_ref.tell(_Note())
                answers.append(self.actor_ref.ask("dropped", block=False))
                for text in ("second", "third"):
                    self.actor_ref.tell(text)
            return super().on_receive(message)

        def _actor_control(self, message):
            if isinstance(message, _Note):
                log.append("note")
                return None
            return super()._actor_control(message)

    Bounded.start(log).tell("first")

    assert log == ["start", "first", "note", "second", "third"]
    with pytest.raises(MailboxFull, match="dropped the message"):
        answers[0].get(timeout=0)


class _Note(ControlMessage):
    __slots__ = ()
