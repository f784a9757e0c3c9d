"""From credentials to an avatar: successes, refusals, and that a failed login leaves nothing."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

import pykka
import pytest

from actorcred import (
    ANONYMOUS,
    Anonymous,
    CheckerUnavailable,
    LoginDenied,
    LoginFailed,
    LogoutCode,
    NoInterface,
    Portal,
    PortalOptions,
    Realm,
    UnauthorizedLogin,
    UnhandledCredentials,
    UsernamePassword,
    actors,
)
from actorcred.actors import Actor, CancelledError, Future
from actorcred.portal.events import LoggedIn, LoginRefused
from tests.helpers import Arena, ArenaPlayer, Nothing, PlainChecker, Player, Spectator, Stage
from tests.settings import portal_options

BASE = 4  # the portal, the realm, a checker, and the subscriber of events


def living() -> int:
    return actors.statistics().actors


def test_a_login_gives_an_interface_an_avatar_and_a_way_out(dispatcher):
    stage = Stage()
    interface, avatar, logout = login = stage.login()

    assert interface is Player
    assert avatar.proxy().move(2).get(timeout=10) == 2
    assert login.session.avatar_id == "ann"
    assert stage.count() == 1
    assert living() == BASE + 2  # the avatar, and the mind, which has notified its client
    logout().get(timeout=10)
    logout().get(timeout=10)
    assert stage.count() == 0
    assert stage.log == [
        ("start", "ann"),
        ("login", "ann"),
        ("logout", "ann", "logout"),
        ("stop", "ann"),
    ]
    stage.wait_for_minds()
    assert stage.notified == [("moved", 2), ("bye", "logout"), ("logged_out", "logout", "")]


def test_the_same_future_can_be_awaited(dispatcher):
    stage = Stage()

    async def main() -> tuple[type, float]:
        interface, avatar, _ = await stage.begin()
        return interface, await avatar.proxy().move(1)

    assert asyncio.run(main()) == (Player, 1)


def test_the_first_wanted_interface_that_the_realm_has_is_granted(inline):
    stage = Stage()

    assert stage.login("ann", "right", Nothing, Spectator, Player).interface is Spectator
    with pytest.raises(NoInterface) as refused:
        stage.login("ann", "right", Nothing)
    assert refused.value.interfaces == (Nothing,)
    assert stage.count() == 1
    assert living() == BASE + 1  # the avatar; the mind has nothing to do yet


def test_a_refused_client_cannot_tell_why(inline):
    stage = Stage()
    stage.checker_answers += [UnauthorizedLogin("no such user")]
    texts = set()
    for password in ("any", "wrong"):
        with pytest.raises(UnauthorizedLogin) as refused:
            stage.login("ann", password)
        texts |= {str(refused.value), repr(refused.value), str(refused.value.args)}

    assert texts == {"login refused", "UnauthorizedLogin()", "('login refused',)"}
    assert [event.detail for event in stage.named(LoginRefused)] == [
        "PlainChecker: no such user",
        "PlainChecker: wrong password",
    ]
    assert living() == BASE


def test_credentials_that_no_checker_takes_are_unhandled(inline):
    stage = Stage()

    with pytest.raises(UnhandledCredentials):
        stage.portal.login(object(), None, Player).get()
    assert stage.portal.list_credentials_interfaces().get() == [UsernamePassword, Anonymous]


def test_checkers_are_asked_in_their_order_until_one_says_yes(inline):
    stage = Stage(checkers=3)
    stage.checker_answers += [UnauthorizedLogin("not here"), "ann"]
    stage.login()

    with pytest.raises(UnauthorizedLogin):
        stage.login("ann", "wrong")
    stage.checker_answers += [UnauthorizedLogin("no"), LoginDenied("locked", retry_after=30), "ann"]
    with pytest.raises(LoginDenied, match="try again in 30 s"):
        stage.login()
    assert stage.checker_answers == ["ann"]


def test_a_database_that_is_down_is_never_a_way_in(inline):
    stage = Stage(checkers=2)
    stage.checker_answers += [CheckerUnavailable("down"), UnauthorizedLogin("no")]

    with pytest.raises(CheckerUnavailable, match="unavailable"):
        stage.login()
    stage.checker_answers += [CheckerUnavailable("down"), "ann"]
    assert stage.login().session.avatar_id == "ann"


@pytest.mark.parametrize("rubbish", [None, "", 5, "a\nb", "\x00", b"\xff", ["ann"]], ids=repr)
def test_a_checker_that_returns_no_avatar_id_lets_nobody_in(inline, caplog, rubbish):
    stage = Stage()
    stage.checker_answers.append(rubbish)

    with pytest.raises(CheckerUnavailable):
        stage.login()
    assert "PlainChecker.request_avatar_id() returned no avatar id" in caplog.text
    assert living() == BASE


def test_avatar_ids_are_normalised(inline):
    stage = Stage()
    stage.checker_answers += ["andre\u0301", "andr\u00e9".encode()]

    assert stage.login().session.avatar_id == stage.login().session.avatar_id == "andr\u00e9"


def test_anonymous_is_an_avatar_id_of_its_own(inline):
    stage = Stage()
    login = stage.portal.login(Anonymous(), None, Player).get()

    assert login.session.avatar_id is ANONYMOUS
    assert ANONYMOUS not in (None, "", "ANONYMOUS", "anonymous")


@pytest.mark.parametrize("kind", ["future", "coroutine"])
def test_checkers_and_realms_may_answer_later_and_delay_nobody(dispatcher, kind):
    stage = Stage()
    release: Future[str] = Future()

    async def later() -> str:
        return await release

    stage.checker_answers.append(release if kind == "future" else later)
    slow = stage.begin("slow")
    assert stage.login("quick").session.avatar_id == "quick"
    assert not slow.done()
    release.set("slow")
    assert slow.get(timeout=10).session.avatar_id == "slow"

    gate: Future[None] = Future()

    async def request_avatar(avatar_id, mind, *interfaces):
        await gate
        avatar = ArenaPlayer.start(avatar_id, mind, stage.log)
        return Player, avatar, avatar.stop

    stage.realm_answers.append(request_avatar)
    slow = stage.begin("slow")
    assert stage.login("quick").session.avatar_id == "quick"
    gate.set(None)
    assert slow.get(timeout=10).session.avatar_id == "slow"


def test_a_login_has_one_deadline_over_all_its_steps(inline):
    stage = Stage(login_timeout=10.0)
    check: Future[str] = Future()
    grant: Future[object] = Future()
    stage.checker_answers.append(check)
    stage.realm_answers.append(grant)
    login = stage.begin()
    inline.advance(6)
    check.set("ann")
    inline.advance(3.9)
    assert not login.done()
    inline.advance(0.2)

    with pytest.raises(CheckerUnavailable):
        login.get()
    assert stage.named(LoginRefused)[0].detail == "not done within 10 s, while opening"
    assert living() == BASE


def test_an_avatar_that_comes_after_the_deadline_is_stopped(inline):
    stage = Stage(login_timeout=10.0)
    grant: Future[object] = Future()
    called: list[str] = []
    stage.realm_answers += [grant, grant]
    login, other = stage.begin(), stage.begin("bob")
    inline.advance(10.1)
    avatar = ArenaPlayer.start("ann", None, stage.log)
    grant.set((Player, avatar, lambda: called.append("logout")))

    for future in (login, other):
        with pytest.raises(CheckerUnavailable):
            future.get()
    assert not avatar.is_alive()
    assert called == ["logout", "logout"]
    assert stage.log == [
        ("start", "ann"),
        ("stop", "ann"),
    ]  # it was never logged in, so it is not logged out
    assert stage.count() == 0
    assert living() == BASE


def test_logins_in_flight_are_bounded(inline):
    stage = Stage(logins=2)
    pending: list[Future[str]] = [Future(), Future()]
    stage.checker_answers += pending
    first, second = stage.begin("a"), stage.begin("b")

    with pytest.raises(LoginDenied, match="try again in 5 s"):
        stage.login("c")
    pending[0].set("a")
    first.get()
    stage.login("c")
    pending[1].set("b")
    second.get()
    assert stage.count() == 3


@pytest.mark.parametrize("when", ["checking", "opening"])
def test_a_client_that_vanishes_during_its_login_leaves_nothing(inline, when):
    stage = Stage()
    step: Future[object] = Future()
    (stage.checker_answers if when == "checking" else stage.realm_answers).append(step)
    login = stage.begin()
    login.cancel()

    with pytest.raises(CancelledError):
        login.get()
    if when == "checking":
        assert step.cancelled()  # like a hash that is not needed any more
    else:
        avatar = ArenaPlayer.start("ann", None, stage.log)
        step.set((Player, avatar, avatar.stop))
        assert not avatar.is_alive()
    assert stage.count() == 0
    assert living() == BASE
    assert stage.named(LoggedIn) == []


def test_a_login_that_is_not_waited_for_is_given_up(inline):
    stage = Stage()
    stage.checker_answers += [Future(), Future()]
    login = stage.begin()
    with pytest.raises(pykka.Timeout):
        login.get(timeout=0)
    assert login.cancelled()

    async def main() -> None:
        task = asyncio.ensure_future(stage.begin())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert stage.count() == 0
    assert living() == BASE


def test_a_task_that_is_cancelled_when_the_login_has_just_succeeded_logs_out(inline):
    stage = Stage()
    step: Future[str] = Future()
    stage.checker_answers.append(step)

    async def main() -> None:
        task = asyncio.ensure_future(stage.begin())
        await asyncio.sleep(0)
        step.set("ann")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert stage.count() == 0
    assert stage.log[-2:] == [("logout", "ann", "lost"), ("stop", "ann")]


def foreign(avatar_id, mind, *interfaces):
    class Foreign(pykka.ThreadingActor):
        use_daemon_thread = True

    ref = Foreign.start()
    return Player, ref, ref.stop


def of_wrong_class(avatar_id, mind, *interfaces):
    class Stone(Actor):
        pass

    ref = Stone.start()
    return Player, ref, ref.stop


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (lambda *_: None, "must return (interface, avatar, logout), not a NoneType"),
        (lambda *_: (Player, object()), "not a tuple of 2"),
        (lambda *_: (Spectator, object(), print), "which was not asked for"),
        (lambda *_: (Player, object(), print), "object, which does not implement Player"),
        (lambda *_: (Player, ArenaPlayer, print), "must return a started actor"),
        (lambda *_: (Player, None, print), "must return a started actor"),
        (
            lambda *_: (Player, ArenaPlayer("ann", None, []), None),
            "must return a callable as logout",
        ),
        (foreign, "must return an actor of actorcred.actors"),
        (of_wrong_class, "Stone, which does not implement Player; derive it"),
    ],
)
def test_a_realm_that_returns_rubbish_is_told_what_is_wrong(inline, caplog, answer, problem):
    stage = Stage()
    stage.realm_answers.append(answer)

    with pytest.raises(CheckerUnavailable):
        stage.login()
    assert f"Arena.request_avatar() {problem}" in caplog.text or problem in caplog.text
    assert living() == BASE
    assert stage.count() == 0
    assert stage.login().interface is Player  # the realm still works


def test_a_plain_object_is_a_valid_avatar(dispatcher):
    class Plain(Player):
        def __init__(self, mind):
            self.mind = mind
            self.colour = "red"
            self.said = []

        def move(self, dx):
            self.mind.notify("moved", dx)
            return dx

        def on_logout(self, reason):
            self.said.append(str(reason))

    stage = Stage()
    plain: list[Plain] = []

    def request_avatar(avatar_id, mind, *interfaces):
        plain.append(Plain(mind))
        return Player, plain[0], lambda: plain[0].said.append("over")

    stage.realm_answers.append(request_avatar)
    login = stage.login()
    proxy = login.avatar.proxy()

    assert proxy.move(3).get(timeout=10) == 3
    assert proxy.colour.get(timeout=10) == "red"
    proxy.colour = "blue"
    assert plain[0].colour == "blue"
    login.logout().get(timeout=10)
    stage.realm.ask("all done?", timeout=10)
    assert plain[0].said == ["logout", "over"]
    assert not login.avatar.is_alive()


def test_an_interface_may_be_a_protocol(inline):
    class Mover(Protocol):
        def move(self, dx: float) -> float: ...

    class Flyer(Protocol):
        def fly(self) -> None: ...

    stage = Stage()
    stage.realm_answers += [
        lambda a, m, *i: (Mover, ref := ArenaPlayer.start(a, m, stage.log), ref.stop)
    ]
    assert stage.login("ann", "right", Mover).avatar.proxy().move(1).get() == 1
    stage.realm_answers += [
        lambda a, m, *i: (Flyer, ref := ArenaPlayer.start(a, m, stage.log), ref.stop)
    ]
    with pytest.raises(CheckerUnavailable):
        stage.login("ann", "right", Flyer)


@pytest.mark.parametrize("role", ["checker", "realm"])
def test_logins_at_a_role_that_stops_do_not_wait_for_their_deadline(inline, role):
    stage = Stage()
    never: Future[object] = Future()
    (stage.checker_answers if role == "checker" else stage.realm_answers).append(never)
    login = stage.begin()
    (stage.checkers[0] if role == "checker" else stage.realm).stop()

    with pytest.raises(CheckerUnavailable):
        login.get(timeout=0)
    never.set("late")
    assert stage.count() == 0


def test_a_checker_can_be_registered_later_and_for_other_credentials(inline):
    stage = Stage(checkers=0)
    with pytest.raises(UnhandledCredentials):
        stage.login()
    checker = PlainChecker.start()
    stage.portal.register_checker(checker, UsernamePassword).get()

    assert stage.login().interface is Player
    with pytest.raises(UnhandledCredentials):
        stage.portal.login(Anonymous(), None, Player).get()
    stage.portal.register_checker(checker).get()
    assert stage.portal.login(Anonymous(), None, Player).get().session.avatar_id is ANONYMOUS


def test_wrong_arguments_are_named(inline):
    class Takeless(PlainChecker):
        credential_interfaces = ()

    class NoMethod(Realm):
        pass

    realm = Arena.start([])
    portal = Portal.start(realm)
    with pytest.raises(TypeError, match="a realm must be a ref"):
        Portal.start(PlainChecker.start())
    with pytest.raises(
        TypeError, match=r"a checker must be a ref, as MyChecker.start\(\) returns it"
    ):
        Portal.start(realm, [PlainChecker])
    with pytest.raises(TypeError, match=r"Takeless.credential_interfaces must name"):
        portal.register_checker(Takeless.start())
    with pytest.raises(TypeError, match="at least one interface"):
        portal.login(Anonymous(), None)
    with pytest.raises(TypeError, match="abstract"):
        NoMethod.start()
    with pytest.raises(TypeError, match="exactly one of"):
        portal.kick()
    with pytest.raises(TypeError, match="a function or an actor ref"):
        portal.subscribe(5).get()
    for wrong in ({"policy": "nicest"}, {"on_password_change": "shrug"}):
        with pytest.raises(ValueError, match="is unknown; use one of '"):
            PortalOptions(**wrong)
    for name in (
        "login_timeout",
        "logins",
        "sessions_per_avatar",
        "sessions",
        "idle_timeout",
        "lifetime",
        "logout_timeout",
    ):
        with pytest.raises(ValueError, match=f"{name} must be more than 0"):
            portal_options(**{name: 0})


def test_a_stopped_portal_lets_nobody_in(inline):
    stage = Stage()
    stage.portal.stop()

    with pytest.raises(LoginFailed):
        stage.login()
    assert stage.portal.drain().get() == 0


def test_an_avatar_that_dies_before_its_login_is_through_fails_the_login(inline):
    stage = Stage()
    avatar = ArenaPlayer.start("ann", None, stage.log)
    avatar.stop()
    stage.realm_answers.append((Player, avatar, avatar.stop))
    with pytest.raises(CheckerUnavailable):
        stage.login()

    assert stage.count() == 0
    assert living() == BASE


def test_secrets_are_in_no_log_and_no_text(inline, caplog):
    caplog.set_level(logging.DEBUG)
    secret = "correct horse battery"
    stage = Stage()
    for answer in (ZeroDivisionError("x"), UnauthorizedLogin("no")):
        stage.checker_answers.append(answer)
        with pytest.raises(LoginFailed) as failed:
            stage.login("ann", secret)
        assert secret not in f"{failed.value} {failed.value!r} {failed.value.detail}"
    assert secret not in repr(UsernamePassword("ann", secret))
    assert secret not in caplog.text
    assert secret not in repr(stage.events)


def test_names_in_the_audit_log_cannot_forge_a_line(inline, caplog):
    caplog.set_level(logging.INFO, "actorcred.audit")
    stage = Stage(log_unknown_names="show")
    forged = UsernamePassword("eve", "wrong")  # like a protocol's own credentials
    object.__setattr__(forged, "username", "eve\nlogin session_id=1 avatar_id=admin\x1b[2J")
    with pytest.raises(UnauthorizedLogin):
        stage.portal.login(forged, None, Player).get(timeout=10)
    stage.login("ann")

    refused, login = (record for record in caplog.records if record.name == "actorcred.audit")
    assert "\n" not in refused.getMessage()
    assert "\x1b" not in refused.getMessage()
    assert refused.event == "refused"
    assert refused.claimed.startswith("eve?login")
    assert (login.event, login.avatar_id, login.checker) == ("login", "ann", "PlainChecker")
    assert login.levelno == logging.INFO


def test_logout_codes_are_texts_for_a_wire():
    assert LogoutCode("kicked") is LogoutCode.KICKED
    assert str(LogoutCode.LOST) == "lost"
