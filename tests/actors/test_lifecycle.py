"""How actors begin, crash, are made anew and end; and who is told."""

from __future__ import annotations

import pykka
import pytest

from actorcred import actors
from actorcred.actors import Actor, Future, Statistics
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
