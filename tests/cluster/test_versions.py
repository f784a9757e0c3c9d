"""Nodes of several versions in one cluster."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actorcred.cluster.messages import VERSION, Answer, Beat, Hello, pack, unpack
from actorcred.cluster.roster import key_of
from tests.cluster.aftermath import TROUBLE
from tests.cluster.conftest import opened, stranger, until
from tests.cluster.judge import Judge
from tests.cluster.nats_server import NatsServer, random_name
from tests.cluster.processes import Refused, Slot
from tests.cluster.team import LEASE, team
from tests.cluster.test_outages import gets_in

TOMORROW = msgspec.msgpack.encode((VERSION + 1, ["dance", 1]))
"""A question that is unknown today."""

VERSIONS = ("today", "newer", "older")


@contextlib.asynccontextmanager
async def mixed(server: NatsServer, folder: Path, policy: str) -> AsyncIterator[list[Slot]]:
    """Run a node process of each version."""
    judge = Judge()
    cluster = {"name": secrets.token_hex(8), "lease": LEASE, "timeout": 2.0, "in_memory": True}
    settings = {"policy": policy, "lease": 0.5, "seed": 1, "cluster": cluster, "first": True}
    async with contextlib.AsyncExitStack() as stack:
        slots = []
        for number, speaks in enumerate(VERSIONS):
            slot = Slot(number, server, {**settings, "speaks": speaks}, folder, judge)
            await slot.tap.start()
            stack.push_async_callback(slot.tap.stop)
            await slot.start()
            stack.push_async_callback(slot.node.kill)
            slots.append(slot)
        await asyncio.gather(*(slot.node.joined() for slot in slots))
        for slot in slots:
            while len((await slot.node.ask("report"))["nodes"]) < len(VERSIONS):
                await asyncio.sleep(0.02)
        yield slots
        for slot in slots:
            assert await slot.node.quit() == 0
        judge.finish(time.monotonic())
        assert not judge.violations


@pytest.mark.parametrize("policy", ["reject", "replace"])
def test_nodes_of_three_versions_share_their_sessions(
    nats_server: NatsServer, tmp_path: Path, policy: str
) -> None:
    async def run() -> list[Path]:
        async with mixed(nats_server, tmp_path, policy) as slots:
            for here in slots:
                for there in (one for one in slots if one is not here):
                    first = await here.node.ask("login", "ann")
                    if policy == "replace":
                        second = await there.node.ask("login", "ann")
                        assert (await there.node.ask("report"))["open"] == [second]
                        await there.node.ask("logout", second)
                    else:
                        with pytest.raises(Refused, match="LoginDenied"):
                            await there.node.ask("login", "ann")
                    await here.node.ask("logout", first)
            names = ["ann", "ben", "cat"]
            for slot, name in zip(slots, names, strict=True):
                await slot.node.ask("login", name)
            for slot in slots:
                report = await slot.node.ask("report")
                assert (report["count"], report["missing"]) == (3, [])
                # One that is written again meanwhile is read twice.
                assert len({session for session, _ in report["roster"]}) == 3
            return [log for slot in slots for log in slot.logs]

    for log in asyncio.run(run()):
        text = log.read_text()
        assert not TROUBLE.search(text), text
        # Hundreds of messages were not understood.
        assert len(re.findall("was ignored", text)) <= 2, text


def test_a_question_that_is_unknown_today_is_answered_so_at_once(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            answer = unpack(await b.node.bus.ask(a.cluster.node, TOMORROW, timeout=20))
            assert isinstance(answer, Answer)
            assert answer.kind == "unknown"
            assert a.cluster.node in str(answer.value)

    asyncio.run(run())


def test_messages_that_are_unknown_today_are_one_line_in_the_log(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            for _ in range(50):
                a.node.bus.tell(b.cluster.node, TOMORROW)
            assert await a.portal.count() == 0  # after them
            assert await a.node.bus.ask(b.cluster.node, TOMORROW)

    asyncio.run(run())
    assert caplog.text.count("A message on the bus was ignored") == 1


def test_a_value_of_the_roster_of_a_newer_version_is_understood(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            value = (9, "ann", [["session", a.cluster.node, 1.0, "tomorrow"]], {"of": "tomorrow"})
            await a.node.store.write(key_of("ann"), 0, msgspec.msgpack.encode(value))
            assert await b.roster() == [a.cluster.node]
            assert (await gets_in(b)).session.is_open  # the other node has no such session

    asyncio.run(run())


@pytest.mark.parametrize("lease", ["short", "long"])
def test_a_node_with_a_longer_lease_is_not_taken_for_dead_before_it_ends(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture, lease: str
) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, _):
            ours = a.node.members
            longer = LEASE * 10 if lease == "long" else 0.0
            async with stranger(nats_server) as client:
                subject = f"ac.{a.node.bus.options.cluster}.lease.other"
                data = pack(Beat("other", 0.0, lease=longer, rules="policy allow"))
                await client.publish(subject, data)
                await client.flush()
            await until(lambda: "other" in ours.others())
            # As if it had been silent for two leases of this node.
            ours._known["other"].heard -= LEASE * 2
            ours._held_since -= LEASE * 3
            assert ("other" in ours.others()) is (lease == "long")

    asyncio.run(run())
    assert caplog.text.count("Node other has other rules (policy allow, lease") == 2


def test_nodes_with_other_policies_or_limits_are_named_once(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    name = random_name()

    async def run() -> None:
        async with (
            team(nats_server, 1, name=name) as (a,),
            team(nats_server, 1, policy="replace", name=name) as (b,),
        ):
            for one in (a, b, a, b):
                one.node.members.hurry()
                await one.portal.count()
            await until(lambda: caplog.text.count("has other rules") == 2)
            assert f"Node {b.cluster.node} has other rules (policy replace, per user" in caplog.text
            assert f"Node {a.cluster.node} has other rules (policy reject, per user" in caplog.text

    asyncio.run(run())


def test_a_clock_that_is_wrong_is_told(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from actorcred.cluster import node

    monkeypatch.setattr(node, "SKEW", -1.0)

    async def run() -> None:
        async with team(nats_server, 1) as (a,):
            assert (await a.login()).session.is_open

    asyncio.run(run())
    assert caplog.text.count("ahead of that of NATS") == 1


def test_a_hello_of_a_newer_node_is_answered(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, 1) as (a,):
            heard: list[Any] = []
            version, fields = msgspec.msgpack.decode(pack(Hello("tomorrow")))
            async with opened(a.node.bus.options, node="tomorrow") as bus:

                def hear(msg: Any) -> None:
                    heard.append(unpack(msg.data))

                await bus.listen("lease.*", hear)
                await bus.flush()
                bus.tell_all(msgspec.msgpack.encode((version + 1, [*fields, "new"])))
                await until(lambda: heard)
            assert heard[0].node == a.cluster.node

    asyncio.run(run())
