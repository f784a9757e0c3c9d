"""One contract for all adapters, with real clients.

Who gets in, who does not, how a session ends, and that nothing is left.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip(
    "twisted.cred", reason="Twisted is not installed: pip install 'actorcred[twisted]'"
)

from actorcred import Future, Portal, actors
from actorcred.actors import Dispatcher, ThreadDispatcher
from actorcred.checkers.memory import MemoryChecker
from actorcred.checkers.wrappers.throttling import ThrottlingChecker
from actorcred.portal.events import Event, LoggedOut, LoginRefused
from tests.adapters import fronts_asyncio, fronts_twisted
from tests.adapters.front import Front, House, Refused, Slow
from tests.helpers import until

FRONTS = {
    "pop3": fronts_twisted.Pop,
    "imap4": fronts_twisted.Imap,
    "pb": fronts_twisted.PB,
    "conch": fronts_twisted.Conch,
    "asyncssh": fronts_asyncio.AsyncSSH,
    "smtp": fronts_asyncio.Smtp,
    "http": fronts_asyncio.Http,
    "wsgi": fronts_asyncio.HttpOfThreads,
}


class Stage:
    """A portal with a server, and all that a test wants to see of it."""

    def __init__(self, front: Front, dispatcher: Dispatcher, checkers: list[Any]) -> None:
        self.log: list[Any] = []
        self.events: list[Event] = []
        self._booked = threading.Condition()
        self.front = front
        self.checkers = checkers
        self.portal = front.portal = Portal.start(
            House.start(self.log, dispatcher=dispatcher), checkers, dispatcher=dispatcher
        )
        self.portal.subscribe(self._book).get(timeout=10)
        front.start()

    def _book(self, event: Event) -> None:
        with self._booked:
            self.events.append(event)
            self._booked.notify_all()

    def wait_for(self, kind: type[Event], count: int = 1) -> list[Any]:
        """Wait for events of a kind."""
        with self._booked:
            there = self._booked.wait_for(
                lambda: sum(isinstance(event, kind) for event in self.events) >= count, timeout=10
            )
            assert there, self.events
            return [event for event in self.events if isinstance(event, kind)]

    def refusal(self, name: str, password: str) -> str:
        with pytest.raises(Refused) as refused:
            self.front.log_in(name, password)
        return str(refused.value)

    def assert_nothing_is_left(self) -> None:
        until(lambda: self.portal.count().get(timeout=10) == 0)
        # All of avatars and minds is removed. The portal, the realm, the checkers and the
        # subscriber stay.
        base = (
            3
            + len(self.checkers)
            + sum(len(getattr(one.actor_inbox.actor, "checkers", ())) for one in self.checkers)
        )
        until(lambda: actors.statistics().actors == base)
        until(lambda: self.front.connections() == 0)
        assert [entry[0] for entry in self.log].count("login") == [
            entry[0] for entry in self.log
        ].count("logout")


@pytest.fixture(params=[f"{name}-{where}" for name in FRONTS for where in ("loop", "threads")])
def make_stage(request: pytest.FixtureRequest) -> Iterator[Callable[..., Stage]]:
    name, _, where = request.param.partition("-")
    made: list[Stage] = []

    def make(*checkers: Any) -> Stage:
        front: Front = FRONTS[name]()
        dispatcher = (
            front.dispatcher() if where == "loop" else ThreadDispatcher("actorcred-test", 2)
        )
        users = MemoryChecker.start({"ann": "s3cret", "bob": "hush"}, plaintext=True)
        made.append(Stage(front, dispatcher, list(checkers) or [users]))
        if checkers:
            users.stop()
        return made[-1]

    yield make
    for stage in made:
        stage.front.stop()


def users() -> Any:
    return MemoryChecker.start({"ann": "s3cret", "bob": "hush"}, plaintext=True)


def test_the_right_password_gives_an_avatar_and_a_logout_takes_it_away(make_stage):
    stage = make_stage()
    ann, bob = stage.front.log_in("ann", "s3cret"), stage.front.log_in("bob", "hush")

    assert (ann.who(), bob.who()) == ("ann", "bob")
    until(lambda: stage.portal.count().get(timeout=10) == 2)
    ann.leave()
    bob.leave()
    stage.wait_for(LoggedOut, 2)
    stage.assert_nothing_is_left()


def test_nobody_can_tell_a_wrong_password_from_an_unknown_user(make_stage):
    stage = make_stage()

    assert stage.refusal("ann", "wrong") == stage.refusal("nobody", "s3cret")
    stage.assert_nothing_is_left()


def test_who_failed_too_often_has_to_wait_even_with_the_right_password(make_stage):
    stage = make_stage(ThrottlingChecker.start(users(), step=60.0, free=1))
    wrong = stage.refusal("ann", "wrong")
    stage.refusal("ann", "wrong")

    denied = stage.refusal("ann", "s3cret")
    assert not stage.front.says_denied or denied != wrong
    assert stage.wait_for(LoginRefused, 3)[-1].code == "denied"
    stage.assert_nothing_is_left()


def test_a_name_that_cannot_be_anybodys_is_told_without_showing_it(make_stage):
    stage = make_stage()
    stage.refusal(stage.front.nobodys_name, "s3cret")

    for event in stage.wait_for(LoginRefused):
        assert (event.code, event.claimed, event.known) == ("refused", "", False)
        assert "user name" in event.detail
    stage.assert_nothing_is_left()


def test_a_checker_that_is_down_lets_nobody_in(make_stage):
    checker = users()
    stage = make_stage(checker)
    wrong = stage.refusal("ann", "wrong")
    checker.stop()
    stage.checkers.clear()

    down = stage.refusal("ann", "s3cret")
    assert not stage.front.says_why or down != wrong
    assert stage.wait_for(LoginRefused, 2)[-1].code == "unavailable"
    stage.assert_nothing_is_left()


def test_a_kick_closes_the_connection_and_tells_the_client_why(make_stage):
    stage = make_stage()
    ann, bob = stage.front.log_in("ann", "s3cret"), stage.front.log_in("bob", "hush")
    assert stage.portal.kick(avatar_id="ann", reason="no shouting").get(timeout=10) == 1

    assert "kicked: no shouting" in ann.goodbye()
    assert bob.who() == "bob"
    bob.leave()
    stage.wait_for(LoggedOut, 2)
    stage.assert_nothing_is_left()


def test_a_drain_closes_all_connections(make_stage):
    stage = make_stage()
    clients = [stage.front.log_in("ann", "s3cret"), stage.front.log_in("bob", "hush")]
    # The session of an earlier request, of HTTP without cookies, might still end.
    assert stage.portal.drain(10).get(timeout=20) in {2, 3}

    assert all("drained" in client.goodbye() for client in clients)
    stage.refusal("ann", "s3cret")
    stage.assert_nothing_is_left()


def test_a_client_that_vanishes_is_logged_out(make_stage):
    stage = make_stage()
    if not stage.front.notices:
        pytest.skip("the server notices it when it sends something")
    stage.front.log_in("ann", "s3cret").vanish()

    stage.wait_for(LoggedOut)
    stage.assert_nothing_is_left()


def test_a_client_that_vanishes_during_its_login_leaves_nothing_and_logs_no_error(
    make_stage, errors_of_twisted, caplog
):
    waiting: list[Future[str]] = []
    stage = make_stage(SlowFor.start(waiting))
    if not stage.front.notices:
        pytest.skip("the login goes on until its end")
    vanish = stage.front.begin("ann", "s3cret")
    until(lambda: bool(waiting))
    vanish()

    stage.wait_for(LoginRefused)
    waiting[0].settle("ann")
    stage.assert_nothing_is_left()
    assert stage.log == []
    gc.collect()
    assert errors_of_twisted == []
    assert [
        record
        for record in caplog.records
        if record.name.startswith("actorcred") and record.levelname == "ERROR"
    ] == []


class SlowFor(Slow):
    """Takes every kind of credentials."""

    credential_interfaces = (object,)
