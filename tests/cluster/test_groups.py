"""Named groups whose members are at several nodes."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pykka
import pytest

from actorcred import Login
from actorcred.cluster import BusDown, BusError, FarSession, Found, pages
from actorcred.cluster.messages import Hello, NotifyGroup, pack
from actorcred.cluster.roster import key_of
from actorcred.sessions import groups
from tests.cluster.conftest import stranger, until
from tests.cluster.nats_server import NatsServer
from tests.cluster.team import Client, Member, team

ROOM = "room:lobby"


async def join(member: Member, name: str, group: str = ROOM) -> tuple[Client, Login]:
    """Log a client in that becomes a member of a group."""
    client = Client()
    login = await member.login(name, client)
    await member.portal.group(group).add(login.session.mind)
    return client, login


def topics(member: Member) -> int:
    """Return to how many groups a node listens."""
    subscriptions = member.node.bus.client._subs.values()
    return sum(".group." in one.subject for one in subscriptions)


@asynccontextmanager
async def three(server: NatsServer, **settings: Any) -> AsyncIterator[list[Member]]:
    async with team(server, 3, "allow", **settings) as members:
        yield members


def test_all_members_at_all_nodes_but_the_speaker_hear_what_is_said(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with three(nats_server) as (a, b, c):
            (ann, login), (ben, _), (cat, _) = [
                await join(one, name) for one, name in ((a, "ann"), (a, "ben"), (b, "cat"))
            ]
            stranger_to_it = Client()
            await c.login("dan", stranger_to_it)
            a.portal.group(ROOM).notify("hello", "all", 1, but=login.session.mind)
            await until(lambda: cat.heard)
            # Those who are in no room can speak to it, too.
            c.portal.group(ROOM).notify("hello", "again")
            await until(lambda: ann.heard and len(cat.heard) == 2)
            assert ann.heard == [("again",)]
            assert ben.heard == cat.heard == [("all", 1), ("again",)]
            assert stranger_to_it.heard == []

    asyncio.run(run())


def test_a_notification_is_sent_once_to_each_node_and_encoded_once(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with three(nats_server) as (a, b, c):
            clients = [(await join(b, f"user{number}"))[0] for number in range(5)]
            packed: list[Any] = []
            monkeypatch.setattr(
                "actorcred.cluster.groups.pack", lambda said: packed.append(said) or pack(said)
            )
            async with stranger(nats_server) as nats:
                topic = f"ac.{a.node.bus.options.cluster}.group.*"
                subscription = await nats.subscribe(topic)
                await nats.flush()
                a.portal.group(ROOM).notify("hello")
                await until(lambda: all(client.heard for client in clients))
                await subscription.next_msg(5)
                assert subscription.pending_msgs == 0
            assert len(packed) == 1
            assert (topics(b), topics(c)) == (1, 0)

    asyncio.run(run())


def test_what_one_sender_says_comes_in_order(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with three(nats_server) as (a, b, _):
            client, _ = await join(b, "ann")
            room = a.portal.group(ROOM)

            def speak() -> None:
                for number in range(200):
                    room.notify("hello", number)

            await asyncio.to_thread(speak)
            await until(lambda: len(client.heard) == 200)
            assert client.heard == [(number,) for number in range(200)]

    asyncio.run(run())


def test_a_notification_with_a_key_keeps_it_at_other_nodes(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with three(nats_server) as (a, b, _):
            seen: list[Any] = []
            login = (await join(b, "ann"))[1]
            send = login.session.mind.channel.notify

            class Spy(type(login.session.mind.channel)):  # type: ignore[misc]
                def notify(self, notification: Any) -> Any:
                    seen.append(notification.key)
                    return send(notification)

            login.session.mind.channel = Spy(Client())
            a.portal.group(ROOM).notify("hello", key=("place", 7))
            await until(lambda: seen)
            assert seen == [("place", 7)]

    asyncio.run(run())


def test_a_node_listens_only_while_it_has_a_member(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with three(nats_server) as (a, b, _):
            _, ann = await join(a, "ann")
            _, ben = await join(a, "ben")
            _, cat = await join(b, "cat")
            assert (topics(a), topics(b)) == (1, 1)
            await ann.logout()
            assert topics(a) == 1
            await a.portal.group(ROOM).discard(ben.session.mind)
            await cat.logout()
            await until(lambda: topics(a) + topics(b) == 0)
            del ann, ben, cat
            gc.collect()
            await until(lambda: gc.collect() * 0 + len(a.portal.groups) == 0)
            assert not a.node._groups._subscriptions

    asyncio.run(run())


def test_many_rooms_fill_and_empty_and_nothing_is_left(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with three(nats_server) as (a, b, _):
            login = await a.login("ann")
            rooms = [a.portal.group(f"room:{number}") for number in range(300)]
            await asyncio.gather(*(room.add(login.session.mind) for room in rooms))
            assert topics(a) == 300
            assert await b.portal.group("room:7").count() == 1
            for room in rooms[::2]:
                room.discard(login.session.mind)
            await until(lambda: topics(a) == 150)
            await login.logout()
            await until(lambda: topics(a) == 0)

    asyncio.run(run())


def test_who_leaves_and_comes_back_at_once_is_still_heard(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with three(nats_server) as (a, b, _):
            client, login = await join(b, "ann")
            room = b.portal.group(ROOM)
            for _ in range(20):
                room.discard(login.session.mind)
                ready = room.add(login.session.mind)
            await ready
            a.portal.group(ROOM).notify("hello")
            await until(lambda: client.heard)
            assert topics(b) == 1

    asyncio.run(run())


# -- members of other nodes ---------------------------------------------------------------------


def test_python_socketio_34_the_members_of_a_room_are_listed_from_all_nodes(
    nats_server: NatsServer,
) -> None:
    # "get_participants does not list users connected to a different server"
    async def run() -> None:
        async with three(nats_server) as (a, b, c):
            for one, name in ((a, "ann"), (b, "ben"), (b, "cat")):
                await join(one, name)
            for one in (a, b, c):
                members = await one.portal.group(ROOM).members()
                assert [session.avatar_id for session in members] == ["ann", "ben", "cat"]
                assert await one.portal.group(ROOM).count() == 3
            far = members[1]
            assert isinstance(far, FarSession)
            assert await far.avatar.proxy().move(2.0) == 4.0

    asyncio.run(run())


def test_members_that_do_not_fit_into_one_message_are_all_listed(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGE_LENGTH", 2)

    async def run() -> None:
        async with three(nats_server) as (a, b, _):
            for number in range(5):
                await join(b, f"u{number}")
            large = (await join(b, "large"))[1].session
            await b.portal.annotate(large.id, map="x" * 2_000_000)
            members = await a.portal.group(ROOM).members()
            assert isinstance(members, Found)
            names = [f"u{number}" for number in range(5)]
            assert [session.avatar_id for session in members] == [*names, "large"]
            assert members.missing == frozenset()

    asyncio.run(run())


def test_python_socketio_168_a_client_of_another_node_is_put_into_a_room_and_out_of_it(
    nats_server: NatsServer,
) -> None:
    # "Does leave_room get called on multiple instances": it was not, and the client went on to
    # get what was said in the room.
    async def run() -> None:
        async with three(nats_server) as (a, b, _):
            client = Client()
            login = await b.login("ann", client)
            far = await a.portal.session(login.session.id)
            assert far is not None
            room = a.portal.group(ROOM)
            await room.add(far.mind)
            room.notify("hello", 1)
            room.notify("hello", 2, but=far.mind)
            await until(lambda: client.heard)
            assert [one.id for one in await room.members()] == [login.session.id]
            await room.discard(far.mind)
            room.notify("hello", 3)
            assert await room.count() == 0
            assert topics(b) == 0
            assert client.heard == [(1,)]
            await login.logout()
            with pytest.raises(pykka.ActorDeadError):
                await room.add(far.mind)

    asyncio.run(run())


def test_a_node_that_does_not_answer_is_named(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with three(nats_server, lease=20.0) as (a, b, _):
            await join(a, "ann")
            await join(b, "ben")
            await b.die()
            room = a.portal.group(ROOM)
            members = await room.members()
            assert isinstance(members, Found)
            assert [session.avatar_id for session in members] == ["ann"]
            count: Any = await room.count()
            assert (count, count.missing, members.missing) == (1, {b.cluster.node}, count.missing)

    asyncio.run(run())


def test_a_group_that_is_full_says_so_to_the_other_node(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with three(nats_server) as (a, b, _):
            far = await a.portal.session((await b.login("ann")).session.id)
            assert far is not None
            room = a.portal.group(ROOM)
            monkeypatch.setattr(groups, "MOST_GROUPS", 0)
            with pytest.raises(Exception, match="0 groups, no more"):
                await room.add(far.mind)
            with pytest.raises(TypeError, match="the mind of a session"):
                room.add("ann")  # type: ignore[arg-type]

    asyncio.run(run())


# -- faults -------------------------------------------------------------------------------------


def test_a_node_that_is_cut_off_speaks_to_its_own_members(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with three(nats_server, lease=20.0) as (a, b, _):
            (ann, _), (ben, _) = await join(a, "ann"), await join(b, "ben")
            a.tap.cut()
            await until(lambda: not a.node.bus.connected)
            dropped = a.node.bus.dropped
            a.portal.group(ROOM).notify("hello", 1)
            assert a.node.bus.dropped == dropped + 1, "it is not sent later"
            late = Client()
            login = await a.login("cat", late)
            other = a.portal.group("other")
            with pytest.raises(pykka.Timeout, match="NATS does not know yet"):
                await other.add(login.session.mind)
            a.tap.open()
            await until(lambda: a.node.bus.connected)
            a.portal.group(ROOM).notify("hello", 2)
            await until(lambda: ben.heard)
            assert (ann.heard, ben.heard) == ([(1,), (2,)], [(2,)])
            # What was joined meanwhile is heard.
            b.portal.group("other").notify("hello", 3)
            await until(lambda: late.heard)
            assert late.heard == [(3,)]

    asyncio.run(run())


def test_a_group_to_which_a_node_could_not_listen_is_heard_after_a_reconnection(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with three(nats_server, lease=20.0) as (a, b, _):
            client = Client()
            login = await a.login("ann", client)

            async def fails(*_: object) -> None:
                raise BusDown("as asked")

            with monkeypatch.context() as patch:
                patch.setattr(a.node.bus, "subscribe", fails)
                with pytest.raises(pykka.Timeout, match="as asked"):
                    await a.portal.group(ROOM).add(login.session.mind)
            a.tap.cut()
            await until(lambda: not a.node.bus.connected)
            a.tap.open()
            await until(lambda: topics(a) == 1)
            await a.node.bus.flush()
            b.portal.group(ROOM).notify("hello")
            await until(lambda: client.heard)

    asyncio.run(run())


def test_groups_go_on_with_a_nats_that_was_restarted_and_emptied(own_server: NatsServer) -> None:
    async def run() -> None:
        async with three(own_server, lease=20.0) as (a, b, _):
            client, _ = await join(b, "ann")
            own_server.restart(wipe=True)

            def heard() -> list[Any]:
                a.portal.group(ROOM).notify("hello")
                return client.heard

            await until(heard)

    asyncio.run(run())


def test_what_cannot_cross_is_not_said_to_members_here_either(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with three(nats_server) as (a, _, _):
            client, _ = await join(a, "ann")
            room = a.portal.group(ROOM)
            for argument in (object(), "x" * 2_000_000):
                with pytest.raises(BusError):
                    room.notify("hello", argument)
            room.notify("hello")
            await until(lambda: client.heard)
            assert client.heard == [()]

    asyncio.run(run())


def test_junk_in_the_topic_of_a_group_is_ignored(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with three(nats_server) as (a, _, _), stranger(nats_server) as nats:
            client, login = await join(a, "ann")
            subject = f"ac.{a.node.bus.options.cluster}.group.{key_of(ROOM)}"
            newer = msgspec.msgpack.encode((1, ["said", 7, "hello", []]))
            items = [
                b"junk",
                newer,
                pack(Hello("node")),
                pack(NotifyGroup("x", "hello", [1], but="unknown")),
                pack(NotifyGroup("x", "hello", [2], but=login.session.id)),
                (7, pack(NotifyGroup("x", "hello", [4]))),
                pack(NotifyGroup("x", "hello", [3])),
            ]
            await nats.publish(subject, b"junk")
            await nats.publish(subject, msgspec.msgpack.encode(items))
            await until(lambda: (3,) in client.heard)
            assert client.heard == [(1,), (3,)]

    asyncio.run(run())
    assert caplog.text.count("A notification of a group was ignored") == 1
    assert "A Hello came by the wrong way" in caplog.text
