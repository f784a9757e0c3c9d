"""Joining a cluster: from an event loop, from threads, and wrongly."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from actorcred import Login, Portal, PortalOptions, UsernamePassword
from actorcred.actors import AsyncioDispatcher, set_default_dispatcher
from actorcred.cluster import BusError, Cluster, CutOff
from actorcred.errors import LoginDenied
from actorcred.sessions.policies import Policy
from tests.cluster.conftest import until
from tests.cluster.nats_server import NatsServer, random_name
from tests.cluster.team import Everybody, Game, Player, team


def settings(server: NatsServer, **more: Any) -> dict[str, Any]:
    return {
        "name": random_name(),
        "user": server.user,
        "password": server.password,
        "in_memory": True,
        "lease": 1.0,
    } | more


def test_portals_on_threads_share_their_sessions(nats_server: NatsServer) -> None:
    name = random_name()
    nodes = []
    for node in ("a", "b"):
        cluster = Cluster.connect(
            nats_server.url, **settings(nats_server, name=name, node=node)
        ).get(timeout=10)
        realm, checker = Game.start(), Everybody.start()
        options = PortalOptions(policy=Policy.REJECT, registry=cluster)
        nodes.append((cluster, Portal.start(realm, [checker], options), realm, checker))
    first = nodes[0][1].login(UsernamePassword("ann", "right"), None, Player).get(timeout=10)
    again = nodes[1][1].login(UsernamePassword("ann", "right"), None, Player)
    with pytest.raises(LoginDenied):
        again.get(timeout=10)
    [found] = nodes[1][1].sessions("ann").get(timeout=10)
    assert found.avatar.ask is not None
    assert found.avatar.proxy().move(1.0).get(timeout=10) == 2.0
    first.logout().get(timeout=10)
    other: Any = LoginDenied()
    while not isinstance(other, Login):
        try:
            other = nodes[1][1].login(UsernamePassword("ann", "right"), None, Player).get(timeout=9)
        except LoginDenied as error:
            other = error
    for cluster, portal, realm, checker in nodes:
        portal.drain(5).get(timeout=10)
        cluster.close(1.0).get(timeout=10)
        for ref in (portal, realm, checker):
            ref.stop()
    assert not [thread for thread in threading.enumerate() if "nats" in thread.name]


def test_a_node_is_named_in_its_id_and_in_what_it_shows(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, 1) as (a,):
            assert a.cluster.node.startswith("a-")
            assert repr(a.cluster) == f"<Cluster, node {a.cluster.node}>"
            assert a.cluster.nodes() == {a.cluster.node}

    asyncio.run(run())


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"node": "a.b"}, "a node is named by"),
        ({"node": ""}, "a node is named by"),
        ({"lease": 0}, "lease must be more than 0"),
        ({"lease": float("nan")}, "lease must be more than 0"),
        ({"name": "a b"}, "the name of a cluster"),
    ],
)
def test_a_wrong_setting_is_named(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(BusError, match=why):
        Cluster.connect("nats://127.0.0.1:1", **wrong)


def test_an_unknown_cut_off_is_refused() -> None:
    with pytest.raises(ValueError, match="hope"):
        Cluster.connect("nats://127.0.0.1:1", on_cut_off="hope")
    assert {str(one) for one in CutOff} == {"end", "hold", "keep"}


def test_a_nats_that_is_not_there_is_named(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        with pytest.raises(BusError, match="NATS cannot be reached"):
            await Cluster.connect("nats://127.0.0.1:1", timeout=0.3)

    with caplog.at_level(logging.DEBUG):
        asyncio.run(run())


def test_a_cluster_serves_one_portal(nats_server: NatsServer) -> None:
    async def run() -> None:
        set_default_dispatcher(AsyncioDispatcher())
        cluster = await Cluster.connect(nats_server.url, **settings(nats_server))
        realm = Game.start()
        portal = Portal.start(realm, [], PortalOptions(registry=cluster))
        with pytest.raises(BusError, match="serves one portal"):
            Portal.start(realm, [], PortalOptions(registry=cluster))
        for ref in (portal, realm):
            await ref.stop(block=False)
        await cluster.close()
        await cluster.close(0.1)

    asyncio.run(run())


def test_a_node_that_leaves_lets_nobody_in_any_more(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            login = await a.login()
            closing = asyncio.ensure_future(a.cluster.close(0.2))
            await until(lambda: a.node.draining)
            assert isinstance(await a.outcome("ben"), LoginDenied)
            await closing
            assert login.session.is_open
            await until(lambda: b.cluster.nodes() == {b.cluster.node})

    asyncio.run(run())


def test_what_comes_after_the_end_of_the_event_loop_is_dropped(nats_server: NatsServer) -> None:
    kept: list[Any] = []

    async def run() -> None:
        async with team(nats_server, 1) as (a,):
            kept.append(a.node)

    asyncio.run(run())
    kept[0].post(kept.append, "late")
    assert len(kept) == 1


def test_a_task_that_fails_is_logged(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    async def run() -> None:
        async with team(nats_server, 1) as (a,):
            a.node._spawn(fail())
            await until(lambda: not a.node._tasks)

    asyncio.run(run())
    assert "A task of the cluster failed" in caplog.text
