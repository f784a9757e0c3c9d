"""An application whose avatars are shared by clients of several nodes (policy SHARE)."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pykka

from actorcred import Avatar, ClientInfo, Login, NoInterface, Realm, UsernamePassword, requires
from actorcred.errors import CallError
from tests.cluster.nats_server import NatsServer
from tests.cluster.team import Client, Member, team


class Board(ABC):
    """What clients may use the avatar as."""

    @abstractmethod
    def write(self, text: str, times: int = 1) -> int: ...

    @abstractmethod
    def ask(self, question: str) -> Any: ...

    @abstractmethod
    @requires("admin")
    def wipe(self) -> None: ...

    @abstractmethod
    def fail(self, how: str) -> Any: ...

    @abstractmethod
    async def wait(self) -> str: ...

    @abstractmethod
    def later(self, question: str) -> Any: ...


class Viewer(ABC):
    """What other clients may use it as."""

    @abstractmethod
    def read(self) -> list[str]: ...


class Nothing(ABC):
    """What the avatar does not implement."""

    @abstractmethod
    def nothing(self) -> None: ...


class Unsendable(ABC):
    """What only clients of the same node can use it as."""

    @abstractmethod
    def keep(self, something: Avatar) -> None: ...


class SharedBoard(Avatar, Board, Viewer, Unsendable):
    """The avatar. `log` is of all of them."""

    log: list[Any] = []
    gate: asyncio.Event | None = None
    leaving: asyncio.Event | None = None
    alive: Counter[str] = Counter()
    greets: bool = False
    """Whether it calls each client that shares it."""

    def on_login(self) -> None:
        self.lines: list[str] = []
        SharedBoard.alive[str(self.avatar_id)] += 1
        assert SharedBoard.alive[str(self.avatar_id)] == 1, "two avatars"
        self.log.append("login")

    def on_attach(self, mind: Any) -> None:
        self.log.append(("attach", mind.client.address, sorted(mind.identity.groups)))
        mind.notify("welcome", *self.lines)
        if SharedBoard.greets:
            mind.call("answer", "hello").add_done_callback(
                lambda done: self.log.append(("greeted", done.get()))
            )

    def on_detach(self, mind: Any, reason: Any) -> None:
        self.log.append(("detach", str(reason.code)))

    async def on_logout(self, reason: Any) -> None:
        if SharedBoard.leaving is not None:
            await SharedBoard.leaving.wait()
        self.log.append(("logout", str(reason.code)))
        SharedBoard.alive[str(self.avatar_id)] -= 1

    def on_identity_changed(self, identity: Any) -> None:
        self.log.append(("identity", sorted(identity.groups)))

    def write(self, text: str, times: int = 1) -> int:
        for _ in range(times):
            self.lines.append(text)
            self.mind.notify("written", text)
        return len(self.lines)

    async def ask(self, question: str) -> Any:
        return await self.mind.call("answer", question)

    def wipe(self) -> None:
        self.lines.clear()

    def fail(self, how: str) -> Any:
        if how == "call":
            raise CallError("as asked", "mine")
        if how == "odd":
            self.mind.notify("odd", object())
            return object()
        if how == "dead":
            raise pykka.ActorDeadError("another actor")
        raise ZeroDivisionError("a secret")

    async def wait(self) -> str:
        assert SharedBoard.gate is not None
        await SharedBoard.gate.wait()
        return "waited"

    def later(self, question: str) -> Any:
        return self.mind.call("answer", question)

    def read(self) -> list[str]:
        return self.lines

    def keep(self, something: Avatar) -> None:
        pass


class Boards(Realm):
    """The realm. It lists no interfaces: nodes know them from their logins."""

    opening: asyncio.Event | None = None

    async def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        if Boards.opening is not None:
            await Boards.opening.wait()
        wanted = next((one for one in interfaces if issubclass(SharedBoard, one)), None)
        if wanted is None:
            raise NoInterface(interfaces)
        avatar = SharedBoard.start(avatar_id, mind)
        return wanted, avatar, avatar.stop


class Screen(Client):
    """A client."""

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self.name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args: self.heard.append((name, *args))

    def answer(self, question: str) -> str:
        return f"{self.name}: {question}"


@contextlib.asynccontextmanager
async def boards(
    server: NatsServer, count: int = 2, **settings: Any
) -> AsyncIterator[list[Member]]:
    SharedBoard.log, SharedBoard.alive, SharedBoard.greets = [], Counter(), False
    SharedBoard.gate = SharedBoard.leaving = Boards.opening = None
    async with team(server, count, "share", realm=Boards, **settings) as members:
        yield members
        for event in (SharedBoard.gate, SharedBoard.leaving, Boards.opening):
            if event is not None:
                event.set()


async def login(
    member: Member, mind: Any = None, *interfaces: type, name: str = "ann", **client: Any
) -> Login:
    whence = ClientInfo(address="192.0.2.9", protocol="test", **client)
    credentials = UsernamePassword(name, "right")
    wanted = interfaces or (Board,)
    return await member.portal.login(credentials, mind, *wanted, client=whence)


def all_gone(*members: Member) -> bool:
    """Return whether no node has anything left."""
    return not any(
        len(one.node.holdings) or one.node.holdings.guests or one.node.holdings._by_key
        for one in members
    )
