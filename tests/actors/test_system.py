"""Shutdown stops everything and says what did not stop; the interpreter always exits."""

from __future__ import annotations

import subprocess
import sys
import threading

import pykka
import pytest

from actorcred import actors
from actorcred.actors import Actor, InlineDispatcher, ThreadDispatcher
from actorcred.actors.system import _at_exit
from tests.actors.helpers import Recorder


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
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )

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
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )

    assert (done.returncode, done.stdout.count("stopped")) == (0, 9), done.stderr


def test_actors_that_are_started_inside_are_on_the_dispatcher_that_is_named(dispatcher):
    other = InlineDispatcher("other")
    with actors.starting_on(other):
        inside = Recorder.start()
        with actors.starting_on(None):
            further = Recorder.start()

    assert inside.actor_inbox.dispatcher is further.actor_inbox.dispatcher is other
    assert Recorder.start().actor_inbox.dispatcher is dispatcher


def test_the_default_dispatcher_is_one_pool_until_another_one_is_set(dispatcher):
    assert actors.default_dispatcher() is dispatcher
    actors.set_default_dispatcher(None)
    pool = actors.default_dispatcher()

    assert isinstance(pool, ThreadDispatcher)
    assert actors.default_dispatcher() is pool


def test_what_is_forgotten_at_the_end_of_the_program_is_stopped(inline, log):
    Recorder.start(log)
    _at_exit()
    _at_exit()

    assert log == ["start", "stop"]
