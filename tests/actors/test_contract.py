"""What Pykka documents of actors holds on each dispatcher; and what this package adds to it."""

from __future__ import annotations

import asyncio
import threading
import traceback

import pykka
import pytest

from actorcred import actors
from actorcred.actors import Actor, ActorRef, Dispatcher, Future, InlineDispatcher, MailboxFull, MailboxLimit, Overflow


class Recorder(Actor):
    """Notes what it gets and which hooks run."""

    def __init__(self, log: list[object] | None = None) -> None:
        super().__init__()
        self.log: list[object] = log if log is not None else []

    def on_start(self) -> None:
        self.log.append("start")

    def on_stop(self) -> None:
        self.log.append("stop")

    def on_failure(self, exception_type, exception_value, traceback) -> None:
        self.log.append(f"failure {exception_type.__name__}")

    def on_receive(self, message: object) -> object:
        self.log.append(message)
        if message == "fail":
            raise LookupError("as ordered")
        return message

    def echo(self, value: object) -> object:
        return value

    def fail(self) -> None:
        raise LookupError("as ordered")


@pytest.fixture
def log() -> list[object]:
    return []


@pytest.fixture
def recorder(dispatcher: Dispatcher, log: list[object]) -> ActorRef[Recorder]:
    return Recorder.start(log)


def gone(ref: ActorRef) -> BaseException | None:
    """Wait for the end of an actor and return its cause."""
    future: Future = Future()
    ref.watch(future.settle)
    return future.get(timeout=10)


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
        assert [entry[1] for entry in log if isinstance(entry, tuple) and entry[0] == name] == list(range(300))


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


def test_stop_comes_after_the_messages_before_it_and_answers_those_after_it(dispatcher, log):
    ref = Recorder.start(log)
    ref.tell("before")
    stopped = ref.stop(block=False)
    late = ref.ask("after", block=False)

    assert stopped.get(timeout=10) is True
    with pytest.raises(pykka.ActorDeadError):
        late.get(timeout=10)
    assert log == ["start", "before", "stop"]
    assert not ref.is_alive()
    assert ref.actor_stopped.is_set()
    assert ref.stop() is False
    with pytest.raises(pykka.ActorDeadError):
        ref.tell("dead")
    with pytest.raises(pykka.ActorDeadError):
        ref.ask("dead")


def test_an_exception_in_an_ask_goes_to_the_caller_with_its_traceback_and_the_actor_lives(recorder):
    with pytest.raises(LookupError, match="as ordered") as raised:
        recorder.ask("fail", timeout=10)

    assert "on_receive" in [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)]
    assert recorder.ask("alive", timeout=10) == "alive"


def test_an_exception_in_a_tell_ends_the_actor_through_on_failure(recorder, log):
    cause: Future = Future()
    recorder.watch(cause.settle)
    recorder.tell("fail")

    assert isinstance(cause.get(timeout=10), LookupError)
    assert isinstance(gone(recorder), pykka.ActorDeadError)
    assert log == ["start", "fail", "failure LookupError"]
    assert recorder not in pykka.ActorRegistry.get_all()


def test_an_exception_in_on_start_ends_the_actor(dispatcher):
    class Stillborn(Actor):
        def on_start(self):
            raise LookupError("no")

    ref = Stillborn.start()

    assert gone(ref) is not None
    with pytest.raises(pykka.ActorDeadError):
        ref.ask("anybody?", timeout=10)


def test_ordinary_actors_are_in_the_registry_and_others_are_not(dispatcher):
    class Quiet(Actor):
        registered = False

    ref, quiet = Recorder.start(), Quiet.start()

    assert pykka.ActorRegistry.get_by_urn(ref.actor_urn) is ref
    assert quiet not in pykka.ActorRegistry.get_all()
    assert actors.statistics().actors == 2
    ref.stop()
    assert ref not in pykka.ActorRegistry.get_all()


def test_proxies_reach_attributes_methods_and_traversable_objects(dispatcher):
    @pykka.traversable
    class Part:
        volume = 3

        def louder(self):
            self.volume += 1
            return self.volume

    class Whole(Actor):
        def __init__(self):
            super().__init__()
            self.part = Part()
            self.name = "x"

        def add(self, one, two=2):
            return one + two

    proxy = Whole.start().proxy()

    assert proxy.name.get(timeout=10) == "x"
    proxy.name = "y"
    assert proxy.name.get(timeout=10) == "y"
    assert proxy.add(1, two=5).get(timeout=10) == 6
    assert proxy.part.louder().get(timeout=10) == 4
    proxy.part.louder.defer()
    assert proxy.part.volume.get(timeout=10) == 5


def test_async_handlers_and_hooks_are_still_one_at_a_time(dispatcher, log):
    release: list[Future] = [Future() for _ in range(3)]

    class Slow(Actor):
        async def on_start(self):
            log.append("start")

        async def on_receive(self, number):
            log.append(("begin", number))
            await release[number]
            log.append(("end", number))
            return number

        async def on_stop(self):
            log.append("stop")

    ref = Slow.start()
    answers = [ref.ask(number, block=False) for number in range(3)]
    for future in reversed(release):
        future.set()

    assert pykka.get_all(answers, timeout=10) == [0, 1, 2]
    ref.stop()
    expected: list[object] = ["start"]
    for number in range(3):
        expected += [("begin", number), ("end", number)]
    assert log == [*expected, "stop"]


def test_an_exception_in_an_async_handler_goes_to_the_caller(dispatcher):
    class Slow(Actor):
        async def on_receive(self, message):
            raise LookupError(message)

    ref = Slow.start()

    with pytest.raises(LookupError, match="why"):
        ref.ask("why", timeout=10)
    ref.tell("why")
    assert gone(ref) is not None


def test_an_actor_that_asks_another_one_and_waits_gets_its_answer(dispatcher):
    class Asker(Actor):
        def on_receive(self, other):
            return other.ask("question", timeout=10)

    assert Asker.start().ask(Recorder.start(), timeout=10) == "question"


def test_an_actor_is_started_on_the_dispatcher_of_its_starter(dispatcher):
    class Parent(Actor):
        def on_receive(self, message):
            return Recorder.start()

    other = InlineDispatcher("other")
    child = Parent.start(dispatcher=other).ask("child", timeout=10)

    assert child.actor_inbox.dispatcher is other
    assert Recorder.start().actor_inbox.dispatcher is dispatcher

    class Pinned(Recorder):
        dispatcher = other

    assert Pinned.start().actor_inbox.dispatcher is other


def test_an_init_that_does_not_call_super_is_named_in_the_error(dispatcher):
    class Forgetful(Actor):
        def __init__(self):
            pass

    with pytest.raises(TypeError, match=r"Forgetful.__init__\(\) must call super"):
        Forgetful.start()


def test_messages_that_an_actor_sends_to_itself_in_init_are_handled_after_on_start(dispatcher, log):
    class Eager(Recorder):
        def __init__(self, log):
            super().__init__(log)
            self.actor_ref.tell("early")

    Eager.start(log).ask("late", timeout=10)

    assert log == ["start", "early", "late"]


def test_a_watcher_is_told_the_cause_also_when_it_comes_late(recorder):
    early: Future = Future()
    recorder.watch(early.settle)
    recorder.stop()

    assert early.get(timeout=10) is None
    assert gone(recorder) is None


def test_a_message_for_an_actor_that_has_stopped_meanwhile_is_counted_as_a_dead_letter(inline):
    class Stopper(Actor):
        def on_receive(self, message):
            self.stop()
            self.actor_ref.tell("too late")

    before = actors.statistics().dead_letters
    Stopper.start().tell("go")

    assert actors.statistics().dead_letters == before + 1


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


def test_a_stopped_actor_is_not_held_by_its_ref(dispatcher):
    ref = Recorder.start()
    ref.stop()

    assert ref._actor_weakref() is None
    assert ref.actor_class is Recorder


def test_ctrl_c_in_a_handler_stops_all_actors(inline, log):
    class Interrupted(Actor):
        def on_receive(self, message):
            raise KeyboardInterrupt

    bystander = Recorder.start(log)
    ref = Interrupted.start()
    with pytest.raises(KeyboardInterrupt):
        ref.tell("now")

    assert not ref.is_alive()
    assert not bystander.is_alive()
    assert log[-1] == "stop"


def test_a_cancelled_async_handler_answers_its_caller(event_loop):
    class Slow(Actor):
        async def on_receive(self, message):
            asyncio.current_task().cancel()
            await asyncio.sleep(60)

    ref = Slow.start(dispatcher=actors.AsyncioDispatcher(event_loop))

    with pytest.raises(asyncio.CancelledError):
        ref.ask("x", timeout=10)
    assert ref.is_alive()


def test_an_actor_uses_its_dispatcher_by_methods_of_its_own(dispatcher):
    class Busy(Actor):
        async def work(self):
            async def ten():
                return 10

            return await self.spawn(ten()) + await self.offload(int, "1"), self.now()

    busy = Busy.start()
    before = dispatcher.now()
    result, now = busy.proxy().work().get(timeout=10)

    assert result == 11
    assert before <= now <= dispatcher.now()
