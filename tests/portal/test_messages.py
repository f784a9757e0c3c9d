"""No message of a client, a checker, a realm or the application kills the portal."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields
from typing import Protocol

import pykka
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pykka.messages import ProxyCall

from actorcred import (
    CheckerUnavailable,
    LoginFailed,
    Portal,
    UnauthorizedLogin,
    UsernamePassword,
    actors,
)
from actorcred.actors import Future, InlineDispatcher
from actorcred.portal import messages
from actorcred.portal.events import Event, LoggedIn
from actorcred.service import Question
from tests.helpers import Arena, ArenaPlayer, PlainChecker, Player, Stage


def still_serves(stage: Stage) -> bool:
    """Return whether the portal is alive, and other clients can log in."""
    return (
        stage.portal.is_alive() and stage.login("zoe").avatar.proxy().move(1).get(timeout=10) == 1
    )


def test_a_policy_of_the_application_that_raises_fails_that_login_and_no_other(dispatcher, caplog):
    table = {"ann": {"bob"}}
    stage = Stage(may_act_as=lambda proven, wanted: wanted in table[proven])
    present = stage.login("ann")
    credentials = UsernamePassword("mallory", "right")
    for attempt in (
        stage.portal.login(credentials, None, Player, authorize_as="bob"),
        stage.portal.verify(credentials, authorize_as="bob"),
    ):
        with pytest.raises(CheckerUnavailable):
            attempt.get(timeout=10)

    assert "may_act_as('mallory', 'bob') failed" in caplog.text
    assert stage.portal.login(
        UsernamePassword("ann", "right"), None, Player, authorize_as="bob"
    ).get(timeout=10)
    assert present.session.is_open
    assert still_serves(stage)


async def says_no(proven, wanted):
    return False


@pytest.mark.parametrize(
    "policy", [says_no, lambda *_: "yes", lambda *_: Future(), lambda *_: 1, lambda *_: None]
)
def test_what_is_no_answer_lets_nobody_act_as_somebody_else(inline, policy, caplog):
    stage = Stage(may_act_as=policy)
    with pytest.raises(CheckerUnavailable):
        stage.portal.login(UsernamePassword("bob", "right"), None, Player, authorize_as="ann").get(
            timeout=0
        )

    assert "it must return True or False" in caplog.text
    assert still_serves(stage)


def test_an_avatar_id_of_an_odd_class_fails_its_login_at_once(inline):
    class Unhashable(str):
        __hash__ = None

    class Odd(str):
        __slots__ = ()

        def isascii(self):
            raise RuntimeError("a bug")

    stage = Stage()
    for avatar_id in (Unhashable("ann"), Odd("ann")):
        stage.checker_answers.append(avatar_id)
        with pytest.raises(CheckerUnavailable):
            stage.begin("ann").get(timeout=0)
    assert still_serves(stage)


@pytest.mark.parametrize("ending", [SystemExit, Panic := type("Panic", (BaseException,), {})])
def test_the_end_of_a_program_is_no_more_than_the_end_of_a_call(dispatcher, ending):
    def ends(*_):
        raise ending

    stage = Stage(may_act_as=ends)
    bystander = stage.login("bystander")
    with pytest.raises(LoginFailed):
        stage.portal.login(UsernamePassword("bob", "right"), None, Player, authorize_as="ann").get(
            timeout=10
        )
    stage.checker_answers.append(ends)
    with pytest.raises(LoginFailed):
        stage.login("ann")
    stage.realm_answers.append(ends)
    with pytest.raises(LoginFailed):
        stage.login("ann")
    login = stage.begin("ann")
    login.add_done_callback(ends)
    granted = login.get(timeout=10)
    granted.avatar.watch(ends)
    granted.logout().add_done_callback(ends)

    assert bystander.session.is_open
    assert still_serves(stage)


class NotRuntimeCheckable(Protocol):
    username: str


class Data(ABC):
    """An interface whose `isinstance` check raises."""

    @abstractmethod
    def data(self) -> None: ...

    @classmethod
    def __subclasshook__(cls, other):
        raise RuntimeError("no idea")


class Moody(type):
    """Its class checks raise once it is angry."""

    angry = False

    def __instancecheck__(cls, instance):
        if Moody.angry:
            raise RuntimeError("no idea")
        return False


class Odd(metaclass=Moody):
    pass


def test_a_kind_of_credentials_that_cannot_be_told_is_refused_where_it_is_registered(inline):
    class Takes(PlainChecker):
        credential_interfaces = (UsernamePassword, NotRuntimeCheckable)

    stage = Stage()
    with pytest.raises(
        TypeError,
        match=r"Takes.credential_interfaces: NotRuntimeCheckable does not support isinstance",
    ):
        Portal.start(stage.realm, [Takes.start()])
    with pytest.raises(TypeError, match="NotRuntimeCheckable"):
        stage.portal.register_checker(stage.checkers[0], NotRuntimeCheckable)
    assert still_serves(stage)


def test_a_kind_of_credentials_that_cannot_be_told_later_hinders_no_other_checker(
    inline, monkeypatch, caplog
):
    class Takes(PlainChecker):
        credential_interfaces = (Odd,)

    stage = Stage(checkers=0)
    stage.portal.register_checker(Takes.start()).get()
    stage.portal.register_checker(PlainChecker.start()).get()
    monkeypatch.setattr(Moody, "angry", True)

    assert still_serves(stage)
    assert "Takes is not asked" in caplog.text


def test_an_interface_that_cannot_tell_who_implements_it_fails_its_login_and_leaves_nothing(
    dispatcher, caplog
):
    stage = Stage()
    before = actors.statistics().actors
    stage.realm_answers.append(
        lambda a, m, *i: (Data, ref := ArenaPlayer.start(a, m, stage.log), ref.stop)
    )
    with pytest.raises(CheckerUnavailable):
        stage.login("ann", "right", Data)
    assert still_serves(stage)
    stage.portal.kick(everyone=True).get(timeout=10)
    stage.wait_for_minds()

    assert "no idea" in caplog.text
    assert stage.count() == 0
    gone = [entry for entry in stage.log if entry == ("stop", "ann")]
    assert len(gone) == 1
    assert actors.statistics().actors <= before + 1  # a mind might be about to stop


def test_wrong_arguments_raise_where_the_application_calls(inline):
    stage = Stage()
    portal, login = stage.portal, stage.login()
    for call in (
        lambda: portal.publish("text"),
        lambda: portal.publish(None),
        lambda: portal.drain(None),
        lambda: portal.drain("soon"),
        lambda: portal.subscribe("text"),
        lambda: portal.unsubscribe(print),
        lambda: portal.session(7),
        lambda: portal.sessions(7),
        lambda: portal.annotate(None, key=1),
        lambda: portal.kick(session_id=[]),
        lambda: portal.kick(avatar_id={}),
        lambda: portal.kick(avatar_id="ann", reason=None),
        lambda: portal.login(UsernamePassword("ann", "right"), None, Player, authorize_as=5),
        lambda: portal.verify(UsernamePassword("ann", "right"), authorize_as=b"bob"),
        lambda: login.session.end(detail=None),
    ):
        with pytest.raises(TypeError, match="must be a"):
            call()
    with pytest.raises(ValueError, match="0 seconds or more"):
        portal.drain(-1)
    with pytest.raises(ValueError, match="0 seconds or more"):
        portal.drain(float("nan"))
    with pytest.raises(ValueError, match="whim"):
        login.session.end("whim")
    assert login.session.is_open
    assert still_serves(stage)


def test_every_callback_of_the_application_may_raise(dispatcher):
    stage = Stage()

    def raises(*_):
        raise RuntimeError("a bug")

    class BadActor(actors.Actor):
        def on_receive(self, message):
            raise RuntimeError("a bug")

    class BadMind:
        def __getattr__(self, name):
            raise RuntimeError("a bug")

    class OddCallable:
        def __call__(self):
            raise RuntimeError("a bug")

        def __eq__(self, other):
            raise RuntimeError("a bug")

        __hash__ = None

    stage.portal.subscribe(raises).get(timeout=10)
    stage.portal.subscribe(BadActor.start()).get(timeout=10)
    for logout in (raises, OddCallable()):
        stage.realm_answers.append(
            lambda a, m, *i, logout=logout: (Player, ArenaPlayer.start(a, m, stage.log), logout),
        )
        login = stage.begin("ann", mind=BadMind())
        try:
            granted = login.get(timeout=10)
        except LoginFailed:
            continue
        granted.avatar.watch(raises)
        granted.session.mind.watch(raises)
        ended = granted.logout()
        ended.add_done_callback(raises)
        ended.get(timeout=10)
    future = stage.begin("ann")
    future.add_done_callback(raises)
    future.get(timeout=10)

    assert still_serves(stage)


class Surprise(Exception):
    pass


class Evil:
    """A value on which nearly every operation raises."""

    def __eq__(self, other):
        raise Surprise

    __hash__ = None

    def __bool__(self):
        raise Surprise

    def __iter__(self):
        raise Surprise

    def __getattr__(self, name):
        raise Surprise

    def __str__(self):
        raise Surprise

    __repr__ = __str__


MESSAGES = [getattr(messages, name) for name in messages.__all__]
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.floats(allow_nan=True),
    st.lists(st.none(), max_size=2), st.builds(Evil), st.builds(Future), st.builds(Event),
    st.just(print),
)  # fmt: skip

CONTENTS = st.lists(VALUES, min_size=4, max_size=4)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(
            st.sampled_from(MESSAGES), st.lists(VALUES, min_size=4, max_size=4), st.booleans()
        ),
        min_size=1,
        max_size=6,
    )
)
def test_no_message_ends_the_portal_or_the_sessions_of_others(sent):
    clock = InlineDispatcher()
    actors.set_default_dispatcher(clock)
    try:
        stage = Stage(login_timeout=20.0)
        bystander = stage.login("bystander")
        for kind, arguments, asked in sent:
            # A drain or an ordinary kick would end the bystander's session.
            first = {
                messages.Drain: ["soon", Future()],
                messages.Kick: ["no such session", None],
            }.get(kind, [])
            message = kind(*[*first, *arguments][: len(fields(kind))])
            if asked:
                stage.portal.ask(message, block=False)
            else:
                stage.portal.tell(message)
        clock.advance(1.0)

        assert stage.portal.is_alive()
        assert kind is messages.Drain or bystander.session.is_open
    finally:
        assert actors.shutdown(timeout=10) == []
        actors.set_default_dispatcher(None)


def test_what_a_message_that_fails_was_about_is_ended_and_told(inline, caplog):
    stage = Stage()
    drained: Future[int] = Future()
    stage.portal.tell(messages.Drain("soon", drained))
    with pytest.raises(TypeError):
        drained.get(timeout=0)

    stage = Stage()
    login = stage.login("ann")
    stage.portal.tell(messages.EndSession(login.session, None, None))
    assert not login.session.is_open
    assert "The portal could not handle EndSession" in caplog.text
    stage.portal.tell(ProxyCall(("nothing",), (), {}))
    stage.portal.tell("what is this")
    assert still_serves(stage)


def test_a_login_whose_step_raises_is_refused_and_leaves_nothing(inline, monkeypatch):
    stage = Stage()

    class Target:
        """A mind without a class of its own."""

        @property
        def __class__(self):
            raise Surprise

    with pytest.raises(LoginFailed):
        stage.login("ann", mind=Target())
    stage.checker_answers.append(UnauthorizedLogin("no"))
    with pytest.raises(UnauthorizedLogin):
        stage.login("ann")
    assert still_serves(stage)
    assert stage.portal.count().get() == 1


def test_a_login_that_fails_by_a_fault_after_its_session_was_opened_ends_it(inline, monkeypatch):
    stage = Stage()
    stage.login("zoe")

    def fails(*_):
        raise Surprise

    monkeypatch.setattr("actorcred.portal.logouts.Logouts.watch_deadlines", fails)
    with pytest.raises(CheckerUnavailable):
        stage.begin("ann").get(timeout=0)
    monkeypatch.undo()

    assert [str(s.avatar_id) for s in stage.portal.sessions().get()] == ["zoe"]
    assert ("logout", "ann", "crashed") in stage.log
    assert [event.avatar_id for event in stage.named(LoggedIn)] == ["zoe"]
    assert still_serves(stage)


def test_a_portal_that_stops_answers_what_waits(inline):
    answered: Future[object] = Future()
    arena = Arena.start([])
    arena.stop()
    arena.actor_inbox.put(Question(answered))

    with pytest.raises(pykka.ActorDeadError):
        answered.get(timeout=0)
