"""What an actor is at its start, and what it may call of itself."""

from __future__ import annotations

import logging
from unittest.mock import Mock

import pykka
import pytest

from actorcred import actors
from actorcred.actors import Actor, ControlMessage, Future, InlineDispatcher
from tests.actors.helpers import Recorder


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


def test_ordinary_actors_are_in_the_registry_and_others_are_not(dispatcher):
    class Quiet(Actor):
        registered = False

    ref, quiet = Recorder.start(), Quiet.start()

    assert pykka.ActorRegistry.get_by_urn(ref.actor_urn) is ref
    assert quiet not in pykka.ActorRegistry.get_all()
    assert actors.statistics().actors == 2
    ref.stop()
    assert ref not in pykka.ActorRegistry.get_all()


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


def test_an_actor_plans_its_own_messages_and_they_end_with_it(inline, log):
    class Planner(Recorder):
        def on_start(self):
            self.send_after(1, "once")
            self.send_every(2, "again")

    ref = Planner.start(log)
    inline.advance(4.5)
    assert log == ["once", "again", "again"]
    ref.stop()
    assert inline.pending_timers == 0


def test_an_actor_knows_its_name_and_whether_it_has_stopped(inline):
    class Named(Actor):
        def who(self):
            return self.actor_urn, self.actor_stopped.is_set()

    ref = Named.start()

    assert ref.proxy().who().get() == (ref.actor_urn, False)


def test_a_message_between_parts_that_an_actor_does_not_know_is_named_without_its_contents(inline):
    class Secret(ControlMessage):
        def __repr__(self):
            return "s3cret"

    with pytest.raises(TypeError, match="Recorder does not handle a Secret") as raised:
        Recorder.start().ask(Secret())
    assert "s3cret" not in str(raised.value)


def test_a_crash_ends_an_actor_after_its_hook(inline, log):
    ref = Recorder.start(log)
    ref.tell("fail")

    assert log == ["start", "fail", "failure LookupError"]
    assert not ref.is_alive()


def test_an_actor_that_may_be_made_anew_is_so_from_the_arguments_of_its_start(inline, log):
    class Restartable(Recorder):
        restartable = True

    supervisor = Mock(crashed=lambda error: done_with(0.0))
    ref = Restartable.start(log=log)
    ref.supervise(supervisor)
    ref.tell("fail")
    ref.tell("alive")

    assert log == ["start", "fail", "failure LookupError", "start", "alive"]


def test_the_start_of_an_actor_is_in_the_log_for_debugging(inline, caplog):
    caplog.set_level(logging.DEBUG, "actorcred.actors")
    ref = Recorder.start()

    assert f"Starting {ref}" in caplog.text


def test_pykkas_seams_lead_to_this_runtime():
    assert isinstance(Recorder._create_future(), Future)
    with pytest.raises(TypeError, match="start the actor instead"):
        Recorder._create_actor_inbox()


def done_with(value):
    future = Future()
    future.set(value)
    return future


def test_an_actor_that_its_dispatcher_does_not_accept_is_not_in_the_registry(monkeypatch):
    def refuse(self, mailbox):
        raise RuntimeError("full")

    monkeypatch.setattr(InlineDispatcher, "attach", refuse)
    before = len(pykka.ActorRegistry.get_all())
    with pytest.raises(RuntimeError, match="full"):
        Actor.start(dispatcher=InlineDispatcher())
    assert len(pykka.ActorRegistry.get_all()) == before
