"""Shared avatars when a node dies, is cut off, or messages are lost."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pykka
import pytest
from pykka.messages import ProxyCall

from actorcred import Login, Portal, PortalOptions, UsernamePassword
from actorcred.cluster import BusDown, Cluster, RemoteError
from actorcred.cluster.guest_places import GuestPlace
from actorcred.cluster.guests import Welcome
from actorcred.cluster.holdings import Holding
from actorcred.cluster.members import Life, _Member
from actorcred.cluster.messages import (
    Beat,
    Deliver,
    Detach,
    GuestCall,
    Introduce,
    Over,
    encode_value,
)
from actorcred.cluster.portable import whence, who_is
from actorcred.cluster.roster import Entry, key_of
from actorcred.cluster.visits import Visit
from actorcred.errors import CheckerUnavailable, ClientGone
from actorcred.identity import NO_CLIENT, NO_INFO
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.sessions.policies import Policy
from tests.cluster.boards import Board, Boards, Screen, SharedBoard, all_gone, boards, login
from tests.cluster.conftest import until
from tests.cluster.nats_server import NatsServer, random_name
from tests.cluster.team import SHORT, Everybody, Member


def code(one: Login) -> LogoutCode | None:
    """Return why a session has ended."""
    reason = one.session.reason
    return None if reason is None else reason.code


async def blip(member: Member) -> None:
    """Cut a node off for a moment."""
    member.tap.cut()
    await until(lambda: not member.node.bus.connected)
    member.tap.open()
    await until(lambda: member.node.bus.connected)


def visit_of(member: Member, one: Login) -> Visit:
    visit = member.node.visits.visit_of(one.session.id)
    assert visit is not None
    return visit


def guest_of(member: Member, one: Login) -> GuestPlace:
    guest = member.node.holdings.guests[one.session.id]
    assert isinstance(guest, GuestPlace)
    return guest


# -- nodes that die -------------------------------------------------------------------------------


def test_the_clients_of_a_node_that_dies_leave_the_avatar(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server, lease=SHORT) as (a, b):
            near, _ = await login(a), await login(b)
            await b.die()
            await until(lambda: ("detach", "lost") in SharedBoard.log)
            assert await near.avatar.proxy().write("on") == 1
            await a.has_roster(a.cluster.node)
            await near.logout()
            await a.has_roster()

    asyncio.run(run())


def test_the_avatar_ends_with_the_node_of_its_last_client(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server, 3, lease=SHORT) as (a, b, c):
            near, _ = await login(a), await login(b)
            await near.logout()
            await b.die()
            await until(lambda: SharedBoard.log[-1] == ("logout", "lost"))
            await a.has_roster()
            await until(lambda: all_gone(a))
            assert isinstance(await login(c), Login)

    asyncio.run(run())


def test_a_login_waits_for_an_avatar_that_ends_with_the_node_of_its_last_client(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with boards(nats_server, 3, lease=SHORT) as (a, b, c):
            near, _ = await login(a), await login(b)
            await near.logout()
            SharedBoard.leaving = asyncio.Event()
            await b.die()
            await until(lambda: a.portal.actor_inbox.actor._directory.ending)  # type: ignore[union-attr]
            await until(lambda: b.cluster.node not in c.cluster.nodes())
            attach, tries = a.node.guests._attach, []

            async def counted(message: Any) -> Any:
                tries.append(message)
                return await attach(message)

            monkeypatch.setattr(a.node.guests, "_attach", counted)
            waiting = asyncio.ensure_future(login(c))
            await until(lambda: len(tries) == 3 or waiting.done())
            assert not waiting.done()
            SharedBoard.leaving.set()
            assert (await waiting).session.is_open
            assert SharedBoard.log.count("login") == 2

    asyncio.run(run())


def test_an_avatar_whose_last_client_was_at_a_dead_node_is_shared_while_it_is_there(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with boards(nats_server, 3) as (a, b, c):
            near, far = await login(a), await login(b)
            await near.logout()
            life_of = c.node.members.life_of

            def without_b(node: str) -> Life:
                return Life.DEAD if node == b.cluster.node else life_of(node)

            with monkeypatch.context() as alone:
                alone.setattr(c.node.members, "others", set)
                alone.setattr(c.node.members, "life_of", without_b)
                await c.node._upkeep.sweep(b.cluster.node)  # it has to leave the entry there
            monkeypatch.setattr(c.node.members, "life_of", without_b)
            assert await (await login(c)).avatar.proxy().write("x") == 1
            assert SharedBoard.log.count("login") == 1
            assert far.session.is_open

    asyncio.run(run())


def test_what_a_dead_node_has_left_in_the_roster_is_swept(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server, 3) as (a, b, c):
            for number, host in enumerate((a.cluster.node, b.cluster.node, "gone-1", "gone-2")):
                left = Entry("x", "gone-1", 0.0, host)
                await a.node.roster.write(key_of(f"u{number}"), 0, f"u{number}", [left])
            for member in (a, b, c):
                for gone in ("gone-1", "gone-2"):
                    left_long_ago = _Member(0.0, 0.0, Beat(gone, 0.0, left=True))
                    member.node.members._known[gone] = left_long_ago
                await member.node._upkeep.sweep("gone-1")
            assert not [entry async for entry in a.node.roster.all()]

    asyncio.run(run())


def test_a_sweep_leaves_what_a_node_has_written_since_it_is_back(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            coming = Entry("x", b.cluster.node, 0.0, a.cluster.node)
            await b.node.roster.write(key_of("ann"), 0, "ann", [coming])
            await a.node._upkeep.sweep(b.cluster.node)
            assert await a.roster() == [b.cluster.node]

    asyncio.run(run())


def test_sessions_end_with_the_node_of_their_avatar(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server, lease=SHORT) as (a, b):
            await login(a)
            far = await login(b)
            await a.die()
            SharedBoard.alive.clear()
            await until(lambda: not far.session.is_open)
            assert code(far) is LogoutCode.CUT_OFF
            assert await (await login(b)).avatar.proxy().write("anew") == 1

    asyncio.run(run())


def test_a_node_that_leaves_ends_what_it_has_of_shared_avatars(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server, 3) as (a, b, c):
            await login(a)
            far, other = await login(b), await login(c)
            await b.cluster.close(0.1)
            await until(lambda: ("detach", "lost") in SharedBoard.log)
            assert far.session.is_open
            SharedBoard.alive.clear()
            await a.cluster.close(0.1)
            await until(lambda: not other.session.is_open)
            assert await (await login(c)).avatar.proxy().write("anew") == 1

    asyncio.run(run())


# -- nodes that are cut off -----------------------------------------------------------------------


def test_the_clients_of_a_node_that_is_cut_off_leave_and_come_back(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with boards(nats_server, lease=SHORT) as (a, b):
            near, far = await login(a), await login(b)
            b.tap.cut()
            await until(lambda: not far.session.is_open)
            assert code(far) is LogoutCode.CUT_OFF
            await until(lambda: ("detach", "lost") in SharedBoard.log)
            b.tap.open()
            await until(lambda: b.node.members.holds)
            assert await (await login(b)).avatar.proxy().write("back") == 1
            assert near.session.is_open
            await until(lambda: not b.node._upkeep.backlog)
            assert sorted(await a.roster()) == sorted([a.cluster.node, b.cluster.node])

    asyncio.run(run())


def test_the_avatar_of_a_node_that_is_cut_off_ends_before_there_is_another(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with boards(nats_server, lease=SHORT) as (a, b):
            near, far = await login(a), await login(b)
            await near.logout()  # only the guest is left
            a.tap.cut()
            await until(lambda: not far.session.is_open)
            again = await login(b)  # SharedBoard sees whether there are two
            a.tap.open()
            await until(lambda: a.node.members.holds)
            assert await (await login(a)).avatar.proxy().write("x") == 1
            assert await again.avatar.proxy().write("y") == 2

    asyncio.run(run())


def test_a_node_that_keeps_its_avatar_while_it_is_cut_off_gives_it_up_if_there_is_another(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with boards(nats_server, 3, lease=SHORT, on_cut_off="keep") as (a, b, c):
            near, far = await login(a), await login(b)
            a.tap.cut()
            await until(lambda: not far.session.is_open)
            SharedBoard.alive.clear()  # two, as was chosen
            again = await login(c)
            assert near.session.is_open
            a.tap.open()
            await until(lambda: not near.session.is_open)
            assert code(near) is LogoutCode.REPLACED
            assert await again.avatar.proxy().write("x") == 1
            await until(lambda: not a.node.holdings.guests)
            await a.has_roster(c.cluster.node)

    asyncio.run(run())


def test_a_node_that_keeps_its_clients_while_it_is_cut_off_loses_those_that_were_let_go(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with boards(nats_server, lease=SHORT, on_cut_off="keep") as (a, b):
            near, far = await login(a), await login(b)
            b.tap.cut()
            await until(lambda: ("detach", "lost") in SharedBoard.log)
            assert far.session.is_open
            b.tap.open()
            await until(lambda: not far.session.is_open)
            assert near.session.is_open
            await a.has_roster(a.cluster.node)

    asyncio.run(run())


def test_a_roster_that_was_lost_is_told_where_the_avatars_are(own_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(own_server, 3, lease=4.0) as (a, b, c):
            near, far = await login(a), await login(b)
            await near.logout()
            own_server.restart(wipe=True)
            await a.has_roster(b.cluster.node)
            [entry] = (await a.node.roster.read(key_of("ann")))[1]
            assert entry == Entry(far.session.id, b.cluster.node, entry.since, a.cluster.node)
            # What was notified meanwhile would be lost; nothing was.
            assert await (await login(c)).avatar.proxy().write("x") == 1
            assert SharedBoard.log.count("login") == 1
            assert far.session.is_open

    asyncio.run(run())


@pytest.mark.parametrize("there", [True, False])
def test_an_entry_that_was_lost_is_written_again_if_the_client_is_still_a_guest(
    nats_server: NatsServer, there: bool
) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            near, far = await login(a), await login(b)
            revision, entries = await a.node.roster.read(key_of("ann"))
            own = [one for one in entries if one.node == a.cluster.node]
            await a.node.roster.write(key_of("ann"), revision, "ann", own)
            if not there:
                guest = guest_of(a, far)
                a.node.holdings.forget(guest)
            await b.node._upkeep.heal()
            if there:
                await a.has_roster(a.cluster.node, b.cluster.node)
                assert far.session.is_open
            else:
                await until(lambda: not far.session.is_open)
            assert near.session.is_open

    asyncio.run(run())


# -- messages that are lost -----------------------------------------------------------------------


def test_a_short_cut_harms_nobody_if_nothing_was_lost(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            near, screen = await login(a), Screen()
            far = await login(b, screen)
            for count, member in enumerate((a, b), 1):
                await until(lambda count=count: len(screen.heard) == count)  # nothing is under way
                await blip(member)
                await until(lambda: not a.node._checking and not b.node._checking)
                assert far.session.is_open, far.session.reason
                assert await far.avatar.proxy().write("x")
            assert near.session.is_open

    asyncio.run(run())


@pytest.mark.parametrize("then", ["another", "nothing"])
def test_a_client_that_has_missed_a_notification_begins_anew(
    nats_server: NatsServer, then: str
) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            near = await login(a)
            screen = Screen()
            far = await login(b, screen)
            await near.avatar.proxy().write("heard")
            await until(lambda: ("written", "heard") in screen.heard)
            b.tap.cut()
            await until(lambda: not b.node.bus.connected)
            await near.avatar.proxy().write("lost")
            b.tap.open()
            if then == "another":
                await until(lambda: b.node.bus.connected)
                await near.avatar.proxy().write("never")
            await until(lambda: not far.session.is_open)
            assert code(far) is LogoutCode.CUT_OFF
            await until(lambda: screen.heard[-1] == "cut-off")
            assert screen.heard[-2] == ("written", "heard")
            assert near.session.is_open

    asyncio.run(run())


def test_a_client_is_not_told_what_comes_after_a_notification_that_was_lost(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            near = await login(a)
            screen = Screen()
            far = await login(b, screen)
            await until(lambda: screen.heard == [("welcome",)])
            with monkeypatch.context() as lossy:
                lost: list[Any] = []
                lossy.setattr(a.node, "publish", lambda *sent: lost.append(sent))
                await near.avatar.proxy().write("lost")
                await until(lambda: lost)
            await near.avatar.proxy().write("after it")
            await until(lambda: screen.heard[-1] == "cut-off")
            assert screen.heard == [("welcome",), "cut-off"]
            assert code(far) is LogoutCode.CUT_OFF

    asyncio.run(run())


def test_a_call_whose_answer_is_lost_is_carried_out_once(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorcred.cluster.visits.RESEND", 0.3)

    async def run() -> None:
        async with boards(nats_server) as (a, b):
            SharedBoard.gate = asyncio.Event()
            await login(a)
            far = await login(b, screen := Screen())
            await until(lambda: screen.heard)  # so that only the answer is lost
            waiting = far.avatar.proxy().wait()
            await until(lambda: a.node.holdings.guests and guest_of(a, far)._call is not None)
            await blip(b)  # which loses the way by which the answer would come
            SharedBoard.gate.set()
            assert await waiting == "waited"
            put, lost = a.node.bus._put, []

            def lose_the_first(subject: str, reply: str, item: Any) -> bool:
                if "_INBOX" in subject and not lost:
                    lost.append(item)
                    return False
                return put(subject, reply, item)

            monkeypatch.setattr(a.node.bus, "_put", lose_the_first)
            assert await far.avatar.proxy().write("once") == 1
            assert lost
            assert await far.avatar.proxy().write("twice") == 2

    asyncio.run(run())


def test_a_call_that_comes_late_is_not_carried_out(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            await login(a)
            far = await login(b)
            for _ in range(2):
                await far.avatar.proxy().write("x")
            b.node.tell(a.cluster.node, GuestCall(far.session.id, 1, "write", ["late"]))
            assert await far.avatar.proxy().write("x") == 3
            with pytest.raises(pykka.ActorDeadError):
                await b.node.ask(a.cluster.node, GuestCall("nobody's", 1, "write", ["x"]))

    asyncio.run(run())


def test_a_call_ends_with_the_node_of_the_avatar(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server, lease=SHORT) as (a, b):
            SharedBoard.gate = asyncio.Event()
            await login(a)
            far = await login(b)
            waiting = far.avatar.proxy().wait()
            await until(lambda: guest_of(a, far)._call is not None)
            await a.die()
            with pytest.raises(pykka.ActorDeadError):
                await waiting

    asyncio.run(run())


@pytest.mark.parametrize("which", ["host", "guest"])
def test_a_call_of_a_client_fails_if_the_answer_might_be_lost(
    nats_server: NatsServer, which: str
) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            never: asyncio.Event = asyncio.Event()

            async def forget(name: str, *args: Any) -> None:
                if name == "answer":
                    await never.wait()

            near, _ = await login(a), await login(b, forget)
            asking = near.avatar.proxy().ask("who?")
            await until(lambda: any(one.asking for one in a.node.guests._all()))
            await blip(a if which == "host" else b)
            with pytest.raises(ClientGone):
                await asking
            never.set()

    asyncio.run(run())


def test_an_end_that_was_lost_is_learnt_later(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorcred.cluster.guest_places.GuestChannel.close", lambda *_: None)

    async def run() -> None:
        async with boards(nats_server) as (a, b):
            near, far = await login(a), await login(b)
            near.avatar.tell(ProxyCall(("fail",), ("else",), {}))
            await until(lambda: not near.session.is_open and not a.node.holdings.guests)
            assert far.session.is_open
            await blip(b)
            await until(lambda: not far.session.is_open)
            assert code(far) is LogoutCode.CUT_OFF

    asyncio.run(run())


def test_a_guest_whose_session_is_unknown_at_its_node_is_let_go(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            near, far = await login(a), await login(b)
            holding = b.node.holdings.get(far.session.id)
            assert holding is not None
            b.node.holdings.forget(holding)
            await blip(a)
            await until(lambda: ("detach", "lost") in SharedBoard.log)
            assert near.session.is_open
            b.node.holdings.add(holding)  # so that it ends as it should

    asyncio.run(run())


def test_a_session_whose_guest_is_gone_ends_at_the_next_call(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorcred.cluster.guest_places.GuestChannel.close", lambda *_: None)

    async def run() -> None:
        async with boards(nats_server) as (a, b):
            near, far = await login(a), await login(b)
            guest_of(a, far).ask_to_end(LogoutReason(LogoutCode.LOST))
            await until(lambda: not a.node.holdings.guests)
            with pytest.raises(pykka.ActorDeadError):
                await far.avatar.proxy().write("x")
            await until(lambda: not far.session.is_open)
            assert code(far) is LogoutCode.CUT_OFF
            assert near.session.is_open

    asyncio.run(run())


def test_an_avatar_that_asks_a_dead_actor_is_not_taken_for_dead(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            await login(a)
            far = await login(b)
            with pytest.raises(RemoteError, match="ActorDeadError"):
                await far.avatar.proxy().fail("dead")
            assert await far.avatar.proxy().write("on") == 1

    asyncio.run(run())


def test_notifications_wait_in_their_outbox_while_the_bus_is_crowded(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorcred.cluster.guest_places.CROWDED", 1)

    async def run() -> None:
        async with boards(nats_server) as (a, b):
            near = await login(a)
            screen = Screen()
            await login(b, screen)
            await near.avatar.proxy().write("x", 100)
            await until(lambda: len(screen.heard) == 101)
            mind = guest_of(a, await login(b)).session.mind  # type: ignore[union-attr]
            for number in range(1000):
                mind.notify("position", number, key="ann")
            waiting = len(mind.outbox)
            assert waiting == 1  # the others have been replaced
            await until(lambda: not len(mind.outbox))

    asyncio.run(run())


@pytest.mark.parametrize("who", ["host", "guest"])
def test_a_node_that_dies_while_a_login_comes_is_noticed(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            await login(a)
            watching, other = (b, a) if who == "host" else (a, b)
            life_of = watching.node.members.life_of
            opened = Holding.opened

            def dies(holding: Holding, session: Any) -> None:
                opened(holding, session)
                monkeypatch.setattr(
                    watching.node.members,
                    "life_of",
                    lambda node: Life.DEAD if node == other.cluster.node else life_of(node),
                )

            monkeypatch.setattr(Holding, "opened", dies)
            far = await login(b)
            await until(lambda: not far.session.is_open)
            assert code(far) in {LogoutCode.CUT_OFF, LogoutCode.LOST}
            monkeypatch.undo()

    asyncio.run(run())


# -- odd answers ----------------------------------------------------------------------------------


def test_entries_that_nobody_has_keep_nobody_from_a_new_avatar(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server, 3) as (a, b, c):
            ghosts = [
                Entry("w", a.cluster.node),
                Entry("x", b.cluster.node, 0.0, a.cluster.node),
                Entry("y", b.cluster.node),
                Entry("z", c.cluster.node, 0.0, a.cluster.node),
            ]
            await a.node.roster.write(key_of("ann"), 0, "ann", ghosts)
            assert await (await login(c)).avatar.proxy().write("x") == 1
            assert await c.roster() == [c.cluster.node]

    asyncio.run(run())


def test_a_login_goes_on_if_the_session_that_it_joins_has_just_ended(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, _):
            near = await login(a)
            share, tries = a.node.guests.share, []

            async def too_late(holding: Any) -> Any:
                tries.append(await share(holding))
                if len(tries) == 1:
                    await near.logout()
                return tries[-1]

            monkeypatch.setattr(a.node.guests, "share", too_late)
            again = await login(a)
            assert again.session.is_open
            assert SharedBoard.log.count("login") == 2
            await a.has_roster(a.cluster.node)

    asyncio.run(run())


def test_a_place_that_is_lost_before_its_session_opens_is_refused(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            await login(a)
            monkeypatch.setattr(b.node, "is_lost", lambda holding: True)
            monkeypatch.setattr(a.node, "is_lost", lambda holding: True)
            for member in (a, b):
                with pytest.raises(CheckerUnavailable):
                    await login(member)
            await a.has_roster(a.cluster.node)
            await until(lambda: not a.node.holdings.guests)

    asyncio.run(run())


def test_a_claim_across_a_gap_leaves_the_avatar_and_comes_again(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            await login(a)
            join, tries = b.node.visits.join, []

            async def with_a_gap(holding: Any) -> bool:
                tries.append(await join(holding))
                if len(tries) == 1:
                    b.node.members.generation += 1
                return tries[-1]

            monkeypatch.setattr(b.node.visits, "join", with_a_gap)
            screen = Screen()
            far = await login(b, screen)
            assert tries == [True, True]
            assert await far.avatar.proxy().write("x") == 1
            await until(lambda: screen.heard == [("welcome",), ("written", "x")])
            assert [one[0] for one in SharedBoard.log[1:]] == ["attach", "detach", "attach"]

    asyncio.run(run())


@pytest.mark.parametrize(
    "answer", [RemoteError("x"), "junk", ["unheard-of", ""], BusDown("x")], ids=repr
)
def test_a_node_that_answers_wrongly_is_asked_until_it_is_late(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            await login(a)
            ask, asked = b.node.ask, []

            async def wrongly(node: str, message: Any, timeout: float | None = None) -> Any:
                if type(message).__name__ != "Attach" or len(asked) > 2:
                    return await ask(node, message, timeout)
                asked.append(message)
                if isinstance(answer, Exception):
                    raise answer
                return answer

            monkeypatch.setattr(b.node, "ask", wrongly)
            assert await (await login(b)).avatar.proxy().write("x") == 1
            assert len(asked) == 3

    asyncio.run(run())


def test_too_much_before_the_session_has_opened_ends_it(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorcred.cluster.visits.EARLY", 0)

    async def run() -> None:
        async with boards(nats_server) as (a, b):
            await login(a)
            connect = b.node.post

            def late(function: Any, *args: Any) -> None:
                if getattr(function, "__name__", "") == "_connect":
                    asyncio.get_running_loop().call_later(0.2, function, *args)
                else:
                    connect(function, *args)

            monkeypatch.setattr(b.node, "post", late)
            far = await login(b)
            await until(lambda: not far.session.is_open)
            assert code(far) is LogoutCode.CUT_OFF

    asyncio.run(run())


def test_what_belongs_to_an_earlier_attempt_is_ignored(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            await login(a)
            screen = Screen()
            far = await login(b, screen)
            number = visit_of(b, far).visit
            here, session = b.cluster.node, far.session.id
            body, key = encode_value(("odd", ())), encode_value(None)
            for late in (
                Deliver(session, number - 1, 9, key, body),  # type: ignore[arg-type]
                Over(session, number - 1, "crashed"),
                Over("nobody's", 1, "crashed"),
                Introduce("nobody's", *_facts(far)),
            ):
                a.node.tell(here, late)
            await far.avatar.proxy().write("x")
            await until(lambda: ("written", "x") in screen.heard)
            assert far.session.is_open
            a.node.tell(here, Over(session, number, "unheard-of"))
            await until(lambda: code(far) is LogoutCode.KICKED)

    asyncio.run(run())


def _facts(one: Login) -> tuple[Any, Any]:
    return who_is(one.session.identity), whence(one.session.client)


def test_a_reason_of_a_newer_version_is_a_kick(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            await login(a)
            far = await login(b)
            await b.node.ask(a.cluster.node, Detach(far.session.id, "unheard-of"))
            assert ("detach", "kicked") in SharedBoard.log
            await until(lambda: not far.session.is_open)

    asyncio.run(run())


def test_a_node_lets_nobody_share_before_it_can_know_when_that_ends(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            await login(a)
            far = await login(b)
            visit, holding = visit_of(b, far), b.node.holdings.get(far.session.id)
            assert holding is not None
            holding.interfaces, holding.login = (Board,), _Claimant()  # type: ignore[assignment]
            again = visit.attach_message()
            ask = b.node.ask
            host = a.cluster.node
            assert (await ask(host, again))[0] == Welcome.ATTACHED
            unknown = msgspec.structs.replace(again, session_id="new", node="never-heard")
            assert (await ask(host, unknown))[0] == Welcome.LATER
            a.node.draining = True
            assert (await ask(host, again))[0] == Welcome.LATER
            a.node.draining = False
            newer = msgspec.structs.replace(again, visit=again.visit + 1)
            assert (await ask(host, newer))[0] == Welcome.LATER
            await until(lambda: not far.session.is_open)

    asyncio.run(run())


class _Claimant:
    identity = None
    client = NO_CLIENT
    info = NO_INFO
    target = None


# -- threads --------------------------------------------------------------------------------------


def test_portals_on_threads_share_avatars(nats_server: NatsServer) -> None:
    SharedBoard.log, SharedBoard.gate, SharedBoard.leaving = [], None, None
    SharedBoard.alive.clear()
    Boards.opening = None
    settings: dict[str, Any] = {
        "name": random_name(),
        "user": nats_server.user,
        "password": nats_server.password,
        "in_memory": True,
        "lease": 1.0,
    }
    nodes = []
    for node in ("a", "b"):
        cluster = Cluster.connect(nats_server.url, node=node, **settings).get(timeout=10)
        realm, checker = Boards.start(), Everybody.start()
        options = PortalOptions(policy=Policy.SHARE, registry=cluster)
        nodes.append((cluster, Portal.start(realm, [checker], options), realm, checker))
    screens = Screen("a"), Screen("b")
    logins = [
        portal.login(UsernamePassword("ann", "right"), screen, Board).get(timeout=20)
        for (_, portal, _, _), screen in zip(nodes, screens, strict=True)
    ]
    assert [one.avatar.proxy().write("x").get(timeout=10) for one in logins] == [1, 2]
    assert logins[0].avatar.proxy().ask("who?").get(timeout=10) == "b: who?"
    for one in logins:
        one.logout().get(timeout=10)
    assert SharedBoard.alive["ann"] == 0
    for cluster, portal, realm, checker in nodes:
        portal.drain(5).get(timeout=10)
        cluster.close(1.0).get(timeout=10)
        for ref in (portal, realm, checker):
            ref.stop()
