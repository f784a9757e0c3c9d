"""What an actor is at its start, and what it may call of itself."""

from __future__ import annotations

import pykka
import pytest

from actorcred import actors
from actorcred.actors import Actor, InlineDispatcher
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
