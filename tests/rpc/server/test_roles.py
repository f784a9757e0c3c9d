"""Who may call what over the wire: roles, and proofs of the credentials."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgpack
import pytest

from actorcred import (
    Avatar,
    CallError,
    Checker,
    Identity,
    NoInterface,
    Portal,
    Realm,
    UsernamePassword,
    reauthenticated,
    requires,
    rpc,
)
from tests.rpc.stage import on_loop


class Room(ABC):
    @abstractmethod
    def say(self, text: str) -> str: ...

    @requires("moderator")
    @abstractmethod
    def kick(self, name: str) -> str: ...


@requires("admin")
class Office(Room):
    @reauthenticated(within=60)
    @abstractmethod
    def close(self) -> str: ...


class Member(Avatar, Office):
    calls: list[str]

    def on_start(self) -> None:
        self.calls = []

    def say(self, text: str) -> str:
        self.calls.append(text)
        return text

    def kick(self, name: str) -> str:
        self.calls.append(name)
        return f"{name} is out"

    def close(self) -> str:
        return "closed"


class House(Realm):
    interfaces = (Room, Office)

    def __init__(self, seen: list[Any]) -> None:
        super().__init__()
        self.seen = seen

    def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        self.seen.append((mind.identity.groups, mind.client.name, dict(mind.info)))
        if Office in interfaces and "guest" in mind.identity.groups:
            raise NoInterface(interfaces)
        avatar = Member.start(avatar_id, mind)
        return interfaces[0], avatar, avatar.stop


class Groups(Checker):
    """The password lists the groups."""

    credential_interfaces = (UsernamePassword,)

    def request_avatar_id(self, credentials: UsernamePassword) -> Identity:
        return Identity(credentials.username, groups=frozenset(credentials.password.split()))


@asynccontextmanager
async def served() -> AsyncIterator[tuple[rpc.Server, list[Any]]]:
    seen: list[Any] = []
    portal = Portal.start(House.start(seen), [Groups.start()])
    server = await rpc.serve(portal, "tcp:127.0.0.1:0")
    try:
        yield server, seen
    finally:
        await server.close(timeout=5)


@on_loop
async def test_a_call_without_the_role_is_refused_and_never_reaches_the_avatar() -> None:
    async with served() as (server, _):
        client = await rpc.connect(server.addresses[0], "ann", "reader")
        assert await client.call("say", "hi") == "hi"
        with pytest.raises(CallError) as caught:
            await client.call("kick", "bob")
        assert (caught.value.code, caught.value.message) == ("forbidden", "kick: not permitted")
        client.notify("kick", "bob")
        assert await client.call("say", "again") == "again"
        session = await server.hub.portal.session(client.session)
        assert session is not None
        assert session.avatar.actor_inbox.actor.calls == ["hi", "again"]
        assert server.hub.ignored_notices == 1
        await client.close()


@on_loop
async def test_a_call_with_the_role_is_carried_out() -> None:
    async with served() as (server, _):
        client = await rpc.connect(server.addresses[0], "ann", "moderator")
        assert await client.call("kick", "bob") == "bob is out"
        await client.close()


@on_loop
async def test_an_interface_for_a_role_is_closed_to_others_with_all_its_methods() -> None:
    async with served() as (server, _):
        options = rpc.ClientOptions(interface="Office")
        with pytest.raises(NoInterface):
            await rpc.connect(server.addresses[0], "eve", "guest", options=options)
        ann = await rpc.connect(server.addresses[0], "ann", "reader", options=options)
        for method, arguments in (("say", ["hi"]), ("kick", ["bob"]), ("close", [])):
            with pytest.raises(CallError) as caught:
                await ann.call(method, *arguments)
            assert caught.value.code == "forbidden"
        await ann.close()
        root = await rpc.connect(server.addresses[0], "root", "admin", options=options)
        assert await root.call("say", "hi") == "hi"
        with pytest.raises(CallError) as caught:
            await root.call("close")
        assert caught.value.code == "reauthenticate"
        await root.reauthenticate("admin")
        assert await root.call("close") == "closed"
        await root.close()


@on_loop
async def test_what_a_client_tells_reaches_the_realm() -> None:
    import asyncio

    async with served() as (server, seen):
        address = server.addresses[0]
        reader, writer = await asyncio.open_connection(address.host, address.port)
        wishes = {"client": ["bot", "7"], "info": {"language": "de"}}
        writer.write(msgpack.packb([0, 1, "cred.login", ["PLAIN", b"\0ann\0reader", wishes]]))
        await reader.readuntil(b"avatar_id")
        assert seen == [(frozenset({"reader"}), "bot", {"language": "de"})]
        writer.close()
