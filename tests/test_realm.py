"""Bugs in a realm or an avatar: the log has the cause, clients learn nothing, and nothing leaks."""

from __future__ import annotations

from typing import Any

import pykka
import pytest

from actorcred import (
    Avatar,
    CheckerUnavailable,
    LogoutCode,
    Policy,
    Portal,
    Realm,
    UsernamePassword,
    rpc,
)
from actorcred.actors import ControlMessage, Future
from actorcred.checkers.memory import MemoryChecker
from actorcred.realm import LogOut, examine, require_realm
from tests.helpers import Player, until
from tests.rpc.stage import on_loop
from tests.settings import portal_options


class Forgetful(Avatar, Player):
    def __init__(self, avatar_id: Any, mind: Any) -> None:
        self.x = 0.0

    def move(self, dx: float) -> float:
        return dx


class WrongSignature(Realm):
    interfaces = (Player,)

    def request_avatar(self, avatar_id: Any) -> Any:  # type: ignore[override]
        raise AssertionError


class NoAnswer(Realm):
    interfaces = (Player,)

    def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        """Forget to return."""


class NoAnswerLater(NoAnswer):
    async def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        """Forget to return."""


class ForgottenSuper(Realm):
    interfaces = (Player,)

    def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        avatar = Forgetful.start(avatar_id, mind)
        return Player, avatar, avatar.stop


class Broken(Realm):
    interfaces = (Player,)

    async def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        raise LookupError("the text of the exception")


MISTAKES = [
    (WrongSignature, TypeError, "takes 2 positional arguments"),
    (NoAnswer, TypeError, r"must return \(interface, avatar, logout\), not a NoneType"),
    (NoAnswerLater, TypeError, r"must return \(interface, avatar, logout\), not a NoneType"),
    (ForgottenSuper, TypeError, r"Forgetful.__init__\(\) must call super\(\).__init__\(\)"),
    (Broken, LookupError, "the text of the exception"),
]


def portal_of(realm: Any) -> Any:
    return Portal.start(realm.start(), [MemoryChecker.start({"ann": "right"}, plaintext=True)])


@pytest.mark.parametrize(("realm", "kind", "text"), MISTAKES)
def test_the_cause_of_a_mistake_is_chained(realm, kind, text, dispatcher):
    portal = portal_of(realm)
    with pytest.raises(CheckerUnavailable) as failed:
        portal.login(UsernamePassword("ann", "right"), None, Player).get(timeout=10)
    assert type(failed.value.__cause__) is kind
    with pytest.raises(kind, match=text):
        raise failed.value.__cause__
    assert text[:9] not in str(failed.value)
    assert portal.count().get(timeout=10) == 0


@pytest.mark.parametrize(("realm", "kind", "text"), MISTAKES)
@on_loop
async def test_a_client_is_not_told(realm, kind, text):
    async with await rpc.serve(portal_of(realm), "tcp:127.0.0.1:0") as server:
        with pytest.raises(CheckerUnavailable) as failed:
            await rpc.connect(str(server.addresses[0]), "ann", "right")
    assert kind.__name__ not in str(failed.value)
    assert realm.__name__ not in str(failed.value)


# -- on_login ------------------------------------------------------------------------------------


class Left:
    """What remains after logins."""

    def __init__(self) -> None:
        self.log: list[Any] = []


def town(on_login: Any, left: Left, *, plain_object: bool = False, **options: Any) -> Any:
    class Person(Avatar, Player):
        def move(self, dx: float) -> float:
            return dx

        def on_logout(self, reason: Any) -> None:
            left.log.append(str(reason.code))

    class Thing(Player):
        def move(self, dx: float) -> float:
            return dx

    class Town(Realm):
        interfaces = (Player,)

        def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
            if plain_object:
                return Player, Thing(), lambda: left.log.append("realm's logout")
            avatar = Person.start(avatar_id, mind)
            return Player, avatar, avatar.stop

    for kind in (Person, Thing):
        kind.on_login = on_login  # type: ignore[attr-defined]
    return Portal.start(
        Town.start(),
        [MemoryChecker.start({"ann": "right"}, plaintext=True)],
        portal_options(**options),
    )


def raising(avatar: Any) -> None:
    raise LookupError("the text of the exception")


async def raising_at_once(avatar: Any) -> None:
    raise LookupError("the text of the exception")


async def raising_later(avatar: Any) -> None:
    done: Future[None] = Future()
    avatar.send_after(0.0, "nothing")
    done.settle()
    await done
    raise LookupError("the text of the exception")


@pytest.mark.parametrize("on_login", [raising, raising_at_once, raising_later])
@pytest.mark.parametrize("policy", list(Policy))
def test_an_on_login_that_raises_fails_the_login_and_leaves_nothing(on_login, policy, dispatcher):
    left, minds, events = Left(), [], []
    portal = town(on_login, left, policy=policy)
    portal.subscribe(events.append).get(timeout=10)
    for _ in range(3):
        with pytest.raises(CheckerUnavailable) as failed:
            portal.login(
                UsernamePassword("ann", "right"), lambda name, *args: minds.append(name), Player
            ).get(timeout=10)
        assert type(failed.value.__cause__) is LookupError
        assert "exception" not in str(failed.value)
    until(lambda: left.log == ["crashed"] * 3)
    assert portal.count().get(timeout=10) == 0
    assert minds == []
    until(lambda: [type(event).__name__ for event in events] == ["LoginRefused"] * 3)


def test_so_does_that_of_a_plain_object(dispatcher):
    left = Left()
    portal = town(raising, left, plain_object=True)
    with pytest.raises(CheckerUnavailable):
        portal.login(UsernamePassword("ann", "right"), None, Player).get(timeout=10)
    until(lambda: left.log == ["realm's logout"])
    assert portal.count().get(timeout=10) == 0


def test_a_login_waits_for_on_login(inline):
    gate: Future[None] = Future()

    async def wait(avatar: Any) -> None:
        await gate

    portal = town(wait, left := Left())
    login = portal.login(UsernamePassword("ann", "right"), None, Player)
    assert not login.done()
    gate.settle()
    assert login.get(timeout=10).session.is_open
    assert left.log == []


def test_an_on_login_may_ask_the_client_who_is_in_by_then(dispatcher):
    heard = []

    async def ask(avatar: Any) -> None:
        heard.append(await avatar.mind.call("name"))

    portal = town(ask, Left())
    login = portal.login(UsernamePassword("ann", "right"), lambda name, *args: "Ann", Player).get(
        timeout=10
    )
    assert login.avatar.proxy().move(1.0).get(timeout=10) == 1.0
    assert heard == ["Ann"]


def test_an_on_login_that_takes_too_long_fails_the_login(inline):
    gate: Future[None] = Future()

    async def hang(avatar: Any) -> None:
        await gate

    portal = town(hang, left := Left(), login_timeout=5.0, logout_timeout=1.0)
    login = portal.login(UsernamePassword("ann", "right"), None, Player)
    inline.advance(6.0)
    with pytest.raises(CheckerUnavailable):
        login.get(timeout=10)
    inline.advance(3.0)
    assert portal.count().get(timeout=10) == 0
    assert left.log == ["crashed"]  # what it awaited was cancelled
    gate.settle()


def test_a_login_that_is_given_up_during_on_login_leaves_nothing(inline):
    gate: Future[None] = Future()

    async def wait(avatar: Any) -> None:
        await gate

    portal = town(wait, left := Left())
    login = portal.login(UsernamePassword("ann", "right"), None, Player)
    assert login.cancel()
    gate.settle()
    inline.advance(1.0)
    assert portal.count().get(timeout=10) == 0
    assert left.log == ["lost"]


def test_a_session_that_on_login_ends_itself_was_one(dispatcher):
    left, events = Left(), []

    def leave(avatar: Any) -> None:
        avatar.session.end(LogoutCode.KICKED, "no room")

    portal = town(leave, left)
    portal.subscribe(events.append).get(timeout=10)
    login = portal.login(UsernamePassword("ann", "right"), None, Player).get(timeout=10)
    until(lambda: left.log == ["kicked"])
    until(lambda: [type(event).__name__ for event in events] == ["LoggedIn", "LoggedOut"])
    assert not login.session.is_open


@on_loop
async def test_a_client_of_the_wire_is_told_unavailable_and_may_try_again():
    fails = [True, False]

    def once(avatar: Any) -> None:
        if fails.pop(0):
            raise LookupError("the text of the exception")

    async with await rpc.serve(town(once, Left()), "tcp:127.0.0.1:0") as server:
        with pytest.raises(CheckerUnavailable):
            await rpc.connect(str(server.addresses[0]), "ann", "right")
        async with await rpc.connect(str(server.addresses[0]), "ann", "right") as client:
            assert client.avatar_id == "ann"


def test_an_avatar_whose_on_start_raises_fails_the_login(dispatcher):
    class Stillborn(Avatar, Player):
        def on_start(self) -> None:
            raise LookupError("the text of the exception")

        def move(self, dx: float) -> float:
            return dx

    class Town(Realm):
        interfaces = (Player,)

        def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
            avatar = Stillborn.start(avatar_id, mind)
            return Player, avatar, avatar.stop

    portal = portal_of(Town)
    with pytest.raises(CheckerUnavailable) as failed:
        portal.login(UsernamePassword("ann", "right"), None, Player).get(timeout=10)
    assert type(failed.value.__cause__) in {LookupError, pykka.ActorDeadError}
    assert portal.count().get(timeout=10) == 0


# -- what becomes of a logout, and of an answer


class Wanted: ...


class Guest(Avatar, Wanted): ...


class PykkasOwn(pykka.ThreadingActor): ...


def fail() -> None:
    raise LookupError("the logout of a game")


async def fail_later() -> None:
    raise LookupError("the logout of a game")


@pytest.mark.parametrize("logout", [fail, fail_later])
def test_a_logout_that_fails_is_logged_and_the_realm_lives(inline, logout, caplog):
    realm = NoAnswer.start()
    realm.tell(LogOut(logout))

    assert "The logout of an avatar failed:" in caplog.text
    assert "the logout of a game" in caplog.text
    assert realm.is_alive()


def test_a_logout_may_take_its_time(inline, caplog):
    done, gate = [], Future()

    async def later():
        done.append(await gate)

    realm = NoAnswer.start()
    realm.tell(LogOut(later))
    gate.set("done")

    assert done == ["done"]
    assert caplog.text == ""


def test_a_message_that_no_realm_knows_is_an_error_of_the_sender(inline):
    class Odd(ControlMessage): ...

    with pytest.raises(TypeError, match="does not handle a Odd"):
        NoAnswer.start().ask(Odd())


@pytest.mark.parametrize("realm", [NoAnswer, None, "a realm"])
def test_what_is_no_started_realm_is_refused_with_what_to_write(realm):
    with pytest.raises(TypeError, match=r"must be a ref, as MyRealm.start\(\) returns it"):
        require_realm(realm)


def test_a_good_answer_is_granted(inline):
    realm, avatar = NoAnswer.start(), Guest.start("ann", None)

    assert require_realm(realm) is realm
    assert examine((Wanted, avatar, avatar.stop), (Wanted,), "Game").avatar is avatar


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (None, r"must return \(interface, avatar, logout\), not a NoneType"),
        ((1, 2), "not a tuple of 2"),
        ((Player, object(), print), "which was not asked for"),
        ((Wanted, object(), "stop"), "must return a callable as logout, not a str"),
        ((Wanted, None, print), r"not None; call Avatar.start\(\)"),
        ((Wanted, Guest, print), r"call Avatar.start\(\)"),
        ((Wanted, object(), print), "returned a object, which does not implement Wanted"),
    ],
)
def test_each_mistake_in_an_answer_is_named(answer, problem, caplog):
    with pytest.raises(CheckerUnavailable) as raised:
        examine(answer, (Wanted,), "Game")

    with pytest.raises(TypeError, match=rf"Game.request_avatar\(\) .*{problem}"):
        raise raised.value.__cause__
    assert raised.value.detail in caplog.text


def test_an_avatar_in_a_mistaken_answer_is_stopped(inline):
    avatar = Guest.start("ann", None)
    with pytest.raises(CheckerUnavailable):
        examine((Player, avatar, print), (Wanted,), "Game")

    assert not avatar.is_alive()


def test_an_actor_of_pykkas_own_runtime_is_no_avatar():
    avatar = PykkasOwn.start()
    with pytest.raises(CheckerUnavailable) as raised:
        examine((Wanted, avatar, avatar.stop), (Wanted,), "Game")

    assert "not a PykkasOwn of Pykka's own runtime" in raised.value.detail
    assert avatar.actor_stopped.wait(10)
