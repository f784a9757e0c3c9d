"""The cost of a login and a session, compared with Twisted Cred and with a thread per actor."""

from __future__ import annotations

import asyncio
import gc
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
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
from tests.benchmarks.measure import (
    ROUNDS,
    alternate,
    bytes_per,
    elsewhere,
    microseconds,
    run_on_loop,
)
from tests.benchmarks.report import Pairs
from tests.benchmarks.runtime import Theirs, start

AT_ONCE = 100
"""Logins in progress where their number does not matter."""


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


def memory(scale: float) -> dict[str, Pairs]:
    """Return the resident KB per session, in one round: avatar, mind, directory, deadline.

    The logins come in portions, as at a server. What very many logins need at one time stays with
    the process as free memory, and is no part of a session.
    """
    count, few = int(100_000 * scale), int(4_000 * scale)
    portal = open_portal(count)

    def make() -> object:
        for first in range(0, count, AT_ONCE):
            logins = log_in(portal, first, min(AT_ONCE, count - first))
        return logins[-1]

    ours, kept = bytes_per(count, make)
    theirs, kept_too = bytes_per(few, lambda: start(Theirs, 2 * few))
    del kept, kept_too
    return {"": [[ours / 1024, theirs / 1024]]}


class OnLoop:
    """Logins and logouts without hashing on an event loop, as in a server.

    Args:
        count: of the sessions.
    """

    def __init__(self, count: int) -> None:
        set_default_dispatcher(AsyncioDispatcher())
        self._portal = open_portal(count)
        self._count = count

    def _login(self, number: int) -> Any:
        return self._portal.login(UsernamePassword(f"user{number}", "password"), mind, Player)

    async def batch(self) -> tuple[float, float]:
        """Log all in at a time, and out; return the microseconds for each of both."""
        gc.collect()
        began = time.process_time()
        logins = [await future for future in [self._login(n) for n in range(self._count)]]
        between = time.process_time()
        for end in [login.logout() for login in logins]:
            await end
        ended = time.process_time()
        return (between - began) / self._count * 1e6, (ended - between) / self._count * 1e6

    async def one_by_one(self) -> float:
        """Log in and out again, one session after the other; return microseconds for both."""
        gc.collect()
        few = self._count // 4
        began = time.process_time()
        for number in range(few):
            await (await self._login(number)).logout()
        return (time.process_time() - began) / few * 1e6


async def bare_stops(count: int) -> float:
    """Return the microseconds to stop a bare actor on the loop, all at a time."""
    avatars = [GamePlayer.start("ann", None) for _ in range(count)]
    gc.collect()
    began = time.process_time()
    for stopped in [avatar.stop(block=False) for avatar in avatars]:
        await stopped
    return (time.process_time() - began) / count * 1e6


def on_loop(scale: float) -> dict[str, Pairs]:
    """Return microseconds of processor time of logins and logouts, beside Twisted's portal."""
    count = int(20_000 * scale)
    twisted = Twisted(count)

    async def run() -> dict[str, Pairs]:
        sessions = OnLoop(count)
        found: dict[str, Pairs] = {"login": [], "logout": [], "one by one": []}
        for _ in range(ROUNDS + 1):
            login, logout = await sessions.batch()
            found["login"].append([login, twisted.logins()])
            found["logout"].append([logout, await bare_stops(count)])
            found["one by one"].append([await sessions.one_by_one(), twisted.one_by_one()])
        await asyncio.to_thread(shutdown, 60)
        return {key: pairs[1:] for key, pairs in found.items()}

    return run_on_loop(run())


def on_pool(scale: float) -> dict[str, Pairs]:
    """Return microseconds of processor time per login, many at a time, on a pool of threads."""
    count = int(20_000 * scale)
    portal = open_portal(count)

    def ours() -> float:
        made: list[Login] = []
        taken = microseconds(count, lambda: made.extend(log_in(portal, 0, count)))
        log_out(made)
        return taken

    return {"": alternate(ours, Twisted(count).logins)}


class Twisted:
    """The function calls of Twisted's portal, which do the same without actors.

    Args:
        count: of the logins.
    """

    def __init__(self, count: int) -> None:
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
        checker = checkers.InMemoryUsernamePasswordDatabaseDontUse(**users)
        self._portal = Portal(TwistedGame(), [checker])
        self._credentials, self._interface = credentials.UsernamePassword, IPlayer
        self._count = count

    def _login(self, number: int, got: Callable[[Any], Any]) -> None:
        presented = self._credentials(b"user%d" % number, b"password")
        self._portal.login(presented, mind, self._interface).addCallback(got)

    def logins(self) -> float:
        """Return the microseconds per login."""
        got: list[object] = []
        taken = microseconds(
            self._count, lambda: [self._login(n, got.append) for n in range(self._count)]
        )
        assert len(got) == self._count
        return taken

    def one_by_one(self) -> float:
        """Return the microseconds for a login and its logout."""
        return microseconds(
            self._count,
            lambda: [self._login(n, lambda login: login[2]()) for n in range(self._count)],
        )


async def cycles(sessions: int, count: int) -> AsyncIterator[float]:
    """Log in and out `count` times among other sessions; yield the microseconds for both.

    The first value says only that the other sessions are there.
    """
    set_default_dispatcher(AsyncioDispatcher())
    portal = open_portal(sessions + count)

    def login(number: int) -> Any:
        return portal.login(UsernamePassword(f"user{number}", "password"), mind, Player)

    kept = [await login(number) for number in range(count, sessions + count)]
    yield len(kept)
    while True:
        began = time.process_time()
        for number in range(count):
            await (await login(number)).logout()
        yield (time.process_time() - began) / count * 1e6


def crowded(scale: float) -> dict[str, Pairs]:
    """Return microseconds of a login and logout among 100,000 sessions, and among 1,000.

    Each crowd has a process of its own, since the garbage collector walks all that a process has.
    """
    crowd, some, count = int(100_000 * scale), int(1_000 * scale), int(5_000 * scale)
    with elsewhere(cycles, crowd, count) as among_many, elsewhere(cycles, some, count) as among_few:
        return {"": alternate(among_many, among_few)}
