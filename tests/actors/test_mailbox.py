"""Messages keep their order and are handled one at a time, on each dispatcher."""

from __future__ import annotations

import threading

from actorcred import actors
from actorcred.actors import Actor


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
