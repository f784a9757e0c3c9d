"""What a node does seldom: beginning in vain, giving up, and what comes at an odd moment."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actorcred import Admission, Anonymous, LoginDenied
from actorcred.checkers.anonymous import AnonymousChecker
from actorcred.cluster import BusDown, BusError, Cluster, RemoteError
from actorcred.cluster.holdings import Holding, Holdings
from actorcred.cluster.messages import Answer, Count, IsKnown, pack
from actorcred.cluster.roster import Entry, key_of
from actorcred.errors import CheckerUnavailable
from actorcred.logout import LogoutCode, LogoutReason
from tests.cluster.conftest import until
from tests.cluster.nats_server import NatsServer, random_name
from tests.cluster.team import SHORT, Member, Player, team


@pytest.mark.parametrize(
    ("error", "why"), [(BusDown("x"), "does not answer"), (BusError("y"), "y")]
)
def test_a_node_that_cannot_begin_leaves_nothing(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, error: Exception, why: str
) -> None:
    async def fail(self: Any) -> None:
        raise error

    monkeypatch.setattr("actorcred.cluster.members.Members.open", fail)

    async def run() -> None:
        settings = {"user": nats_server.user, "password": nats_server.password, "in_memory": True}
        with pytest.raises(BusError, match=why):
            await Cluster.connect(nats_server.url, name=random_name(), **settings)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


def test_a_login_whose_lease_is_lost_before_it_opens_is_refused(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, lease=SHORT) as (a, _):
            claim = a.node._claims.claim

            async def late(holding: Holding, within: float) -> None:
                await claim(holding, within)
                a.tap.cut()
                await until(lambda: not a.node.members.holds)

            a.node._claims.claim = late  # type: ignore[method-assign]
            assert isinstance(await a.outcome(), CheckerUnavailable)
            assert await a.portal.count() == 0

    asyncio.run(run())


def test_an_anonymous_client_has_no_place_in_the_roster(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            await a.portal.register_checker(AnonymousChecker.start())
            logins = [await a.portal.login(Anonymous(), None, Player) for _ in range(2)]
            assert all(login.session.is_open for login in logins)
            assert len(await b.portal.sessions()) == 2
            [found] = (await b.portal.sessions())[:1]
            assert found.identity.avatar_id is found.avatar_id
            assert not [entry async for entry in a.node.roster.all()]
            assert await b.portal.sessions("") == []
            assert await b.portal.kick(avatar_id="") == 0
            assert await b.portal.kick(avatar_id=found.avatar_id) == 2

    asyncio.run(run())


async def _say(member: Member, node: str, answer: bytes) -> Any:
    async def answering(*_: Any) -> bytes:
        return answer

    member.node.bus.ask = answering  # type: ignore[method-assign, assignment]
    return await member.node.peers.ask(node, IsKnown("x"))


def test_an_answer_that_is_none_is_named(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            with pytest.raises(BusError, match="answered with a Count"):
                await _say(a, b.cluster.node, pack(Count()))
            with pytest.raises(RemoteError, match="of a newer version"):
                await _say(a, b.cluster.node, pack(Answer("odd", "of a newer version")))

    asyncio.run(run())


def test_a_node_that_answers_all_with_junk_is_missing(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):

            async def junk(*_: Any) -> dict[str, bytes]:
                return {b.cluster.node: b"junk"}

            a.node.bus.gather = junk  # type: ignore[method-assign, assignment]
            count: Any = await a.portal.count()
            assert (count, count.missing) == (0, {b.cluster.node})

    asyncio.run(run())


def test_a_sweep_lets_others_have_their_turn_and_may_be_cut_short(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorcred.cluster.upkeep.SWEPT_AT_A_TIME", 2)
    monkeypatch.setattr("actorcred.cluster.upkeep.PAUSE", 0.0)

    async def run() -> None:
        async with team(nats_server, 1) as (a,):
            roster = a.node.roster
            for number in range(4):
                await roster.write(key_of(f"u{number}"), 0, f"u{number}", [Entry("x", "gone-1")])
            monkeypatch.setattr(
                a.node._claims, "living", lambda entries: [one for one in entries if False]
            )
            await a.node._upkeep.sweep("gone-1")
            assert not [entry async for entry in roster.all()]
            a.tap.cut()
            await until(lambda: not a.node.bus.connected)
            await a.node._upkeep.sweep("gone-2")

    asyncio.run(run())


def test_places_that_are_owed_are_given_up_once(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, 1) as (a,):
            login = await a.login()
            take_out, tries = a.node._claims.take_out, []

            async def fail_at_first(holding: Holding) -> None:
                tries.append(holding.session_id)
                if len(tries) == 1:
                    raise BusDown("x")
                await asyncio.sleep(0)
                await take_out(holding)

            a.node._claims.take_out = fail_at_first  # type: ignore[method-assign]
            await login.logout()
            await until(lambda: tries)
            await asyncio.gather(a.node._upkeep.pay(), a.node._upkeep.pay())
            await until(lambda: not a.node._upkeep.backlog)
            assert len(tries) == 2
            assert await a.roster() == []

    asyncio.run(run())


def test_other_nodes_that_are_always_faster_put_a_release_off(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, 1) as (a,):
            holding = Holding("ann", "mine", exclusive=True)
            await a.node.roster.write(holding.key, 0, "ann", [Entry("mine", a.cluster.node)])

            async def slower(*_: Any) -> bool:
                return False

            a.node._claims.put = slower  # type: ignore[method-assign]
            with pytest.raises(BusDown, match="faster"):
                await a.node._claims.take_out(holding)

    asyncio.run(run())


def test_who_asks_for_the_end_of_what_has_ended_waits_for_nothing() -> None:
    async def run() -> None:
        holdings = Holdings("n")
        holding = Holding("ann", "x", exclusive=True)
        holdings.add(holding)
        holdings.forget(holding)
        await holding.end(LogoutReason(LogoutCode.KICKED))
        assert holdings.leave("x") is None
        assert holdings.open("ann") == []

    asyncio.run(run())


def test_a_limit_in_all_counts_all_nodes(nats_server: NatsServer) -> None:
    async def run() -> None:
        limits = Admission(sessions=1)
        async with team(nats_server, policy="allow", admission=limits) as (a, b):
            await a.login()
            a.node.members.hurry()
            await until(lambda: b.node.members.sessions_elsewhere() == 1)
            assert isinstance(await b.outcome("ben"), LoginDenied)

    asyncio.run(run())
