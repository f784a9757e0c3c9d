"""Revocations, told from node to node and kept in a log on NATS."""

from __future__ import annotations

import asyncio

import pytest

from actorcred.cluster.messages import Hello, Message, Revoked, pack
from actorcred.cluster.roster import key_of
from tests.cluster.conftest import until
from tests.cluster.nats_server import NatsServer
from tests.cluster.team import team


def test_a_revocation_that_nats_never_takes_is_an_error_in_the_log(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("actorcred.cluster.revocations.LOG_PAUSES", (0.0, 0.0))

    async def run() -> None:
        async with team(nats_server, 1, "allow", lease=20.0) as (a,):
            await a.login()
            a.tap.cut()
            await until(lambda: not a.node.bus.connected)
            a.revoke("ann")
            await until(lambda: "could not be told" in caplog.text)

    asyncio.run(run())


@pytest.mark.parametrize("message", [Hello("x"), Revoked("x", "Everybody", "ann", "forgotten")])
def test_what_is_no_revocation_is_not_followed(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture, message: Message
) -> None:
    async def run() -> None:
        async with team(nats_server, 1, "allow") as (a,):
            login = await a.login()
            await a.node.store.log(key_of("x"), pack(message))
            await until(lambda: "A revocation was ignored" in caplog.text)
            assert login.session.is_open

    asyncio.run(run())


def test_a_lost_log_is_followed_from_its_beginning(own_server: NatsServer) -> None:
    async def run() -> None:
        async with team(own_server, policy="allow") as (a, b):
            for name in ("ben", "cat"):
                a.revoke(name)
            await until(lambda: b.node.revocations._heard == 2)
            login = await b.login()
            own_server.restart(wipe=True)
            a.revoke("ann")
            await until(lambda: not login.session.is_open)

    asyncio.run(run())
