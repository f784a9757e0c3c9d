"""Connections that break while the server sends to all do not affect the others.

The tests run on both event loops.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from typing import Any

import msgpack
import pytest

from actorcred.rpc.server.connection import ServerConnection
from actorcred.rpc.server.listeners import StreamTransport
from actorcred.rpc.server.sockets import SocketTransport
from actorcred.sessions.session import Session
from tests.rpc.stage import Recorder, WireStage, on_both_loops, plain, reset, stage


async def raw_login(
    game: WireStage, username: str = "bob", password: str = "hush"
) -> asyncio.StreamWriter:
    reader, writer = await game.raw()
    writer.write(plain(username, password))
    await reader.readuntil(b"welcome")
    return writer


def peer_of(game: WireStage, session: Session) -> ServerConnection:
    (peer,) = [
        peer
        for peer in game.hub.peers
        if peer.channel is not None and peer.channel.session is session
    ]
    return peer


@on_both_loops
async def test_a_broadcast_reaches_all_others_when_some_connections_are_reset_in_its_middle() -> (
    None
):
    async with stage("tcp", grace=0) as game:
        heard = [Recorder() for _ in range(8)]
        clients = []
        for recorder in heard:  # between the listeners are connections that will break
            clients.append(await game.connect(handler=recorder))
            await raw_login(game)
        broken = [peer_of(game, session) for session in await game.portal.sessions("bob")]
        for number in range(20):
            if number % 2:
                for peer in broken:
                    # As a loop does on a socket error; `connection_lost` is called a turn later.
                    peer.transport._transport.abort()
            await clients[0].call("shout", f"{number}")
        for recorder in heard:
            await recorder.until(lambda events: ("heard", "19") in events)
            assert [text for _, text in recorder.named("heard")] == [
                str(number) for number in range(20)
            ]
        await game.until(lambda: len(game.hub.peers) == len(clients))


@on_both_loops
async def test_clients_that_log_in_and_reset_all_the_time_silence_nobody() -> None:
    async with stage("tcp", grace=0, unauthenticated=10_000) as game:
        heard = [Recorder() for _ in range(5)]
        clients = [await game.connect(handler=recorder) for recorder in heard]

        async def come_and_go() -> None:
            for _ in range(20):
                _, writer = await game.raw()
                writer.write(plain("bob", "hush") + msgpack.packb([0, 2, "tell", [20]]))
                await asyncio.sleep(0)
                reset(writer)

        coming = [asyncio.create_task(come_and_go()) for _ in range(5)]
        for number in range(60):
            await clients[0].call("shout", f"{number}")
        await asyncio.gather(*coming)
        for recorder in heard:
            await recorder.until(lambda events: ("heard", "59") in events)


@on_both_loops
async def test_a_fault_of_one_connection_closes_it_and_is_logged_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.ERROR, "actorcred.rpc")
    async with stage("tcp", grace=0) as game:
        heard = Recorder()
        await raw_login(game)
        client = await game.connect(handler=heard)
        (session,) = await game.portal.sessions("bob")
        bad = peer_of(game, session)

        flush = ServerConnection.flush

        def fail(peer: ServerConnection) -> None:
            if peer is bad:
                raise MemoryError("a fault that nobody foresaw")
            flush(peer)

        monkeypatch.setattr(ServerConnection, "flush", fail)
        await client.call("shout", "one")
        await heard.until(lambda events: ("heard", "one") in events)
        await game.until(lambda: len(game.hub.peers) == 1)
        assert [record.levelname for record in caplog.records].count("ERROR") == 1


@on_both_loops
async def test_a_fault_in_handling_what_a_client_sends_closes_its_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with stage("tcp", grace=0) as game:
        client = await game.connect()
        reader, writer = await game.raw()
        received = ServerConnection.received

        def fail(peer: ServerConnection, data: bytes) -> None:
            if data == b"a fault":
                raise MemoryError("a fault that nobody foresaw")
            received(peer, data)

        monkeypatch.setattr(ServerConnection, "received", fail)
        writer.write(b"a fault")
        assert await reader.read() == b""
        assert await client.call("echo", 1) == 1


@on_both_loops
async def test_a_connection_that_cannot_be_set_up_is_closed_and_gives_up_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with stage("tcp") as game:

        def fail(*_: object) -> None:
            raise MemoryError("a fault that nobody foresaw")

        monkeypatch.setattr(StreamTransport, "begin", fail)
        reader, _ = await game.raw()
        assert await reader.read() == b""
        assert game.hub.admission.connections == 0
        monkeypatch.undo()
        assert (await game.connect()).avatar_id == "ann"


@on_both_loops
async def test_a_connection_that_cannot_be_watched_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with stage("tcp") as game:

        def fail(*_: object) -> None:
            raise OSError(errno.ENOSPC, "no more descriptors can be watched")

        with monkeypatch.context() as patch:
            patch.setattr(SocketTransport, "resume_reading", fail)
            reader, _ = await game.raw()
            assert await reader.read() == b""
        assert not game.hub.peers
        assert game.hub.admission.connections == 0
        assert (await game.connect()).avatar_id == "ann"


@on_both_loops
async def test_the_sweep_goes_on_after_one_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage("tcp", login_timeout=0.2, grace=0.2) as game:
        overdue = ServerConnection.overdue
        failed = []

        def fail(peer: ServerConnection, now: float) -> Any:
            if not failed:
                failed.append(peer)
                raise RuntimeError("a fault that nobody foresaw")
            return overdue(peer, now)

        monkeypatch.setattr(ServerConnection, "overdue", fail)
        streams = [await game.raw() for _ in range(6)]
        async with asyncio.timeout(10):
            for reader, writer in streams:
                await reader.read()
                writer.close()
        assert failed
        client = await game.connect(reconnect=False)
        client._line._wire.abort()  # the grace period still ends
        await game.until(lambda: game.log == [("ann", "lost")])


@on_both_loops
async def test_one_session_that_cannot_be_ended_does_not_end_the_sweep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with stage("tcp", grace=1.0) as game:
        for name in ("bob", "ann"):
            reset(await raw_login(game, name, {"bob": "hush", "ann": "s3cret"}[name]))
        await game.until(lambda: len(game.hub.lost_channels) == 2)
        end = Session.end

        def fail(session: Session, *args: Any) -> Any:
            if session.avatar_id == "bob" and args and args[0] == "lost":
                raise RuntimeError("a fault that nobody foresaw")
            return end(session, *args)

        monkeypatch.setattr(Session, "end", fail)
        await game.until(lambda: ("ann", "lost") in game.log)
        monkeypatch.undo()
        for session in await game.portal.sessions("bob"):
            await session.end()


@on_both_loops
async def test_a_drain_ends_all_though_connections_are_reset_in_its_middle() -> None:
    async with stage("tcp", grace=0) as game:
        clients = [await game.connect() for _ in range(4)]
        writers = [await raw_login(game) for _ in range(4)]
        silent = [await game.raw() for _ in range(3)]
        await game.until(lambda: len(game.hub.peers) == 11)
        for session in await game.portal.sessions("bob"):
            peer_of(game, session).transport._transport.abort()
        for _, writer in silent:
            reset(writer)
        closing = asyncio.create_task(game.server.close(5))
        for writer in writers:
            reset(writer)
        assert await closing >= 4
        assert [(await client.wait_closed()).code for client in clients] == ["drained"] * 4
        assert sorted(game.log)[:4] == [("ann", "drained")] * 4


@on_both_loops
async def test_a_drain_goes_on_after_a_goodbye_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage("tcp", grace=0) as game:
        silent = [await game.raw() for _ in range(3)]
        client = await game.connect()
        await game.until(lambda: len(game.hub.peers) == 4)
        goodbye = ServerConnection.goodbye
        failed = []

        def fail(peer: ServerConnection, *args: Any) -> None:
            if peer.channel is None and not failed:
                failed.append(peer)
                raise RuntimeError("a fault that nobody foresaw")
            goodbye(peer, *args)

        monkeypatch.setattr(ServerConnection, "goodbye", fail)
        assert await game.server.close(5) == 1
        assert (await client.wait_closed()).code == "drained"
        for reader, writer in silent:
            await reader.read()
            writer.close()


@on_both_loops
async def test_a_call_that_fails_in_a_way_that_nobody_foresaw_costs_that_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with stage("tcp") as game:
        client = await game.connect()
        (peer,) = game.hub.peers
        take = Session.demand
        monkeypatch.setattr(Session, "demand", lambda session, within: 1 / 0)
        reply = client.call("sell_all")
        with pytest.raises(Exception, match="internal error"):
            await reply
        client.notify("sell_all")
        monkeypatch.setattr(Session, "demand", take)
        assert await client.call("echo", 1) == 1
        assert peer in game.hub.peers


@on_both_loops
async def test_what_one_codec_cannot_write_does_not_stop_a_client_that_returns_by_the_other() -> (
    None
):
    async with stage("websocket", grace=20) as game:
        first = await game.bare()
        token = (await first.request("cred.login", ("PLAIN", b"\0ann\0s3cret")))["token"]
        (session,) = await game.portal.sessions("ann")
        (peer,) = game.hub.peers
        peer.transport.abort()
        await game.until(lambda: game.hub.lost_channels)
        session.mind.notify("one")
        session.mind.notify("bad", {1.5: "JSON has no such keys"}, {(1, 2): "nor such"})
        session.mind.notify("two")
        await session.mind.actor_inbox.dispatcher.spawn(asyncio.sleep(0))
        other = WireStage.__new__(WireStage)
        other.__dict__.update(game.__dict__, transport="websocket-json")
        connection = await other.bare()
        told = await connection.request("cred.resume", (token, 1))
        assert told["refresh"] is False
        assert await connection.request("echo", ("here",)) == "here"
        (link,) = game.hub.channels.values()
        assert link.sent == 3
        connection.abort()


@on_both_loops
async def test_a_server_that_closes_while_connections_are_made_keeps_none() -> None:
    async with stage("tcp") as game:
        where = (game.address.host, game.address.port)
        sockets = [socket.create_connection(where) for _ in range(100)]
        await game.until(lambda: game.hub.peers)
        await game.server.close(timeout=2)
        assert not game.hub.peers
        for one in sockets:
            one.close()
