"""Clients that are slow, dead, malicious, or too many."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import os
import random
import resource
import signal
import socket
import struct
import subprocess
import sys
from collections import Counter
from typing import Any

import msgpack
import pytest

from actorcred import (
    CallError,
    ConnectionLost,
    LoginDenied,
    LoginFailed,
    OutboxLimit,
    PortalOptions,
    UnauthorizedLogin,
)
from actorcred.portal.events import LoggedOut, LoginRefused
from actorcred.rpc.server.events import (
    ConnectionBroken,
    ConnectionRefused,
    RequestsThrottled,
)
from actorcred.sasl.mechanism import Secrets
from actorcred.sasl.mechanisms import CLIENT_MECHANISMS, LEGACY
from tests.rpc.stage import Recorder, WireStage, on_loop, stage

pytestmark = pytest.mark.slow  # each waits for a deadline


async def raw(game: WireStage) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(game.address.host, game.address.port)


async def goodbye(reader: asyncio.StreamReader) -> str:
    """Return the reason of the server's goodbye, which is its last message."""
    async with asyncio.timeout(10):
        *_, last = msgpack.Unpacker(_File(await reader.read()), raw=False)
    assert last[:2] == [2, "cred.goodbye"]
    return str(last[2][0]["code"])


class _File:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int) -> bytes:
        data, self._data = self._data[:size], self._data[size:]
        return data


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1",
        b"GET / HTTP/1.0\r\n\r\n",
        b"\x91" * 5000,
        b"\x93\x02\xa1m\xdb\x7f\xff\xff\xff" + b"x" * 100_000,
        os.urandom(100_000),
    ],
    ids=["no MessagePack", "HTTP", "nested", "too long", "noise"],
)
@on_loop
async def test_rubbish_is_answered_with_a_goodbye_and_harms_nobody(data: bytes) -> None:
    async with stage() as game:
        client = await game.connect()
        reader, writer = await raw(game)
        writer.write(data)
        try:
            assert await goodbye(reader) == "protocol-error"
        except ConnectionResetError:
            assert len(data) > 64_000  # the kernel resets if not all was read
        writer.close()
        assert await client.call("echo", "fine") == "fine"
        await game.until(lambda: len(game.hub.peers) == 1)
        assert [event for event in game.events if isinstance(event, ConnectionBroken)]


@on_loop
async def test_tls_garbage_and_a_client_that_never_shakes_hands_are_dropped() -> None:
    async with stage("tls", login_timeout=0.3) as game:
        client = await game.connect()
        for data in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 600, b"hello", b""):
            reader, writer = await raw(game)
            writer.write(data)
            async with asyncio.timeout(10):
                with contextlib.suppress(ConnectionError):
                    await reader.read()
            writer.close()
        await game.until(lambda: len(game.hub.admission) == 0)
        assert await client.call("echo", "fine") == "fine"


@pytest.mark.parametrize(
    "words", [b"", b"\x94\x00\x01\xaacred.login"], ids=["silent", "begins a login"]
)
@on_loop
async def test_a_connection_without_a_login_in_time_is_closed(words: bytes) -> None:
    async with stage(login_timeout=0.1) as game:
        reader, writer = await raw(game)
        writer.write(words)
        assert await goodbye(reader) == "login-timeout"
        writer.close()


@on_loop
async def test_a_login_byte_by_byte_has_one_deadline_and_not_one_per_byte() -> None:
    async with stage(login_timeout=0.3) as game:
        reader, writer = await raw(game)

        async def drip() -> None:
            for byte in msgpack.packb([0, 1, "cred.login", ["PLAIN", "x" * 5000]]):
                writer.write(bytes([byte]))
                await asyncio.sleep(0.001)

        dripping = asyncio.create_task(drip())
        with contextlib.suppress(
            ConnectionResetError
        ):  # the kernel drops a goodbye to a client that keeps writing
            assert await goodbye(reader) == "login-timeout"
        assert not dripping.done()
        dripping.cancel()
        writer.close()


@on_loop
async def test_a_client_that_leaves_in_the_middle_of_its_login_leaves_nothing() -> None:
    async with stage(legacy_mechanisms=LEGACY) as game:
        for message in (
            [0, 1, "cred.login", ["SCRAM-SHA-256", b"n,,n=ann,r=abcdefghijklmnopqrstuvwxyz"]],
            [0, 1, "cred.login", ["CRAM-MD5"]],
            [0, 1, "cred.login", ["PLAIN", b"\0ann\0s3cret"]],
        ):
            _, writer = await raw(game)
            writer.write(msgpack.packb(message))
            writer.transport.abort()
        await game.until(
            lambda: (not game.hub.peers and not game.hub.lost_channels) or game.hub.lost_channels
        )
        for link in list(game.hub.lost_channels):
            await link.session.end()
        assert await game.count() == 0


@on_loop
async def test_a_half_open_connection_is_found_within_two_heartbeats() -> None:
    async with stage(heartbeat=0.1, grace=0) as game:
        client = await game.connect()
        assert client._line._heartbeat is not None
        # As if the machine had lost its network: nothing arrives any more, not even an end.
        client._line._heartbeat.cancel()
        assert (await client.wait_closed()).code == "silent"
        assert game.log == [("ann", "lost")]
        assert [event for event in game.events if isinstance(event, ConnectionBroken)]


@on_loop
async def test_a_client_finds_a_server_that_is_silent() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, result in (
            (1, ["ANONYMOUS"]),
            (
                2,
                {
                    "avatar_id": None,
                    "interface": "X",
                    "session": "",
                    "token": None,
                    "limits": {"heartbeat": 0.05},
                },
            ),
        ):
            await reader.read(1000)
            writer.write(msgpack.packb([1, number, None, result]))
        await reader.read()
        writer.close()

    from actorcred import rpc

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        client = await rpc.connect(f"tcp:127.0.0.1:{server.sockets[0].getsockname()[1]}")
        assert "silent" in str(await client.wait_closed())


@on_loop
async def test_who_does_not_promise_a_heartbeat_may_be_silent() -> None:
    async with stage(heartbeat=0.05) as game:
        reader, writer = await raw(game)
        writer.write(msgpack.packb([0, 1, "cred.login", ["ANONYMOUS", b"", {"resume": False}]]))
        await reader.readuntil(b"ANONYMOUS")
        client = await game.connect()
        for _ in range(8):
            await client.call("echo", await asyncio.sleep(0.05))
        writer.write(msgpack.packb([0, 2, "echo", ["here"]]))
        await reader.readuntil(b"here")
        writer.close()


@on_loop
async def test_a_reader_that_stops_holds_up_nobody_and_costs_bounded_memory() -> None:
    options = PortalOptions(outbox=OutboxLimit(bound=50))
    async with stage("tcp", None, options, write_buffer=10_000, grace=0) as game:
        heard = Recorder()
        reader, writer = await raw(game)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        writer.write(msgpack.packb([0, 1, "cred.login", ["PLAIN", b"\0bob\0hush"]]))
        await reader.read(1000)
        writer.transport.pause_reading()
        client = await game.connect(handler=heard)
        (sleeper,) = list(await game.portal.sessions("bob"))
        for _ in range(400):
            await client.call("shout", "x" * 20_000)
        assert sleeper.mind.outbox.dropped > 100
        assert len(sleeper.mind.outbox) <= 50
        (peer,) = [
            peer
            for peer in game.hub.peers
            if peer.channel is not None and peer.channel.session is sleeper
        ]
        assert peer.transport._transport.get_write_buffer_size() < 200_000
        await heard.until(lambda events: len(heard.named("heard")) == 400)
        writer.transport.abort()


@on_loop
async def test_the_policy_of_the_mind_can_end_the_session_of_a_reader_that_stops() -> None:
    options = PortalOptions(outbox=OutboxLimit(bound=10, overflow="end session"))  # type: ignore[arg-type]
    async with stage("tcp", None, options, write_buffer=10_000, grace=0) as game:
        reader, writer = await raw(game)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        writer.write(msgpack.packb([0, 1, "cred.login", ["PLAIN", b"\0bob\0hush"]]))
        await reader.read(1000)
        writer.transport.pause_reading()
        client = await game.connect()
        for _ in range(400):
            await client.call("shout", "x" * 20_000)
        await game.until(
            lambda: [
                event
                for event in game.events
                if isinstance(event, LoggedOut) and event.reason == "overflow"
            ]
        )
        writer.transport.abort()


@on_loop
async def test_a_client_that_does_not_read_its_answers_is_not_read_from() -> None:
    async with stage(write_buffer=10_000, requests_per_second=None, grace=0) as game:
        reader, writer = await raw(game)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        writer.write(msgpack.packb([0, 1, "cred.login", ["PLAIN", b"\0bob\0hush"]]))
        await reader.read(1000)
        writer.transport.pause_reading()
        request = msgpack.packb([0, 7, "echo", ["x" * 30_000]])
        sent = 0
        for number in range(2000):
            if writer.transport.get_write_buffer_size() > 1_000_000:
                break
            writer.write(request.replace(b"\x07", bytes([number % 100]), 1))
            sent += 1
            await asyncio.sleep(0)
        (peer,) = game.hub.peers
        assert sent < 2000
        assert peer.transport._transport.get_write_buffer_size() < 64_000 + 130 * 30_100
        writer.transport.abort()


@on_loop
async def test_too_many_requests_per_second_are_refused_with_the_time_to_wait() -> None:
    async with stage(requests_per_second=10, request_burst=5) as game:
        client = await game.connect()
        results = await asyncio.gather(
            *[client.call("echo", number) for number in range(20)], return_exceptions=True
        )
        refused = [result for result in results if isinstance(result, CallError)]
        assert 16 <= len(refused) <= 18  # the login used some of the burst
        assert {error.code for error in refused} == {"too-many-requests"}
        assert all(0 < error.retry_after < 1 for error in refused if error.retry_after is not None)
        throttled = [event for event in game.events if isinstance(event, RequestsThrottled)]
        assert [event.session_id for event in throttled] == [client.session]


@on_loop
async def test_too_many_pending_requests_are_refused_one_by_one() -> None:
    from actorcred.rpc import WireLimits

    async with stage(wire=WireLimits(pending=3)) as game:
        client = await game.connect()
        waiting = [asyncio.ensure_future(client.call("later")) for _ in range(3)]
        await game.until(lambda: len(game.waiting) == 3)
        with pytest.raises(CallError) as error:
            await client.call("later")
        assert error.value.code == "too-many-requests"
        for future in game.waiting:
            future.set("done")
        assert await asyncio.gather(*waiting) == ["done"] * 3
        assert await client.call("echo", 1) == 1


@on_loop
async def test_failed_logins_make_source_and_account_wait() -> None:
    async with stage(free_failures=3, step=30, limit_loopback=True) as game:
        for _ in range(4):
            with pytest.raises(UnauthorizedLogin):
                await game.connect("ann", "wrong")
        with pytest.raises(LoginDenied) as denied:
            await game.connect("ann", "s3cret")
        assert denied.value.retry_after is not None
        assert 20 < denied.value.retry_after <= 30
        with pytest.raises(LoginDenied):  # the source, too
            await game.connect("bob", "hush")
        denied_ones = [
            event for event in game.events if isinstance(event, LoginRefused) and not event.seen
        ]
        # The next record of this source has the sum.
        assert [event.claimed for event in denied_ones] == ["ann"]


@on_loop
async def test_one_source_cannot_take_all_connections() -> None:
    async with stage(
        unauthenticated=100, unauthenticated_per_source=5, limit_loopback=True
    ) as game:
        streams = [await raw(game) for _ in range(5)]
        await game.until(lambda: len(game.hub.peers) == 5)
        with pytest.raises(ConnectionLost):
            await game.connect()
        assert [event.detail for event in game.events if isinstance(event, ConnectionRefused)]
        for _, writer in streams:
            writer.close()
        await game.until(lambda: not game.hub.peers)
        await game.connect()


@on_loop
async def test_a_killed_client_is_lost_and_leaves_nothing() -> None:
    async with stage() as game:
        code = (
            "import asyncio, sys; from actorcred import rpc\n"
            "async def main():\n"
            "    client = await rpc.connect(sys.argv[1], 'ann', 's3cret')\n"
            "    print('in', flush=True); await client.wait_closed()\n"
            "asyncio.run(main())"
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, str(game.address), stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"in\n"
        assert await game.count() == 1
        process.send_signal(signal.SIGKILL)
        await game.until(lambda: game.log)
        assert game.log == [("ann", "lost")]
        await process.wait()


@on_loop
async def test_many_guesses_at_once_are_no_way_around_the_penalties() -> None:
    async with stage(free_failures=3, step=30) as game:
        guesses = [
            game.connect(["ann", "ANN"][number % 2], f"guess {number}", mechanism="PLAIN")
            for number in range(50)
        ]
        results = await asyncio.gather(*guesses, return_exceptions=True)
        looked_at = [result for result in results if isinstance(result, UnauthorizedLogin)]
        assert 3 <= len(looked_at) <= 6
        assert all(isinstance(result, LoginDenied) for result in results if result not in looked_at)


@on_loop
async def test_many_good_logins_to_one_account_wait_for_each_other() -> None:
    async with stage(free_failures=2, step=30) as game:
        clients = await asyncio.gather(
            *[
                game.connect(mechanism=["PLAIN", "SCRAM-SHA-256"][number % 2])
                for number in range(40)
            ]
        )
        assert {client.avatar_id for client in clients} == {"ann"}


async def begin_scram(game: Any, password: str) -> tuple[Any, tuple[bytes]]:
    """Start a SCRAM exchange; return the connection, and the next message to send."""
    connection = await game.bare()
    mechanism = CLIENT_MECHANISMS["SCRAM-SHA-256"](Secrets("ann", password))
    told = await connection.request("cred.login", ("SCRAM-SHA-256", mechanism.start(), {}))
    return connection, (mechanism.answer(told["challenge"]),)


@on_loop
async def test_a_client_that_does_not_go_on_keeps_nobody_out() -> None:
    async with stage(free_failures=1, step=30) as game:
        stuck = [await begin_scram(game, "s3cret") for _ in range(3)]
        assert (await game.connect(mechanism="SCRAM-SHA-256")).avatar_id == "ann"
        for connection, _ in stuck:
            connection.abort()


@on_loop
async def test_guesses_that_are_kept_back_and_sent_at_once_are_no_way_around_either() -> None:
    async with stage(free_failures=3, step=30) as game:
        begun = [await begin_scram(game, f"guess {number}") for number in range(30)]
        results = await asyncio.gather(
            *[connection.request("cred.respond", proof) for connection, proof in begun],
            return_exceptions=True,
        )
        codes = Counter(result.code for result in results if isinstance(result, CallError))
        assert codes.total() == 30
        assert 3 <= codes["refused"] <= 6
        assert codes["denied"] == 30 - codes["refused"]
        for connection, _ in begun:
            connection.abort()


@pytest.mark.slow
@on_loop
async def test_two_thousand_clients_at_once_of_which_half_have_a_wrong_password() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 10_000), hard))
    chance = random.Random(7)
    try:
        async with stage("tcp", logins=2000, unauthenticated=5000, step=0) as game:
            right = [chance.random() < 0.5 for _ in range(2000)]
            results = await asyncio.gather(
                *[
                    game.connect(
                        password="s3cret" if good else "wrong", mechanism="PLAIN", timeout=60
                    )
                    for good in right
                ],
                return_exceptions=True,
            )
            assert [not isinstance(result, BaseException) for result in results] == right
            assert {type(result) for result in results if isinstance(result, BaseException)} == {
                UnauthorizedLogin
            }
            assert await game.count() == sum(right)
            await game.until(lambda: len(game.hub.peers) == sum(right))
            assert await game.server.close(30) == sum(right)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@on_loop
async def test_a_server_without_file_descriptors_recovers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "asyncio")
    async with stage() as game:
        before = await game.connect()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        probes = [socket.socket() for _ in range(20)]  # for clients, before they run out
        used = max(probe.fileno() for probe in probes) + 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 3, hard))
        try:
            for probe in probes:
                probe.setblocking(False)
                probe.connect_ex((game.address.host, game.address.port))
            await game.until(lambda: len(game.hub.peers) >= 3)
            assert await before.call("echo", "still served") == "still served"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for probe in probes:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            probe.close()
        after = await game.connect(timeout=20)
        assert await after.call("echo", "again") == "again"


@pytest.mark.parametrize("transport", ["tcp", "websocket", "websocket-json"])
@on_loop
async def test_secrets_reach_no_log_and_no_text(
    transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with stage(transport, passwords_in_clear=True, legacy_mechanisms=LEGACY) as game:
        for mechanism in ("PLAIN", "CRAM-MD5", "SCRAM-SHA-256"):
            client = await game.connect(mechanism=mechanism, reconnect=True)
            texts = [
                repr(client),
                repr(client._secrets),
                repr(game.hub),
                *map(repr, game.hub.peers),
                *map(repr, game.events),
            ]
            assert client._token is not None
            texts.append(caplog.text)
            for text in texts:
                assert "s3cret" not in text
                assert base64.b64encode(b"\0ann\0s3cret").decode() not in text
                assert client._token not in text
            with pytest.raises(LoginFailed) as refused:
                await game.connect(mechanism=mechanism, password="0ther-passw0rd")
            assert "0ther-passw0rd" not in repr(refused.value) + str(refused.value) + caplog.text
            game.portal.protection._penalties.succeeded("from 127.0.0.1")
            await client.close()
