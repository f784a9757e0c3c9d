"""What nats-py's client is kept from, by servers that do what a real one does seldom."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nats.errors
import pytest
import trustme
from nats.aio.msg import Msg

from actorcred.cluster._client import Client
from actorcred.cluster.bus import Bus
from actorcred.cluster.errors import BusDown, BusError
from actorcred.cluster.settings import NatsOptions
from tests.cluster.conftest import nothing, opened, stored, stranger, until
from tests.cluster.nats_server import NatsServer, random_name
from tests.cluster.tap import tapped
from tests.cluster.test_bus import packed
from tests.rpc.stage import on_both_loops

INFO = {"version": "2.9.10", "max_payload": 1 << 20, "auth_required": True, "headers": True}


@contextlib.asynccontextmanager
async def liar(**info: Any) -> AsyncIterator[tuple[int, bytearray]]:
    """Run a server that greets like NATS, and return its port and what clients send it.

    What is published to "fail" is the error that it answers.
    """
    received = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"INFO " + json.dumps(INFO | info).encode() + b"\r\n")
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                received.extend(line)
                if line.startswith(b"PING"):
                    writer.write(b"PONG\r\n")
                elif line.startswith(b"PUB fail"):
                    writer.write(b"-ERR '" + (await reader.readline()).strip() + b"'\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], received
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("info", [{}, {"tls_required": False}, {"tls_available": True}])
def test_no_password_is_sent_without_tls_if_the_address_asks_for_it(info: dict[str, Any]) -> None:
    async def run() -> None:
        async with liar(**info) as (port, received):
            options = NatsOptions(
                servers=(f"tls://127.0.0.1:{port}",), user="me", password="hush", timeout=0.3
            )
            with pytest.raises(BusError, match="SecureConnWantedError"):
                await Bus(options, "node", nothing).open()
            assert received == b""

    asyncio.run(run())


def test_a_password_is_sent_without_tls_on_this_machine() -> None:
    async def run() -> None:
        async with liar() as (port, received):
            options = NatsOptions(
                servers=(f"nats://127.0.0.1:{port}",), user="me", password="hush", timeout=0.3
            )
            async with opened(options):
                pass
            assert b"hush" in received

    asyncio.run(run())


@pytest.mark.parametrize("scheme", ["tls", "nats"])
def test_a_server_with_tls_is_used_with_tls(tmp_path: Path, scheme: str) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    both = tmp_path / "both.pem"
    server = NatsServer(tmp_path, more=f'tls {{ cert_file: "{both}", key_file: "{both}" }}')
    server.start()

    async def run() -> None:
        trusting, url = ssl.create_default_context(), f"{scheme}://localhost:{server.port}"
        with pytest.raises(BusError, match="CERTIFICATE_VERIFY_FAILED"):
            await Bus(server.options(servers=(url,), timeout=0.3), "node", nothing).open()
        authority.configure_trust(trusting)
        async with stored(server.options(servers=(url,), tls=trusting)) as store:
            assert await store.write("key", 0, b"1") is not None

    try:
        asyncio.run(run())
    finally:
        server.stop()


@pytest.mark.parametrize("error", ["User Authentication Expired", "Authorization Violation"])
def test_a_client_that_nats_has_put_out_tries_again(error: str) -> None:
    async def run() -> None:
        async with liar() as (port, received):
            client = Client(NatsOptions(servers=(f"nats://127.0.0.1:{port}",)))
            await client.connect(
                f"nats://127.0.0.1:{port}",
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.01,  # type: ignore[arg-type]
            )
            await client.publish("fail", error.encode())
            await until(lambda: received.count(b"CONNECT") == 2 and client.is_connected)
            await client.close()

    asyncio.run(run())


@on_both_loops
async def test_what_is_sent_when_a_connection_has_just_broken_is_lost_without_an_error() -> None:
    async with liar() as (port, _):
        client, away = Client(NatsOptions(servers=(f"nats://127.0.0.1:{port}",))), list[None]()

        async def note() -> None:
            away.append(None)

        await client.connect(f"nats://127.0.0.1:{port}", disconnected_cb=note)
        client._abort()
        while not away:  # until nats-py knows it
            if client.is_connected:
                client.publish_now("a", b"1", "")
                await client.publish("a", b"2")
            await asyncio.sleep(0)
        await client.close()


def test_a_client_stays_connected_if_it_may_not_do_one_thing(nats_server: NatsServer) -> None:
    async def run() -> None:
        client, away = Client(nats_server.options()), list[None]()

        async def note() -> None:
            away.append(None)

        await client.connect(
            nats_server.url,
            user=nats_server.user,
            password=nats_server.password,
            disconnected_cb=note,
        )
        await client._process_err("'permissions violation for publish to \"$sys\"'")
        await client.flush()
        assert client.is_connected
        assert not away
        await client.close()

    asyncio.run(run())


def test_an_answer_that_comes_after_a_flush_was_given_up_does_no_harm(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with tapped(nats_server.port) as tap, stranger(nats_server) as other:
            options = nats_server.options(servers=(tap.url,), timeout=0.3)
            received: list[bytes] = []
            async with opened(options, lambda data, _: received.append(data)) as bus:
                tap.black_hole()
                for _ in range(3):
                    with pytest.raises(BusDown):
                        await bus.flush()
                tap.open()
                await other.publish(f"ac.{options.cluster}.all", packed(b"still here"))
                await until(lambda: received == [b"still here"])

    asyncio.run(run())
    assert not caplog.records


def test_no_connection_is_left_open_to_a_server_that_does_not_greet() -> None:
    async def run() -> None:
        came, there = list[None](), set[asyncio.StreamWriter]()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            came.append(None)
            if len(came) == 1:
                writer.write(b"INFO " + json.dumps(INFO).encode() + b"\r\n")
                await reader.readuntil(b"PING\r\n")
                writer.write(b"PONG\r\n")
            else:
                there.add(writer)
                with contextlib.suppress(OSError):
                    await reader.read()
                there.discard(writer)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        client = Client(NatsOptions(servers=(url,)))
        await client.connect(
            url,
            max_reconnect_attempts=-1,
            connect_timeout=0.1,  # type: ignore[arg-type]
            reconnect_time_wait=0.01,  # type: ignore[arg-type]
        )
        most = 0
        for number in range(2, 6):
            await until(lambda: len(came) > number)  # noqa: B023
            await asyncio.sleep(0.01)
            most = max(most, len(there))
        assert most == 1
        await client.close()
        await until(lambda: not there)
        server.close()
        await server.wait_closed()

    asyncio.run(run())


def test_a_silent_line_with_much_to_send_is_given_up(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with tapped(nats_server.port) as tap:
            client, away = Client(nats_server.options()), asyncio.Event()

            async def note() -> None:
                away.set()

            await client.connect(
                tap.url,
                user=nats_server.user,
                password=nats_server.password,
                ping_interval=0.1,  # type: ignore[arg-type]
                max_outstanding_pings=1,
                connect_timeout=0.2,  # type: ignore[arg-type]
                reconnect_time_wait=0.05,  # type: ignore[arg-type]
                max_reconnect_attempts=-1,
                disconnected_cb=note,
            )
            tap.black_hole()

            async def publish() -> None:
                for _ in range(20):  # more than the buffers of the system take
                    await client.publish("test", bytes(900_000))

            publishing = asyncio.create_task(publish())
            await asyncio.wait_for(away.wait(), 20)
            tap.open()
            await until(lambda: client.is_connected)
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
            await asyncio.wait_for(client.close(), 20)

    asyncio.run(run())


def test_a_flush_waits_for_what_has_yet_to_be_sent(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with opened(nats_server.options()) as bus:
            client = bus.client
            client._pending.append(b"SUB later 99\r\n")
            client._pending_data_size += len(client._pending[-1])
            await bus.flush()
            assert client._pending == []

    asyncio.run(run())


def test_messages_keep_their_order_and_those_of_one_turn_of_the_loop_go_together(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        subject, heard = random_name(), list[bytes]()

        async def note(msg: Msg) -> None:
            heard.append(msg.data)

        async with opened(nats_server.options()) as bus, stranger(nats_server) as other:
            await other.subscribe(subject, cb=note)
            await other.flush()
            client, writes = bus.client, list[int]()
            write = client._transport.writelines

            def counted(lines: list[bytes]) -> None:
                writes.append(len(lines))
                write(lines)

            client._transport.writelines = counted
            for number in range(5):
                await client.publish(subject, b"%d" % number)
            await until(lambda: len(heard) == 5)
            assert heard == [b"0", b"1", b"2", b"3", b"4"]
            assert writes == [1, 4]

    asyncio.run(run())


def test_a_request_ends_in_time_and_leaves_nothing(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with opened(nats_server.options()) as bus, stranger(nats_server) as other:
            await other.subscribe("silent")
            await other.flush()
            with pytest.raises(nats.errors.TimeoutError):
                await bus.client.request("silent", timeout=0.05)
            with pytest.raises(nats.errors.NoRespondersError):
                await bus.client.request("nobody", timeout=600)
            assert not bus.client._resp_map

    asyncio.run(run())


def test_a_request_does_not_wait_for_an_answer_over_a_connection_that_is_lost(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with opened(nats_server.options()) as bus, stranger(nats_server) as other:
            await other.subscribe("silent")
            await other.flush()
            request = asyncio.ensure_future(bus.client.request("silent", timeout=600))
            await until(lambda: bus.client._resp_map)
            await bus.client.change_server()
            with pytest.raises(nats.errors.Error, match="the connection to NATS was lost"):
                await request
            assert not bus.client._resp_map

    asyncio.run(run())


def test_messages_are_handled_as_they_are_read_also_after_one_that_cannot_be(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "actorcred.cluster")

    async def run() -> None:
        async with opened(nats_server.options()) as bus, stranger(nats_server) as other:
            heard: list[bytes] = []

            def hear(msg: Any) -> None:
                if msg.data == b"bad":
                    raise ValueError("this one not")
                heard.append(msg.data)

            subscription = await bus.client.listen("topic", hear)
            await bus.client.flush()
            for data in (b"1", b"bad", b"2"):
                await other.publish("topic", data)
            await until(lambda: heard == [b"1", b"2"])
            await subscription.unsubscribe()
            await bus.client.flush()
            await other.publish("topic", b"3")
            await other.flush()
            await bus.client.flush()
            assert heard == [b"1", b"2"]
            assert subscription._id not in bus.client._receivers

    asyncio.run(run())
    assert "NATS: ValueError: this one not" in caplog.messages


def test_a_reconnection_that_was_settled_by_another_one_ends_quietly(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with opened(nats_server.options()) as bus:
            attempt = await bus.client.change_server()
            await until(lambda: bus.client._reconnection_task_future is not None)
            bus.client._reconnection_task_future.set_result(True)
            attempt.cancel()
            await asyncio.wait([attempt])
            assert attempt.exception() is None
            await bus.client.change_server()

    asyncio.run(run())


def test_a_reconnection_that_has_lost_its_cancellation_does_not_go_on_beside_another_one(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with opened(nats_server.options()) as bus:
            select, begun = bus.client._select_next_server, asyncio.Event()

            async def stubborn() -> None:
                if not begun.is_set():
                    begun.set()
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.Event().wait()
                    await asyncio.Event().wait()
                await select()

            monkeypatch.setattr(bus.client, "_select_next_server", stubborn)
            first = await bus.client.change_server()
            await begun.wait()
            bus.client._status = bus.client.CONNECTED  # as at the end of an attempt
            await bus.client.change_server()
            await until(lambda: bus.client.is_connected)
            assert first.done()

    asyncio.run(run())
