"""A process that was started again, and a NATS started with it: nobody waits for a lease."""

from __future__ import annotations

import asyncio
import logging

import pytest

from actorcred import Login
from actorcred.cluster import BusError, Cluster
from actorcred.cluster.errors import BusDown
from actorcred.cluster.members import Life
from actorcred.errors import LoginDenied
from tests.cluster.conftest import until
from tests.cluster.nats_server import NatsServer, random_name
from tests.cluster.tap import Tap
from tests.cluster.team import Member, _end, _join, team

LONG = 600.0
"""A lease whose end would be longer than any test."""


async def gets_in(member: Member) -> Login:
    while not isinstance(outcome := await member.outcome(), Login):
        assert isinstance(outcome, LoginDenied)
        await asyncio.sleep(0.01)
    return outcome


def test_the_places_of_a_dead_process_are_free_when_its_successor_has_come(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        name = random_name()
        async with team(nats_server, 2, name=name, lease=LONG) as (a, b):
            await a.login()
            await b.has_roster(a.cluster.node)
            await a.die()
            assert isinstance(await b.outcome(), LoginDenied)
            replaces = a.cluster.node
            successor = await Cluster.connect(
                nats_server.url,
                name=name,
                node="a",
                user=nats_server.user,
                password=nats_server.password,
                in_memory=True,
                lease=LONG,
                replaces=replaces,
            )
            await until(lambda: b.node.members.life_of(replaces) is Life.DEAD)
            assert successor.nodes() == {successor.node, b.cluster.node}
            assert (await gets_in(b)).session.is_open
            await successor.close(0.5)

    asyncio.run(run())


def test_nobody_waits_for_what_a_nats_could_have_lost_that_was_started_just_now(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        tap = Tap(nats_server.port)
        await tap.start()
        settings = {"lease": LONG, "is_new": True}
        member = await _join(nats_server, tap, random_name(), "a", "reject", None, settings)
        assert member.node.roster.usable
        assert isinstance(await member.outcome(), Login)
        await _end(member)
        await tap.stop()

    asyncio.run(run())


def test_if_nats_does_not_take_it_the_others_find_out_themselves(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with team(nats_server, 1) as (a,):

            async def fails(*_: object) -> None:
                raise BusDown("no room")

            monkeypatch.setattr(a.node.store, "beat", fails)
            await a.node._bury("a-before")

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    assert "The others find out themselves that a-before has ended: no room" in caplog.text


def test_a_node_that_is_replaced_must_be_named_by_an_id() -> None:
    with pytest.raises(BusError, match="named by its id"):
        Cluster.connect("nats://127.0.0.1:1", replaces="a b")
