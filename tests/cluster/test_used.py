"""What can be used once is used once in the whole cluster, or not at all."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest

from actorcred import CheckerUnavailable, LoginFailed, UnauthorizedLogin
from actorcred.checkers.otp import OTPChecker
from actorcred.checkers.wrappers.all_of import AllOf
from actorcred.cluster.errors import BusDown
from actorcred.cluster.store import Store
from actorcred.cluster.used import Used
from actorcred.credentials import Combined, OneTimePassword, UsernamePassword
from tests.cluster.conftest import nothing, stored, until
from tests.cluster.nats_server import NatsServer
from tests.cluster.team import Everybody, Member, Player, team

SECRET = pyotp.random_base32()


class OldStore(Store):
    """A store that is an hour old, whatever its age."""

    async def _last(self, stream: str, subject: str) -> Any:
        message = await super()._last(stream, subject)
        message.time += timedelta(hours=1)
        return message


def test_of_many_nodes_that_use_a_key_at_once_one_does(nats_server: NatsServer) -> None:
    async def run() -> None:
        options = nats_server.options()
        async with stored(options) as a, stored(options) as b:
            a.__class__ = b.__class__ = OldStore
            for number in range(20):
                takers = [
                    Used(store, nothing).take(f"key {number}", 90.0, f"use {use}")
                    for use, store in enumerate((a, b, a, b))
                ]
                assert sorted(await asyncio.gather(*takers)) == [False, False, False, True]

    asyncio.run(run())


def test_the_keys_of_another_cluster_are_others(nats_server: NatsServer) -> None:
    async def run() -> None:
        for _ in range(2):
            async with stored(nats_server.options()) as store:
                store.__class__ = OldStore
                assert await Used(store, nothing).take("key", 90.0, "use")

    asyncio.run(run())


def test_a_use_that_asks_by_two_nodes_of_one_process_is_one(nats_server: NatsServer) -> None:
    async def run() -> None:
        options = nats_server.options()
        async with stored(options) as a, stored(options) as b:
            a.__class__ = b.__class__ = OldStore
            takers = [Used(store, nothing).take("key", 90.0, "use") for store in (a, b)]
            assert await asyncio.gather(*takers) == [True, True]
            assert not await Used(a, nothing).take("key", 90.0, "another use")

    asyncio.run(run())


def test_nothing_is_used_up_as_long_as_an_earlier_store_could_have_known_it(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with stored(nats_server.options()) as store:
            used = Used(store, nothing)
            with pytest.raises(CheckerUnavailable):
                await used.take("key", 90.0, "use")
            assert "one-time codes are refused for another" in caplog.text
            assert await used.take("what lives for a microsecond", 1e-6, "use")

    asyncio.run(run())


def test_a_store_that_is_known_to_be_the_first_one_needs_no_age(nats_server: NatsServer) -> None:
    async def run() -> None:
        options = replace(nats_server.options(), is_new=True)
        async with stored(options) as store:
            assert await Used(store, nothing).take("key", 90.0, "use")
            assert not await Used(store, nothing).take("key", 90.0, "another use")
            await store._jetstream.delete_stream(f"ACU_{options.cluster}")
            await store.ensure_streams()
            with pytest.raises(CheckerUnavailable):
                await Used(store, nothing).take("key", 90.0, "another use")

    asyncio.run(run())


def test_a_lost_store_is_made_again_and_nothing_is_used_up_meanwhile(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with stored(nats_server.options()) as store:
            store.__class__ = OldStore
            lost: list[None] = []
            used = Used(store, lambda: lost.append(None))
            await store._jetstream.delete_stream(f"ACU_{store.bus.options.cluster}")
            with pytest.raises(CheckerUnavailable):
                await used.take("key", 90.0, "use")
            assert lost == [None]
            await store.ensure_streams()
            assert await used.take("key", 90.0, "use")

    asyncio.run(run())


def test_what_nats_forgets_between_the_key_and_the_question_is_not_used_up(
    nats_server: NatsServer,
) -> None:
    class Forgetful(OldStore):
        async def _info(self, stream: str) -> Any:
            await self._jetstream.purge_stream(stream)
            return await super()._info(stream)

    async def run() -> None:
        async with stored(nats_server.options()) as store:
            store.__class__ = Forgetful
            with pytest.raises(CheckerUnavailable):
                await Used(store, nothing).take("key", 90.0, "use")

    asyncio.run(run())


# -- one-time codes ------------------------------------------------------------------------------


async def with_codes(member: Member, folder: Path, *, wrapped: bool) -> None:
    """Have a node accept codes, from a database of its own."""
    member.node.store.__class__ = OldStore
    checker = OTPChecker.start(folder / f"{member.cluster.node}.db")
    await checker.enrol("ann", secret=SECRET)
    if wrapped:
        await member.portal.register_checker(AllOf.start(Everybody.start(), checker), Combined)
    else:
        await member.portal.register_checker(checker)


async def log_in(member: Member, code: str, *, wrapped: bool) -> str:
    credentials: object = OneTimePassword("ann", code)
    if wrapped:
        credentials = Combined((UsernamePassword("ann", "right"), OneTimePassword("ann", code)))
    try:
        await member.portal.login(credentials, None, Player)
    except LoginFailed as error:
        return type(error).__name__
    return "in"


def fresh_code() -> str:
    """Return a code that no clock makes invalid during a test."""
    return pyotp.TOTP(SECRET).at(time.time())


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_code_lets_in_once_although_each_node_has_a_database_of_its_own(
    nats_server: NatsServer, tmp_path: Path, wrapped: bool
) -> None:
    async def run() -> None:
        async with team(nats_server, 3, "allow") as nodes:
            for node in nodes:
                await with_codes(node, tmp_path, wrapped=wrapped)
            code = fresh_code()
            outcomes = [log_in(node, code, wrapped=wrapped) for node in nodes]
            assert sorted(await asyncio.gather(*outcomes)) == [
                *[UnauthorizedLogin.__name__] * 2,
                "in",
            ]

    asyncio.run(run())


def test_a_code_lets_nobody_in_while_nats_cannot_be_asked(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    async def run() -> None:
        async with team(nats_server, 2, "allow") as (a, b):
            for node in (a, b):
                await with_codes(node, tmp_path, wrapped=False)
            a.tap.cut()
            await until(lambda: not a.node.bus.connected)
            code = fresh_code()
            assert await log_in(a, code, wrapped=False) == CheckerUnavailable.__name__
            assert await log_in(b, code, wrapped=False) == "in"
            a.tap.open()
            await until(lambda: a.node.bus.connected)
            assert await log_in(a, code, wrapped=False) == UnauthorizedLogin.__name__

    asyncio.run(run())


def test_an_answer_of_nats_that_is_lost_lets_nobody_in(
    nats_server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with team(nats_server, 2, "allow") as (a, b):
            for node in (a, b):
                await with_codes(node, tmp_path, wrapped=False)
            put = a.node.store._put

            async def lose(*args: Any, **more: Any) -> int | None:
                await put(*args, **more)
                raise BusDown("no answer in time")

            monkeypatch.setattr(a.node.store, "_put", lose)
            code = fresh_code()
            assert await log_in(a, code, wrapped=False) == CheckerUnavailable.__name__
            assert await log_in(b, code, wrapped=False) == UnauthorizedLogin.__name__

    asyncio.run(run())
