"""The watchdog says when an event loop is stuck, and where; and when actors wait in a circle."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pykka
import pytest

from actorcred import actors
from actorcred.actors import Actor, AsyncioDispatcher, Watch, set_watchdog
from actorcred.actors.watchdog import _Beat, _is_debugged, _Watchdog
from tests.helpers import until

QUICK = Watch(stall=0.1, circle=0.1, interval=0.02)


@pytest.fixture
def watchdog() -> Iterator[None]:
    set_watchdog(QUICK)
    yield
    set_watchdog(None)


class Echo(Actor):
    def on_receive(self, message):
        return message


class Blocker(Actor):
    def stand_still_in_a_method_of_this_name(self, release):
        release.wait(20)

    async def awaits(self, other):
        return await other.proxy().awaits(self.actor_ref)


def test_a_stuck_loop_is_logged_once_with_its_stack_and_when_it_goes_on(
    watchdog, event_loop, caplog
):
    caplog.set_level(logging.WARNING)
    release = threading.Event()
    ref = Blocker.start(dispatcher=AsyncioDispatcher(event_loop))
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0.1), event_loop).result(
        10
    )  # so that it was asked once
    answer = ref.proxy().stand_still_in_a_method_of_this_name(release)
    until(lambda: "has been stuck" in caplog.text)
    assert "stand_still_in_a_method_of_this_name" in caplog.text
    release.set()
    answer.get(timeout=10)
    until(lambda: "is running again" in caplog.text)

    assert caplog.text.count("has been stuck") == 1


def test_a_circle_that_lasts_is_logged_once(watchdog, event_loop, caplog):
    one, other = (Blocker.start(dispatcher=AsyncioDispatcher(event_loop)) for _ in range(2))
    answer = one.proxy().awaits(other)
    until(lambda: "in a circle, none of them can continue" in caplog.text)
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0.1), event_loop).result(10)
    assert caplog.text.count("in a circle, none of them can continue") == 1
    other.actor_inbox.interrupt()
    with pytest.raises((asyncio.CancelledError, actors.CancelledError)):
        answer.get(timeout=10)
    for actor in (one, other):  # each still has the question of the other one in its mailbox
        actor.actor_inbox.kill(TimeoutError("the test is over"))


def test_its_thread_ends_with_the_last_loop(watchdog):
    def watching() -> bool:
        return any(thread.name == "actorcred-watchdog" for thread in threading.enumerate())

    async def main():
        AsyncioDispatcher()
        return watching()

    assert asyncio.run(main())
    until(lambda: not watching())


def test_somebody_at_a_breakpoint_is_left_alone():
    scope = {"__name__": "pdb"}
    exec("import sys\ndef here():\n    return sys._getframe()", scope)

    assert _is_debugged(scope["here"]())
    assert not _is_debugged(sys._getframe())


def test_it_is_there_by_default_but_not_under_pytest():
    program = """
import asyncio, threading
from actorcred.actors import AsyncioDispatcher
async def main():
    AsyncioDispatcher()
    print([t.name for t in threading.enumerate() if t.name == "actorcred-watchdog"])
asyncio.run(main())
"""
    assert (
        subprocess.check_output([sys.executable, "-c", program], text=True).strip()
        == "['actorcred-watchdog']"
    )

    async def main():
        AsyncioDispatcher()
        return [thread.name for thread in threading.enumerate()]

    assert "actorcred-watchdog" not in asyncio.run(main())
    assert actors.shutdown(10) == []


def test_a_loop_that_was_there_before_the_watchdog_is_watched_once_it_is_wanted(event_loop):
    watchdog = _Watchdog()
    watchdog.set(Watch(stall=60, interval=60))
    watchdog.add(event_loop)
    watchdog.set(None)
    assert watchdog._thread is None
    watchdog.set(QUICK)
    assert watchdog._thread.is_alive()
    watchdog.set(None)

    watchdog.add(event_loop)  # nobody watches
    assert watchdog._thread is None


def test_a_loop_that_ended_or_was_closed_after_a_question_is_not_stuck(caplog):
    loop, watchdog, beat = asyncio.new_event_loop(), _Watchdog(), _Beat()
    beat.asked = 0.0
    watchdog._look_at(loop, beat, QUICK)
    assert beat.asked is None
    loop.close()
    loop.is_running = lambda: True
    watchdog._look_at(loop, beat, QUICK)

    assert beat.asked is None
    assert "stuck" not in caplog.text


def test_what_waits_for_its_turn_when_the_loop_is_closed_is_ended(watchdog, caplog):
    async def start() -> Any:
        return Echo.start(dispatcher=AsyncioDispatcher())

    loop = asyncio.new_event_loop()
    ref = loop.run_until_complete(start())
    answers = [ref.ask("before", block=False)]
    loop.close()
    answers.append(ref.ask("after", block=False))
    for answer in answers:
        with pytest.raises(pykka.ActorDeadError):
            answer.get(timeout=20)
    assert not ref.is_alive()
    assert "is lost" in caplog.text
    with pytest.raises(pykka.ActorDeadError):
        ref.ask("much later", timeout=20)
