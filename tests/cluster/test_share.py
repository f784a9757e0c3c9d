"""The policy SHARE over nodes: clients of several nodes share one avatar."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pykka
import pytest
from pykka.messages import ProxyCall

from actorcred import Admission, Login, LoginDenied, NoInterface
from actorcred.avatar import Reidentified, implements
from actorcred.cluster import BusError, FarSession, RemoteError
from actorcred.errors import CallCode, CallError, CheckerUnavailable, ClientGone
from actorcred.logout import LogoutCode
from tests.cluster.boards import (
    Board,
    Boards,
    Nothing,
    Screen,
    SharedBoard,
    Unsendable,
    Viewer,
    all_gone,
    boards,
    login,
)
from tests.cluster.conftest import until
from tests.cluster.nats_server import NatsServer


def test_clients_of_several_nodes_share_one_avatar_which_ends_with_the_last(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with boards(nats_server, 3) as (a, b, c):
            screens = [Screen() for _ in range(3)]
            logins = [
                await login(one, screen) for one, screen in zip((a, b, c), screens, strict=True)
            ]
            assert SharedBoard.alive["ann"] == 1
            for number, one in enumerate(logins, 1):
                assert await one.avatar.proxy().write(f"line {number}") == number
            said = [("written", f"line {number}") for number in (1, 2, 3)]
            assert screens[0].heard == said
            await until(lambda: screens[1].heard == [("welcome",), *said])
            await until(lambda: screens[2].heard == [("welcome",), *said])
            for one in logins[:2]:
                await one.logout()
            assert SharedBoard.alive["ann"] == 1
            assert await logins[2].avatar.proxy().write("on") == 4
            await logins[2].logout()
            assert SharedBoard.alive["ann"] == 0
            assert SharedBoard.log == [
                "login",
                ("attach", "192.0.2.9", ["players"]),
                ("attach", "192.0.2.9", ["players"]),
                ("detach", "logout"),
                ("detach", "logout"),
                ("logout", "logout"),
            ]
            await a.has_roster()
            await until(lambda: all_gone(a, b, c))

    asyncio.run(run())


def test_whoever_comes_first_the_avatar_stays_where_it_is_as_long_as_a_client_is_left(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with boards(nats_server, 3) as (a, b, c):
            first, second = await login(a), await login(b)
            await first.logout()
            third, here = await login(c), await login(a)
            assert SharedBoard.log.count("login") == 1
            assert await third.avatar.proxy().write("x") == 1
            assert await here.avatar.proxy().write("y") == 2
            for one in (second, third, here):
                await one.logout()
            assert SharedBoard.alive["ann"] == 0
            assert isinstance(await login(b), Login)
            assert SharedBoard.log.count("login") == 2

    asyncio.run(run())


def test_of_many_logins_at_once_all_share_one_avatar(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server, 3) as nodes:
            logins = await asyncio.gather(*(login(node) for node in nodes for _ in range(4)))
            assert SharedBoard.alive["ann"] == 1
            lines = [await one.avatar.proxy().write("x") for one in logins]
            assert lines == list(range(1, 13))
            await asyncio.gather(*(one.logout() for one in logins))
            assert SharedBoard.alive["ann"] == 0
            await until(lambda: all_gone(*nodes))

    asyncio.run(run())


def test_a_login_waits_until_the_avatar_has_opened_elsewhere(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            Boards.opening = asyncio.Event()
            first = asyncio.ensure_future(login(a))
            await a.has_roster(a.cluster.node)
            second, third = asyncio.ensure_future(login(b)), asyncio.ensure_future(login(a))
            await a.has_roster(a.cluster.node, a.cluster.node, b.cluster.node)
            assert not second.done()
            assert not third.done()
            Boards.opening.set()
            for one in (first, second, third):
                assert await (await one).avatar.proxy().write("x")
            assert SharedBoard.log.count("login") == 1

    asyncio.run(run())


def test_a_login_opens_the_avatar_if_the_one_that_it_waits_for_fails(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            Boards.opening = asyncio.Event()
            first = asyncio.ensure_future(login(a, None, Nothing))
            await a.has_roster(a.cluster.node)
            others = [asyncio.ensure_future(login(one)) for one in (b, a)]
            await a.has_roster(a.cluster.node, a.cluster.node, b.cluster.node)
            Boards.opening.set()
            with pytest.raises(NoInterface):
                await first
            logins = await asyncio.gather(*others)
            assert [await one.avatar.proxy().write("x") for one in logins] == [1, 2]

    asyncio.run(run())


def test_a_login_waits_until_the_avatar_has_ended_elsewhere(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server, 3) as (a, b, c):
            first, second = await login(a), await login(b)
            await first.logout()
            SharedBoard.leaving = asyncio.Event()
            ending = second.logout()
            await until(lambda: a.portal.actor_inbox.actor._directory.ending)  # type: ignore[union-attr]
            waiting = [asyncio.ensure_future(login(one)) for one in (a, b, c)]
            here = [one.cluster.node for one in (b, a, b, c)]
            await a.has_roster(*here)
            assert not any(one.done() for one in (ending, *waiting))
            SharedBoard.leaving.set()
            await ending
            logins = await asyncio.gather(*waiting)
            assert [await one.avatar.proxy().write("x") for one in logins] == [1, 2, 3]

    asyncio.run(run())


def test_a_login_that_is_given_up_while_it_waits_leaves_nothing(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            Boards.opening = asyncio.Event()
            first = asyncio.ensure_future(login(a))
            await a.has_roster(a.cluster.node)
            second = asyncio.ensure_future(login(b))
            await a.has_roster(a.cluster.node, b.cluster.node)
            second.cancel()
            await a.has_roster(a.cluster.node)
            Boards.opening.set()
            await (await first).logout()
            await until(lambda: all_gone(a, b))

    asyncio.run(run())


# -- calls ----------------------------------------------------------------------------------------


def test_the_avatar_is_used_like_one_of_the_same_node(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            await login(a)
            far = await login(b, None, Nothing, Viewer, Board)
            assert far.interface is Viewer
            assert implements(far.avatar.actor_class, Viewer)
            assert await far.avatar.proxy().read() == []
            board = await login(b)
            assert await board.avatar.proxy().write("x", times=2) == 2
            assert await board.avatar.ask(ProxyCall(("write",), ("y",), {}), block=False) == 3
            board.avatar.tell(ProxyCall(("write",), ("z",), {}))
            assert await far.avatar.proxy().read() == ["x", "x", "y", "z"]
            ended: list[Any] = []
            board.avatar.watch(ended.append)
            await board.logout()
            assert ended == [None]
            with pytest.raises(pykka.ActorDeadError):
                await board.avatar.ask(ProxyCall(("write",), ("x",), {}), block=False)

    asyncio.run(run())


def test_what_a_client_may_not_call_is_refused(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            await login(a)
            far = await login(b)
            with pytest.raises(CallError) as forbidden:
                await far.avatar.proxy().wipe()
            assert forbidden.value.code == CallCode.FORBIDDEN
            with pytest.raises(CallError) as wrong:
                await far.avatar.proxy().write(["x"])
            assert wrong.value.code == CallCode.BAD_ARGUMENTS
            assert far.session.is_open

    asyncio.run(run())


@pytest.mark.parametrize(
    ("how", "error"),
    [("call", CallError), ("odd", RemoteError), ("else", RemoteError)],
)
def test_what_the_avatar_raises_comes_to_its_caller(
    nats_server: NatsServer, how: str, error: type[Exception]
) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            await login(a)
            far = await login(b)
            with pytest.raises(error) as raised:
                await far.avatar.proxy().fail(how)
            assert "secret" not in str(raised.value)
            assert await far.avatar.proxy().write("on") == 1

    asyncio.run(run())


def test_what_cannot_cross_is_named(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            await login(a)
            far = await login(b)
            with pytest.raises(BusError, match="cannot be sent to another node"):
                await far.avatar.proxy().write(object())
            with pytest.raises(BusError, match="at another node, where a str cannot be sent"):
                await far.avatar.ask("text", block=False)
            with pytest.raises(TypeError, match="unexpected keyword argument"):
                await far.avatar.proxy().write("x", colour="red")
            assert await far.avatar.proxy().write("on") == 1

    asyncio.run(run())


def test_an_interface_that_cannot_be_called_from_another_node_is_refused(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            near = await login(a, None, Unsendable)
            with pytest.raises(CheckerUnavailable) as refused:
                await login(b, None, Unsendable)
            assert "cannot be sent over the wire" in refused.value.detail
            assert (await login(b, None, Unsendable, Board)).interface is Board
            assert near.session.is_open

    asyncio.run(run())


def test_an_interface_that_the_avatar_does_not_have_is_refused(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            first = await login(a)
            with pytest.raises(NoInterface):
                await login(b, None, Nothing)
            await a.has_roster(a.cluster.node)
            assert first.session.is_open

    asyncio.run(run())


def test_the_interface_of_a_session_is_known_where_it_was_requested(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            near = await login(a)
            far = await b.portal.session(near.session.id)
            assert isinstance(far, FarSession)
            assert far.interface is object
            await login(b, name="ben")
            again = await b.portal.session(near.session.id)
            assert again is not None
            assert again.interface is Board

    asyncio.run(run())


def test_a_method_that_returns_a_future_lets_others_be_called_meanwhile(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorcred.cluster.guest_places.RESULTS", 3)

    async def run() -> None:
        async with boards(nats_server) as (a, b):
            gate = asyncio.Event()

            async def think(name: str, *args: Any) -> Any:
                await gate.wait()
                return [name, *args]

            await login(a)
            board = (await login(b, think)).avatar.proxy()
            results = [await board.later(str(number)) for number in range(2)]
            assert await board.write("meanwhile") == 1
            results.append(await board.later("2"))
            with pytest.raises(CallError, match="too many"):
                await board.write("too many")
            gate.set()
            assert [await one for one in results] == [["answer", str(n)] for n in range(3)]
            assert await board.write("on") == 2
            found = await a.portal.sessions("ann")
            assert await found[1].avatar.proxy().later("3") == ["answer", "3"]

    asyncio.run(run())


# -- clients --------------------------------------------------------------------------------------


def test_the_avatar_calls_the_client_that_came_last(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            near = await login(a, Screen("near"))
            far = await login(b, Screen("far"))
            assert await near.avatar.proxy().ask("who?") == "far: who?"
            assert await far.avatar.proxy().write("x") == 1
            await far.logout()
            assert await near.avatar.proxy().ask("who?") == "near: who?"
            await login(b, None)
            with pytest.raises(ClientGone):
                await near.avatar.proxy().ask("who?")

    asyncio.run(run())


def test_the_avatar_can_call_a_client_that_has_yet_to_log_in(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            await login(a)
            SharedBoard.greets = True
            far = await login(b, Screen("far"))
            await until(lambda: ("greeted", "far: hello") in SharedBoard.log)
            await far.logout()

    asyncio.run(run())


def test_notifications_keep_their_order(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            near = await login(a)
            screen = Screen()
            far = await login(b, screen)
            for number in range(0, 1000, 100):
                for line in range(number, number + 100):
                    near.avatar.tell(ProxyCall(("write",), (str(line),), {}))
                await until(lambda: len(screen.heard) == number + 101)  # noqa: B023
            assert screen.heard == [("welcome",)] + [("written", str(n)) for n in range(1000)]
            assert far.session.is_open

    asyncio.run(run())


def test_a_notification_that_cannot_cross_is_logged_and_the_others_come(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            screens = Screen(), Screen()
            near, far = await login(a, screens[0]), await login(b, screens[1])
            with pytest.raises(RemoteError):
                await far.avatar.proxy().fail("odd")
            await near.avatar.proxy().write("x")
            await until(lambda: ("written", "x") in screens[1].heard)
            assert screens[0].heard[0][0] == "odd"
            assert far.session.is_open

    asyncio.run(run())
    assert "'odd' failed" in caplog.text


def test_identity_and_client_cross_and_so_do_their_changes(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            await login(a)
            far = await login(b, name="ann", version="1")
            [guest] = a.node.holdings.guests.values()
            mind = guest.session.mind  # type: ignore[union-attr]
            assert mind.identity == far.session.identity
            assert mind.client == far.session.client
            far.session.moved(replace(far.session.client, address="192.0.2.10"))
            await far.avatar.proxy().write("x")
            assert mind.client.address == "192.0.2.10"
            changed = far.session.identity.replaced(groups=frozenset({"admin"}))
            far.session.refresh(changed)
            far.avatar.actor_inbox.put(Reidentified(changed))
            await until(lambda: ("identity", ["admin"]) in SharedBoard.log)
            assert mind.identity == changed
            await far.avatar.proxy().wipe()
            assert await far.avatar.proxy().write("x") == 1

    asyncio.run(run())


# -- ends -----------------------------------------------------------------------------------------


def test_a_crash_of_the_avatar_ends_the_sessions_of_all_nodes(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            screen = Screen()
            near, far = await login(a), await login(b, screen)
            near.avatar.tell(ProxyCall(("fail",), ("else",), {}))
            await until(lambda: screen.heard[-1:] == ["crashed"])
            assert not far.session.is_open
            await until(lambda: all_gone(a, b))

    asyncio.run(run())


def test_a_client_of_another_node_cannot_crash_the_avatar(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            near, far = await login(a), await login(b)
            far.avatar.tell(ProxyCall(("fail",), ("else",), {}))
            await until(lambda: not far.session.is_open)
            assert await near.avatar.proxy().write("on") == 1
            await until(lambda: ("detach", "crashed") in SharedBoard.log)

    asyncio.run(run())


def test_stopping_the_avatar_stops_it_for_all(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            near, far = await login(a), await login(b)
            await far.avatar.stop(block=False)
            await until(lambda: not near.session.is_open)
            assert near.session.reason is not None
            assert near.session.reason.code is LogoutCode.STOPPED
            await until(lambda: all_gone(a, b))

    asyncio.run(run())


def test_the_logout_of_the_last_client_waits_for_the_end_of_the_avatar(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            near, far = await login(a), await login(b)
            await near.logout()
            SharedBoard.leaving = asyncio.Event()
            ending = far.logout()
            await until(lambda: a.portal.actor_inbox.actor._directory.ending)  # type: ignore[union-attr]
            await b.has_roster(b.cluster.node)
            SharedBoard.leaving.set()
            await ending
            assert SharedBoard.alive["ann"] == 0
            assert SharedBoard.log[-1] == ("logout", "logout")

    asyncio.run(run())


@pytest.mark.parametrize("who", ["host", "guest"])
def test_a_node_that_is_drained_ends_what_it_has_of_shared_avatars(
    nats_server: NatsServer, who: str
) -> None:
    async def run() -> None:
        async with boards(nats_server, 3) as (a, b, c):
            near, far, other = await login(a), await login(b), await login(c)
            await near.logout()
            if who == "host":
                assert await a.portal.drain(5) == 2  # its guests
                await until(lambda: not far.session.is_open and not other.session.is_open)
                assert far.session.reason is not None
                assert far.session.reason.code is LogoutCode.DRAINED
                await b.has_roster()
                assert isinstance(await login(b), Login)
            else:
                assert await b.portal.drain(5) == 1
                assert await other.avatar.proxy().write("on") == 1
                await c.has_roster(c.cluster.node)
                assert ("detach", "drained") in SharedBoard.log

    asyncio.run(run())


def test_a_portal_that_stops_ends_its_guests(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            near, far = await login(a), await login(b)
            await near.logout()
            await a.portal.stop(block=False)
            await until(lambda: not far.session.is_open)
            await until(lambda: all_gone(a, b))
            assert isinstance(await login(b), Login)

    asyncio.run(run())


# -- administration -------------------------------------------------------------------------------


def test_each_session_is_listed_counted_and_kicked_once(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server, 3) as nodes:
            logins = [await login(node) for node in nodes]
            ids = [one.session.id for one in logins]
            for node in nodes:
                assert [one.id for one in await node.portal.sessions("ann")] == ids
                assert [one.id for one in await node.portal.sessions()] == ids
                assert await node.portal.count() == 3
            for number, one in enumerate(ids):
                assert await nodes[0].portal.annotate(one, number=number)
            for number, one in enumerate(ids):
                found = await nodes[2].portal.session(one)
                assert found is not None
                assert found.notes == {"number": number}
            assert await nodes[2].portal.kick(session_id=ids[1]) == 1
            await until(lambda: not logins[1].session.is_open)
            assert await nodes[2].portal.kick(avatar_id="ann") == 2
            await until(lambda: all_gone(*nodes))

    asyncio.run(run())


def test_a_session_of_a_guest_is_called_over_its_own_node(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server, 3) as (a, b, c):
            await login(a)
            screen = Screen("far")
            far = await login(b, screen)
            found = await c.portal.session(far.session.id)
            assert isinstance(found, FarSession)
            assert found.node == b.cluster.node
            assert await found.avatar.proxy().write("x") == 1
            assert await found.mind.call("answer", "who?") == "far: who?"

    asyncio.run(run())


def test_a_guest_in_a_group_is_listed_as_the_session_of_its_own_node(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with boards(nats_server, 3) as (a, b, c):
            near = await login(a)
            screen = Screen()
            far = await login(b, screen)
            [guest] = a.node.holdings.guests.values()
            room = a.portal.group("room")
            await room.add(guest.session.mind)  # type: ignore[union-attr]
            [member] = await c.portal.group("room").members()
            assert isinstance(member, FarSession)
            assert (member.id, member.node) == (far.session.id, b.cluster.node)
            c.portal.group("room").notify("said", "hello")
            await until(lambda: ("said", "hello") in screen.heard)
            await far.logout()
            await until(lambda: not room.own())
            assert near.session.is_open

    asyncio.run(run())


def test_limits_hold_over_all_nodes(nats_server: NatsServer) -> None:
    async def run() -> None:
        limits = Admission(sessions_per_avatar=2, sessions=3)
        async with boards(nats_server, 3, admission=limits) as (a, b, c):
            await login(a)
            second = await login(b)
            with pytest.raises(LoginDenied):
                await login(c)
            await second.logout()
            await login(c)
            await login(b, name="ben")
            for node in (a, b, c):
                node.node.members.hurry()
            await until(lambda: a.node.members.sessions_elsewhere() == 2)
            with pytest.raises(LoginDenied):
                await login(a, name="cat")

    asyncio.run(run())


def test_each_login_has_a_larger_fence(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            fences = [(await login(one)).session.fence for one in (a, b, a, b)]
            assert all(isinstance(fence, int) for fence in fences)
            assert fences == sorted(set(fences))  # type: ignore[type-var]

    asyncio.run(run())
