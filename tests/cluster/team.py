"""Several nodes with a portal each, in one process and on one event loop, each behind a tap."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from actorcred import (
    Admission,
    Avatar,
    Checker,
    ClientInfo,
    Identity,
    Login,
    LoginFailed,
    Portal,
    PortalOptions,
    PortalRef,
    Realm,
    UnauthorizedLogin,
    UsernamePassword,
    requires,
)
from actorcred.actors import ActorRef, AsyncioDispatcher, set_default_dispatcher
from actorcred.checker import Revocation
from actorcred.cluster import BusDown, Cluster
from actorcred.errors import CallError
from tests.cluster.nats_server import NatsServer, random_name
from tests.cluster.tap import Tap

LEASE = 8.0
"""Seconds, for tests in which no lease ends, however busy the machine is."""

PORTAL = ("metrics", "penalty")
"""Settings of a node that are for its portal."""

SHORT = 1.0
"""Seconds, for tests in which one does."""


class Player(ABC):
    """What a client may use its avatar as."""

    @abstractmethod
    def move(self, dx: float) -> float: ...

    @abstractmethod
    def fail(self, how: str) -> None: ...

    @abstractmethod
    @requires("admin")
    def rule(self) -> str: ...


class Figure(Avatar, Player):
    """The avatar, which can take its time to leave."""

    leaving: asyncio.Event | None = None
    alive: int = 0
    most: int = 0
    moves: int = 0
    restores: Callable[[], Any] = staticmethod(lambda: None)
    """What is done to restore one."""

    def on_login(self) -> None:
        Figure.alive += 1
        Figure.most = max(Figure.most, Figure.alive)

    async def on_logout(self, reason: Any) -> None:
        if Figure.leaving is not None:
            await Figure.leaving.wait()
        Figure.alive -= 1

    def snapshot(self) -> Any:
        return {"moves": self.moves}

    def restore(self, snapshot: Any) -> Any:
        self.moves = snapshot["moves"]
        return Figure.restores()

    def move(self, dx: float) -> float:
        self.moves += 1
        return dx * 2

    def fail(self, how: str) -> Any:
        match how:
            case "call":
                raise CallError("as asked", "mine")
            case "odd":
                return object()
            case "large":
                return "x" * 2_000_000
        raise ZeroDivisionError("a secret")

    def rule(self) -> str:
        return "ruled"


class Game(Realm):
    """The realm."""

    interfaces = (Player,)

    def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        avatar = Figure.start(avatar_id, mind)
        return Player, avatar, avatar.stop


class Everybody(Checker):
    """Lets everybody in who knows the word."""

    credential_interfaces = (UsernamePassword,)

    def request_avatar_id(self, credentials: UsernamePassword) -> Identity:
        if credentials.password != "right":
            raise UnauthorizedLogin
        return Identity(credentials.username, groups=frozenset({"players"}))


class Client:
    """A client that remembers what it is told."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def hello(self, *args: Any) -> list[Any]:
        self.heard.append(args)
        return list(args)

    def logged_out(self, code: str, detail: str) -> None:
        self.heard.append(code)


class Member:
    """One node: its cluster, its portal, and the tap between it and NATS."""

    def __init__(
        self, cluster: Cluster, portal: PortalRef, realm: Any, checker: Any, tap: Tap
    ) -> None:
        self.cluster = cluster
        self.realm = realm
        self.portal = portal
        self.checker = checker
        self.tap = tap
        self.node = cluster._node

    async def login(self, name: str = "ann", mind: Any = None) -> Login:
        address = ClientInfo(address="192.0.2.7", protocol="test", name="tester")
        credentials = UsernamePassword(name, "right")
        return await self.portal.login(credentials, mind, Player, client=address)

    async def outcome(self, name: str = "ann") -> Login | LoginFailed:
        try:
            return await self.login(name)
        except LoginFailed as error:
            return error

    def revoke(self, name: str, what: Revocation = Revocation.DISABLED) -> None:
        self.checker.revoke(name, what)

    async def roster(self, name: str = "ann") -> list[str]:
        """Return the nodes of the sessions that NATS knows."""
        from actorcred.cluster.roster import key_of

        return [entry.node for entry in (await self.node.roster.read(key_of(name)))[1]]

    async def has_roster(self, *nodes: str) -> None:
        """Wait until NATS knows of sessions of ann on these nodes and no others."""
        deadline = asyncio.get_running_loop().time() + 10
        known: list[str] = []
        while asyncio.get_running_loop().time() < deadline:
            with contextlib.suppress(BusDown):
                known = await self.roster()
                if sorted(known) == sorted(nodes):
                    return
            await asyncio.sleep(0.01)
        pytest.fail(f"NATS knows of sessions at {known}, not {nodes}")

    async def die(self) -> None:
        """End without a word, as a process does that is killed."""
        self.tap.cut()
        for task in [*self.node._tasks, *self.node.members._tasks]:
            task.cancel()
        with contextlib.suppress(ConnectionError):  # the line is cut
            await self.node.bus.client.close()


@contextlib.asynccontextmanager
async def team(
    server: NatsServer,
    count: int = 2,
    policy: str = "reject",
    *,
    name: str = "",
    admission: Admission | None = None,
    realm: type[Realm] | None = None,
    **settings: Any,
) -> AsyncIterator[list[Member]]:
    """Run some nodes of one cluster, which know each other."""
    set_default_dispatcher(AsyncioDispatcher())
    Figure.leaving, Figure.alive, Figure.most = None, 0, 0
    Figure.restores = staticmethod(lambda: None)  # type: ignore[assignment]
    name = name or random_name()
    members: list[Member] = []
    async with contextlib.AsyncExitStack() as stack:
        for number in range(count):
            tap = Tap(server.port)
            await tap.start()
            stack.push_async_callback(tap.stop)
            made = (realm or Game).start()
            member = await _join(
                server, tap, name, "abc"[number], policy, admission, settings, made
            )
            stack.push_async_callback(_end, member)
            members.append(member)
        nodes = {member.cluster.node for member in members}
        while not all(member.cluster.nodes() >= nodes for member in members):
            await asyncio.sleep(0.01)
        for member in members:
            # The roster is new, and no other one was lost.
            member.node.roster._hold_until = 0.0
        yield members


async def _join(
    server: NatsServer,
    tap: Tap,
    name: str,
    node: str,
    policy: str,
    admission: Admission | None,
    settings: dict[str, Any],
    realm: ActorRef[Any] | None = None,
) -> Member:
    portal = {key: settings[key] for key in PORTAL if key in settings}
    settings = {key: value for key, value in settings.items() if key not in PORTAL}
    settings = {"lease": LEASE, "timeout": 1.0, "in_memory": True, **settings}
    cluster = await Cluster.connect(
        tap.url, name=name, node=node, user=server.user, password=server.password, **settings
    )
    checker = Everybody.start()
    options = PortalOptions(
        policy=policy,  # type: ignore[arg-type]
        registry=cluster,
        login_timeout=10.0,
        admission=admission or Admission(),
        **portal,
    )
    realm = realm or Game.start()
    return Member(cluster, Portal.start(realm, [checker], options), realm, checker, tap)


async def _end(member: Member) -> None:
    if Figure.leaving is not None:
        Figure.leaving.set()
    await member.portal.drain(5)
    await member.cluster.close(0.5)
    for ref in (member.portal, member.realm, member.checker):
        await ref.stop(block=False)
