"""The cost of a login and a session, compared with Twisted Cred and with a thread per actor."""

from __future__ import annotations

import asyncio
import gc
import time
from abc import ABC, abstractmethod
from typing import Any

from actorcred import (
    Admission,
    Avatar,
    Checker,
    Login,
    Portal,
    PortalOptions,
    PortalRef,
    Realm,
    UnauthorizedLogin,
    UsernamePassword,
)
from actorcred.actors import AsyncioDispatcher, set_default_dispatcher, shutdown
from tests.benchmarks.measure import bytes_per, microseconds
from tests.benchmarks.runtime import Theirs, start


class Player(ABC):
    """The requested interface."""

    @abstractmethod
    def move(self, dx: float) -> float: ...


class GamePlayer(Avatar, Player):
    """The avatar."""

    def move(self, dx: float) -> float:
        return dx


class Game(Realm):
    """The realm."""

    def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        avatar = GamePlayer.start(avatar_id, mind)
        return Player, avatar, avatar.stop


class Everybody(Checker):
    """Accepts every name."""

    credential_interfaces = (UsernamePassword,)

    def request_avatar_id(self, credentials: UsernamePassword) -> str:
        return credentials.username


class Users(Checker):
    """Names and passwords in the clear, without hashing."""

    credential_interfaces = (UsernamePassword,)

    def __init__(self, users: dict[str, str]) -> None:
        super().__init__()
        self.users = users

    def request_avatar_id(self, credentials: UsernamePassword) -> str:
        if self.users.get(credentials.username) != credentials.password:
            raise UnauthorizedLogin
        return credentials.username


def open_portal(count: int) -> PortalRef:
    users = {f"user{number}": "password" for number in range(count)}
    return Portal.start(
        Game.start(), [Users.start(users)], PortalOptions(admission=Admission(logins=count + 1))
    )


def mind(name: str, *args: Any) -> None:
    """A client that ignores its notifications."""


def log_in(portal: PortalRef, first: int, count: int) -> list[Login]:
    futures = [
        portal.login(UsernamePassword(f"user{n}", "password"), mind, Player)
        for n in range(first, first + count)
    ]
    return [future.get() for future in futures]


def log_out(logins: list[Login]) -> None:
    for end in [login.logout() for login in logins]:
        end.get()


def memory(scale: float) -> tuple[float, float]:
    """Resident bytes per session: avatar, mind, directory, deadline."""
    count, few = int(100_000 * scale), int(4_000 * scale)
    portal = open_portal(count)

    def make() -> object:
        logins = log_in(portal, 0, count)
        return logins[-1]

    ours, kept = bytes_per(count, make)
    theirs, kept_too = bytes_per(few, lambda: start(Theirs, 2 * few))
    del kept, kept_too
    return ours / 1024, theirs / 1024


def pipelined_on_loop(scale: float) -> tuple[float, float]:
    """Microseconds per login without hashing, many at a time, on an event loop, as servers do."""
    count = int(20_000 * scale)

    async def run() -> float:
        set_default_dispatcher(AsyncioDispatcher())
        portal = open_portal(count)
        gc.collect()
        started = time.perf_counter()
        futures = [
            portal.login(UsernamePassword(f"user{number}", "password"), mind, Player)
            for number in range(count)
        ]
        for future in futures:
            await future
        taken = time.perf_counter() - started
        await asyncio.to_thread(shutdown, 60)
        return taken / count * 1e6

    return sorted(asyncio.run(run()) for _ in range(3))[1], _twisted(count)


def pipelined(scale: float) -> tuple[float, float]:
    """Microseconds per login without hashing, many at a time, on a pool of threads."""
    count = int(20_000 * scale)
    portal = open_portal(count)
    times = []
    for _ in range(3):
        made: list[Login] = []
        times.append(
            microseconds(count, lambda made=made: made.extend(log_in(portal, 0, count)), repeat=1)
        )
        log_out(made)
    return sorted(times)[1], _twisted(count)


def _twisted(count: int) -> float:
    from twisted.cred import checkers, credentials
    from twisted.cred.portal import IRealm, Portal
    from zope.interface import Interface, implementer

    class IPlayer(Interface):
        pass

    @implementer(IPlayer)
    class TwistedPlayer:
        pass

    @implementer(IRealm)
    class TwistedGame:
        def requestAvatar(self, avatarId: bytes, mind: object, *interfaces: object) -> object:
            return IPlayer, TwistedPlayer(), lambda: None

    users = {f"user{number}": b"password" for number in range(count)}
    portal = Portal(TwistedGame(), [checkers.InMemoryUsernamePasswordDatabaseDontUse(**users)])

    def run() -> None:
        got: list[object] = []
        for number in range(count):
            login = portal.login(
                credentials.UsernamePassword(b"user%d" % number, b"password"), mind, IPlayer
            )
            login.addCallback(got.append)
        assert len(got) == count

    return microseconds(count, run)


def crowded(scale: float) -> tuple[float, float]:
    """Microseconds per login and logout among 100,000 sessions, and among 1,000."""
    crowd, some, cycles = int(100_000 * scale), int(1_000 * scale), int(2_000 * scale)
    portal = open_portal(crowd + cycles)

    def cycle() -> None:
        for begin in range(0, cycles, 100):
            log_out(log_in(portal, crowd + begin, min(100, cycles - begin)))

    few = log_in(portal, 0, some)
    among_few = microseconds(cycles, cycle, repeat=7)
    many = log_in(portal, some, crowd - some)
    among_many = microseconds(cycles, cycle, repeat=7)
    del few, many
    return among_many, among_few
