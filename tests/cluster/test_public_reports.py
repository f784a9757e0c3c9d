"""What users of other clusters have reported, each as a case of its own that must not be one here.

Horde (github.com/elixir-horde/horde), Colyseus (colyseus/colyseus), python-socketio
(miguelgrinberg/python-socketio), Socket.IO's Redis adapter (socketio/socket.io-redis-adapter) and
Orleans (dotnet/orleans). The numbers are those of the reports there.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from pathlib import Path

import pytest

from actorcred import Login, LoginDenied
from actorcred.cluster import peers
from actorcred.logout import LogoutCode
from tests.cluster.conftest import until
from tests.cluster.judge import Judge
from tests.cluster.nats_server import NatsServer
from tests.cluster.processes import Refused, Slot
from tests.cluster.team import SHORT, Client, Figure, Member, team
from tests.cluster.test_found_by_chaos import newcomer
from tests.cluster.test_outages import gets_in

NAMES = [f"u{number}" for number in range(13)]


async def where(member: Member, name: str) -> list[str]:
    """Return the nodes with sessions of a user, as one node sees it."""
    found = await member.portal.sessions(name)
    return sorted(getattr(one, "node", member.cluster.node) for one in found)


@pytest.mark.parametrize("on_cut_off", ["end", "keep"])
def test_horde_91_two_that_begin_on_both_sides_of_a_cut_are_one_after_it(
    nats_server: NatsServer, on_cut_off: str
) -> None:
    # There, the second could not be started, or both ran on for ever after the heal.
    async def run() -> None:
        async with team(nats_server, on_cut_off=on_cut_off, lease=SHORT) as (a, b):
            first = await a.login()
            a.tap.cut()
            second = await gets_in(b)
            a.tap.open()
            await until(lambda: not first.session.is_open)
            await until(lambda: a.node.members.holds and a.node.roster.usable)
            assert second.session.is_open
            for member in (a, b):
                assert await where(member, "ann") == [b.cluster.node]
            assert Figure.alive == 1

    asyncio.run(run())


def test_horde_116_a_node_that_joins_does_not_make_others_forget_who_is_there(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server, 1) as (a,):
            for name in NAMES:
                await a.login(name)
            async with newcomer(nats_server, a) as b:
                b.node.roster._hold_until = 0.0  # no other roster was lost
                for name in NAMES:
                    assert await a.roster(name) == [a.cluster.node]
                    assert await where(b, name) == [a.cluster.node]
                    assert isinstance(await b.outcome(name), LoginDenied)
                assert await b.portal.count() == len(NAMES)
            for name in NAMES:
                assert await a.roster(name) == [a.cluster.node]

    asyncio.run(run())


def test_horde_186_a_cut_that_heals_neither_loses_nor_doubles_anybody(
    nats_server: NatsServer,
) -> None:
    # There, processes crashed, or were in neither the registry nor under the supervisor.
    async def run() -> None:
        async with team(nats_server, 3, on_cut_off="keep", lease=SHORT) as (a, b, c):
            for name in NAMES:
                await a.login(name)
            a.tap.black_hole()
            taken = NAMES[:6]
            for name, member in zip(taken, [b, c] * 3, strict=True):
                await gets_in(member, name)
            a.tap.open()
            await until(lambda: Figure.alive == len(NAMES))
            await until(lambda: a.node.members.holds and a.node.roster.usable)
            for name in NAMES:
                there = [b, c][taken.index(name) % 2] if name in taken else a
                assert await where(b, name) == [there.cluster.node]
            assert await c.portal.count() == len(NAMES)

    asyncio.run(run())


def test_horde_188_all_users_of_a_dead_node_come_at_once_before_the_roster_knows(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with team(nats_server, 3, "replace", lease=SHORT) as (a, b, c):
            for name in NAMES:
                await a.login(name)
            await a.die()
            logins = await asyncio.gather(
                *(member.login(name) for name, member in zip(NAMES, [b, c] * 6 + [b], strict=True))
            )
            assert all(login.session.is_open for login in logins)
            assert b.node.holdings.sessions + c.node.holdings.sessions == len(NAMES)

    asyncio.run(run())
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("policy", ["reject", "replace"])
def test_colyseus_555_who_comes_while_the_old_avatar_still_leaves_waits_and_leaves_no_zombie(
    nats_server: NatsServer, policy: str
) -> None:
    async def run() -> None:
        async with team(nats_server, policy=policy) as (a, b):
            first = await a.login()
            Figure.leaving = asyncio.Event()
            going = asyncio.ensure_future(first.logout())
            await until(lambda: not first.session.is_open)
            coming = asyncio.ensure_future(b.outcome())
            if policy == "reject":
                assert isinstance(await coming, LoginDenied)
            Figure.leaving.set()
            await going
            login = await gets_in(b) if policy == "reject" else await coming
            assert isinstance(login, Login)
            assert Figure.most == 1
            await login.logout()
            await a.has_roster()
            assert isinstance(await gets_in(a), Login)

    asyncio.run(run())


def test_colyseus_978_a_process_that_was_stopped_does_not_do_later_what_others_did_for_it(
    own_server: NatsServer, tmp_path: Path
) -> None:
    # There, a time-out was taken for death, and the request was served twice.
    async def run() -> None:
        judge = Judge()
        cluster = {"name": secrets.token_hex(8), "lease": SHORT, "timeout": SHORT}
        settings = {
            "policy": "replace",
            "lease": SHORT,
            "seed": 1,
            "cluster": cluster,
            "first": True,
        }
        slots = [Slot(number, own_server, settings, tmp_path, judge) for number in range(2)]
        try:
            for slot in slots:
                await slot.tap.start()
                await slot.start()
            await asyncio.gather(*(slot.node.joined() for slot in slots))
            first, second = slots[0].node, slots[1].node
            old = await logged_in(first, "ann")
            first.pause()
            new = await logged_in(second, "ann")
            first.resume()
            while old in (await first.ask("report"))["open"]:
                await asyncio.sleep(0.02)
            report = await second.ask("report")
            assert report["open"] == [new]
            assert report["roster"] == [[new, report["node"]]]
            later = await logged_in(first, "ann")
            assert (await first.ask("report"))["open"] == [later]
            for slot in slots:
                await slot.node.kill()
            judge.finish(time.monotonic())
            assert not judge.violations
        finally:
            for slot in slots:
                await slot.node.kill()
                await slot.tap.stop()

    asyncio.run(run())


async def logged_in(node: object, name: str) -> str:
    """Log in again and again, as a client does; return the session's id."""
    for _ in range(1000):
        try:
            return str(await node.ask("login", name))  # type: ignore[attr-defined]
        except Refused:
            await asyncio.sleep(0.05)
    pytest.fail(f"{name} does not get in")


def test_python_socketio_34_every_node_lists_those_of_all(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, 3, "allow") as nodes:
            for node in nodes:
                await node.login()
                await node.login(node.cluster.node[:1])
            for node in nodes:
                found = await node.portal.sessions()
                assert sorted(str(one.avatar_id) for one in found) == ["a", *["ann"] * 3, "b", "c"]
                assert await node.portal.count() == 6

    asyncio.run(run())


def test_python_socketio_168_what_is_done_to_a_session_is_done_where_it_is(
    nats_server: NatsServer,
) -> None:
    # There, leaving a room had no effect unless the client was at the same process.
    async def run() -> None:
        async with team(nats_server) as (a, b):
            client = Client()
            login = await a.login(mind=client)
            assert await b.portal.annotate(login.session.id, room="lobby")
            assert login.session.notes["room"] == "lobby"
            [found] = await b.portal.sessions("ann")
            found.mind.notify("hello", "you")
            await until(lambda: client.heard)
            await found.end(LogoutCode.KICKED, "out")
            assert not login.session.is_open
            assert Figure.alive == 0

    asyncio.run(run())


def test_redis_adapter_367_a_node_that_does_not_answer_is_named_and_no_exception(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server, 3) as (a, b, c):
            for node, name in ((a, "ann"), (b, "ben"), (c, "cat")):
                await node.login(name)
            await c.die()
            found = await a.portal.sessions()
            assert [one.avatar_id for one in found] == ["ann", "ben"]
            assert getattr(found, "missing", None) == {c.cluster.node}
            count = await a.portal.count()
            assert (count, getattr(count, "missing", None)) == (2, {c.cluster.node})

    asyncio.run(run())


def test_redis_adapter_506_a_question_that_an_older_node_does_not_know_costs_no_time_out(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "GATHER_TIMEOUT", 3600.0)

    async def run() -> None:
        async with team(nats_server, 3) as (a, b, c):
            await b.login("ben")
            receive = c.node.answers.receive
            # As if it were of a version that had no such question.
            c.node.bus._receive = lambda data, reply: receive(
                data.replace(b"\xa4list", b"\xa4lost"), reply
            )
            found = await a.portal.sessions()
            assert [one.avatar_id for one in found] == ["ben"]
            assert getattr(found, "missing", None) == {c.cluster.node}

    asyncio.run(run())


def test_orleans_5202_what_is_asked_of_an_earlier_life_of_a_node_is_not_done_by_the_next(
    nats_server: NatsServer,
) -> None:
    # There, a restarted server got the requests of the one that it had been before.
    async def run() -> None:
        async with team(nats_server, lease=SHORT) as (a, b):
            await a.login()
            [old] = await b.portal.sessions("ann")
            await a.die()
            async with newcomer(nats_server, b) as again:
                login = await gets_in(again)
                await until(lambda: a.cluster.node not in b.cluster.nodes())
                await old.end(LogoutCode.KICKED)
                assert login.session.is_open
                assert await where(b, "ann") == [again.cluster.node]

    asyncio.run(run())
