"""A small game on the network, shared by the tests of the wire."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import socket
import ssl
import struct
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgpack
import pytest
import trustme

from actorcred import (
    Avatar,
    CallError,
    Checker,
    Future,
    Group,
    LogoutReason,
    MindRef,
    NoInterface,
    Portal,
    PortalOptions,
    Realm,
    actors,
    reauthenticated,
    rpc,
)
from actorcred.actors import ActorRef, AsyncioDispatcher, set_default_dispatcher
from actorcred.checkers.anonymous import AnonymousChecker
from actorcred.checkers.memory import MemoryChecker, MemoryCheckerRef
from actorcred.portal.events import Event
from actorcred.rpc.client.connection import ClientConnection
from actorcred.rpc.client.transports import open_wire
from actorcred.rpc.protocol.addresses import Address
from tests.settings import server_options, with_groups

USERS = {"ann": "s3cret", "bob": "hush"}

TRANSPORTS = ["tcp", "tls", "unix", "websocket", "websocket-json"]


@dataclass
class Spot:
    """A place."""

    x: float
    y: float


class Player(ABC):
    @abstractmethod
    def move(self, dx: float, dy: float = 0.0) -> list[float]: ...
    @abstractmethod
    def goto(self, spot: Spot, *via: Spot) -> Spot: ...
    @abstractmethod
    def echo(self, value: Any) -> Any: ...
    @abstractmethod
    def tell(self, count: int, text: str = "tick") -> None: ...
    @abstractmethod
    def flood(self, count: int, size: int) -> None: ...
    @abstractmethod
    async def wait(self, value: Any = None) -> Any: ...
    @abstractmethod
    def ask_client(self, question: str) -> Any: ...
    @abstractmethod
    def later(self) -> Any: ...
    @abstractmethod
    def fail(self, how: str) -> None: ...
    @reauthenticated(within=60)
    @abstractmethod
    def sell_all(self) -> str: ...
    @abstractmethod
    def shout(self, text: str) -> int: ...

    def _private(self) -> None: ...


class Spectator(ABC):
    @abstractmethod
    def watch(self) -> str: ...


class Unwanted:
    """Not in the realm's list."""


class Actor2(Avatar, Player, Spectator):
    secret = "an attribute"

    def __init__(self, avatar_id: Any, mind: MindRef, realm: Game) -> None:
        super().__init__(avatar_id, mind)
        self.game = realm
        self.place = [0.0, 0.0]

    def on_login(self) -> None:
        self.game.everybody.add(self.mind)
        self.mind.notify("welcome", str(self.avatar_id))

    def snapshot(self) -> Any:
        return {"place": self.place}

    def restore(self, snapshot: Any) -> None:
        self.place = snapshot["place"]
        self.game.everybody.add(self.mind)

    def on_logout(self, reason: LogoutReason) -> None:
        self.game.log.append((str(self.avatar_id), str(reason)))
        self.mind.notify("so long")

    def move(self, dx: float, dy: float = 0.0) -> list[float]:
        self.place = [self.place[0] + dx, self.place[1] + dy]
        return self.place

    def goto(self, spot: Spot, *via: Spot) -> Spot:
        assert isinstance(spot, Spot)
        return via[-1] if via else spot

    def echo(self, value: Any) -> Any:
        return value

    def tell(self, count: int, text: str = "tick") -> None:  # type: ignore[override]
        for number in range(count):
            self.mind.notify(text, number)

    def flood(self, count: int, size: int) -> None:  # type: ignore[override]
        for number in range(count):
            self.mind.notify("flood", number, "x" * size)

    async def wait(self, value: Any = None) -> Any:
        self.game.log.append(("waits", len(repr(value))))
        assert self.game.gate is not None
        await self.game.gate.wait()
        return "through"

    def ask_client(self, question: str) -> Any:
        return self.mind.call(question, 6, timeout=5)

    def later(self) -> Any:
        future: Future[Any] = Future()
        self.game.waiting.append(future)
        return future

    def fail(self, how: str) -> None:
        if how == "politely":
            raise CallError("the door is locked", "locked", retry_after=3)
        if how == "secretly":
            raise RuntimeError("the password is s3cret")
        if how == "unencodable":
            return object()  # type: ignore[return-value]
        self.actor_ref.tell("crash")
        return None

    def on_receive(self, message: Any) -> Any:
        raise RuntimeError("a bug in the game")

    def sell_all(self) -> str:
        return "sold"

    def shout(self, text: str) -> int:
        return self.game.everybody.notify("heard", text)

    def watch(self) -> str:
        return "seen"

    def helper(self) -> str:
        return "not in the interface"


class Game(Realm):
    interfaces = (Player, Spectator)

    def __init__(
        self, log: list[Any], waiting: list[Any], gate: asyncio.Event | None = None
    ) -> None:
        super().__init__()
        self.log = log
        self.waiting = waiting
        self.everybody = Group()
        self.gate = gate

    def request_avatar(self, avatar_id: Any, mind: MindRef, *interfaces: type) -> Any:
        for interface in interfaces:
            if issubclass(Actor2, interface):
                avatar = Actor2.start(avatar_id, mind, self)
                return interface, avatar, avatar.stop
        raise NoInterface(interfaces)


class Recorder:
    """A client's handler that records its notifications."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self._changed = asyncio.Event()

    def __call__(self, name: str, *args: Any) -> Any:
        self.heard.append((name, *args))
        self._changed.set()
        if name == "sulk":
            raise CallError("no!", "sulking")
        if name == "ponder":
            return asyncio.get_running_loop().create_future()
        return args[0] * 7 if name == "times seven" else None

    async def until(
        self, condition: Callable[[list[tuple[Any, ...]]], object]
    ) -> list[tuple[Any, ...]]:
        async with asyncio.timeout(10):
            while not condition(self.heard):
                self._changed.clear()
                await self._changed.wait()
        return self.heard

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [event for event in self.heard if event[0] == name]


class WireStage:
    """A server and everything that a test observes of it; use `stage()`."""

    server: rpc.Server
    portal: Any
    checker: MemoryCheckerRef
    gate: asyncio.Event
    """Releases the calls of `wait`."""

    def __init__(self, transport: str, authority: trustme.CA) -> None:
        self.transport = transport
        self.authority = authority
        self.log: list[Any] = []
        self.waiting: list[Any] = []
        self.events: list[Event] = []
        self.clients: list[rpc.Client] = []
        self.writers: list[asyncio.StreamWriter] = []

    @property
    def address(self) -> Address:
        return self.server.addresses[0]

    @property
    def hub(self) -> Any:
        return self.server.hub

    def client_context(self) -> ssl.SSLContext | None:
        if self.transport != "tls":
            return None
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context

    async def connect(
        self, username: str = "ann", password: str | None = "s3cret", **settings: Any
    ) -> rpc.Client:
        settings.setdefault("context", self.client_context())
        settings.setdefault("json", self.transport == "websocket-json")
        own = {
            name: settings.pop(name)
            for name in ("token", "authorize_as", "handler")
            if name in settings
        }
        client = await rpc.connect(
            self.address, username, password, options=rpc.ClientOptions(**settings), **own
        )
        self.clients.append(client)
        return client

    async def raw(
        self, source: str = "127.0.0.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect silently from an address of this machine; the connection is closed at the end."""
        streams = await asyncio.open_connection(
            self.address.host, self.address.port, local_addr=(source, 0)
        )
        self.writers.append(streams[1])
        return streams

    async def bare(self) -> ClientConnection:
        """Connect without a login."""
        wire = await open_wire(
            self.address, self.client_context(), json=self.transport == "websocket-json"
        )
        return ClientConnection(
            wire, lambda *_: None, SimpleNamespace(notifications=0), lambda *_: None
        )

    async def count(self) -> int:
        return int(await self.portal.count())

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait for a condition, turn by turn of the loop."""
        async with asyncio.timeout(10):
            while True:
                value = condition()
                if isinstance(value, Awaitable):
                    value = await value
                if value:
                    return
                await asyncio.sleep(0.001)


def plain(username: str, password: str) -> bytes:
    """Return a login by PLAIN."""
    return cast(
        "bytes",
        msgpack.packb([0, 1, "cred.login", ["PLAIN", f"\0{username}\0{password}".encode()]]),
    )


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection by a reset, like the system for a killed process with unread data."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Forward bytes until the end."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


@functools.cache
def authority() -> trustme.CA:
    return trustme.CA()


@contextlib.asynccontextmanager
async def stage(
    transport: str = "tcp",
    folder: Path | None = None,
    portal_options: PortalOptions | None = None,
    checkers: list[ActorRef[Any]] | None = None,
    **options: Any,
) -> AsyncIterator[WireStage]:
    """Serve the game on one transport; settings of groups are given by their names alone."""
    portal_options = with_groups(portal_options, options)
    made = WireStage(transport, authority())
    context = None
    if transport == "tls":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        made.authority.issue_cert("127.0.0.1").configure_cert(context)
        made.authority.configure_trust(context)
        context.verify_mode = ssl.CERT_OPTIONAL
    address = {"unix": f"unix:{folder}/game.sock"}.get(
        transport,
        f"{transport.replace('websocket-json', 'ws').replace('websocket', 'ws')}:127.0.0.1:0",
    )
    made.checker = MemoryChecker.start(USERS, plaintext=True, scram_iterations=4096)
    made.gate = asyncio.Event()
    made.portal = Portal.start(
        Game.start(made.log, made.waiting, made.gate),
        [made.checker, AnonymousChecker.start(), *(checkers or [])],
        portal_options,
    )
    await made.portal.subscribe(made.events.append)
    made.server = await rpc.serve(
        made.portal, address, options=server_options(**options), context=context
    )
    try:
        yield made
    finally:
        await made.server.close(timeout=5)
        for writer in made.writers:
            writer.close()
        for client in made.clients:
            await client.close()
        assert not made.hub.peers
        assert made.hub.channels == {}
        assert made.hub.lost_channels == set()
        assert made.hub.visitors == set()
        assert len(made.hub.admission) == 0
        assert made.hub.admission.connections == 0
        assert await made.count() == 0
        assert len(made.portal.protection) == 0


def on_loop(test: Callable[..., Any], loop_factory: Any = None) -> Callable[..., None]:
    """Run a coroutine function as a test, on a new event loop that is the actors' dispatcher."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def body() -> None:
            set_default_dispatcher(AsyncioDispatcher())
            try:
                async with asyncio.timeout(60):
                    await test(*args, **kwargs)
            finally:
                set_default_dispatcher(None)
                await asyncio.to_thread(actors.shutdown, 10)

        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(body())

    return run


def on_both_loops(test: Callable[..., Any]) -> Callable[..., None]:
    """Run a coroutine function as a test twice, on the event loops of asyncio and of uvloop."""

    @pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
    @functools.wraps(test)
    def run(loop: str, *args: Any, **kwargs: Any) -> None:
        factory = None
        if loop == "uvloop":
            factory = pytest.importorskip(
                "uvloop", reason="uvloop is not installed: pip install uvloop"
            ).new_event_loop
        on_loop(test, factory)(*args, **kwargs)

    signature = inspect.signature(test)
    loop = inspect.Parameter("loop", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__signature__ = signature.replace(parameters=[loop, *signature.parameters.values()])  # type: ignore[attr-defined]
    return run


class SomeCertificates(Checker):
    """Accepts clients with a certificate of our authority, by their name in it."""

    def request_avatar_id(self, credentials: Any) -> str:
        return dict(credentials.names)["DNS"]
