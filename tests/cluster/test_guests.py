"""What happens seldom between the node of an avatar and that of a client which shares it."""

from __future__ import annotations

import asyncio
from typing import Any

import pykka
import pytest

from actorcred.cluster import BusDown, BusError, RemoteError
from actorcred.cluster.errors import NodeGone
from actorcred.cluster.guests import ask_living
from actorcred.cluster.members import Life
from actorcred.cluster.messages import CheckGuests, GuestCall, GuestResult
from actorcred.errors import CheckerUnavailable
from actorcred.logout import LogoutCode, LogoutReason
from tests.cluster.boards import Boards, SharedBoard, all_gone, boards, login
from tests.cluster.conftest import until
from tests.cluster.nats_server import NatsServer
from tests.cluster.team import SHORT


def test_an_avatar_of_a_portal_that_stops_meanwhile_is_gone(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            near = await login(a)
            host, admit = a.node.guests.host, a.node.guests._admit
            assert host is not None

            async def dead(step: Any) -> Any:
                raise pykka.ActorDeadError("the portal")

            async def stopped(*args: Any) -> Any:
                monkeypatch.setattr(host, "run", dead)
                try:
                    return await admit(*args)
                finally:
                    monkeypatch.undo()
                    near.session.end()

            monkeypatch.setattr(a.node.guests, "_admit", stopped)
            assert (await login(b)).session.is_open
            assert SharedBoard.log.count("login") == 2

    asyncio.run(run())


def test_a_client_that_cannot_be_attached_tries_again(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            await login(a)
            attach, tries = a.node.guests._attach, []

            async def fail_at_first(message: Any) -> Any:
                tries.append(message)
                if len(tries) == 1:
                    raise ZeroDivisionError
                return await attach(message)

            monkeypatch.setattr(a.node.guests, "_attach", fail_at_first)
            assert await (await login(b)).avatar.proxy().write("x") == 1
            assert len(tries) == 2

    asyncio.run(run())
    assert "could not share an avatar" in caplog.text


def test_a_guest_that_ends_while_it_is_attached_leaves_nothing(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            near = await login(a)
            host, tries = a.node.guests.host, []
            assert host is not None
            attach = host.attach

            def end_at_once(*args: Any) -> Any:
                session = attach(*args)
                tries.append(session)
                if len(tries) == 1:
                    host.end(session, LogoutReason(LogoutCode.KICKED))
                return session

            monkeypatch.setattr(host, "attach", end_at_once)
            far = await login(b)
            await until(lambda: not far.session.is_open)
            assert far.session.reason is not None
            assert far.session.reason.code is LogoutCode.KICKED
            assert near.session.is_open
            await near.logout()
            await until(lambda: all_gone(a, b))

    asyncio.run(run())


def test_a_call_of_no_method_or_without_a_result_is_refused(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            await login(a)
            far = await login(b)
            host, session = a.cluster.node, far.session.id
            with pytest.raises(Exception, match="no method 'stop'"):
                await b.node.ask(host, GuestCall(session, 1, "stop", []))
            with pytest.raises(RemoteError, match="was dropped"):
                await b.node.ask(host, GuestResult(session, 1))
            with pytest.raises(pykka.ActorDeadError):
                await b.node.ask(host, GuestResult("nobody's", 1))

    asyncio.run(run())


@pytest.mark.parametrize(
    ("error", "life", "raises"),
    [
        (NodeGone("x"), Life.DEAD, False),
        (NodeGone("x"), Life.UNSURE, True),
        (BusDown("x"), Life.ALIVE, True),
        (BusError("x"), Life.ALIVE, True),
        (RemoteError("x"), Life.ALIVE, True),
    ],
    ids=repr,
)
def test_nodes_are_compared_later_if_one_does_not_answer(
    nats_server: NatsServer,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    life: Life,
    raises: bool,
) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            await login(a)
            far = await login(b)

            async def fail(*_: Any) -> Any:
                raise error

            with monkeypatch.context() as wrong:
                wrong.setattr(a.node, "ask", fail)
                wrong.setattr(a.node.members, "life_of", lambda node: life)
                question = CheckGuests(a.cluster.node, [])
                if raises:
                    with pytest.raises(BusDown):
                        await ask_living(a.node, b.cluster.node, question)
                else:
                    assert await ask_living(a.node, b.cluster.node, question) == set()
                await a.node.guests._compare(b.cluster.node)
            assert far.session.is_open

    asyncio.run(run())


@pytest.mark.parametrize("error", [NodeGone("x"), BusError("x"), RemoteError("x"), BusDown("x")])
def test_an_avatar_that_cannot_be_left_now_is_left_later(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            near, far = await login(a), await login(b)
            ask, tries = b.node.ask, []

            async def fail_at_first(node: str, message: Any, timeout: Any = None) -> Any:
                if type(message).__name__ == "Detach":
                    tries.append(message)
                    if len(tries) < 3:
                        raise error
                return await ask(node, message, timeout)

            monkeypatch.setattr(b.node, "ask", fail_at_first)
            await far.logout()
            assert len(tries) == 3
            assert ("detach", "logout") in SharedBoard.log
            await a.has_roster(a.cluster.node)
            assert near.session.is_open

    asyncio.run(run())


def test_an_attempt_that_could_not_be_taken_back_is_not_used_again(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with boards(nats_server) as (a, b):
            await login(a)
            ask, join, visits = b.node.ask, b.node.visits.join, []

            async def not_at_first(node: str, message: Any, timeout: Any = None) -> Any:
                if type(message).__name__ == "Attach":
                    visits.append(message.visit)
                if type(message).__name__ == "Detach" and visits.count(0) == 0:
                    visits.append(0)
                    raise BusDown("x")
                return await ask(node, message, timeout)

            async def with_a_gap(holding: Any) -> bool:
                joined = await join(holding)
                if len(visits) == 1:
                    b.node.members.generation += 1
                return joined

            monkeypatch.setattr(b.node, "ask", not_at_first)
            monkeypatch.setattr(b.node.visits, "join", with_a_gap)
            far = await login(b)
            assert await far.avatar.proxy().write("x") == 1
            first, refused, second = visits
            assert refused == 0
            assert first != second

    asyncio.run(run())


def test_a_place_is_kept_until_the_avatar_is_known_to_be_left(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorcred.cluster.visits.LEAVE", 0.0)

    async def run() -> None:
        async with boards(nats_server) as (a, b):
            near, far = await login(a), await login(b)
            ask = b.node.ask

            async def not_now(node: str, message: Any, timeout: Any = None) -> Any:
                if type(message).__name__ == "Detach":
                    raise BusDown("x")
                return await ask(node, message, timeout)

            with monkeypatch.context() as wrong:
                wrong.setattr(b.node, "ask", not_now)
                await far.logout()
                await until(lambda: b.node._upkeep.backlog == 1)
                await b.node._upkeep.pay()
                await a.has_roster(a.cluster.node, b.cluster.node)
            await b.node._upkeep.pay()
            await a.has_roster(a.cluster.node)
            assert near.session.is_open

    asyncio.run(run())


def test_a_login_that_waits_for_an_avatar_is_refused_if_its_node_is_cut_off(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with boards(nats_server, lease=SHORT) as (a, b):
            Boards.opening = asyncio.Event()
            first = asyncio.ensure_future(login(a))
            await a.has_roster(a.cluster.node)
            second = asyncio.ensure_future(login(b))
            await a.has_roster(a.cluster.node, b.cluster.node)
            b.tap.cut()
            with pytest.raises(CheckerUnavailable):
                await second
            Boards.opening.set()
            assert (await first).session.is_open

    asyncio.run(run())


def test_a_login_that_waits_for_an_avatar_makes_one_if_its_node_dies(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with boards(nats_server, lease=SHORT) as (a, b):
            Boards.opening = asyncio.Event()
            first = asyncio.ensure_future(login(a))
            await a.has_roster(a.cluster.node)
            second = asyncio.ensure_future(login(b))
            await a.has_roster(a.cluster.node, b.cluster.node)
            await a.die()
            await until(lambda: b.cluster.nodes() == {b.cluster.node})
            Boards.opening.set()
            assert (await second).session.is_open
            await asyncio.wait([first])

    asyncio.run(run())
