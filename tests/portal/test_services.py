"""A failed request stops no role; a crashed role is restarted, and one that is down recovers."""

from __future__ import annotations

import pytest

from actorcred import (
    Avatar,
    CheckerUnavailable,
    Portal,
    Realm,
    RestartRole,
    UnauthorizedLogin,
    UsernamePassword,
    actors,
)
from actorcred.actors import Future, RestartIntensity
from actorcred.checkers.memory import MemoryChecker
from actorcred.checkers.wrappers.caching import CachingChecker
from actorcred.checkers.wrappers.first_of import FirstOf
from actorcred.portal.events import RoleBack, RoleDown, RoleRestarted
from actorcred.service import Crash
from tests.helpers import Arena, PlainChecker, Player, Stage

SECRET = "my secret password"


class Unforeseen(Exception):
    """An unexpected exception, whose text quotes its input."""


def raises_at_once():
    raise Unforeseen(SECRET)


async def raises_in_a_coroutine():
    raise Unforeseen(SECRET)


def raises_in_a_future():
    future: Future[str] = Future()
    future.settle_error(Unforeseen(SECRET))
    return future


class Panic(BaseException):
    """A panic of a Rust extension is not an `Exception`."""


def panics():
    raise Panic(SECRET)


async def panics_in_a_coroutine():
    raise Panic(SECRET)


@pytest.mark.parametrize(
    "fault",
    [raises_at_once, raises_in_a_coroutine, raises_in_a_future, panics, panics_in_a_coroutine],
)
def test_an_unforeseen_exception_of_a_checker_refuses_its_login_and_is_never_a_crash(
    dispatcher, caplog, fault
):
    stage = Stage()
    for number in range(8):
        stage.checker_answers.append(fault)
        with pytest.raises(UnauthorizedLogin):
            stage.login(f"mallory{number}")
    assert stage.login("ann").interface is Player

    assert stage.named(RoleRestarted) == stage.named(RoleDown) == []
    assert (
        "PlainChecker could not check UsernamePassword of the user in the audit log: "
        in caplog.text
    )
    assert "mallory" not in caplog.text  # it might be a password typed as a name
    assert fault.__name__ in caplog.text or fault is raises_in_a_future  # the traceback
    assert SECRET not in caplog.text


@pytest.mark.parametrize("fault", [ConnectionResetError, TimeoutError, FileNotFoundError])
def test_what_concerns_all_users_makes_a_checker_unavailable_for_that_login(dispatcher, fault):
    stage = Stage()
    for _ in range(8):
        stage.checker_answers.append(fault())
        with pytest.raises(CheckerUnavailable):
            stage.login()
    assert stage.login().interface is Player


def test_an_unforeseen_exception_of_a_realm_fails_its_login_and_is_never_a_crash(
    dispatcher, caplog
):
    stage = Stage()

    async def later():
        raise Unforeseen("in a coroutine")

    def panics(*_):
        raise Panic

    for fault in [lambda *_: 1 / 0, lambda *_: later(), panics] * 4:
        stage.realm_answers.append(fault)
        with pytest.raises(CheckerUnavailable):
            stage.login()
    assert stage.login().interface is Player

    assert stage.named(RoleRestarted) == stage.named(RoleDown) == []
    assert "ZeroDivisionError" in caplog.text
    assert "in a coroutine" in caplog.text


def test_a_panic_in_a_method_of_an_avatar_ends_its_session_at_most(dispatcher):
    stage = Stage()

    class Panicking(Avatar, Player):
        def move(self, dx):
            raise Panic

        def on_logout(self, reason):
            raise Panic

        def on_failure(self, *_):
            stage.log.append("failed")

    stage.realm_answers.append(lambda a, m, *i: (Player, ref := Panicking.start(a, m), ref.stop))
    bystander = stage.login("bob", mind=None)
    stage.realm_answers.append(lambda a, m, *i: (Player, ref := Panicking.start(a, m), ref.stop))
    login = stage.login("ann", mind=None)
    with pytest.raises(Panic):
        login.avatar.proxy().move(1).get(timeout=10)
    assert login.session.is_open
    login.avatar.proxy().move.defer(1)
    assert login.avatar.actor_stopped.wait(10)

    assert stage.log == ["failed"]
    assert bystander.session.is_open
    assert stage.login("cleo").interface is Player


def test_a_checker_that_is_cancelled_by_somebody_else_does_not_leave_its_login_waiting(inline):
    stage = Stage()
    answer: Future[str] = Future()
    stage.checker_answers.append(answer)
    login = stage.begin()
    answer.cancel()

    with pytest.raises(CheckerUnavailable):
        login.get(timeout=0)


def test_what_goes_wrong_after_hashing_fails_its_login_only(dispatcher):
    class Broken(MemoryChecker):
        def verified(self, credentials, account):
            if credentials.username == "bad":
                raise Unforeseen

    portal = Portal.start(
        Arena.start([]), [Broken.start({"bad": "right", "ann": "right"}, rounds=4)]
    )
    for _ in range(6):
        with pytest.raises(UnauthorizedLogin):
            portal.login(UsernamePassword("bad", "right"), None, Player).get(timeout=30)
    assert (
        portal.login(UsernamePassword("ann", "right"), None, Player).get(timeout=30).interface
        is Player
    )


def test_a_role_that_asks_for_it_is_made_anew_and_only_its_login_fails(dispatcher):
    stage = Stage()

    async def later():
        raise RestartRole

    def at_once(*_):
        raise RestartRole

    for answers, fault in (
        (stage.checker_answers, RestartRole()),
        (stage.realm_answers, at_once),
        (stage.checker_answers, later),
    ):
        answers.append(fault)
        with pytest.raises(CheckerUnavailable):
            stage.login()
        assert stage.login().interface is Player
    assert [event.role for event in stage.named(RoleRestarted, 3)] == [
        "PlainChecker",
        "Arena",
        "PlainChecker",
    ]


@pytest.mark.parametrize("role", ["checker", "realm"])
def test_past_its_intensity_a_role_is_down_answers_at_once_and_comes_back(inline, caplog, role):
    def restart(*_):
        raise RestartRole

    stage = Stage(restart=RestartIntensity(1, 60))
    (stage.checker_answers if role == "checker" else stage.realm_answers).extend([restart, restart])
    for _ in range(4):
        with pytest.raises(CheckerUnavailable):
            stage.begin().get(timeout=0)
    assert caplog.text.count(" is down (crashed too often, last with RestartRole)") == 1
    assert len(stage.named(RoleDown)) == 1
    inline.advance(1.0)

    assert stage.login().interface is Player
    assert caplog.text.count(" is back") == 1
    assert [event.role for event in stage.named(RoleBack)] == [
        "PlainChecker" if role == "checker" else "Arena"
    ]


def test_a_role_that_cannot_begin_is_tried_again_at_growing_intervals_until_it_can(inline, caplog):
    beginnings = []

    class Late(PlainChecker):
        def on_start(self):
            beginnings.append(inline.now())
            if inline.now() > 0 and inline.now() < 100:
                raise OSError("not yet")

    checker = Late.start()
    portal = Portal.start(Arena.start([]), [checker])
    checker.tell(Crash(LookupError()))
    inline.advance(0.5)
    checker.tell(Crash(LookupError()))
    for _ in range(300):
        inline.advance(1.0)

    gaps = [
        round(later - earlier)
        for earlier, later in zip(beginnings[-6:], beginnings[-5:], strict=False)
    ]
    assert gaps == sorted(gaps)
    assert max(gaps) <= 60
    assert (
        portal.login(UsernamePassword("ann", "right"), None, Player).get(timeout=0).interface
        is Player
    )
    assert "Late is back" in caplog.text


def test_logins_that_a_role_was_working_on_do_not_wait_for_it_when_it_goes_down(inline):
    stage = Stage(restart=RestartIntensity(0, 60))
    stage.checker_answers.append(Future())
    waiting = stage.begin("ann")
    stage.checker_answers.append(RestartRole())
    stage.begin("bob")

    with pytest.raises(CheckerUnavailable):
        waiting.get(timeout=0)


@pytest.mark.parametrize("wrapper", [CachingChecker, FirstOf])
def test_a_wrapped_checker_that_is_down_answers_at_once_and_comes_back(inline, wrapper, caplog):
    answers = [RestartRole() for _ in range(4)]
    portal = Portal.start(Arena.start([]), [wrapper.start(PlainChecker.start(answers))])

    def login():
        return portal.login(UsernamePassword("ann", "right"), None, Player).get(timeout=0)

    for _ in range(6):
        with pytest.raises(CheckerUnavailable):
            login()
    inline.advance(1.0)
    assert login().interface is Player
    assert "is down" in caplog.text
    assert "is back" in caplog.text


def test_accounts_cannot_be_managed_while_a_checker_is_down_and_that_is_said(inline, tmp_path):
    from actorcred.checkers.sqlite import SQLiteChecker

    people = SQLiteChecker.start(tmp_path / "people", rounds=4)
    Portal.start(Arena.start([]), [people], options=None)
    for _ in range(4):
        people.tell(Crash(LookupError()))

    with pytest.raises(Exception, match="is down"):
        people.accounts().get(timeout=0)
    inline.advance(1.0)
    assert people.accounts().get(timeout=0) == []


def test_a_realms_logout_that_fails_later_is_logged(dispatcher, caplog):
    failed = Future()

    class Forgetful(Realm):
        interfaces = (object,)

        def request_avatar(self, avatar_id, mind, *interfaces):
            async def leave():
                try:
                    raise Unforeseen("logout")
                finally:
                    failed.settle()

            return interfaces[0], Avatar.start(avatar_id, mind), leave

    portal = Portal.start(Forgetful.start(), [PlainChecker.start()])
    portal.login(UsernamePassword("ann", "right"), None, object).get(timeout=10).logout().get(
        timeout=10
    )
    failed.get(timeout=10)
    portal.count().get(timeout=10)
    assert actors.shutdown(timeout=10) == []

    assert "The logout of an avatar failed:" in caplog.text
