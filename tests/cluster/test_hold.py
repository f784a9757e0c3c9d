"""Nodes that are cut off and hold their sessions: clients wait until it is known whose they are."""

from __future__ import annotations

import asyncio
import contextlib

import pykka
import pytest

from actorcred import ANONYMOUS, Anonymous, CheckerUnavailable, Login, LoginDenied, MoveFailed
from actorcred.checkers.anonymous import AnonymousChecker
from actorcred.cluster.holdings import Holding
from actorcred.cluster.roster import Entry, key_of
from actorcred.errors import CallCode, CallError
from actorcred.logout import LogoutCode
from tests.cluster.conftest import nothing, until
from tests.cluster.nats_server import NatsServer
from tests.cluster.team import LEASE, SHORT, Client, Player, team
from tests.cluster.test_outages import gets_in


async def answers(login: Login) -> bool:
    """Return whether the avatar of a session answers calls."""
    try:
        assert await login.avatar.proxy().move(1.0) == 2.0
    except CallError as error:
        assert error.code == CallCode.SUSPENDED
        assert error.retry_after
        return False
    return True


async def suspended(*logins: Login) -> None:
    """Wait until no session answers."""
    for login in logins:
        while await answers(login):
            await asyncio.sleep(0.01)


async def goes_on(login: Login) -> None:
    """Wait until a session answers again."""
    while not await answers(login):
        await asyncio.sleep(0.01)


async def ends_silently(login: Login) -> None:
    """Wait until a session ends since another one has its place; it must answer nothing."""
    while login.session.is_open:
        with contextlib.suppress(pykka.ActorDeadError):
            assert not await answers(login)
        await asyncio.sleep(0)
    assert login.session.reason is not None
    assert login.session.reason.code is LogoutCode.REPLACED


def test_a_session_goes_on_after_a_cut_if_it_still_has_its_place(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, on_cut_off="hold", lease=SHORT) as (a, b):
            client = Client()
            login = await a.login(mind=client)
            fence = login.session.fence
            await goes_on(login)
            a.tap.cut()
            await suspended(login)
            assert login.session.is_open
            login.session.mind.notify("hello", "while cut off")
            await until(lambda: client.heard == [("while cut off",)])
            a.tap.open()
            await goes_on(login)
            assert login.session.fence == fence
            await a.has_roster(a.cluster.node)
            assert isinstance(await b.outcome(), LoginDenied)

    asyncio.run(run())


def test_a_session_that_was_taken_over_ends_and_never_answers_beside_the_other_one(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server, on_cut_off="hold", lease=SHORT) as (a, b):
            client = Client()
            first, ben = await a.login(mind=client), await a.login("ben")
            a.tap.cut()
            second = await gets_in(b)
            assert not await answers(first)
            assert first.session.is_open
            await goes_on(second)
            a.tap.open()
            await ends_silently(first)
            await until(lambda: "replaced" in client.heard)
            await goes_on(ben)
            await goes_on(second)

    asyncio.run(run())


def test_a_session_does_not_go_on_after_another_one_has_come_and_gone(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server, on_cut_off="hold", lease=SHORT) as (a, b):
            first, ben = await a.login(), await a.login("ben")
            a.tap.cut()
            await (await gets_in(b)).logout()
            await until(lambda: not len(b.node.holdings))
            a.tap.open()
            await ends_silently(first)
            await goes_on(ben)

    asyncio.run(run())


def test_a_guest_does_not_go_on_after_another_avatar_has_come_and_gone(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server, 3, "share", on_cut_off="hold", lease=SHORT) as (a, b, c):
            first, guest = await a.login(), await b.login()
            await first.logout()
            await until(lambda: len(a.node.holdings.with_guests()) == 1)
            a.tap.cut()
            b.tap.cut()
            await (await gets_in(c)).logout()
            await until(lambda: not len(c.node.holdings))
            a.tap.open()
            await until(lambda: not a.node.holdings.guests)
            b.tap.open()
            await until(lambda: not guest.session.is_open)

    asyncio.run(run())


def test_a_session_that_was_taken_over_never_answers_also_if_nats_has_lost_its_store(
    own_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(own_server, on_cut_off="hold", lease=SHORT) as (a, b):
            first, ben = await a.login(), await a.login("ben")
            a.tap.cut()
            second = await gets_in(b)
            own_server.restart(wipe=True)
            a.tap.open()
            await ends_silently(first)
            await goes_on(second)
            await goes_on(ben)

    asyncio.run(run())


def test_a_session_that_has_lost_its_place_does_not_answer_until_its_end_has_come(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with team(nats_server, on_cut_off="hold", lease=SHORT) as (a, b):
            first, ben = await a.login(), await a.login("ben")
            a.tap.cut()
            second = await gets_in(b)
            # As if the portal, on another thread, had not yet ended it.
            monkeypatch.setattr(Holding, "ask_to_end", nothing)
            a.tap.open()
            await goes_on(ben)
            assert first.session.is_open
            assert not await answers(first)
            await goes_on(second)
            monkeypatch.undo()
            await first.logout()

    asyncio.run(run())


def test_the_lease_is_looked_at_with_each_call_as_after_a_long_pause_of_the_process(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server, 1, on_cut_off="hold") as (a,):
            login = await a.login()
            assert await answers(login)
            a.node.members._valid_until = 0.0
            assert not await answers(login), "although no task has seen it yet"

    asyncio.run(run())


def test_a_call_that_waits_for_the_avatar_is_refused_if_the_node_is_cut_off_by_then(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server, 1, on_cut_off="hold") as (a,):
            login = await a.login()
            waiting = [login.avatar.proxy().move(float(number)) for number in range(100)]
            a.node.members._valid_until = 0.0
            outcomes = await asyncio.gather(*waiting, return_exceptions=True)
            refused = [one for one in outcomes if isinstance(one, CallError)]
            assert refused
            assert {one.code for one in refused} == {CallCode.SUSPENDED}

    asyncio.run(run())


@pytest.mark.parametrize(("policy", "name"), [("allow", "ann"), ("reject", "")])
def test_sessions_of_which_there_may_be_several_are_not_held(
    nats_server: NatsServer, policy: str, name: str
) -> None:
    async def run() -> None:
        async with team(nats_server, 1, policy, on_cut_off="hold") as (a,):
            await a.portal.register_checker(AnonymousChecker.start())
            if name:
                login = await a.login(name)
            else:
                login = await a.portal.login(Anonymous(), None, Player)
                assert login.session.avatar_id is ANONYMOUS
            a.node.members._valid_until = 0.0
            assert await answers(login)

    asyncio.run(run())


def test_a_call_by_another_node_is_refused_as_well(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, on_cut_off="hold", lease=3 * LEASE) as (a, b):
            await a.login()
            (far,) = await b.portal.sessions("ann")
            a.node.members.generation += 1
            with pytest.raises(CallError) as refused:
                await far.avatar.proxy().move(1.0)
            assert refused.value.code == CallCode.SUSPENDED

    asyncio.run(run())


def test_nobody_gets_in_while_cut_off(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, on_cut_off="hold", lease=SHORT) as (a, _):
            a.tap.cut()
            await until(lambda: not a.node.members.holds)
            assert isinstance(await a.outcome(), CheckerUnavailable)
            place = Holding("ann", "session", exclusive=True)
            assert a.node.is_lost(place), "a login that had its place before the cut"
            a.tap.open()
            assert (await gets_in(a)).session.is_open

    asyncio.run(run())


def test_all_sessions_wait_while_nats_is_away_and_go_on_when_it_is_back(
    own_server: NatsServer,
) -> None:
    async def run() -> None:
        settings = {"on_cut_off": "hold", "lease": SHORT, "in_memory": False}
        async with team(own_server, **settings) as (a, b):
            logins = [await a.login("ann"), await b.login("ben")]
            own_server.kill()
            await suspended(*logins)
            own_server.start()
            for login in logins:
                await goes_on(login)

    asyncio.run(run())


def test_a_shared_avatar_that_is_held_answers_no_client_of_other_nodes(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server, 2, "share", on_cut_off="hold") as (a, b):
            host = await a.login()
            guest = await b.login()
            await goes_on(guest)
            a.node.members.generation += 1  # as by a gap in the lease
            assert not await answers(host)
            assert not await answers(guest)
            a.node.heal()
            await goes_on(host)
            await goes_on(guest)

    asyncio.run(run())


def test_a_session_that_has_moved_is_not_held(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, on_cut_off="hold") as (a, b):
            login = await a.login()
            await login.session.move()
            (session,) = b.node.holdings.open()
            assert session.refusal() is None

    asyncio.run(run())


def test_a_session_that_others_took_while_it_was_about_to_move_does_not_go_on(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with team(nats_server, on_cut_off="hold", lease=SHORT) as (a, b):
            login, ben = await a.login(), await a.login("ben")
            asked, cut_off = asyncio.Event(), asyncio.Event()

            async def ticket(_: object) -> int:
                asked.set()
                await cut_off.wait()
                raise MoveFailed("NATS does not answer")

            monkeypatch.setattr(a.node.moves, "_ticket", ticket)
            move = login.session.move()
            await asked.wait()
            a.tap.cut()
            second = await gets_in(b)
            a.tap.open()
            await goes_on(ben)
            cut_off.set()
            with pytest.raises(MoveFailed):
                await move
            while login.session.is_open:
                with contextlib.suppress(pykka.ActorDeadError):
                    assert not await answers(login)
                await asyncio.sleep(0)
            assert login.session.reason is not None
            assert login.session.reason.code is LogoutCode.REPLACED
            await goes_on(second)

    asyncio.run(run())


def test_a_node_that_has_been_gone_for_long_is_swept_out_and_one_that_left_at_once(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorcred.cluster.upkeep.HELD", 0.1)

    async def run() -> None:
        async with team(nats_server, on_cut_off="hold", lease=SHORT) as (a, b):
            login = await a.login()
            a.tap.cut()
            await b.has_roster()
            assert login.session.is_open
            a.tap.open()  # somebody might have come and gone
            await until(lambda: not login.session.is_open)
            monkeypatch.setattr("actorcred.cluster.upkeep.HELD", 600)
            await a.node.members.leave()
            await b.node.roster.write(key_of("ben"), 0, "ben", [Entry("x", a.cluster.node)])
            await b.node._upkeep.sweep(a.cluster.node)
            assert await b.roster("ben") == []

    asyncio.run(run())


def test_a_place_that_is_told_when_others_have_taken_it_is_lost(own_server: NatsServer) -> None:
    # NATS has lost the roster, and it takes longer than a lease to tell it what there is.
    async def run() -> None:
        async with team(own_server, on_cut_off="hold", lease=SHORT) as (a, b):
            first, roster, told = await a.login(), a.node.roster, asyncio.Event()
            read = roster.read

            async def slow(key: str) -> tuple[int, list[Entry]]:
                await told.wait()
                return await read(key)

            roster.read = slow  # type: ignore[method-assign]
            own_server.restart(wipe=True)
            second = await gets_in(b)
            told.set()
            await ends_silently(first)
            await goes_on(second)
            await b.has_roster(b.cluster.node)

    asyncio.run(run())


def test_a_node_that_has_been_gone_for_long_is_swept_out_by_one_that_could_not_hear_it_just_then(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorcred.cluster.upkeep.HELD", 600)

    async def run() -> None:
        async with team(nats_server, on_cut_off="hold", lease=SHORT) as (a, b):
            await a.login()
            await a.die()
            await until(lambda: a.cluster.node not in b.cluster.nodes())
            monkeypatch.setattr("actorcred.cluster.upkeep.HELD", 0)
            b.node.members.interrupt()
            await b.node._upkeep.sweep(a.cluster.node)
            assert await b.roster() == []

    asyncio.run(run())
