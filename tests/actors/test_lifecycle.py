"""How actors begin, crash, are made anew and end; and who is told."""

from __future__ import annotations

import asyncio

import pykka
import pytest
from pykka._envelope import Envelope

from actorcred import actors
from actorcred.actors import Actor, AsyncioDispatcher, Future, Statistics
from tests.actors.helpers import Recorder, gone


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


def test_a_watcher_is_told_the_cause_also_when_it_comes_late(recorder):
    early: Future = Future()
    recorder.watch(early.settle)
    recorder.stop()

    assert early.get(timeout=10) is None
    assert gone(recorder) is None


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


class Fragile(Actor):
    restartable = True

    def __init__(self, log):
        super().__init__()
        self.log = log
        self.log.append("made")

    def on_receive(self, message):
        if message == "crash":
            raise LookupError("as ordered")
        self.log.append(message)


class Deciding:
    """A supervisor whose decision a test makes."""

    def __init__(self, *decided: float | None) -> None:
        self.errors: list[BaseException] = []
        self.begins = 0
        self.decision: Future[float | None] = Future()
        for pause in decided:
            self.decision.set(pause)

    def crashed(self, error: BaseException) -> Future[float | None]:
        self.errors.append(error)
        return self.decision

    def begun(self) -> None:
        self.begins += 1


def test_a_supervised_actor_is_made_anew_behind_its_ref_and_mailbox(inline):
    log: list[str] = []
    ref = Fragile.start(log)
    supervisor = Deciding(0.0)
    ref.supervise(supervisor)
    pending = ref.send_after(1, "a timer of the old instance")
    ref.tell("one")
    ref.tell("crash")
    ref.tell("two")

    assert log == ["made", "one", "made", "two"]
    assert [type(error) for error in supervisor.errors] == [LookupError]
    assert supervisor.begins == 1
    assert ref.is_alive()
    assert not pending.pending


def test_an_actor_that_was_made_anew_leaves_nothing_in_the_registry(inline):
    before = pykka.ActorRegistry.get_all()
    ref = Fragile.start([])
    ref.supervise(Deciding(0.0))
    ref.tell("crash")
    assert pykka.ActorRegistry.get_all() == [*before, ref]
    ref.stop()

    assert pykka.ActorRegistry.get_all() == before


def test_mail_that_waits_is_kept_while_the_supervisor_decides(inline):
    log: list[str] = []
    ref = Fragile.start(log)
    supervisor = Deciding()
    ref.supervise(supervisor)
    ref.tell("crash")
    waiting = ref.ask("kept", block=False)
    assert not waiting.done()
    supervisor.decision.set(0.0)

    assert waiting.get(timeout=10) is None
    assert log == ["made", "made", "kept"]


def test_a_supervisor_may_give_up_or_be_dead(inline):
    for answer in (None, LookupError("dead")):
        ref = Fragile.start([])
        supervisor = Deciding()
        ref.supervise(supervisor)
        ref.tell("crash")
        waiting = ref.ask("never", block=False)
        if answer is None:
            supervisor.decision.set(answer)
        else:
            supervisor.decision.settle_error(answer)

        with pytest.raises(pykka.ActorDeadError):
            waiting.get(timeout=10)
        assert not ref.is_alive()
        assert actors.statistics().actors == 0


def test_an_actor_that_is_down_answers_at_once_and_comes_back_after_the_pause(inline):
    log: list[str] = []
    ref = Fragile.start(log)
    supervisor = Deciding(5.0)
    ref.supervise(supervisor)
    ref.tell("crash")
    with pytest.raises(pykka.ActorDeadError, match="it is down"):
        ref.ask("while it is down", timeout=0)
    ref.tell("told in vain")
    assert ref.is_alive()
    inline.advance(4.9)
    assert supervisor.begins == 0
    inline.advance(0.2)

    assert supervisor.begins == 1
    assert ref.ask("again", timeout=0) is None
    assert log == ["made", "made", "again"]
    ref.stop(timeout=0)
    assert actors.statistics().actors == 0


def test_an_actor_that_is_down_can_be_stopped(inline):
    ref = Fragile.start([])
    ref.supervise(Deciding(60.0))
    ref.tell("crash")

    assert ref.stop(timeout=0)
    assert not ref.is_alive()
    assert actors.statistics() == Statistics(0, 0, *actors_lost())
    assert ref not in pykka.ActorRegistry.get_all()


def test_an_actor_that_is_killed_while_it_is_down_is_not_made_anew(inline):
    log: list[str] = []
    ref = Fragile.start(log)
    ref.supervise(Deciding(5.0))
    ref.tell("crash")
    ref.actor_inbox.kill(TimeoutError("it took too long"))
    assert inline.pending_timers == 0
    inline.advance(6.0)

    assert log == ["made"]
    assert not ref.is_alive()
    assert ref not in pykka.ActorRegistry.get_all()


def actors_lost() -> tuple[int, int]:
    statistics = actors.statistics()
    return statistics.dead_letters, statistics.dropped


def test_an_actor_that_cannot_be_made_anew_is_a_further_crash_for_its_supervisor(inline, caplog):
    class Unique(Actor):
        restartable = True
        made = 0

        def __init__(self):
            super().__init__()
            type(self).made += 1
            if self.made > 1:
                raise LookupError("there can be only one")

        def on_receive(self, message):
            raise ValueError("as ordered")

    ref = Unique.start()
    supervisor = Deciding()
    ref.supervise(supervisor)
    ref.tell("crash")
    decision, supervisor.decision = supervisor.decision, Future()
    decision.set(0.0)
    assert "could not be restarted" in caplog.text
    supervisor.decision.set(None)

    assert [type(error) for error in supervisor.errors] == [ValueError, LookupError]
    assert not ref.is_alive()


def test_a_hook_after_a_crash_that_fails_as_well_is_logged(inline, caplog):
    class Clumsy(Actor):
        def on_receive(self, message):
            raise ValueError("first")

        def on_failure(self, *details):
            raise LookupError("second")

    ref = Clumsy.start()
    ref.tell("crash")

    assert "first" in caplog.text
    assert "second" in caplog.text
    assert not ref.is_alive()


def test_a_hook_at_the_end_that_fails_is_logged_and_the_actor_has_stopped(inline, caplog):
    class Rude(Actor):
        def on_stop(self):
            raise LookupError("not now")

    ref = Rude.start()
    assert ref.stop(timeout=0)

    assert "not now" in caplog.text
    assert gone(ref) is None


def test_ctrl_c_answers_who_asked(inline):
    class Interrupted(Actor):
        def on_receive(self, message):
            raise KeyboardInterrupt

    ref, answer = Interrupted.start(), Future()
    with pytest.raises(KeyboardInterrupt):
        ref.deliver("now", answer)
    with pytest.raises(pykka.ActorDeadError, match="was interrupted"):
        answer.get(timeout=0)


def test_a_killed_actor_ends_without_its_hooks_and_tells_why(inline, log):
    ref, cause = Recorder.start(log), Future()
    ref.watch(cause.settle)
    ref.actor_inbox.kill(TimeoutError("it took too long"))

    assert isinstance(cause.get(timeout=0), TimeoutError)
    assert log == ["start"]
    assert ref not in pykka.ActorRegistry.get_all()


def test_an_actor_whose_dispatcher_is_gone_is_lost(caplog):
    loop = asyncio.new_event_loop()
    ref, cause = Actor.start(dispatcher=AsyncioDispatcher(loop)), Future()
    ref.watch(cause.settle)
    loop.close()
    ref.tell("anybody?")

    assert isinstance(cause.get(timeout=0), RuntimeError)
    assert f"{ref} is lost: Event loop is closed" in caplog.text


def test_all_watchers_are_told_although_one_fails(inline, caplog):
    ref, told = Recorder.start(), []
    for name in ("one", "two", "three"):
        ref.watch(lambda cause, name=name: told.append(name) if name != "two" else 1 / 0)
    ref.stop()

    assert told == ["one", "three"]
    assert f"A watcher of {ref} failed" in caplog.text


def test_a_watcher_may_end_the_program(inline):
    def interrupt(cause):
        raise KeyboardInterrupt

    ref = Recorder.start()
    ref.stop()
    with pytest.raises(KeyboardInterrupt):
        ref.watch(interrupt)


def test_an_actor_that_is_cancelled_while_it_waits_is_logged_without_a_traceback(inline, caplog):
    class Waiting(Actor):
        async def on_receive(self, gate):
            await gate

    ref = Waiting.start()
    ref.tell(Future())
    assert ref.actor_inbox.interrupt()

    assert f"{ref} was cancelled while it waited" in caplog.text
    assert "Traceback" not in caplog.text
    assert not ref.is_alive()


def test_mail_that_comes_to_an_actor_during_its_last_hook_is_answered(inline):
    gate: Future = Future()

    class Slow(Actor):
        async def on_stop(self):
            await gate

    ref = Slow.start()
    late: Future = Future()
    stopped = ref.stop(block=False)
    ref.actor_inbox.put(Envelope("late", late))
    gate.set()

    assert stopped.get(timeout=0) is True
    with pytest.raises(pykka.ActorDeadError, match="it has stopped"):
        late.get(timeout=0)
    after: Future = Future()
    ref.actor_inbox.put(Envelope("after", after))
    with pytest.raises(pykka.ActorDeadError, match="it has stopped"):
        after.get(timeout=0)


def test_an_idle_actor_can_be_stopped_without_a_turn_and_all_but_the_caller_are_told(inline):
    told, others = [], []
    ref = Actor.start()
    ref.watch(told.append)
    ref.watch(others.append)

    assert ref.actor_inbox.stop_idle(told.append)
    assert (told, others) == ([], [None])
    assert not ref.is_alive()
    assert actors.statistics().actors == 0
    with pytest.raises(pykka.ActorDeadError):
        ref.ask("late")


def test_an_actor_that_is_not_idle_is_not_stopped_without_a_turn(inline):
    stopped = []

    class Busy(Actor):
        def on_receive(self, message):
            stopped.append(self.actor_inbox.stop_idle(told.append))

    told: list = []
    ref = Busy.start()
    ref.watch(told.append)
    ref.tell("x")

    assert stopped == [False]
    assert ref.is_alive()


def test_an_actor_is_not_stopped_without_a_turn_for_who_does_not_watch_it(inline):
    told, others = [], []
    ref = Actor.start()
    assert not ref.actor_inbox.stop_idle(told.append)
    ref.watch(others.append)
    assert not ref.actor_inbox.stop_idle(told.append)
    ref.watch(others.append)
    assert not ref.actor_inbox.stop_idle(told.append)

    assert ref.is_alive()
    ref.stop()
    assert not ref.actor_inbox.stop_idle(others.append)
    assert others == [None, None]


def test_an_actor_with_waiting_messages_is_not_idle(inline):
    ref = Recorder.start()
    ref.actor_inbox.push("first")

    assert ref.actor_inbox.take_idle() is None
    assert ref.ask("x") == "x"
