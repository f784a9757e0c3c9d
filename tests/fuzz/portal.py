"""A portal that is sent any message of protocols, roles and the application, in any order."""

from __future__ import annotations

import logging
from concurrent.futures import CancelledError
from typing import Any

import pykka

from actorcred import (
    ANONYMOUS,
    Anonymous,
    CheckerUnavailable,
    LoginDenied,
    LoginFailed,
    LogoutCode,
    Policy,
    Revocation,
    UnauthorizedLogin,
    UsernamePassword,
    actors,
)
from actorcred.actors import Future, InlineDispatcher, set_default_dispatcher
from actorcred.portal.events import Event, LoggedIn
from tests.fuzz.source import Source
from tests.helpers import ArenaPlayer, Nothing, Player, Spectator, Stage
from tests.settings import portal_options

__all__ = ["drive"]

NAMES = ("ann", "bob", "", "a\0b", "\u0430nn", "x" * 2000)
ODD: tuple[Any, ...] = (
    None,
    7,
    "",
    "ann",
    b"ann",
    object(),
    [],
    float("nan"),
    -1,
    type,
    lambda *args: 1 / 0,
)


class OddEvent(Event):
    """An event whose name is not even hashable."""

    name = ["odd"]  # type: ignore[assignment]


class Drive:
    """One run.

    Args:
        source: chooses what to do.
        dispatcher: runs all actors.
    """

    def __init__(self, source: Source, dispatcher: InlineDispatcher) -> None:
        self.source = source
        self.dispatcher = dispatcher
        options = portal_options(
            policy=source.choice(tuple(Policy)),
            sessions=source.choice((None, 3)),
            logins=source.choice((1000, 2)),
            may_act_as=source.choice(
                (None, lambda proven, wanted: True, lambda proven, wanted: 1 // 0)
            ),
        )
        self.stage = Stage(options)
        self.sessions: list[Any] = []
        self.futures: list[Future[Any]] = []
        self.pending: list[Future[Any]] = []
        self.drained = False

    def step(self) -> None:
        """Do one thing. Wrong arguments of an application may raise TypeError or ValueError."""
        act = self.source.choice(
            (
                self.login, self.login, self.login, self.answer_late, self.settle, self.give_up,
                self.end, self.kick, self.revoke, self.annotate, self.subscribe, self.publish,
                self.advance, self.call, self.crash, self.look, self.register, self.drain,
            )
        )  # fmt: skip
        try:
            act()
        except (TypeError, ValueError, pykka.ActorDeadError):
            return

    def odd(self) -> Any:
        return self.source.choice(ODD)

    def login(self) -> None:
        name, source = self.source.choice(NAMES), self.source
        if source.number() % 3 == 0:
            self.stage.checker_answers.append(self._checker_answer())
        if source.number() % 3 == 0:
            self.stage.realm_answers.append(self._realm_answer())
        kind = source.number(3)
        credentials: Any = Anonymous() if kind == 0 else self.odd() if kind == 1 else None
        try:
            credentials = credentials or UsernamePassword(name, source.choice(("right", "wrong")))
        except UnauthorizedLogin:
            return
        mind = source.choice((self.stage.mind, None, self.odd(), lambda *args: 1 / 0))
        interfaces = source.choice(
            ((Player,), (Spectator, Player), (Nothing,), (int,), (self.odd(),), ())
        )
        acts = source.choice((None, "bob", "", self.odd()))
        begin = self.stage.portal.verify if source.number() % 4 == 0 else self.stage.portal.login
        if begin == self.stage.portal.verify:
            self.futures.append(self.stage.portal.verify(credentials, authorize_as=acts))
        else:
            self.futures.append(
                self.stage.portal.login(credentials, mind, *interfaces, authorize_as=acts)
            )

    def _checker_answer(self) -> Any:
        later: Future[Any] = Future()
        self.pending.append(later)
        error = self.source.choice(
            (
                UnauthorizedLogin(),
                CheckerUnavailable(),
                LoginDenied("no", retry_after=1.0),
                RuntimeError("x"),
            )
        )
        return self.source.choice((ANONYMOUS, lambda: later, error, self.odd(), lambda: "ann"))

    def _realm_answer(self) -> Any:
        later: Future[Any] = Future()
        self.pending.append(later)
        log = self.stage.log

        def good(avatar_id: Any, mind: Any, *interfaces: type) -> Any:
            avatar = ArenaPlayer.start(avatar_id, mind, log)
            return Player, avatar, self.source.choice((avatar.stop, lambda: 1 // 0, None, 7))

        def raises(*args: Any) -> Any:
            raise self.source.choice(
                (RuntimeError("x"), UnauthorizedLogin(), KeyError(1), LoginDenied("no"))
            )

        return self.source.choice(
            (
                good,
                raises,
                later,
                self.odd(),
                (Player, object(), None),
                (self.odd(), self.odd(), self.odd()),
            )
        )

    def answer_late(self) -> None:
        """Settle a future that a role returned."""
        if not self.pending:
            return
        later = self.pending.pop(self.source.number(len(self.pending) - 1))
        if self.source.number() % 2:
            later.settle(
                self.source.choice(("ann", ANONYMOUS, self.odd(), (Player, object(), None)))
            )
        else:
            later.settle_error(
                self.source.choice((RuntimeError("x"), UnauthorizedLogin(), CheckerUnavailable()))
            )

    def settle(self) -> None:
        """Check the results of the logins so far."""
        self.dispatcher.run_ready()
        for future in self.futures:
            if not future.done():
                continue
            try:
                made = future.get(timeout=0)
            except (LoginFailed, pykka.ActorDeadError, CancelledError):
                continue
            if hasattr(made, "session"):
                self.sessions.append(made.session)
        self.futures = [future for future in self.futures if not future.done()]

    def give_up(self) -> None:
        for future in self.futures[-1:]:
            if hasattr(future, "give_up"):
                future.give_up()

    def _session(self) -> Any:
        return self.source.choice(self.sessions) if self.sessions else None

    def end(self) -> None:
        session = self._session()
        if session is not None:
            session.end(
                self.source.choice((*LogoutCode, "nonsense")),
                self.source.choice(("", "why", self.odd())),
            )

    def kick(self) -> None:
        session = self._session()
        wanted: dict[str, Any] = self.source.choice(
            (
                {"everyone": True}, {"avatar_id": "ann"}, {"avatar_id": self.odd()},
                {"session_id": session.id if session else "x"}, {"session_id": self.odd()}, {},
                {"everyone": True, "avatar_id": "ann"},
            )
        )  # fmt: skip
        self.stage.portal.kick(**wanted, reason=self.source.choice(("", "why", self.odd())))

    def revoke(self) -> None:
        what = self.source.choice((*Revocation, self.odd()))
        checker = self.source.choice((self.stage.checkers[0], self.stage.realm, self.odd()))
        self.stage.portal.revoke(
            checker, self.source.choice(("ann", "bob", ANONYMOUS, self.odd())), what
        )

    def annotate(self) -> None:
        session = self._session()
        self.stage.portal.annotate(session.id if session else self.odd(), note=self.odd())

    def subscribe(self) -> None:
        self.stage.portal.subscribe(
            self.source.choice((self.stage.events.append, lambda event: 1 // 0, self.odd()))
        )

    def publish(self) -> None:
        event = self.source.choice((OddEvent(), LoggedIn, self.odd()))
        self.stage.portal.publish(event)

    def advance(self) -> None:
        self.dispatcher.advance(self.source.choice((0.1, 1.0, 31.0, 3600.0)))

    def call(self) -> None:
        session = self._session()
        if session is not None:
            session.avatar.proxy().move(1.0)

    def crash(self) -> None:
        session = self._session()
        if session is not None:
            session.avatar.proxy().crash()

    def look(self) -> None:
        portal = self.stage.portal
        self.source.choice(
            (
                portal.count,
                portal.sessions,
                portal.list_interfaces,
                portal.list_credentials_interfaces,
            )
        )()

    def register(self) -> None:
        self.stage.portal.register_checker(
            self.source.choice((self.stage.checkers[0], self.odd())), self.odd()
        )

    def drain(self) -> None:
        if self.source.number() < 8:
            timeout = self.source.choice((0.0, 1.0, self.odd()))
            self.stage.portal.drain(timeout)
            self.drained = True

    def check(self) -> None:
        """Assert that the portal is alive, and serves a user of its own."""
        portal = self.stage.portal
        self.dispatcher.advance(120.0)
        assert portal.is_alive(), "the portal has died"
        self.stage.checker_answers.clear()
        self.stage.realm_answers.clear()
        portal.kick(everyone=True).get(timeout=0)
        self.dispatcher.advance(120.0)
        assert portal.count().get(timeout=0) == 0, "sessions are left"
        if not self.drained:
            login = portal.login(UsernamePassword("zoe", "right"), None, Player)
            self.dispatcher.run_ready()
            assert login.get(timeout=0).session.is_open


def drive(source: Source) -> None:
    """Run the steps that the bytes encode, and assert that the portal serves afterwards."""
    logging.disable(logging.CRITICAL)
    dispatcher = InlineDispatcher()
    set_default_dispatcher(dispatcher)
    try:
        run = Drive(source, dispatcher)
        for _ in range(100):
            if not source.more:
                break
            run.step()
        run.check()
    finally:
        left = actors.shutdown(timeout=1)
        set_default_dispatcher(None)
        logging.disable(logging.NOTSET)
    assert not left, f"these actors did not stop: {left}"
