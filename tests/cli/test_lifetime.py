"""A server's process opens, serves until a signal, and ends in good order, whatever hangs."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actorcred.actors import Actor, AsyncioDispatcher
from actorcred.cli.lifetime import SIGNALS, LastResort, Life, drained, run
from tests.helpers import Stage


@pytest.fixture(autouse=True)
def usual_signals() -> Iterator[None]:
    usual = [(number, signal.getsignal(number)) for number in SIGNALS]
    yield
    assert [(number, signal.getsignal(number)) for number in SIGNALS] == usual


def test_a_signal_begins_the_end_and_the_code_is_that_of_the_program() -> None:
    async def main(life: Life) -> int:
        assert not life.asked
        signal.raise_signal(signal.SIGTERM)
        await life.until_asked()
        assert life.asked
        assert not life.hurried
        return 7

    assert run(main) == 7


@pytest.mark.parametrize("loop", [None, "uvloop"])
def test_a_signal_that_another_thread_gets_wakes_a_loop_that_waits(loop: str | None) -> None:
    ended = threading.Event()

    def take_signal() -> None:
        while not waits():
            ended.wait(0.01)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        ended.wait(20)  # so that the end of this thread does not wake the loop

    def waits() -> bool:
        """Return whether the main thread waits in the system."""
        return Path("/proc/self/stat").read_text().rpartition(")")[2].split()[0] == "S"

    async def main(life: Life) -> int:
        thread.start()
        await life.until_asked()
        return 0

    thread = threading.Thread(target=take_signal)
    factory = None if loop is None else pytest.importorskip(loop).new_event_loop
    assert run(main, factory) == 0
    assert not ended.is_set()
    ended.set()
    thread.join()
    assert signal.set_wakeup_fd(-1) == -1


def test_it_serves_for_some_seconds_or_until_the_program_says_so() -> None:
    async def main(life: Life) -> int:
        await life.until_asked(0.01)
        assert not life.asked
        life.end()
        await life.until_asked()
        return 0

    assert run(main) == 0


def test_a_signal_while_it_opens_ends_it_with_nothing_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    closed = []

    async def opening() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            closed.append("closed")

    async def main(life: Life) -> int:
        await life.opened(opening())
        raise AssertionError("it was opened")

    assert run(main) == 0
    assert closed == ["closed"]
    assert capsys.readouterr().out == "Interrupted before it was open; nothing is left running.\n"


def test_what_was_opened_is_returned_and_what_fails_is_raised() -> None:
    async def main(life: Life) -> int:
        assert await life.opened(asyncio.sleep(0, "opened")) == "opened"
        with pytest.raises(LookupError, match="no"):
            await life.opened(fail())
        return 0

    async def fail() -> None:
        raise LookupError("no")

    assert run(main) == 0


def test_a_second_signal_gives_up_what_is_still_waited_for() -> None:
    async def main(life: Life) -> int:
        assert await life.wait_for() == []
        assert await life.wait_for(asyncio.sleep(0, 1), asyncio.sleep(0, 2)) == [1, 2]
        for number in (signal.SIGTERM, signal.SIGTERM):
            signal.raise_signal(number)
        assert await life.wait_for(asyncio.sleep(0, "done"), asyncio.sleep(60)) == ["done", None]
        assert life.hurried
        return 0

    assert run(main) == 0


def test_actors_are_stopped_while_the_loop_runs() -> None:
    stopped = []

    class Slow(Actor):
        async def on_stop(self) -> None:
            await asyncio.sleep(0)
            stopped.append("stopped")

    async def main(life: Life) -> int:
        Slow.start(dispatcher=AsyncioDispatcher())
        life.drain_timeout = 4.0
        assert 2.0 < life.left() <= 3.0  # a part is kept for stopping the actors
        assert life.left() <= 3.0
        return 0

    assert run(main) == 0
    assert stopped == ["stopped"]


def test_everybody_is_logged_out() -> None:
    async def main(life: Life) -> int:
        stage = Stage()
        await asyncio.to_thread(stage.login)
        return await drained(stage.portal, 5.0)

    assert run(main) == 1


def test_on_another_thread_there_are_no_signals() -> None:
    codes: list[int] = []

    async def main(life: Life) -> int:
        return 3

    thread = threading.Thread(target=lambda: codes.append(run(main)))
    thread.start()
    thread.join(10)

    assert codes == [3]


def test_a_signal_after_the_end_of_the_loop_harms_nothing() -> None:
    last_resort = LastResort()

    async def make() -> Life:
        return Life(last_resort)

    life = asyncio.run(make())
    life._came(signal.SIGTERM, None)

    assert not life.asked


def test_a_process_that_hangs_is_ended_after_it_was_cleaned_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[Any] = []
    ended = threading.Event()
    monkeypatch.setattr(os, "write", lambda to, text: done.append((to, text)))
    monkeypatch.setattr(os, "_exit", lambda code: (done.append(code), ended.set()))
    monkeypatch.setattr(logging, "shutdown", lambda: done.append("flushed"))
    last_resort = LastResort()
    last_resort.clean_up += [lambda: 1 / 0, lambda: done.append("cleaned up")]
    last_resort.end_in(60.0)
    last_resort.end_in(0.0)
    last_resort.run()

    assert ended.is_set()
    assert done[:2] == ["cleaned up", "flushed"]
    assert done[2] == (2, b"something blocks the event loop: the process ends without it\n")
    assert done[3] == 0


def test_a_process_that_ends_by_itself_needs_no_last_resort() -> None:
    last_resort = LastResort()
    last_resort.start()
    last_resort.end_in(60.0)
    last_resort.retire()

    assert not last_resort.is_alive()


def test_a_program_registers_what_is_to_be_cleaned_up() -> None:
    async def main(life: Life) -> int:
        life.clean_up(print)
        assert life._last_resort.clean_up == [print]
        return 0

    assert run(main) == 0
