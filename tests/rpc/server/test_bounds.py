"""The cost of a client is bounded in number, bytes and time, before and after its login.

The bounds also hold within one turn of the loop.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import socket
import struct
from typing import Any

import msgpack
import pytest

from actorcred import (
    CallError,
    LoginDenied,
    OutboxLimit,
    PortalOptions,
    ProtocolError,
    UnauthorizedLogin,
)
from actorcred.mind.outbox import Notification, Offer, Outbox
from actorcred.rpc.protocol.codec import JSON, MSGPACK, weigh
from actorcred.rpc.protocol.connection import Connection
from actorcred.rpc.server.events import ConnectionBroken
from actorcred.rpc.server.guard import Backlog, Stall
from actorcred.sasl.scram import ScramSHA256
from tests.adapters.front import reset
from tests.rpc.stage import WireStage, on_both_loops, on_loop, plain, stage

MB = 1024 * 1024

# -- unread notifications ------------------------------------------------------------------------


def buffered(game: WireStage) -> int:
    """Return the bytes buffered for clients in connections."""
    size = 0
    for peer in game.hub.peers:
        wire: Any = peer.transport
        size += wire._size if hasattr(wire, "_size") else wire._transport.get_write_buffer_size()
        size += sum(map(len, peer._out or ()))
    return size


@pytest.mark.parametrize("transport", ["tcp", "tls", "unix", "websocket", "websocket-json"])
@on_both_loops
async def test_a_handler_that_sends_megabytes_in_one_turn_is_held_to_the_bounds(
    transport: str, tmp_path: Any
) -> None:
    options = PortalOptions(outbox=OutboxLimit(bound=20))
    async with stage(transport, tmp_path, options) as game:
        connection = await game.bare()
        json = transport == "websocket-json"
        await connection.request(
            "cred.login", ("PLAIN", "AGFubgBzM2NyZXQ=" if json else b"\0ann\0s3cret")
        )
        (peer,) = game.hub.peers
        (session,) = await game.portal.sessions("ann")
        for _ in range(1000):
            session.mind.notify("flood", "x" * 10_000)
        # No turn of the loop has passed.
        assert buffered(game) < 10 * MB / 20
        assert len(session.mind.outbox) <= 20
        assert session.mind.outbox.dropped > 300
        assert peer.drained is not None
        assert await connection.request("echo", ("still there",)) == "still there"
        connection.abort()


async def mute(game: WireStage, transport: str) -> socket.socket:
    """Log in over a socket that is never read from then on, and have 10 MB sent to it."""
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await loop.sock_connect(sock, (game.address.host, game.address.port))
    messages = [plain("bob", "hush"), *[msgpack.packb([2, "flood", [1000, 10_000]])] * 20]
    if transport == "websocket":
        await loop.sock_sendall(
            sock,
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: "
            b"actorcred.msgpack\r\n\r\n",
        )
        await loop.sock_recv(sock, 200)
        messages = [b"\x82" + bytes([0x80 | len(data)]) + bytes(4) + data for data in messages]
    for data in messages:
        await loop.sock_sendall(sock, data)
        await asyncio.sleep(0.01)
    return sock


async def all_full(game: WireStage, clients: int) -> bool:
    """Return whether the buffers of all clients are full; send them more if not."""
    for session in await game.portal.sessions("bob"):  # how much the kernel takes differs
        session.mind.notify("flood", "x" * 20_000)
    return len(game.hub.peers) == clients and all(peer.drained for peer in game.hub.peers)


@pytest.mark.parametrize("transport", ["tcp", "websocket"])
@pytest.mark.parametrize("end", ["reset", "stay", "stay and talk"])
@on_both_loops
async def test_a_client_that_stops_reading_is_given_up_with_all_that_was_its(
    transport: str, end: str
) -> None:
    # Longer than it takes on a busy machine until all three have logged in and stopped reading.
    async with stage(transport, grace=0, write_timeout=5.0) as game:
        tasks = len(asyncio.all_tasks())
        socks = await asyncio.gather(*[mute(game, transport) for _ in range(3)])
        await game.until(lambda: all_full(game, 3))
        sessions = await game.portal.sessions("bob")
        assert len(sessions) == 3
        for sock in socks:
            if end == "reset":
                reset(sock)

        async def talk() -> None:
            while True:
                for session in sessions:  # the game continues
                    session.mind.notify("flood", "x" * 20_000)
                if end == "stay and talk":
                    for sock in socks:
                        ping = (
                            b"\x89\x80\0\0\0\0"
                            if transport == "websocket"
                            else msgpack.packb([2, "echo", [1]])
                        )
                        await asyncio.get_running_loop().sock_sendall(sock, ping)
                await asyncio.sleep(0.01)

        talking = asyncio.create_task(talk())
        await game.until(lambda: not game.hub.peers)
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
        await game.until(lambda: len(game.log) == 3)
        await game.until(lambda: len(asyncio.all_tasks()) <= tasks)
        assert game.hub.admission.connections == 0
        if end == "stay":
            assert (
                "has read nothing"
                in [event for event in game.events if isinstance(event, ConnectionBroken)][
                    -1
                ].detail
            )
        for sock in socks:
            sock.close()
        await game.connect("bob", "hush")


@on_loop
async def test_a_slow_reader_that_goes_on_reading_is_kept() -> None:
    async with stage("tcp", grace=0, write_timeout=0.6, write_buffer=10_000) as game:
        sock = await mute(game, "tcp")
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while loop.time() - begun < 2:
            await loop.sock_recv(sock, 65536)
            await asyncio.sleep(0.1)
        assert await game.count() == 1
        sock.close()


def test_a_reader_has_stopped_when_nothing_is_taken_for_long() -> None:
    stall = Stall(10)
    assert not stall.is_over(500, 0.0)
    assert not stall.is_over(500, 9.0)
    assert not stall.is_over(499, 9.5)
    assert not stall.is_over(700, 19.0)
    assert stall.is_over(700, 19.5)
    assert not stall.is_over(0, 20.0)
    assert not stall.is_over(700, 40.0)


# -- calls that wait for an avatar ---------------------------------------------------------------


@on_both_loops
async def test_notifications_to_an_avatar_that_awaits_are_bounded_in_number_and_in_bytes() -> None:
    for size, most in ((1, 2 * 128), (30_000, 40)):
        async with stage("tcp", requests_per_second=None, bytes_per_second=None) as game:
            client = await game.connect()
            for _ in range(1000):
                client.notify("wait", "x" * size)
            assert await client.call("cred.ping")  # all of them were handled
            await game.until(lambda: game.log)
            (session,) = await game.portal.sessions("ann")
            assert session.avatar.actor_inbox.qsize() <= most
            assert game.hub.ignored_notices >= 1000 - most - 1
            game.gate.set()
            await game.until(session.avatar.actor_inbox.empty)
            assert await client.call("wait", 1) == "through"
            (peer,) = game.hub.peers
            assert peer.channel is not None
            assert not peer.channel.backlog.full
            assert weigh([]) == 0


@on_both_loops
async def test_calls_that_wait_are_bounded_in_bytes_and_the_client_is_told() -> None:
    async with stage("tcp", requests_per_second=None, backlog_bytes=100_000) as game:
        client = await game.connect()
        calls = [asyncio.ensure_future(client.call("wait", "x" * 30_000)) for _ in range(20)]
        await game.until(lambda: sum(call.done() for call in calls) >= 15)
        game.gate.set()
        results = await asyncio.gather(*calls, return_exceptions=True)
        refused = [result for result in results if isinstance(result, CallError)]
        assert {error.code for error in refused} == {"too-many-requests"}
        assert results.count("through") == 4  # one running, three waiting
        assert await client.call("wait") == "through"


@on_both_loops
async def test_coming_back_does_not_empty_the_measure_of_what_waits() -> None:
    async with stage("tcp", requests_per_second=None, backlog_bytes=100_000) as game:
        connection = await game.bare()
        token = (await connection.request("cred.login", ("PLAIN", b"\0ann\0s3cret")))["token"]
        (session,) = await game.portal.sessions("ann")
        for _ in range(5):
            for _ in range(10):
                connection.send(msgpack.packb([2, "wait", ["x" * 30_000]]))
            await connection.request("cred.ping", ())
            connection.abort()
            connection = await game.bare()
            token = (await connection.request("cred.resume", (token, 1)))["token"]
        assert session.avatar.actor_inbox.qsize() <= 4
        game.gate.set()
        connection.abort()


@on_both_loops
async def test_a_notification_that_fails_after_it_waited_is_still_the_avatars_failure() -> None:
    async with stage("tcp") as game:
        client = await game.connect()
        client.notify("wait")
        client.notify("fail", "secretly")
        await game.until(lambda: game.log)
        game.gate.set()
        assert (await client.wait_closed()).code == "crashed"


def test_one_may_always_wait_and_more_only_while_there_is_room() -> None:
    backlog = Backlog(3, 100)
    assert backlog.enter(1000)
    assert backlog.full
    assert not backlog.enter(1)
    backlog.leave(1000)
    assert [backlog.enter(40), backlog.enter(40), backlog.enter(40), backlog.enter(20)] == [
        True,
        True,
        False,
        True,
    ]
    backlog.leave(40)
    assert [backlog.enter(1), backlog.enter(1)] == [True, False]


def test_what_takes_more_memory_than_bytes_weighs_more() -> None:
    assert weigh(["x" * 1000]) >= 1000
    assert weigh([[[], []], {"a": []}]) > 400
    assert weigh([1, 2.5, None, b"abc"]) >= 100


# -- an outbox -----------------------------------------------------------------------------------


def note(name: str, key: Any = None) -> Notification:
    return Notification(name, (), key)


@pytest.mark.parametrize(
    ("overflow", "offers", "kept"),
    [
        ("drop oldest", [Offer.WAKE, Offer.QUEUED, Offer.QUEUED, Offer.QUEUED], ["d"]),
        ("drop newest", [Offer.WAKE, Offer.QUEUED, Offer.DROPPED, Offer.DROPPED], ["a", "b"]),
        ("end session", [Offer.WAKE, Offer.QUEUED, Offer.OVERFLOW, Offer.OVERFLOW], ["a", "b"]),
    ],
)
def test_an_outbox_has_a_bound_in_bytes(
    overflow: Any, offers: list[Offer], kept: list[str]
) -> None:
    outbox = Outbox(OutboxLimit(10, overflow, size=100))
    assert [
        outbox.offer(note("a"), 50),
        outbox.offer(note("b"), 50),
        outbox.offer(note("c"), 1),
        outbox.offer(note("d"), 500),
    ] == offers
    assert [item.name for item in outbox.close()] == kept  # type: ignore[attr-defined]


def test_a_keyed_item_weighs_what_the_latest_does() -> None:
    outbox = Outbox(OutboxLimit(10, size=100))
    for size in (90, 5, 95, 1):
        outbox.offer(note("place", key=1), size)
    outbox.offer(note("b"), 99)
    assert outbox.dropped == 0
    outbox.offer(note("place", key=1), 2)
    assert [outbox.take().name, outbox.take(), outbox.dropped] == ["b", None, 1]  # type: ignore[union-attr]


def test_a_bound_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        OutboxLimit(size=0)


@on_loop
async def test_the_clients_outbox_is_bounded_by_what_its_notifications_take_on_the_wire() -> None:
    options = PortalOptions(outbox=OutboxLimit(bound=1000, size=200_000))
    async with stage("tcp", None, options, write_buffer=10_000, grace=0) as game:
        sock = await mute(game, "tcp")
        (session,) = await game.portal.sessions("bob")
        await game.until(lambda: session.mind.outbox.dropped > 500)
        assert len(session.mind.outbox) <= 20
        sock.close()


# -- before the login ----------------------------------------------------------------------------


def packed_map(keys: list[bytes]) -> bytes:
    return (
        b"\x94\x00\x01\xa1x\x91\xde"
        + struct.pack(">H", len(keys))
        + b"".join(key + b"\xc0" for key in keys)
    )


def colliding_floats() -> list[bytes]:
    numbers = [1.5 * 2.0 ** (61 * power) for power in range(-16, 16)]
    return [
        b"\x93" + b"".join(b"\xcb" + struct.pack(">d", number) for number in key)
        for key in itertools.islice(itertools.product(numbers, repeat=3), 2250)
    ]


def colliding_integers() -> list[bytes]:
    """Arrays of -1 and -2, which have the same hash."""
    return [b"\xdc\x00\x0b" + bytes(key) for key in itertools.product((0xFF, 0xFE), repeat=11)]


@pytest.mark.parametrize("make", [colliding_floats, colliding_integers])
@pytest.mark.parametrize("stream", [False, True])
def test_maps_of_keys_that_collide_are_refused_before_they_are_built(
    make: Any, stream: bool
) -> None:
    def fail(data: Any) -> Any:
        raise AssertionError("it was built")

    for some in (make(), make()[:256], make()[:50]):
        frame = packed_map(some)
        connection = Connection(dataclasses.replace(MSGPACK, decode=fail))
        with pytest.raises(ProtocolError):
            if stream:
                connection.receive(frame[:300])
            connection.receive(frame[300:] if stream else frame)


def test_the_few_keys_that_a_short_message_has_are_refused_too() -> None:
    with pytest.raises(ProtocolError, match="key of a map"):
        Connection().receive(packed_map(colliding_integers()[:3]))


@pytest.mark.parametrize(
    "key", [b"\xa1a", b"\xc4\x01a", b"\x05", b"\xcb" + struct.pack(">d", 2.5), b"\xc3", b"\xc0"]
)
@pytest.mark.parametrize("padding", [0, 1000])
def test_other_keys_are_taken(key: bytes, padding: int) -> None:
    frame = b"\x94\x00\x01\xa1x\x92\x81" + key + b"\x07" + msgpack.packb("x" * padding)
    (request,) = Connection().receive(frame)
    assert list(request.params[0].values()) == [7]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "frame",
    [b'[0, 1, "x", [{"a": 1e400}]]', b'[0, 1, "x", [' + b"9" * 60_000 + b"]]", b"[" * 60_000],
)
def test_json_that_is_out_of_all_measure_is_refused(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        Connection(JSON, framed=True).receive(frame)


@pytest.mark.parametrize("name", ["王" * 257, "王" * 2000, "a" * 2000, "a" * 8000])
def test_a_name_that_is_too_long_is_refused_before_it_is_prepared(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> Any:
        raise AssertionError("it was looked at")

    monkeypatch.setattr("actorcred.sasl.scram.prepare_username", fail)
    with pytest.raises((UnauthorizedLogin, ProtocolError)):
        ScramSHA256(f"n,,n={name},r=abcdef")


@on_loop
async def test_what_a_penalised_source_says_at_length_is_not_even_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with stage(free_failures=1, step=30, limit_loopback=True) as game:
        for _ in range(2):
            with pytest.raises(UnauthorizedLogin):
                await game.connect("ann", "wrong", mechanism="PLAIN")

        def fail(*args: Any) -> Any:
            raise AssertionError("it was read")

        monkeypatch.setattr("actorcred.rpc.server.dialogue.Dialogue._decoded", fail)
        with pytest.raises(LoginDenied):
            await game.connect("bob", "王" * 5000, mechanism="PLAIN")


@on_loop
async def test_beginning_again_and_again_is_no_way_around_the_penalties() -> None:
    async with stage(free_failures=3, step=30, limit_loopback=True) as game:
        connection = await game.bare()
        first = b"n,,n=ann,r=abcdefghijklmnop"
        for _ in range(4):
            assert "challenge" in await connection.request("cred.login", ("SCRAM-SHA-256", first))
        with pytest.raises(CallError, match="denied"):
            await connection.request("cred.login", ("SCRAM-SHA-256", first))
        connection.abort()


@on_loop
async def test_arguments_that_cannot_be_made_are_the_callers_mistake() -> None:
    from actorcred.methods import Method

    def collect(self: Any, values: set) -> None: ...  # type: ignore[type-arg]

    for codec_values in ([[[1, 2]]], [[{}]]):
        with pytest.raises(CallError) as error:
            Method("collect", collect).arguments(codec_values, JSON.convert)
        assert error.value.code == "bad-arguments"
