"""Actors on an event loop run while one of them blocks it, and are ended when it is closed."""

from __future__ import annotations

import asyncio

import pykka
import pytest

from actorcred.actors import Actor, AsyncioDispatcher


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
