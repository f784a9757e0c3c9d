"""The bus's connection to NATS: how it begins, is lost, comes back and ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from actorcred.cluster import bus as bus_module
from actorcred.cluster.bus import Bus
from actorcred.cluster.errors import BusDown, BusError, NodeGone, StoreLost
from actorcred.cluster.store import Store
from tests.backends.servers import free_port
from tests.cluster.conftest import nothing, opened, stored, until
from tests.cluster.nats_server import NatsServer
from tests.cluster.tap import tapped
from tests.cluster.test_bus import Inbox
from tests.cluster.test_store import all_of


def opening(options: Any) -> str:
    """Open a bus that cannot be opened; return why."""

    async def run() -> str:
        bus = Bus(options, "node", nothing)
        with pytest.raises(BusError) as caught:
            await asyncio.wait_for(bus.open(), 20)
        assert not bus.connected
        await bus.close()
        return str(caught.value)

    return asyncio.run(run())


def test_a_wrong_password_is_said_soon_and_is_not_repeated(nats_server: NatsServer) -> None:
    why = opening(nats_server.options(password="hush", timeout=0.3))
    assert "NATS cannot be reached" in why
    assert "Authorization Violation" in why
    assert "hush" not in why


def test_a_server_that_is_not_there_is_said_soon(nats_server: NatsServer) -> None:
    nowhere = f"nats://127.0.0.1:{free_port()}"
    why = opening(nats_server.options(servers=(nowhere,), timeout=0.3))
    assert "NATS cannot be reached" in why
    assert "ConnectionRefused" in why or "Connect call failed" in why


def test_a_server_that_says_nothing_is_given_up(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with tapped(nats_server.port) as tap:
            tap.black_hole()
            bus = Bus(nats_server.options(servers=(tap.url,), timeout=0.2), "node", nothing)
            with pytest.raises(BusError, match="NATS cannot be reached: no answer in time"):
                await asyncio.wait_for(bus.open(), 20)

    asyncio.run(run())


def test_of_several_servers_one_is_enough(nats_server: NatsServer) -> None:
    async def run() -> None:
        servers = (f"nats://127.0.0.1:{free_port()}", nats_server.url)
        async with opened(nats_server.options(servers=servers)) as bus:
            assert bus.connected

    asyncio.run(run())


def test_a_credentials_file_that_cannot_be_used_is_said(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def malformed(*_: object) -> None:
        raise ValueError("no seed")  # as nats-py does if the server asks for a signature

    monkeypatch.setattr("actorcred.cluster.bus.connect", malformed)
    assert "NATS cannot be reached: ValueError: no seed" in opening(nats_server.options())


def test_opening_can_be_given_up(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with tapped(nats_server.port) as tap:
            tap.black_hole()
            bus = Bus(nats_server.options(servers=(tap.url,)), "node", nothing)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(bus.open(), 0.1)
            assert not bus.connected

    asyncio.run(run())


def test_an_old_server_is_refused_if_it_shall_replicate(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "OLDEST_REPLICATING", (999, 1))
    assert "3 replicas need NATS 999.1; this is " in opening(nats_server.options(replicas=3))


def test_nothing_is_sent_or_kept_while_nats_is_away(nats_server: NatsServer) -> None:
    async def run() -> None:
        options, inbox = nats_server.options(), Inbox(b"a:")
        async with opened(options, inbox) as a, tapped(nats_server.port) as tap:
            through = replace(options, servers=(tap.url,))
            async with opened(through) as b:
                store = Store(b)
                await store.open()
                tap.cut()
                await until(lambda: not b.connected)
                assert not b.tell(a.node, b"old")
                assert not b.tell_all(b"old")
                assert b.dropped == 2
                assert await b.gather(b"old", {a.node}, 600) == {}
                requests: list[Callable[[], Awaitable[object]]] = [
                    lambda: b.ask(a.node, b"old"),
                    lambda: store.beat(b"old", 20),
                    lambda: store.log("key", b"old"),
                    lambda: store.read("key"),
                    lambda: store.write("key", 0, b"old"),
                    lambda: store.remove(1),
                ]
                for request in requests:
                    with pytest.raises(BusDown, match="not connected to NATS"):
                        await request()
                tap.open()
                await until(lambda: b.connected)
                assert await b.ask(a.node, b"new") == b"a:new"
                assert inbox == [b"new"]
                assert await store.read("key") == (0, None)

    asyncio.run(run())


def test_what_waited_for_a_slow_nats_is_not_sent_after_a_cut(nats_server: NatsServer) -> None:
    async def run() -> None:
        options, inbox = nats_server.options(), Inbox(b"a:")
        async with opened(options, inbox) as a, tapped(nats_server.port) as tap:
            through = replace(options, servers=(tap.url,))
            async with opened(through) as b:
                tap.black_hole()
                for _ in range(40):  # more than the buffers take
                    assert b.tell(a.node, bytes(900_000))
                assert b.tell(a.node, b"old")
                await asyncio.sleep(0)
                tap.cut()
                await until(lambda: not b.connected)
                tap.open()
                await until(lambda: b.connected)
                assert b.tell(a.node, b"new")
                await until(lambda: b"new" in inbox)
                assert b"old" not in inbox
                assert b.dropped

    asyncio.run(run())


def test_functions_are_called_when_the_connection_is_lost_and_is_back(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with tapped(nats_server.port) as tap:
            options = nats_server.options(servers=(tap.url,))
            async with opened(options) as bus:
                log: list[str] = []

                def fail() -> None:
                    raise ValueError

                bus.when_away += [fail, lambda: log.append("away")]
                bus.when_back += [fail, lambda: log.append("back")]
                for times in (1, 2):
                    tap.cut()
                    await until(lambda: not bus.connected)
                    tap.open()
                    await until(lambda: len(log) == 2 * times)  # noqa: B023
                    assert log == ["away", "back"] * times
                    assert bus.connected

    asyncio.run(run())
    messages = {record.getMessage() for record in caplog.records}
    assert messages == {"A change of the connection could not be followed:"}


def test_a_silent_nats_is_an_error_in_bounded_time(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with tapped(nats_server.port) as tap:
            options = nats_server.options(servers=(tap.url,), timeout=0.2)
            async with opened(options) as bus:
                store = Store(bus)
                await store.open()
                tap.black_hole()
                assert bus.connected
                requests: list[Awaitable[object]] = [
                    bus.ask("node", b""),
                    store.beat(b"", 0.2),
                    store.log("key", b""),
                    store.logged(),
                    all_of(store.log_after(0)),
                    all_of(store.roster()),
                    store.read("key"),
                    store.write("key", 0, b""),
                    store.remove(1),
                    bus.flush(),
                    store.ensure_streams(),
                ]
                answers = asyncio.gather(*requests, return_exceptions=True)
                errors = await asyncio.wait_for(answers, 20)
                assert [type(error) for error in errors] == [BusDown] * len(requests)
                assert not any(isinstance(error, StoreLost) for error in errors)
                tap.open()
                await store.ensure_streams()  # what comes too late does no harm
                assert await store.write("key2", 0, b"1") is not None

    asyncio.run(run())


def test_a_slow_nats_is_no_fault(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with tapped(nats_server.port) as tap:
            options = nats_server.options(servers=(tap.url,))
            async with stored(options) as store:
                tap.slow(0.05)
                revision = await store.write("key", 0, b"1")
                assert await store.read("key") == (revision, b"1")

    asyncio.run(run())


def test_a_bus_can_be_closed_while_nats_is_silent(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with tapped(nats_server.port) as tap:
            bus = Bus(nats_server.options(servers=(tap.url,), timeout=0.2), "node", nothing)
            await bus.open()
            tap.black_hole()
            bus.tell("node", b"")
            await asyncio.wait_for(bus.close(), 5)
            assert not bus.connected

    asyncio.run(run())
    assert not caplog.records


def test_a_bus_can_be_closed_while_more_waits_than_a_silent_nats_takes(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with tapped(nats_server.port) as tap:
            bus = Bus(nats_server.options(servers=(tap.url,), timeout=0.2), "node", nothing)
            await bus.open()
            tap.black_hole()
            for _ in range(40):
                bus.tell("node", bytes(900_000))
            await asyncio.wait_for(bus.close(), 5)
            assert not bus.connected

    asyncio.run(run())


def test_a_bus_can_be_closed_while_nats_is_away(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with tapped(nats_server.port) as tap:
            async with opened(nats_server.options(servers=(tap.url,), timeout=0.2)) as bus:
                tap.cut()
                await until(lambda: not bus.connected)
            assert not bus.connected

    asyncio.run(run())


def test_a_killed_nats_that_is_back_has_the_values_on_its_disk(own_server: NatsServer) -> None:
    async def run() -> None:
        options, inbox = own_server.options(in_memory=False), Inbox(b"a:")
        async with opened(options, inbox) as to, stored(options) as a, stored(options) as b:
            epoch, revision = await a.ensure_streams(), await a.write("key", 0, b"1")
            own_server.kill()
            await until(lambda: not a.bus.connected and not b.bus.connected)
            own_server.restart()
            await until(lambda: a.bus.connected and b.bus.connected and to.connected)
            assert await a.ensure_streams() == epoch
            assert await b.read("key") == (revision, b"1")
            assert await b.bus.ask(to.node, b"?") == b"a:?"

    asyncio.run(run())


def test_a_nats_that_is_back_without_its_store_is_another_one(own_server: NatsServer) -> None:
    async def run() -> None:
        async with stored(own_server.options(in_memory=False)) as store:
            epoch = await store.ensure_streams()
            await store.write("key", 0, b"1")
            own_server.kill()
            await until(lambda: not store.bus.connected)
            own_server.restart(wipe=True)
            await until(lambda: store.bus.connected)
            with pytest.raises(StoreLost):
                await store.write("key", 1, b"2")
            assert await store.ensure_streams() != epoch
            assert await store.read("key") == (0, None)

    asyncio.run(run())


def test_a_question_fails_with_the_connection(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with tapped(nats_server.port) as tap:
            options = nats_server.options(timeout=600.0)
            through = replace(options, servers=(tap.url,))
            async with opened(options) as silent, opened(through) as bus:
                asking = asyncio.ensure_future(bus.ask(silent.node, b"?"))
                await bus.flush()
                tap.cut()
                with pytest.raises(BusDown, match="disconnected"):
                    await asyncio.wait_for(asking, 20)

    asyncio.run(run())


def test_a_node_that_has_died_is_not_waited_for(nats_server: NatsServer) -> None:
    async def run() -> None:
        options = nats_server.options(timeout=600.0)
        async with (
            opened(options) as silent,
            opened(options, Inbox(b"c")) as c,
            opened(options) as bus,
        ):
            asking = asyncio.ensure_future(bus.ask(silent.node, b"?"))
            both = asyncio.ensure_future(bus.gather(b"?", {silent.node, c.node}))
            await bus.ask(c.node, b"?")
            bus.forget(silent.node)
            with pytest.raises(NodeGone):
                await asyncio.wait_for(asking, 20)
            assert await asyncio.wait_for(both, 20) == {c.node: b"c?"}

    asyncio.run(run())
