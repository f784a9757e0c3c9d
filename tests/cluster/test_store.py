"""What a cluster keeps on a real NATS: values that are compared and set, leases and logs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from nats.aio.msg import Msg
from nats.js.errors import ServerError

from actorcred.cluster import bus as bus_module
from actorcred.cluster.errors import BusDown, BusError, StoreLost, TooLarge
from actorcred.cluster.settings import NatsOptions
from actorcred.cluster.store import HEADERS, Store
from tests.cluster.conftest import opened, stored, stranger, until
from tests.cluster.nats_server import NatsServer


async def all_of(messages: AsyncIterator[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    return [message async for message in messages]


def test_a_value_is_set_only_by_who_knows_its_revision(nats_server: NatsServer) -> None:
    async def run() -> None:
        options = nats_server.options()
        async with stored(options) as a, stored(options) as b:
            assert await a.read("key") == (0, None)
            first = await a.write("key", 0, b"a")
            assert first is not None
            assert await b.write("key", 0, b"b") is None
            assert await b.read("key") == (first, b"a")
            second = await b.write("key", first, b"")
            assert second is not None
            assert second > first
            assert await a.write("key", first, b"a") is None
            assert await a.read("key") == (second, b"")
            assert await a.read("other") == (0, None)

    asyncio.run(run())


def test_of_many_that_write_at_once_one_wins(nats_server: NatsServer) -> None:
    async def run() -> None:
        options = nats_server.options()
        async with stored(options) as a, stored(options) as b:
            for round_ in range(10):
                key = f"key{round_}"
                tries = [(a, b)[number % 2].write(key, 0, b"%d" % number) for number in range(12)]
                revisions = await asyncio.gather(*tries)
                winners = [number for number, revision in enumerate(revisions) if revision]
                assert len(winners) == 1
                assert await a.read(key) == (revisions[winners[0]], b"%d" % winners[0])

    asyncio.run(run())


def test_a_removed_value_leaves_nothing_behind(nats_server: NatsServer) -> None:
    async def run() -> None:
        options = nats_server.options()
        async with stored(options) as a, stranger(nats_server) as other:
            revision = await a.write("key", 0, b"1")
            assert revision is not None
            assert await a.remove(revision)
            assert await a.read("key") == (0, None)
            info = await other.jetstream().stream_info(f"ACR_{options.cluster}")
            assert info.state.messages == 0
            assert not await a.remove(revision)
            assert await a.write("key", 0, b"2") is not None

    asyncio.run(run())


def test_a_value_that_has_changed_is_not_removed(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with stored(nats_server.options()) as a:
            old = await a.write("key", 0, b"old")
            assert old is not None
            new = await a.write("key", old, b"new")
            assert not await a.remove(old)
            assert await a.read("key") == (new, b"new")

    asyncio.run(run())


def test_the_whole_roster_can_be_read(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with stored(nats_server.options()) as a:
            assert await all_of(a.roster()) == []
            revisions = [await a.write(f"key{n}", 0, b"%d" % n) for n in range(5)]
            assert revisions[1] is not None
            await a.remove(revisions[1])
            assert [data for _, data in await all_of(a.roster())] == [b"0", b"2", b"3", b"4"]
            changed = await a.write("key0", revisions[0] or 0, b"new")
            assert (await all_of(a.roster()))[-1] == (changed, b"new")

    asyncio.run(run())


def test_the_log_can_be_read_from_a_number_on(nats_server: NatsServer) -> None:
    async def run() -> None:
        options, heard = nats_server.options(in_memory=False), list[bytes]()

        def note(msg: Msg) -> None:
            heard.append(msg.data)

        async with stored(options) as a, stored(options) as b:
            await b.bus.listen("revoked.*", note)
            await b.bus.flush()
            assert await a.logged() == 0
            await a.log("ann", b"1")
            seen = await b.logged()
            await a.log("bob", b"2")
            await a.log("ann", b"3")
            assert await all_of(b.log_after(seen)) == [(2, b"2"), (3, b"3")]
            assert await all_of(b.log_after(0)) == [(2, b"2"), (3, b"3")], "the last of each key"
            assert await all_of(b.log_after(await b.logged())) == []
            await until(lambda: heard == [b"1", b"2", b"3"])

    asyncio.run(run())


def test_a_beat_comes_to_all_that_listen_the_sender_too(nats_server: NatsServer) -> None:
    async def run() -> None:
        options, heard = nats_server.options(), list[tuple[str, bytes]]()

        def note(msg: Msg) -> None:
            heard.append((msg.subject, msg.data))

        async with stored(options) as a, stored(options) as b:
            for store in (a, b):
                await store.bus.listen("lease.*", note)
                await store.bus.flush()
            await a.beat(b"I live", 20)
            await until(lambda: len(heard) == 2)
            assert heard == [(f"ac.{options.cluster}.lease.{a.bus.node}", b"I live")] * 2

    asyncio.run(run())


def test_what_nats_refuses_to_keep_is_an_error_that_can_be_handled(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        options = nats_server.options()
        async with stored(options) as a, stranger(nats_server) as other:
            for name in ("ACR", "ACL", "ACV"):
                stream = f"{name}_{options.cluster}"
                info = await other.jetstream().stream_info(stream)
                await other.jetstream().update_stream(info.config, max_msg_size=1)
            writes: list[Callable[[], Awaitable[object]]] = [
                lambda: a.beat(b"long", 20),
                lambda: a.log("key", b"long"),
                lambda: a.write("key", 0, b"long"),
            ]
            for write in writes:
                with pytest.raises(BusDown, match="exceeds maximum"):
                    await write()

    asyncio.run(run())


def test_streams_that_were_lost_are_noticed_and_made_anew(nats_server: NatsServer) -> None:
    async def run() -> None:
        options = nats_server.options(timeout=0.5)
        async with stored(options) as a, stranger(nats_server) as other:
            before = await a.ensure_streams()
            assert await a.ensure_streams() == before
            for name in ("ACR", "ACL", "ACV"):
                await other.jetstream().delete_stream(f"{name}_{options.cluster}")
            with pytest.raises(StoreLost):
                await a.beat(b"1", 20)
            with pytest.raises(StoreLost):
                await a.write("key", 0, b"1")
            with pytest.raises(BusDown):
                await a.read("key")
            with pytest.raises(BusDown):
                await all_of(a.roster())
            assert await a.ensure_streams() not in {before, ""}
            await a.beat(b"1", 20)
            assert await a.write("key", 0, b"1") == 1

    asyncio.run(run())


def test_nodes_that_come_at_once_agree_on_the_streams(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        options = nats_server.options()
        other = nats_server.options(cluster=options.cluster, in_memory=False)
        async with contextlib.AsyncExitStack() as stack:
            buses = [
                await stack.enter_async_context(opened((options, other)[n % 2])) for n in range(6)
            ]
            stores = [Store(bus) for bus in buses]
            await asyncio.gather(*[store.open() for store in stores])
            epochs = await asyncio.gather(*[store.ensure_streams() for store in stores])
            assert len(set(epochs)) == 1

    asyncio.run(run())
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_the_streams_are_not_trimmed_and_keep_one_value_a_key(nats_server: NatsServer) -> None:
    async def run() -> None:
        options = nats_server.options(in_memory=False)
        async with stored(options), stranger(nats_server) as other:
            kept = {}
            for name in ("ACR", "ACL", "ACV"):
                answer = await other.request(f"$JS.API.STREAM.INFO.{name}_{options.cluster}")
                config = json.loads(answer.data)["config"]
                assert config["max_msgs_per_subject"] == 1
                kept[name] = (config["storage"], config["max_age"] // 10**9)
            assert kept == {"ACR": ("file", 0), "ACL": ("memory", 120), "ACV": ("file", 86400)}

    asyncio.run(run())


def refused(options: NatsOptions) -> str:
    """Open a store that cannot be opened; return why."""

    async def run() -> str:
        async with opened(options) as bus:
            with pytest.raises(BusError) as caught:
                await Store(bus).open()
            return str(caught.value)

    return asyncio.run(run())


def test_a_server_without_streams_is_refused_with_what_to_do(tmp_path: Path) -> None:
    server = NatsServer(tmp_path, jetstream=False)
    server.start()
    try:
        assert "NATS must run with JetStream (nats-server -js)" in refused(server.options())
    finally:
        server.stop()


def test_the_reason_why_a_stream_cannot_be_made_is_said(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "OLDEST_REPLICATING", (0, 0))
    assert "replicas > 1 not supported" in refused(nats_server.options(replicas=3))


@pytest.fixture
def in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have clients try servers in the order of the settings."""
    monkeypatch.setattr("actorcred.cluster._client.random.sample", lambda all_, _: list(all_))


@pytest.mark.usefixtures("in_order")
def test_a_server_that_keeps_nothing_is_left_for_another_one(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    other = NatsServer(tmp_path, jetstream=False, password=nats_server.password)
    other.start()

    async def run() -> None:
        options = nats_server.options(servers=(other.url, nats_server.url))
        async with stored(options) as store:
            assert await store.write("key", 0, b"1") is not None
            assert store.bus.client.connected_url.port == nats_server.port

    try:
        asyncio.run(run())
    finally:
        other.kill()


@pytest.mark.usefixtures("in_order")
def test_a_bus_changes_its_server_if_there_is_another_one(
    nats_server: NatsServer, own_server: NatsServer
) -> None:
    own_server.configure(own_server.password, nats_server.password)

    async def run() -> None:
        servers = (nats_server.url, own_server.url)
        async with opened(nats_server.options(servers=servers)) as bus:
            for port in (own_server.port, nats_server.port):
                await bus.change_server()
                await until(lambda: bus.connected and bus.client.connected_url.port == port)  # noqa: B023
        async with opened(nats_server.options()) as bus:
            await bus.change_server()
            assert bus.connected  # there is no other one

    asyncio.run(run())


def test_a_value_that_is_too_large_does_not_reach_nats_which_would_end_the_connection(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with stored(nats_server.options()) as store:
            for _ in range(3):
                with pytest.raises(TooLarge, match=r"acr\..*1048832 bytes, 1048576 are allowed"):
                    await store.write("key", 0, bytes(1 << 20))
            assert await store.write("key", 0, bytes((1 << 20) - HEADERS)) is not None
            assert store.bus.client.stats["reconnects"] == 0

    asyncio.run(run())
    assert caplog.text.count("is too large for NATS") == 1


def test_streams_that_are_kept_on_fewer_servers_than_wanted_are_named(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bus_module, "OLDEST_REPLICATING", (0, 0))

    async def run() -> None:
        options = nats_server.options()
        async with stored(options), stored(replace(options, replicas=3)) as store:
            await store.ensure_streams()

    asyncio.run(run())
    assert caplog.text.count("is kept on 1 servers of NATS, not on the 3 of this node") == 4


def test_what_nats_does_not_take_is_told_once(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with stored(nats_server.options()) as store:

            async def full(*_: object, **__: object) -> None:
                raise ServerError(code=500, err_code=10023, description="insufficient resources")

            monkeypatch.setattr(store._jetstream, "publish", full)
            for _ in range(3):
                with pytest.raises(BusDown, match=r"insufficient resources \(its error 10023\)"):
                    await store.write("key", 0, b"1")

    asyncio.run(run())
    assert caplog.text.count("cannot write to NATS: NATS refuses it: insufficient") == 1
