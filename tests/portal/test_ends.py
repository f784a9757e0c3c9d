"""An ended session does nothing, and a session that does not end delays no one."""

from __future__ import annotations

import asyncio
import threading

import pykka
import pytest
from pykka.messages import ProxyCall

from actorcred import (
    Avatar,
    CheckerUnavailable,
    LoginDenied,
    LogoutCode,
    Policy,
    Portal,
    Realm,
    Revocation,
    UsernamePassword,
    actors,
)
from actorcred.actors import Future, MailboxLimit, Overflow, ThreadDispatcher
from tests.helpers import PlainChecker, Player, Stage, until
from tests.settings import portal_options

ENDS = {
    "kicked": lambda stage, login: stage.portal.kick(avatar_id="ann"),
    "revoked": lambda stage, login: stage.checkers[0].revoke("ann", Revocation.DELETED),
    "lost": lambda stage, login: login.session.end(LogoutCode.LOST),
    "idle": lambda stage, login: login.session.end(LogoutCode.IDLE),
    "replaced": lambda stage, login: login.session.end(LogoutCode.REPLACED),
}


class Slow(Avatar, Player):
    """Begins a call, and ends it when the test says so."""

    def __init__(self, avatar_id, mind, hall):
        super().__init__(avatar_id, mind)
        self.hall = hall

    async def move(self, dx):
        self.hall.begun.append(dx)
        self.hall.some_began.set()
        await self.hall.go_on
        self.hall.done.append(dx)
        return dx

    def on_logout(self, reason):
        self.hall.done.append(str(reason.code))


class Hall(Realm):
    """Its avatars are `Slow`, or of another class."""

    interfaces = (Player,)

    def __init__(self, avatar_class=Slow):
        super().__init__()
        self.avatar_class = avatar_class
        self.begun, self.done, self.go_on, self.some_began = [], [], Future(), threading.Event()

    def request_avatar(self, avatar_id, mind, *interfaces):
        avatar = self.avatar_class.start(avatar_id, mind, self)
        return Player, avatar, avatar.stop


class Slowly:
    """A portal with such a realm."""

    def __init__(self, avatar_class=Slow, **options):
        self.realm = Hall.start(avatar_class)
        self.hall = self.realm.actor_inbox.actor
        self.checkers = [PlainChecker.start()]
        self.portal = Portal.start(self.realm, self.checkers, portal_options(**options))

    def begin(self, name="ann"):
        return self.portal.login(UsernamePassword(name, "right"), None, Player)

    def login(self, name="ann"):
        return self.begin(name).get(timeout=10)


# -- pending calls -------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ENDS)
def test_what_a_client_has_waiting_never_reaches_an_avatar_whose_session_was_ended(dispatcher, end):
    stage = Slowly()
    login = stage.login()
    first = login.avatar.proxy().move(1)
    assert stage.hall.some_began.wait(10)
    waiting = [login.avatar.proxy().move(number) for number in range(2, 100)]
    login.avatar.tell("a message without an answer")
    ENDS[end](stage, login)
    stage.portal.count().get(timeout=10)  # by now it has handled that
    stage.hall.go_on.set()

    assert first.get(timeout=10) == 1
    for answer in waiting:
        with pytest.raises(pykka.ActorDeadError):
            answer.get(timeout=10)
    assert login.avatar.actor_stopped.wait(10)
    assert stage.hall.begun == [1]
    assert stage.hall.done == [1, end]


def test_a_clients_own_logout_keeps_its_place_in_the_order(dispatcher):
    stage = Slowly()
    login = stage.login()
    answers = [login.avatar.proxy().move(number) for number in range(1, 4)]
    ended = login.logout()
    stage.hall.go_on.set()
    ended.get(timeout=10)

    assert [answer.get(timeout=10) for answer in answers] == [1, 2, 3]
    assert stage.hall.done == [1, 2, 3, "logout"]


def test_a_drain_lets_waiting_calls_run_until_its_deadline(inline):
    stage = Slowly()
    login = stage.login()
    answers = [login.avatar.proxy().move(number) for number in range(1, 4)]
    drained = stage.portal.drain(timeout=5)
    inline.advance(5.1)
    assert drained.get(timeout=0) == 0
    stage.hall.go_on.set()

    assert answers[0].get(timeout=0) == 1  # it was running
    for answer in answers[1:]:
        with pytest.raises(pykka.ActorDeadError):
            answer.get(timeout=0)
    assert stage.hall.done == [1, "drained"]


def test_the_client_of_a_shared_avatar_that_was_ended_does_nothing_and_the_others_go_on(inline):
    stage = Slowly(policy=Policy.SHARE)
    first, second = stage.login(), stage.login()
    running = first.avatar.proxy().move(1)
    theirs, ours = first.avatar.proxy().move(2), second.avatar.proxy().move(3)
    first.session.end(LogoutCode.KICKED)
    stage.hall.go_on.set()

    assert running.get(timeout=0) == 1
    with pytest.raises(pykka.ActorDeadError):
        theirs.get(timeout=0)
    assert ours.get(timeout=0) == 3
    assert second.session.is_open


def test_a_replaced_session_with_a_long_queue_does_not_hold_up_its_user(dispatcher):
    stage = Slowly(policy=Policy.REPLACE)
    old = stage.login()
    for number in range(100):
        old.avatar.proxy().move(number)
    assert stage.hall.some_began.wait(10)
    newcomer = stage.begin()
    until(lambda: not old.session.is_open)
    stage.hall.go_on.set()

    assert newcomer.get(timeout=10).session.is_open
    assert not old.session.is_open
    assert stage.hall.begun == [0]


# -- avatars that do not stop --------------------------------------------------------------------


class NeverLeaves(Slow):
    async def on_logout(self, reason):
        await Future()


class Stubborn(Slow):
    """Even ignores its cancellation."""

    async def on_logout(self, reason):
        while True:
            try:
                await Future()
            except asyncio.CancelledError:
                continue


@pytest.mark.parametrize("policy", [Policy.REPLACE, Policy.REJECT, Policy.SHARE])
@pytest.mark.parametrize("avatar_class", [NeverLeaves, Stubborn])
def test_an_avatar_that_never_leaves_is_stopped_and_its_id_is_free(
    event_loop, caplog, policy, avatar_class
):
    actors.set_default_dispatcher(actors.AsyncioDispatcher(event_loop))
    stage = Slowly(avatar_class, policy=policy, logout_timeout=0.05)
    old = stage.login()
    ended = old.logout()
    again = stage.begin()

    ended.get(timeout=10)
    assert again.get(timeout=10).session.is_open
    assert not old.avatar.is_alive()
    assert "did not leave within 0.05 s" in caplog.text


def test_an_avatar_that_blocks_its_thread_is_given_up(caplog):
    release = threading.Event()

    class Blocks(Slow):
        def on_logout(self, reason):
            release.wait(20)

    actors.set_default_dispatcher(ThreadDispatcher("actorcred-test", 2))
    stage = Slowly(Blocks, policy=Policy.REPLACE, logout_timeout=0.05)
    old = stage.login()
    assert stage.begin().get(timeout=10).session.is_open

    assert not old.avatar.is_alive()
    assert "it is stopped by force" in caplog.text
    release.set()


def test_a_call_that_never_ends_is_cancelled_and_on_logout_runs_even_so(event_loop, caplog):
    actors.set_default_dispatcher(actors.AsyncioDispatcher(event_loop))
    stage = Slowly(logout_timeout=0.05)
    login = stage.login()
    running = login.avatar.proxy().move(1)
    assert stage.hall.some_began.wait(10)
    login.session.end(LogoutCode.KICKED).get(timeout=10)

    with pytest.raises((asyncio.CancelledError, actors.CancelledError)):
        running.get(timeout=10)
    assert stage.hall.done == ["kicked"]


def test_avatars_of_a_portal_that_was_stopped_have_no_longer(event_loop):
    actors.set_default_dispatcher(actors.AsyncioDispatcher(event_loop))
    stage = Slowly(Stubborn, logout_timeout=0.05)
    login = stage.login()
    ended = login.session.end  # read after the portal's end
    stage.portal.stop(timeout=10)

    assert login.avatar.actor_stopped.wait(10)
    ended().get(timeout=10)


def test_a_leaving_avatar_in_time_is_left_alone(inline, caplog):
    stage = Slowly(logout_timeout=5.0)
    login = stage.login()
    running = login.avatar.proxy().move(1)
    login.logout()
    inline.advance(4.9)
    stage.hall.go_on.set()
    inline.advance(20)

    assert running.get(timeout=0) == 1
    assert stage.hall.done == [1, "logout"]
    assert "did not leave" not in caplog.text
    assert inline.pending_timers == 0 or stage.portal.count().get() == 0


# -- waiters for the end -------------------------------------------------------------------------


def test_logins_that_gave_up_do_not_wait_with_their_clients(inline):
    stage = Slowly(NeverLeaves, policy=Policy.REPLACE, login_timeout=5.0, logout_timeout=1000.0)
    stage.login().logout()
    waiting = [stage.begin() for _ in range(50)]
    waiting_for_a_place = stage.portal.actor_inbox.actor._registry._waiting
    assert sum(map(len, waiting_for_a_place.values())) == 50
    waiting[0].cancel()
    inline.advance(6)

    for answer in waiting[1:]:
        with pytest.raises(CheckerUnavailable):
            answer.get(timeout=0)
    assert not waiting_for_a_place
    inline.advance(1000)


def test_avatars_that_are_leaving_count_as_sessions(inline):
    stage = Slowly(NeverLeaves, sessions=2, logout_timeout=30.0)
    stage.login("ann").logout()
    stage.login("bob")
    with pytest.raises(LoginDenied):
        stage.login("cleo")
    inline.advance(31)

    assert stage.login("cleo").session.is_open
    stage.portal.kick(everyone=True)
    inline.advance(31)
    assert stage.portal.actor_inbox.actor._directory.ending == 0


def test_on_a_full_server_nobody_takes_the_place_of_somebody_who_replaces_the_own_session(inline):
    stage = Slowly(policy=Policy.REPLACE, sessions=2)
    old, _ = stage.login("ann"), stage.login("bob")
    old.avatar.proxy().move(1)  # it runs, so the old session does not end immediately
    newcomer = stage.begin("ann")
    with pytest.raises(LoginDenied):
        stage.login("cleo")
    stage.hall.go_on.set()

    assert newcomer.get(timeout=0).session.is_open
    with pytest.raises(LoginDenied):
        stage.login("cleo")
    assert stage.portal.count().get() == 2


def test_a_place_that_was_kept_in_vain_is_free_again(inline):
    stage = Slowly(policy=Policy.REPLACE, sessions=1)
    old = stage.login("ann")
    old.avatar.proxy().move(1)
    newcomer = stage.begin("ann")
    newcomer.cancel()
    stage.hall.go_on.set()

    assert stage.portal.count().get() == 0
    assert stage.login("cleo").session.is_open


def test_a_minute_of_logins_and_logouts_leaves_no_places_taken(inline):
    stage = Stage(policy=Policy.REPLACE, sessions=3)
    for number in range(30):
        stage.login(f"user{number % 3}")
        until(lambda: True)
    assert stage.count() == 3
    stage.portal.kick(everyone=True).get()

    assert [stage.login(f"new{number}").session.is_open for number in range(3)] == [True] * 3


@pytest.mark.parametrize("overflow", list(Overflow))
def test_a_client_can_stop_its_avatar_whose_mailbox_is_full(dispatcher, overflow):
    class Bounded(Slow):
        mailbox_limit = MailboxLimit(2, overflow)

    stage = Slowly(Bounded)
    login = stage.login()
    login.avatar.proxy().move(1)
    assert stage.hall.some_began.wait(10)
    for number in range(2, 5):
        login.avatar.ask(ProxyCall(("move",), (number,), {}), block=False)
    stopped = login.avatar.stop(block=False)
    for number in range(5, 8):
        login.avatar.ask(ProxyCall(("move",), (number,), {}), block=False)
    stage.hall.go_on.set()

    assert stopped.get(timeout=10)
    assert login.avatar.actor_stopped.wait(10)
