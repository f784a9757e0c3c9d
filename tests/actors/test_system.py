"""Shutdown stops everything and says what did not stop; the interpreter always exits."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pykka
import pytest

from actorcred import actors
from actorcred.actors import Actor, AsyncioDispatcher, Future, RestartIntensity, Restarts, Statistics, ThreadDispatcher


def test_shutdown_stops_registered_actors_newest_first_and_the_others_too():
    log: list[int] = []

    class Numbered(Actor):
        def __init__(self, number):
            super().__init__()
            self.number = number

        def on_stop(self):
            log.append(self.number)

    class Unregistered(Numbered):
        registered = False

    pool = ThreadDispatcher("actorcred-test", 1)
    for number in range(5):
        Numbered.start(number, dispatcher=pool)
    Unregistered.start(99, dispatcher=pool)

    assert actors.shutdown(10) == []
    assert log == [4, 3, 2, 1, 0, 99]
    assert actors.statistics().actors == 0
    assert not pool._workers.threads
    assert pykka.ActorRegistry.get_all() == []


def test_shutdown_names_what_does_not_stop():
    gate = threading.Event()

    class Stuck(Actor):
        def on_receive(self, message):
            gate.wait(30)

    ref = Stuck.start()
    ref.tell("block")
    try:
        assert actors.shutdown(0.05) == [str(ref)]
    finally:
        gate.set()


def test_the_system_can_be_used_after_a_shutdown():
    class Echo(Actor):
        async def on_receive(self, message):
            return message

    for _ in range(3):
        assert Echo.start().ask(1, timeout=10) == 1
        assert actors.shutdown(10) == []


@pytest.mark.parametrize(
    "handler",
    ["pass", "threading.Event().wait()", "raise SystemExit"],
    ids=["idle", "blocked for ever", "exits"],
)
def test_the_interpreter_exits_although_actors_were_forgotten(handler):
    program = f"""
import threading
from actorcred.actors import Actor, Future
class Forgotten(Actor):
    def on_start(self): self.send_every(1000, "x")
    def on_receive(self, message): {handler}
    def on_stop(self): print("stopped", flush=True)
refs = [Forgotten.start() for _ in range(10)]
refs[0].tell("go")
print("end of main", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(("end of main", "stopped"))
    assert done.stdout.count("stopped") >= 9


def test_actors_that_are_idle_at_exit_stop_although_another_one_blocks_a_thread():
    program = """
import threading
from actorcred.actors import Actor, ThreadDispatcher, set_default_dispatcher
set_default_dispatcher(ThreadDispatcher(threads=2))
class Forgotten(Actor):
    def on_receive(self, event):
        event.set()
        threading.Event().wait()
    def on_stop(self): print("stopped", flush=True)
refs = [Forgotten.start() for _ in range(10)]
blocked = threading.Event()
refs[0].tell(blocked)
blocked.wait()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)

    assert (done.returncode, done.stdout.count("stopped")) == (0, 9), done.stderr


def test_actors_on_a_loop_that_was_closed_answer_that_they_are_dead(caplog):
    class Echo(Actor):
        def on_receive(self, message):
            return message

    loop = asyncio.new_event_loop()
    ref = Echo.start(dispatcher=AsyncioDispatcher(loop))
    loop.close()

    with pytest.raises(pykka.ActorDeadError):
        ref.ask("anybody?", timeout=10)
    assert not ref.is_alive()
    assert ref not in pykka.ActorRegistry.get_all()
    assert "is lost" in caplog.text


def test_blocking_on_the_loops_own_thread_lets_its_other_actors_run():
    class Echo(Actor):
        def on_receive(self, message):
            return message

    async def main() -> object:
        ref = Echo.start(dispatcher=AsyncioDispatcher())
        ref.tell("first")
        await asyncio.sleep(0)
        return ref.ask("second", timeout=10)

    assert asyncio.run(main()) == "second"


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


def actors_lost() -> tuple[int, int]:
    statistics = actors.statistics()
    return statistics.dead_letters, statistics.dropped


def test_restarts_are_counted_within_their_time():
    restarts = Restarts(RestartIntensity(2, within=5.0))

    assert restarts.pause(0.0) == 0
    assert restarts.pause(1.0) == 0
    assert restarts.pause(2.0) > 0
    assert restarts.pause(60.0) == 0


def test_pauses_grow_to_a_minute_and_are_forgotten_once_it_works():
    restarts, now, pauses = Restarts(RestartIntensity(1, within=5.0)), 0.0, []
    for _ in range(10):
        pauses.append(restarts.pause(now))
        now += pauses[-1] + 0.1  # it crashes again as soon as it is tried

    assert pauses == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert restarts.pause(now + 10) == 0


def test_an_intensity_of_no_time_is_refused():
    with pytest.raises(ValueError, match="within > 0"):
        RestartIntensity(1, 0)
