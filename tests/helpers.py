"""A small application with all six roles, whose checker and realm answer when a test says so."""

from __future__ import annotations

import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from actorcred import (
    ANONYMOUS,
    Anonymous,
    Avatar,
    Checker,
    Login,
    MindRef,
    NoInterface,
    Portal,
    PortalOptions,
    PortalRef,
    Realm,
    Revocation,
    UnauthorizedLogin,
    UsernamePassword,
)
from actorcred.actors import ActorRef, Future
from tests.settings import portal_options


def records_of(caplog: pytest.LogCaptureFixture, logger: str) -> list[Any]:
    """Return the records of `logger` itself, without asyncio's complaints about earlier tests."""
    return [record for record in caplog.records if record.name == logger]


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition that another thread or process fulfils."""
    tick = threading.Event()
    for _ in range(3000):
        if condition():
            return
        tick.wait(0.01)
    raise AssertionError("it did not become so")


@contextmanager
def open_sqlite(path: Path | str) -> Iterator[sqlite3.Connection]:
    """Open a SQLite database; changes are committed at the end, and the file is closed."""
    with closing(sqlite3.connect(path)) as database, database:
        yield database


class Player(ABC):
    @abstractmethod
    def move(self, dx: float) -> float: ...


class Spectator(ABC):
    @abstractmethod
    def watch(self) -> str: ...


class Nothing(ABC):
    @abstractmethod
    def nothing(self) -> None: ...


class ArenaPlayer(Avatar, Player, Spectator):
    def __init__(self, avatar_id: Any, mind: MindRef, log: list[Any]) -> None:
        super().__init__(avatar_id, mind)
        self.log = log
        self.x = 0.0

    def on_start(self) -> None:
        self.log.append(("start", self.avatar_id))

    def on_login(self) -> None:
        self.log.append(("login", self.avatar_id))

    def on_logout(self, reason: Any) -> None:
        self.log.append(("logout", self.avatar_id, str(reason)))
        self.mind.notify("bye", str(reason.code))

    def on_stop(self) -> None:
        self.log.append(("stop", self.avatar_id))

    def on_attach(self, mind: MindRef) -> None:
        self.log.append(("attach", self.avatar_id))

    def on_detach(self, mind: MindRef, reason: Any) -> None:
        self.log.append(("detach", self.avatar_id, str(reason.code)))

    def move(self, dx: float) -> float:
        self.x += dx
        self.mind.notify("moved", self.x)
        return self.x

    def watch(self) -> str:
        return "seen"

    def ask_client(self, question: str) -> Future[Any]:
        return self.mind.call(question)

    def crash(self) -> None:
        raise RuntimeError("a bug in the game")


class Arena(Realm):
    """A realm; `answers` has its next results: futures, or functions of the arguments."""

    interfaces = (Player, Spectator)

    def __init__(self, log: list[Any], answers: list[Any] | None = None) -> None:
        super().__init__()
        self.log = log
        self.answers = answers if answers is not None else []

    def request_avatar(self, avatar_id: Any, mind: MindRef, *interfaces: type) -> Any:
        if self.answers:
            answer = self.answers.pop(0)
            return answer(avatar_id, mind, *interfaces) if callable(answer) else answer
        for interface in interfaces:
            if issubclass(ArenaPlayer, interface):
                avatar = ArenaPlayer.start(avatar_id, mind, self.log)
                return interface, avatar, avatar.stop
        raise NoInterface(interfaces)


class PlainChecker(Checker):
    """The password of all users is "right"; `answers` has results or errors to use instead."""

    credential_interfaces = (UsernamePassword, Anonymous)

    def __init__(self, answers: list[Any] | None = None) -> None:
        super().__init__()
        self.answers = answers if answers is not None else []

    def request_avatar_id(self, credentials: Any) -> Any:
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, BaseException):
                raise answer
            return answer() if callable(answer) else answer
        if isinstance(credentials, Anonymous):
            return ANONYMOUS
        if credentials.password != "right":
            raise UnauthorizedLogin("wrong password")
        return credentials.username

    def disable(self, username: str) -> None:
        self.actor_ref.revoke(username, Revocation.DISABLED)


class Stage:
    """A portal, and everything that a test observes of it."""

    def __init__(
        self, options: PortalOptions | None = None, *, checkers: int = 1, **kwargs: Any
    ) -> None:
        self.log: list[Any] = []
        self.realm_answers: list[Any] = []
        self.checker_answers: list[Any] = []
        self.events: list[Any] = []
        self.notified: list[tuple[Any, ...]] = []
        self.realm: ActorRef[Arena] = Arena.start(self.log, self.realm_answers)
        self.checkers = [PlainChecker.start(self.checker_answers) for _ in range(checkers)]
        self.portal: PortalRef = Portal.start(
            self.realm, self.checkers, options or portal_options(**kwargs)
        )
        self._booked = threading.Condition()
        self._minds: list[MindRef] = []
        self.portal.subscribe(self._book).get(timeout=10)

    def _book(self, event: Any) -> None:
        with self._booked:
            self.events.append(event)
            self._booked.notify_all()

    def mind(self, *notification: Any) -> None:
        self.notified.append(notification)

    def login(
        self, name: str = "ann", password: str = "right", *interfaces: type, mind: Any = ...
    ) -> Login:
        login = self.begin(name, password, *interfaces, mind=mind).get(timeout=10)
        self._minds.append(login.session.mind)
        return login

    def begin(
        self, name: str = "ann", password: str = "right", *interfaces: type, mind: Any = ...
    ) -> Any:
        mind = self.mind if mind is ... else mind
        return self.portal.login(UsernamePassword(name, password), mind, *(interfaces or (Player,)))

    def count(self) -> int:
        return self.portal.count().get(timeout=10)

    def named(self, kind: type, count: int = 0) -> list[Any]:
        """Return the events of a kind, once there are at least `count`."""
        with self._booked:
            arrived = self._booked.wait_for(
                lambda: sum(isinstance(e, kind) for e in self.events) >= count, timeout=10
            )
            assert arrived, self.events
            return [event for event in self.events if isinstance(event, kind)]

    def wait_for_minds(self) -> None:
        """Wait until the clients of all sessions have been notified of their end."""
        for mind in self._minds:
            gone: Future[None] = Future()
            mind.watch(lambda _, gone=gone: gone.settle())
            gone.get(timeout=10)


def django_application(*urls: Any) -> Any:
    """Return Django's ASGI application with some URLs. Its settings are shared by all tests."""
    import django
    from django.conf import settings
    from django.core.handlers.asgi import ASGIHandler
    from django.urls import clear_url_caches

    if not settings.configured:
        settings.configure(
            ALLOWED_HOSTS=["*"], SECRET_KEY="not secret", DEBUG=False, LOGGING_CONFIG=None
        )
        django.setup()
    settings.ROOT_URLCONF = urls
    clear_url_caches()
    return ASGIHandler()
