"""Presence over nodes: who is online anywhere, and what becomes of it when nodes and lines fail."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from actorcred.cluster import presence as cluster_presence
from actorcred.cluster.messages import UsersChanged, WatchAgain, WatchUsers, pack
from actorcred.cluster.presence import ClusterPresence
from actorcred.portal.presence_actor import PresenceActor
from actorcred.sessions.presence import NOTHING, UserPresence
from tests.cluster.conftest import stranger, until
from tests.cluster.nats_server import NatsServer
from tests.cluster.tap import tapped
from tests.cluster.team import SHORT, Member, _end, _join, team


class Viewer:
    """Remembers what it is told."""

    def __init__(self, member: Member, *avatar_ids: str) -> None:
        self.told: list[UserPresence] = []
        self.view: dict[str, UserPresence] = {}
        self.watch = member.portal.presence.watch(self._tell, *avatar_ids)

    def _tell(self, user: UserPresence) -> None:
        self.told.append(user)
        self.view[user.avatar_id] = user

    @property
    def online(self) -> list[str]:
        return sorted(name for name, user in self.view.items() if user.online)

    def status(self, name: str) -> Any:
        return self.view[name].status if name in self.view else None

    async def sees(self, *names: str) -> None:
        await until(lambda: self.online == sorted(names))


def link(member: Member) -> ClusterPresence:
    return member.node._presence


def actor(member: Member) -> PresenceActor:
    found = member.portal.presence._ref().actor_inbox.actor
    assert isinstance(found, PresenceActor)
    return found


async def synced(member: Member, other: Member) -> None:
    """Wait until a node has been told by another one of all that it watches."""
    sources = link(member)._sources
    await until(lambda: other.node.id in sources and sources[other.node.id].fresh is None)


def nothing_is_left(*members: Member) -> bool:
    """Return whether nodes know nothing of users, and of who watches them."""
    return not any(
        left
        for one in members
        for left in (
            link(one)._watched,
            link(one)._sources,
            link(one)._audiences,
            link(one)._followers,
            actor(one)._users,
            one.portal.presence.online._watched,
        )
    )


def test_users_are_seen_at_whatever_node_they_are(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, 3, "allow") as (a, b, c):
            await b.login("ann")
            viewer = Viewer(a, "ann", "ben", "cat")
            await viewer.sees("ann")
            ben = await c.login("ben")
            await viewer.sees("ann", "ben")
            b.portal.presence.set_status((await b.login("ann")).session, away=True)
            await until(lambda: viewer.status("ann") == {"away": True})
            await ben.logout()
            await viewer.sees("ann")
            assert viewer.view["ben"].last_seen is not None
            assert await viewer.watch.users() == viewer.view
            assert "cat" not in viewer.view

    asyncio.run(run())


def test_sessions_at_several_nodes_are_one_user(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, 3, "allow") as (a, b, c):
            viewer, presence = Viewer(c, "ann"), (a.portal.presence, b.portal.presence)
            logins = [await a.login("ann"), await b.login("ann")]
            await presence[0].set_status(logins[0].session, away=True, mood="sad")
            await presence[1].set_status(logins[1].session, mood="glad")
            await until(lambda: viewer.status("ann") == {"away": True, "mood": "glad"})
            await logins[0].logout()
            await until(lambda: viewer.status("ann") == {"mood": "glad"})
            assert viewer.online == ["ann"]
            await presence[1].hide(logins[1].session)
            await viewer.sees()

    asyncio.run(run())


def test_a_user_who_moves_to_another_node_has_not_been_away(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, 3, "replace") as (a, b, c):
            viewer = Viewer(c, "ann", "ben")
            await a.login("ann")
            await viewer.sees("ann")
            await b.login("ann")
            await b.login("ben")
            await viewer.sees("ann", "ben")
            assert [user.online for user in viewer.told] == [True, True]

    asyncio.run(run())


def test_nodes_are_told_of_nothing_that_they_do_not_watch(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with team(nats_server, 2, "allow") as (a, b):
            viewer = Viewer(a, "ann")
            await synced(a, b)
            told: list[Any] = []
            tell = b.node.tell
            monkeypatch.setattr(
                b.node, "tell", lambda node, message: told.append(message) or tell(node, message)
            )
            for name in ("ben", "cat", "ann"):
                await b.login(name)
            await viewer.sees("ann")
            users = [set(one.users) for one in told if isinstance(one, UsersChanged)]
            assert {name for some in users for name in some} == {"ann"}
            assert sum(map(bool, users)) == 1

    asyncio.run(run())


def test_a_change_is_encoded_once_for_all_nodes(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with team(nats_server, 3, "allow") as (a, b, c):
            viewers = [Viewer(one, "ann") for one in (a, b)]
            for one in (a, b):
                await synced(one, c)
            told: list[Any] = []
            monkeypatch.setattr(c.node, "tell", lambda node, message: told.append(message))
            await c.login("ann")
            await until(lambda: sum(bool(one.users) for one in told) == 2)
            first, second = (one.users["ann"] for one in told if one.users)
            assert isinstance(first, msgspec.Raw)
            assert first is second
            assert all(not viewer.told for viewer in viewers)

    asyncio.run(run())


def test_nothing_is_left_when_those_who_watch_are_gone(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, 3, "allow") as (a, b, c):
            viewers = [Viewer(one, "ann", "ben") for one in (a, b) for _ in range(3)]
            await c.login("ann")
            for viewer in viewers:
                await viewer.sees("ann")
            client = await a.login("watcher")
            a.portal.presence.watch(client.session.mind, "cat")
            await client.logout()
            for viewer in viewers:
                viewer.watch.stop()
            await until(lambda: nothing_is_left(a, b, c))

    asyncio.run(run())


# -- nodes come and go --------------------------------------------------------------------------


def test_users_of_a_node_that_comes_later_are_seen_before_its_next_beat(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        lease = {"lease": 200.0}
        async with team(nats_server, 1, "allow", **lease) as (a,), tapped(nats_server.port) as tap:
            viewer = Viewer(a, "ann")
            name = a.node.bus.options.cluster
            b = await _join(nats_server, tap, name, "b", "allow", None, lease)
            try:
                await b.login("ann")
                await viewer.sees("ann")
            finally:
                await _end(b)

    asyncio.run(run())


def test_a_node_that_leaves_is_forgotten_and_when_its_users_were_seen_is_not(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server, 2, "allow", lease=SHORT) as (a, b):
            viewer = Viewer(a, "ann")
            await b.login("ann")
            await viewer.sees("ann")
            await _end(b)
            await viewer.sees()
            seen = viewer.view["ann"].last_seen
            await until(lambda: b.node.id not in link(a)._sources)
            assert (await viewer.watch.users())["ann"].last_seen == seen

    asyncio.run(run())


def test_users_of_a_portal_that_has_stopped_are_gone_at_once(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, 2, "allow") as (a, b):
            viewer = Viewer(a, "ann")
            await b.login("ann")
            await viewer.sees("ann")
            await b.portal.stop(block=False)
            await viewer.sees()
            assert viewer.view["ann"].last_seen is not None

    asyncio.run(run())


def test_phoenix_2306_users_of_a_node_that_was_killed_are_gone_after_its_lease(
    nats_server: NatsServer,
) -> None:
    # "Phoenix Presence Zombies when application is deployed": the users of a node that was killed
    # stayed online at the others.
    async def run() -> None:
        async with team(nats_server, 3, "allow", lease=SHORT) as (a, b, c):
            viewers = [Viewer(one, "ann", "ben") for one in (a, b)]
            await c.login("ann")
            await b.login("ben")
            for viewer in viewers:
                await viewer.sees("ann", "ben")
            await c.die()
            for viewer, one in zip(viewers, (a, b), strict=True):
                await viewer.sees("ben")
                assert viewer.view["ann"].last_seen is not None
                assert c.node.id not in one.cluster.nodes()
                assert c.node.id not in link(one)._sources
            await a.login("ann")
            for viewer in viewers:
                await viewer.sees("ann", "ben")

    asyncio.run(run())


def test_phoenix_pubsub_74_nodes_that_meet_with_many_users_each_see_all(
    own_server: NatsServer,
) -> None:
    # "Phoenix.Tracker desync after connecting to node": with more than 50 users each, one of two
    # nodes did not see the other's.
    async def run() -> None:
        async with team(own_server, 2, "allow", lease=SHORT) as members:
            names = {one: [f"{one.node.id[0]}{number}" for number in range(51)] for one in members}
            all_names = [name for some in names.values() for name in some]
            for one in members:
                one.tap.cut()
            for one in members:
                other = next(two for two in members if two is not one)
                await until(
                    lambda one=one, other=other: (
                        other.node.id not in one.cluster.nodes() or not one.node.members.holds
                    )
                )
                for name in names[one]:
                    await one.login(name)
            viewers = [Viewer(one, *all_names) for one in members]
            for viewer, one in zip(viewers, members, strict=True):
                await viewer.sees(*names[one])
            for one in members:
                one.tap.open()
            for viewer in viewers:
                await viewer.sees(*all_names)

    asyncio.run(run())


def test_phoenix_pubsub_55_users_of_a_node_that_was_restarted_do_not_come_back(
    nats_server: NatsServer,
) -> None:
    # "Zombie Pids from a restarted node may linger in the crdt": others brought them back, also to
    # the node that was restarted.
    async def run() -> None:
        async with (
            team(nats_server, 3, "allow", lease=SHORT) as (a, b, c),
            tapped(nats_server.port) as tap,
        ):
            viewers = [Viewer(one, "ann", "ben") for one in (a, b)]
            await c.login("ann")
            for viewer in viewers:
                await viewer.sees("ann")
            b.tap.cut()
            await until(lambda: not b.node.members.holds)
            await c.die()
            await viewers[0].sees()
            assert viewers[1].online == ["ann"], "what was known stands while it is cut off"
            name = a.node.bus.options.cluster
            again = await _join(nats_server, tap, name, "c", "allow", None, {"lease": SHORT})
            try:
                viewers.append(Viewer(again, "ann", "ben"))
                b.tap.open()
                await b.login("ben")
                for viewer in viewers:
                    await viewer.sees("ben")
                told = [user.avatar_id for user in viewers[0].told if user.online]
                assert told == ["ann", "ben"]
                assert not any(user.online and user.avatar_id == "ann" for user in viewers[2].told)
            finally:
                await _end(again)

    asyncio.run(run())


def test_phoenix_pubsub_175_what_is_known_of_users_who_change_and_go_does_not_grow(
    nats_server: NatsServer,
) -> None:
    # "Presence list keep growing when using Presence.update"
    async def run() -> None:
        async with team(nats_server, 2, "allow") as (a, b):
            names = [f"user{number}" for number in range(20)]
            viewers = [Viewer(one, *names) for one in (a, b)]
            for turn in range(5):
                logins = [await (a, b)[index % 2].login(name) for index, name in enumerate(names)]
                for index, login in enumerate(logins):
                    presence = (a, b)[index % 2].portal.presence
                    assert await presence.set_status(login.session, turn=turn)
                for viewer in viewers:
                    await viewer.sees(*names)
                await asyncio.gather(*(login.logout() for login in logins))
                for viewer in viewers:
                    await viewer.sees()
            for one in (a, b):
                assert not one.portal.presence.online._statuses
                assert len(actor(one)._users) == len(names)
                assert all(
                    not any(known.sessions for known in (user.own, *user.far.values()))
                    for user in actor(one)._users.values()
                )

    asyncio.run(run())


def test_horde_186_users_of_both_sides_are_seen_after_a_split(nats_server: NatsServer) -> None:
    # "Inconsistent behaviour on netsplit recovery": entries disappeared on both sides.
    async def run() -> None:
        async with team(nats_server, 3, "allow", lease=SHORT) as (a, b, c):
            viewers = [Viewer(one, "ann", "ben", "cat") for one in (a, b, c)]
            await a.login("ann")
            await b.login("ben")
            for viewer in viewers:
                await viewer.sees("ann", "ben")
            c.tap.black_hole()
            await until(lambda: c.node.id not in a.cluster.nodes())
            await c.login("cat")
            await viewers[2].sees("ann", "ben", "cat")
            await viewers[0].sees("ann", "ben")
            c.tap.open()
            for viewer in viewers:
                await viewer.sees("ann", "ben", "cat")

    asyncio.run(run())


def test_horde_116_what_is_known_stays_when_a_second_node_joins(nats_server: NatsServer) -> None:
    # "Registry drops all entries when second node joins"
    async def run() -> None:
        async with team(nats_server, 1, "allow") as (a,), tapped(nats_server.port) as tap:
            viewer = Viewer(a, "ann", "ben")
            await a.login("ann")
            await viewer.sees("ann")
            name = a.node.bus.options.cluster
            b = await _join(nats_server, tap, name, "b", "allow", None, {})
            try:
                other = Viewer(b, "ann", "ben")
                await b.login("ben")
                for one in (viewer, other):
                    await one.sees("ann", "ben")
                assert all(user.online for user in viewer.told)
            finally:
                await _end(b)

    asyncio.run(run())


# -- lines --------------------------------------------------------------------------------------


def test_what_was_missed_while_cut_off_is_made_good(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, 2, "allow", lease=SHORT * 3) as (a, b):
            viewer = Viewer(a, "ann", "ben", "cat")
            ann = await b.login("ann")
            await viewer.sees("ann")
            for cut in (a, b):
                cut.tap.cut()
                await until(lambda cut=cut: not cut.node.bus.connected)  # type: ignore[misc]
                await ann.logout()
                ben = await b.login("ben")
                cut.tap.open()
                await viewer.sees("ben")
                await ben.logout()
                ann = await b.login("ann")
                await viewer.sees("ann")

    asyncio.run(run())


def test_who_left_while_the_line_was_cut_and_is_not_remembered_is_offline(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server, 2, "allow", lease=SHORT * 3) as (a, b):
            viewer = Viewer(a, "ann", "ben")
            ann, _ = await b.login("ann"), await b.login("ben")
            await viewer.sees("ann", "ben")
            a.tap.cut()
            await until(lambda: not a.node.bus.connected)
            await ann.logout()
            b.portal.presence.online._last_seen.clear()
            a.tap.open()
            await viewer.sees("ben")
            assert viewer.view["ann"].last_seen is not None

    asyncio.run(run())


def test_presence_goes_on_with_a_nats_that_was_killed_and_emptied(own_server: NatsServer) -> None:
    async def run() -> None:
        async with team(own_server, 2, "allow", lease=SHORT) as (a, b):
            viewer = Viewer(a, "ann", "ben")
            ann = await b.login("ann")
            await viewer.sees("ann")
            own_server.kill()
            await until(lambda: not (a.node.bus.connected or b.node.bus.connected))
            await ann.logout()
            await b.login("ben")
            own_server.restart(wipe=True)
            await viewer.sees("ben")

    asyncio.run(run())


@pytest.mark.parametrize("lost", [WatchUsers, UsersChanged])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_message_that_gets_lost_is_made_good(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, lost: type, at: int
) -> None:
    async def run() -> None:
        async with team(nats_server, 2, "allow", lease=SHORT) as (a, b):
            left = [lost] * (at + 1)
            for one in (a, b):
                tell = one.node.tell

                def lossy(node: str, message: Any, tell: Any = tell) -> None:
                    if left and type(message) is left[-1]:
                        left.pop()
                        if not left:
                            return
                    tell(node, message)

                monkeypatch.setattr(one.node, "tell", lossy)
            viewer = Viewer(a, "ann")
            ann = await b.login("ann")
            viewer.watch.add("ben")
            await b.login("ben")
            await viewer.sees("ann", "ben")
            await ann.logout()
            await viewer.sees("ben")
            await until(lambda: not left)
            await viewer.sees("ben")

    asyncio.run(run())


def test_the_last_message_that_gets_lost_is_missed_at_the_next_beat(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with team(nats_server, 2, "allow", lease=SHORT) as (a, b):
            viewer = Viewer(a, "ann")
            await synced(a, b)
            tell, lost = b.node.tell, []

            def lossy(node: str, message: Any) -> None:
                if isinstance(message, UsersChanged) and message.users and not lost:
                    lost.append(message)
                else:
                    tell(node, message)

            monkeypatch.setattr(b.node, "tell", lossy)
            await b.login("ann")
            await viewer.sees("ann")
            assert lost

    asyncio.run(run())


def test_very_many_users_are_told_in_several_messages(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        monkeypatch.setattr(cluster_presence, "BYTES_AT_A_TIME", 200)
        async with team(nats_server, 2, "allow") as (a, b):
            names = [f"user{number}" for number in range(100)]
            for name in names[::2]:
                session = (await b.login(name)).session
                await b.portal.presence.set_status(session, text="x" * 30)
            viewer = Viewer(a, *names)
            await viewer.sees(*names[::2])
            assert len(viewer.view["user2"].status["text"]) == 30
            viewer.watch.remove(*names[:50])
            await b.login(names[51])
            await until(lambda: names[51] in viewer.online)
            await until(lambda: len(link(b)._followers) == 50)

    asyncio.run(run())


def test_users_who_are_not_watched_any_more_are_forgotten_before_all_are_known(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server, 2, "allow") as (a, b):
            await b.login("ann")
            await b.login("ben")
            viewer = Viewer(a, "ann", "ben")
            viewer.watch.remove("ann")
            await viewer.sees("ben")
            assert "ann" not in actor(a)._users
            viewer.watch.add("ann")
            await viewer.sees("ann", "ben")

    asyncio.run(run())


# -- messages -----------------------------------------------------------------------------------


def test_messages_of_another_series_are_ignored(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, 2, "allow") as (a, b), stranger(nats_server) as nats:
            viewer = Viewer(a, "ann")
            await synced(a, b)
            series = link(a)._sources[b.node.id].sync
            subject = f"ac.{a.node.bus.options.cluster}.n.{a.node.id}"
            told = {"ann": msgspec.convert([1], type(NOTHING))}
            for message in (
                UsersChanged(b.node.id, "old", 0, told),
                UsersChanged("unknown", series, 0, told),
                WatchAgain(b.node.id, "old"),
                WatchAgain("unknown", series),
                WatchUsers("unknown", "x", 3, ["ann"]),
            ):
                await nats.publish(subject, msgspec.msgpack.encode([pack(message)]))
            await nats.flush()
            await a.node.bus.flush()
            assert link(a)._sources[b.node.id].sync == series
            assert "unknown" not in link(a)._audiences
            assert viewer.told == []

    asyncio.run(run())


def test_a_node_without_a_portal_answers_when_it_has_one(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, 2, "allow", lease=60.0) as (a, b):
            presence, link(b)._host = link(b)._host, None
            assert presence is not None
            viewer = Viewer(a, "ann")
            await b.login("ann")
            await until(lambda: link(b)._early)
            link(b).serve(presence)
            await viewer.sees("ann")
            assert not link(b)._early

    asyncio.run(run())
