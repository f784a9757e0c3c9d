"""What happens in a cluster is in events, in records of the audit log, and in metrics."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from actorcred.cluster.events import NodeBack, NodeCutOff, NodeGone, PlaceLost, TakenOver
from actorcred.metrics import Metrics
from actorcred.portal.events import Event, LoggedIn, LoggedOut
from tests.cluster.conftest import until
from tests.cluster.nats_server import NatsServer
from tests.cluster.team import SHORT, Member, team
from tests.cluster.test_outages import gets_in


async def heard(member: Member) -> list[Event]:
    """Return a list of all events of a portal from now on."""
    told: list[Event] = []
    await member.portal.subscribe(told.append)
    return told


def of(kind: type[Event], told: list[Event]) -> Any:
    """Return the last event of a kind; None if there is none."""
    return next((event for event in reversed(told) if type(event) is kind), None)


def test_each_event_and_record_says_at_which_node_it_happened(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        with caplog.at_level(logging.INFO, "actorcred.audit"):
            async with team(nats_server, policy="allow") as nodes:
                for member in nodes:
                    told = await heard(member)
                    await (await member.login()).logout()
                    await until(lambda told=told: of(LoggedOut, told))
                    assert {event.node for event in told} == {member.cluster.node}
                    assert f"login node={member.cluster.node} session_id=" in caplog.text

    asyncio.run(run())


def test_a_session_that_replaces_one_of_another_node_is_a_take_over(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        with caplog.at_level(logging.INFO, "actorcred.audit"):
            async with team(nats_server, policy="replace") as (a, b):
                first, told = await a.login(), await heard(b)
                second = await b.login()
                await until(lambda: of(TakenOver, told))
                event = of(TakenOver, told)
                assert event.duration > 0
                assert event == TakenOver(
                    second.session.id,
                    "ann",
                    second.session.fence,
                    a.cluster.node,
                    first.session.id,
                    "replaced",
                    event.duration,
                )
                assert event.node == b.cluster.node
                assert f"taken-over node={b.cluster.node} session_id=" in caplog.text
                await b.login()
                await until(lambda: len([one for one in told if type(one) is LoggedIn]) == 2)
                assert of(TakenOver, told) is event, "not one of the same node"

    asyncio.run(run())


def test_the_death_of_a_node_and_the_take_over_of_its_session_are_events(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server, policy="replace", lease=SHORT) as (a, b):
            first, told = await a.login(), await heard(b)
            await a.die()
            second = await b.login()
            await until(lambda: of(TakenOver, told) and of(NodeGone, told))
            event = of(TakenOver, told)
            assert event.session_id == second.session.id
            assert (event.other, event.other_session_id) == (a.cluster.node, first.session.id)
            assert event.cause == "dead"
            gone = of(NodeGone, told)
            assert (gone.other, gone.left) == (a.cluster.node, False)
            assert gone.duration >= SHORT

    asyncio.run(run())


def test_a_node_that_leaves_is_an_event(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            told = await heard(b)
            await a.portal.drain(5)
            await a.cluster.close()
            await until(lambda: of(NodeGone, told))
            assert of(NodeGone, told).other == a.cluster.node
            assert of(NodeGone, told).left

    asyncio.run(run())


@pytest.mark.parametrize("taken", [False, True])
def test_a_cut_and_its_end_are_events_with_what_was_lost(
    nats_server: NatsServer, taken: bool
) -> None:
    async def run() -> None:
        async with team(nats_server, on_cut_off="hold", lease=SHORT) as (a, b):
            first, told = await a.login(), await heard(a)
            await a.login("ben")
            a.tap.cut()
            second = await gets_in(b) if taken else None
            await until(lambda: of(NodeCutOff, told))
            assert of(NodeCutOff, told) == NodeCutOff("hold", 2)
            before = of(NodeBack, told)  # if the machine was too busy for the lease
            a.tap.open()
            await until(lambda: of(NodeBack, told) is not before)
            back, lost = of(NodeBack, told), of(PlaceLost, told)
            assert back.duration > 0
            assert (back.lost, lost is not None) == (int(taken), taken)
            if second is not None:
                assert lost == PlaceLost(
                    first.session.id,
                    "ann",
                    first.session.fence,
                    b.cluster.node,
                    second.session.id,
                    lost.duration,
                )
                assert 0 < lost.duration <= back.duration
            assert {event.node for event in told} == {a.cluster.node}

    asyncio.run(run())


def test_the_metrics_of_a_node(nats_server: NatsServer) -> None:
    def numbers(metrics: Metrics) -> dict[str, str]:
        lines = metrics.text().decode().splitlines()
        found = (line.rsplit(" ", 1) for line in lines if line.startswith("actorcred_cluster"))
        return dict(found)  # type: ignore[arg-type]

    async def run() -> None:
        metrics = Metrics()
        async with team(nats_server, 2, metrics=metrics, lease=SHORT) as (a, b):
            node = f'{{node="{a.cluster.node}"}}'
            expected = {
                f"actorcred_cluster_members{node}": "2.0",
                f"actorcred_cluster_lease_held{node}": "1.0",
                f"actorcred_cluster_releases_owed{node}": "0.0",
                f"actorcred_cluster_messages_dropped_total{node}": "0.0",
            }
            await until(lambda: expected.items() <= numbers(metrics).items())
            await until(lambda: len(numbers(metrics)) == 10)
            gaps = f"actorcred_cluster_gaps_total{node}"
            before = numbers(metrics)[gaps]
            a.tap.cut()
            held = f"actorcred_cluster_lease_held{node}"
            await until(lambda: numbers(metrics)[held] == "0.0")
            a.tap.open()
            await until(lambda: numbers(metrics)[held] == "1.0")
            await until(lambda: float(numbers(metrics)[gaps]) > float(before))
            assert b.cluster.node in str(numbers(metrics))

    asyncio.run(run())
