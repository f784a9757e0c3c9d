"""What a handler returns or raises, at once or as a coroutine, goes to the caller."""

from __future__ import annotations

import asyncio
import contextvars
import traceback

import pykka
import pytest
from pykka._envelope import Envelope
from pykka.messages import ProxyCall, ProxyGetAttr

from actorcred import actors
from actorcred.actors import (
    Actor,
    AsyncioDispatcher,
    ControlMessage,
    Future,
    InlineDispatcher,
    Revocable,
    ThreadDispatcher,
)
from actorcred.actors._context import current_mailbox
from actorcred.actors.cell import LATER, NOT_CALLED
from actorcred.actors.messages import InContext
from tests.actors.helpers import Recorder, gone
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


class Told(ControlMessage):
    pass


class Resigned:
    revoked = True

    def refusal(self):
        return None


def test_messages_between_parts_go_to_a_method_of_their_own(inline):
    class Part(Actor):
        def _actor_control(self, message):
            return "told" if type(message) is Told else None

    assert Part.start().ask(Told()) == "told"


def test_a_message_of_a_sender_who_lost_the_right_to_send_it_is_answered_and_not_handled(
    inline, log
):
    ref = Recorder.start(log, dispatcher=inline)
    answer: Future = Future()
    ref.actor_inbox.put(Envelope(Revocable("unheard", Resigned()), answer))
    ref.tell("heard")

    with pytest.raises(pykka.ActorDeadError, match="has lost the right"):
        answer.get(timeout=0)
    assert log == ["start", "heard"]


def test_an_async_handler_that_fails_ends_its_actor_if_nobody_waits_for_the_answer(inline, log):
    gate: Future = Future()

    class Slow(Recorder):
        async def on_receive(self, message):
            await gate

    ref = Slow.start(log)
    ref.tell("wait")
    assert ref.is_alive()
    gate.settle_error(LookupError("no"))
    assert not ref.is_alive()
    assert log == ["start", "failure LookupError"]


def test_a_hook_that_fails_is_logged_and_the_end_goes_on(inline, caplog):
    class Rude(Actor):
        def on_stop(self):
            raise LookupError("not now")

    ref = Rude.start()

    assert ref.stop(timeout=0)
    assert "not now" in caplog.text


def test_an_interruption_answers_its_caller_and_ends_all_actors(inline):
    class Interrupted(Actor):
        def on_receive(self, message):
            raise KeyboardInterrupt

        def on_start(self):
            self.gate = gate

    gate: Future = Future()
    bystander = Recorder.start()
    ref = Interrupted.start()
    answer: Future = Future()
    with pytest.raises(KeyboardInterrupt):
        ref.actor_inbox.put(Envelope("now", answer))

    with pytest.raises(pykka.ActorDeadError, match="was interrupted"):
        answer.get(timeout=0)
    assert not bystander.is_alive()


def test_a_hook_may_end_the_program(inline):
    class Interrupted(Actor):
        def on_start(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Interrupted.start()


def test_a_slow_message_that_came_through_the_queue_is_logged_too(caplog):
    slow = InlineDispatcher("slow", slow_handler=-1.0)
    Recorder.start(dispatcher=slow).tell("s3cret")

    assert "Recorder (urn:uuid:" in caplog.text
    assert "s for a str" in caplog.text
    assert "s3cret" not in caplog.text


def test_an_idle_actor_that_a_thread_asks_and_is_slow_is_logged(caplog):
    pool = ThreadDispatcher("actorcred-test", slow_handler=-1.0)
    ref = Recorder.start(dispatcher=pool)
    ref.ask("first", timeout=10)
    until(lambda: not ref.actor_inbox.busy.locked())
    caplog.clear()
    ref.ask("s3cret")

    assert "s for a str" in caplog.text
    assert "s3cret" not in caplog.text


# -- an idle actor of a pool, which the asking thread runs -----------------------------------------


@pytest.fixture
def idle(log):
    """An actor that has nothing to do, and is free for the thread of the test."""
    ref = Recorder.start(log, dispatcher=ThreadDispatcher("actorcred-test"))
    until(lambda: ref.actor_inbox.started and not ref.actor_inbox.busy.locked())
    log.clear()
    return ref


def test_an_exception_is_raised_by_the_ask_itself_logged_and_the_actor_lives(idle, caplog):
    caplog.set_level("INFO", "actorcred.actors")
    with pytest.raises(LookupError, match="as ordered") as raised:
        idle.ask("fail")

    frames = traceback.extract_tb(raised.value.__traceback__)
    assert "on_receive" in [frame.name for frame in frames]
    assert "Exception returned from Recorder (urn:uuid:" in caplog.text
    assert idle.ask("alive") == "alive"


def test_calls_attributes_and_internal_messages_are_answered(idle):
    assert idle.ask(ProxyCall(("echo",), ("x",), {})) == "x"
    assert idle.ask(ProxyGetAttr(("log",))) == []
    with pytest.raises(TypeError, match="does not handle a Told"):
        idle.ask(Told())
    assert idle.ask("alive") == "alive"


def test_a_coroutine_is_awaited_and_what_is_sent_meanwhile_waits():
    class Slow(Actor):
        async def on_receive(self, gate):
            return await gate

    ref = Slow.start(dispatcher=ThreadDispatcher("actorcred-test"))
    gate: Future = Future()
    gate.settle("opened")
    until(lambda: not ref.actor_inbox.busy.locked())

    assert ref.ask(gate) == "opened"
    assert ref.ask(gate) == "opened"


def test_an_interruption_ends_the_asker_and_all_actors():
    class Interrupted(Actor):
        def on_receive(self, message):
            raise KeyboardInterrupt

    pool = ThreadDispatcher("actorcred-test")
    bystander, ref = Recorder.start(dispatcher=pool), Interrupted.start(dispatcher=pool)
    with pytest.raises(KeyboardInterrupt):
        ref.ask("now")

    assert gone(bystander) is None
    assert not ref.is_alive()


def test_code_after_a_nested_ask_still_runs_as_the_actor_that_asked(idle):
    class Asker(Actor):
        def on_receive(self, other):
            other.ask("question")
            return current_mailbox.get()

    pool = ThreadDispatcher("actorcred-test")
    asker = Asker.start(dispatcher=pool)

    assert asker.ask(idle) is asker.actor_inbox
    assert current_mailbox.get() is None


def test_a_message_that_is_still_on_its_way_into_the_queue_is_not_overtaken(idle, log):
    idle.actor_inbox.push("first")  # the sender has not yet had the actor run

    assert idle.ask("second") == "second"
    assert log == ["first", "second"]


def test_a_server_on_the_actors_loop_has_it_run_in_order_and_logged_if_it_is_slow(caplog, log):
    async def main():
        slow = actors.AsyncioDispatcher(slow_handler=-1.0)
        ref, answers = Recorder.start(log, dispatcher=slow), [Future(), Future()]
        await ref.ask("begin", block=False)
        caplog.clear()
        ref.deliver("s3cret", answers[0])
        assert answers[0].done()
        assert "s for a str" in caplog.text
        ref.actor_inbox.push("first")
        ref.deliver("second", answers[1])
        return [await answer for answer in answers]

    assert asyncio.run(main()) == ["s3cret", "second"]
    assert log == ["start", "begin", "s3cret", "first", "second"]
    assert caplog.text.count("s3cret") == 0


class Suspended:
    revoked = False

    def refusal(self):
        return PermissionError("not now")


def test_a_message_of_a_sender_who_may_not_send_it_now_is_answered_so(inline, log):
    ref = Recorder.start(log, dispatcher=inline)
    answer: Future = Future()
    ref.actor_inbox.put(Envelope(Revocable("unheard", Suspended()), answer))

    with pytest.raises(PermissionError, match="not now"):
        answer.get(timeout=0)
    assert log == ["start"]


def test_a_message_is_handled_in_the_context_of_its_sender_if_that_is_sent_along(inline):
    class Reader(Actor):
        def on_receive(self, message):
            return traced.get(), current_mailbox.get()

    traced: contextvars.ContextVar[str] = contextvars.ContextVar("traced", default="nothing")
    ref = Reader.start(dispatcher=inline)
    context = contextvars.copy_context()
    context.run(traced.set, "span")

    assert ref.ask(InContext("x", context)) == ("span", ref.actor_inbox)
    assert ref.ask("x") == ("nothing", ref.actor_inbox)


# -- a call of a server on the actor's own loop ----------------------------------------------------


class Callee(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.log: list[object] = []

    def note(self, value: object) -> object:
        self.log.append(value)
        return value

    def running(self) -> bool:
        return current_mailbox.get() is self.actor_inbox

    async def wait(self) -> str:
        await self.gate.wait()
        return "through"

    def fail(self, error: type[BaseException] = LookupError) -> None:
        raise error("as ordered")

    async def fail_later(self) -> None:
        raise LookupError("as ordered")


def call_now(ref, name, *args):
    """Call a method as a server does; return what it returned, and the later answer."""
    later: Future = Future()
    mailbox = ref.actor_inbox
    assert mailbox.busy.acquire(False)
    return mailbox.call_now(name, args, lambda answer: answer, later), later


def on_loop(test):
    def run(**fixtures):
        async def main():
            ref = Callee.start(dispatcher=AsyncioDispatcher(slow_handler=10.0))
            await test(ref, **fixtures)

        asyncio.run(main())

    run.__name__ = test.__name__
    return run


@on_loop
async def test_a_call_of_an_idle_actor_returns_the_result_itself(ref):
    assert call_now(ref, "note", 7)[0] == 7
    assert call_now(ref, "running")[0] is True
    assert current_mailbox.get() is None
    assert await ref.ask(ProxyCall(("note",), (8,), {}), block=False) == 8


@on_loop
async def test_a_call_of_a_coroutine_is_answered_later_and_others_wait_for_it(ref):
    result, later = call_now(ref, "wait")
    waiting = ref.ask(ProxyCall(("note",), (1,), {}), block=False)
    assert result is LATER
    assert ref.actor_inbox.busy.locked()
    assert not later.done()
    ref.actor_inbox.actor.gate.set()
    assert await later == "through"
    assert await waiting == 1


@on_loop
async def test_an_exception_of_a_call_goes_to_its_receiver_and_the_actor_lives(ref):
    for name, args in (("fail", ()), ("fail_later", ()), ("fail", (asyncio.CancelledError,))):
        result, later = call_now(ref, name, *args)
        assert result is LATER
        with pytest.raises((LookupError, asyncio.CancelledError), match="as ordered"):
            await later
    assert ref.is_alive()
    assert call_now(ref, "note", 1)[0] == 1


@on_loop
async def test_a_call_does_not_overtake_messages_that_wait(ref):
    mailbox = ref.actor_inbox
    mailbox.push(Envelope(ProxyCall(("note",), ("first",), {}), Future()))
    result, later = call_now(ref, "note", "second")
    assert result is NOT_CALLED
    assert not later.done()
    assert await ref.ask(ProxyCall(("note",), ("second",), {}), block=False) == "second"
    assert mailbox.actor.log == ["first", "second"]


@on_loop
async def test_messages_that_come_during_a_call_are_handled_after_it(ref):
    def tell() -> str:
        ref.tell(ProxyCall(("note",), ("told",), {}))
        return "called"

    ref.actor_inbox.actor.act = tell
    assert call_now(ref, "act")[0] == "called"
    assert ref.actor_inbox.actor.log == []
    await ref.ask(ProxyCall(("note",), ("asked",), {}), block=False)
    assert ref.actor_inbox.actor.log == ["told", "asked"]


def test_a_slow_call_is_logged_and_an_interrupted_one_is_answered(caplog):
    async def main():
        ref = Callee.start(dispatcher=AsyncioDispatcher(slow_handler=-1.0))
        assert call_now(ref, "note", "s3cret")[0] == "s3cret"
        later: Future = Future()
        assert ref.actor_inbox.busy.acquire(False)
        with pytest.raises(KeyboardInterrupt):
            ref.actor_inbox.call_now("fail", (KeyboardInterrupt,), lambda _: later, None)
        with pytest.raises(pykka.ActorDeadError, match="was interrupted"):
            await later
        assert not ref.is_alive()

    asyncio.run(main())
    assert "ProxyCall note" in caplog.text
    assert "s3cret" not in caplog.text
