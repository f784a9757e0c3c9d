"""What a handler returns or raises, at once or as a coroutine, goes to the caller."""

from __future__ import annotations

import asyncio
import traceback

import pykka
import pytest
from pykka.messages import ProxyCall

from actorcred import actors
from actorcred.actors import Actor, Future, ThreadDispatcher
from tests.actors.helpers import gone
from tests.helpers import until


def test_an_exception_in_an_ask_goes_to_the_caller_with_its_traceback_and_the_actor_lives(recorder):
    with pytest.raises(LookupError, match="as ordered") as raised:
        recorder.ask("fail", timeout=10)

    assert "on_receive" in [
        frame.name for frame in traceback.extract_tb(raised.value.__traceback__)
    ]
    assert recorder.ask("alive", timeout=10) == "alive"


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


def test_a_cancelled_async_handler_answers_its_caller(event_loop):
    class Slow(Actor):
        async def on_receive(self, message):
            asyncio.current_task().cancel()
            await asyncio.sleep(60)

    ref = Slow.start(dispatcher=actors.AsyncioDispatcher(event_loop))

    with pytest.raises(asyncio.CancelledError):
        ref.ask("x", timeout=10)
    assert ref.is_alive()


def test_a_slow_handler_is_logged_by_name_and_duration_without_its_arguments(caplog):
    class Hog(Actor):
        def login(self, name, password):
            return name

    pool = ThreadDispatcher("actorcred-test", slow_handler=-1.0)
    Hog.start(dispatcher=pool).ask(ProxyCall(("login",), ("ann", "s3cret"), {}), timeout=10)
    Hog.start(dispatcher=pool).stop()

    until(lambda: "Hog (urn:uuid:" in caplog.text)
    assert " s for ProxyCall login" in caplog.text
    assert "s3cret" not in caplog.text
