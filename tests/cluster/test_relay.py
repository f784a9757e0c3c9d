"""Clients that come back to another node than that of their session."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path
from socket import SO_RCVBUF, SO_SNDBUF, SOL_SOCKET
from types import SimpleNamespace
from typing import Any

import msgpack
import pytest

from actorcred import rpc
from actorcred.cluster.messages import Count
from actorcred.errors import CallError, ConnectionLost, RefusalCause, UnauthorizedLogin
from actorcred.portal.events import LoginRefused
from actorcred.rpc.protocol.goodbye import GoodbyeCode
from actorcred.rpc.server.connection import ServerConnection
from actorcred.rpc.server.events import ConnectionBroken, SessionResumed
from actorcred.rpc.server.relay import SERVICE, Relay
from actorcred.sessions.routing import NoRoute, node_of
from tests.cluster.conftest import until
from tests.cluster.nats_server import NatsServer
from tests.cluster.served import servers, travel
from tests.rpc.stage import TRANSPORTS, WireStage, on_loop


@pytest.mark.parametrize("transport", TRANSPORTS)
@on_loop
async def test_a_client_resumes_at_another_node(
    nats_server: NatsServer, transport: str, tmp_path: Path
) -> None:
    async with servers(nats_server, (transport, transport), tmp_path) as (a, b):
        ann = await travel(a.game)
        session = ann.client.session
        assert await ann.client.call("move", 5) == [5.0, 0.0]
        assert await ann.go(b.game)
        assert ann.client.session == session
        assert await ann.client.call("move", 1) == [6.0, 0.0]
        await ann.client.call("tell", 3)
        await ann.heard.until(lambda events: ("tick", 2) in events)
        assert ann.heard.named("tick") == [("tick", 0), ("tick", 1), ("tick", 2)]
        assert await ann.client.call("ask_client", "times seven") == 42
        assert (a.pipes, b.pipes) == (1, 1)
        assert await ann.go(a.game)
        assert await ann.client.call("move", 1) == [7.0, 0.0]
        await until(lambda: (a.pipes, b.pipes) == (0, 0))
        await ann.go(b.game)
        await ann.client.close()
        await until(lambda: (a.pipes, b.pipes) == (0, 0))
        await until(lambda: a.game.log == [("ann", "logout")])


@on_loop
async def test_a_client_may_change_transport_and_node(nats_server: NatsServer) -> None:
    async with servers(nats_server, ("tcp", "websocket-json", "websocket")) as (a, b, c):
        ann = await travel(a.game)
        for number, place in enumerate((b, c, a, c, b)):
            assert await ann.go(place.game)
            assert await ann.client.call("move", 1) == [number + 1.0, 0.0]
        (mine,) = await ann.client.sessions()
        assert mine["transport"] == "websocket"
        assert mine["address"].startswith("127.0.0.1:")
        assert [type(event) for event in a.game.events].count(SessionResumed) == 5


@on_loop
async def test_nothing_is_lost_or_doubled_while_a_client_changes_nodes(
    nats_server: NatsServer,
) -> None:
    rnd = random.Random(16)
    kept = {"replay": 1_000_000, "replay_bytes": 100_000_000}
    async with servers(nats_server, ("tcp", "websocket", "tcp"), **kept) as nodes:
        ann = await travel(nodes[0].game)
        session: Any = await nodes[0].game.portal.session(ann.client.session)
        numbers = iter(range(10_000_000))
        done = asyncio.Event()

        async def notify() -> None:
            while not done.is_set():
                session.mind.notify("news", next(numbers))
                await asyncio.sleep(0.0001)

        telling = asyncio.create_task(notify())
        for _ in range(12):
            await ann.go(rnd.choice(nodes).game)
            calls = [ann.client.call("echo", number) for number in range(20)]
            assert await asyncio.gather(*calls) == list(range(20))
        done.set()
        await telling
        last = next(numbers)
        session.mind.notify("news", last)
        await ann.heard.until(lambda events: ("news", last) in events)
        assert ann.heard.named("news") == [("news", number) for number in range(last + 1)]
        assert ann.client.notifications == last + 2  # and the welcome


@on_loop
async def test_large_messages_and_slow_readers_are_held_back(nats_server: NatsServer) -> None:
    async with servers(nats_server, write_buffer=10_000) as (a, b):
        ann = await travel(a.game)
        await ann.go(b.game)
        text = "x" * 32_000
        assert await ann.client.call("echo", text) == text
        assert ann.client._line is not None
        reading = ann.client._line._wire._transport  # type: ignore[attr-defined]
        reading.pause_reading()
        (peer,), (own,) = b.game.hub.peers, a.game.hub.peers
        for end, option in ((reading, SO_RCVBUF), (peer.transport._transport, SO_SNDBUF)):
            end.get_extra_info("socket").setsockopt(SOL_SOCKET, option, 10_000)
        (session,) = await a.game.portal.sessions("ann")
        session.avatar.proxy().flood(20, 40_000)
        await until(lambda: own.drained is not None)
        for _ in range(100):  # what can be sent is sent meanwhile
            await b.node.ask(a.cluster.node, Count())
        sent = next(iter(a.game.hub.channels.values())).sent
        assert sent < 20
        assert own.transport.waiting() > 0
        reading.resume_reading()
        await ann.heard.until(lambda events: len([e for e in events if e[0] == "flood"]) == 20)
        assert [event[1] for event in ann.heard.named("flood")] == list(range(20))
        assert await ann.client.call("move", 1) == [1.0, 0.0]


@pytest.mark.parametrize(("transport", "pause"), [("tcp", "_held"), ("websocket", "_resting")])
@on_loop
async def test_a_client_is_not_read_from_faster_than_its_node_takes(
    nats_server: NatsServer, transport: str, pause: str
) -> None:
    async with servers(nats_server, ("tcp", transport), write_buffer=1_000) as (a, b):
        ann = await travel(a.game)
        await ann.go(b.game)
        (peer,) = b.game.hub.peers
        (own,) = a.game.hub.peers
        own.transport.hold(60.0)  # as if it sent more than it may
        for _ in range(30):
            ann.client.notify("echo", "x" * 10_000)
        await until(lambda: getattr(peer.transport, pause) is not None)
        assert peer.relay._pipe.waiting > 1_000
        own.transport.go_on()
        await until(lambda: getattr(peer.transport, pause) is None)
        assert await ann.client.call("move", 1) == [1.0, 0.0]


@pytest.mark.parametrize("transport", ["websocket", "tcp"])
@on_loop
async def test_a_node_that_takes_nothing_is_given_up(
    nats_server: NatsServer, transport: str
) -> None:
    async with servers(nats_server, ("tcp", transport), write_buffer=1_000, write_timeout=0.5) as (
        a,
        b,
    ):
        ann = await travel(a.game)
        await ann.go(b.game)
        (own,) = a.game.hub.peers
        own.transport.hold(60.0)
        for _ in range(10):
            ann.client.notify("echo", "x" * 10_000)
        assert await ann.back()
        assert await ann.client.call("move", 1) == [1.0, 0.0]
        broken = [event for event in b.game.events if isinstance(event, ConnectionBroken)]
        assert broken[0].detail == "the server that has the session takes nothing"


# -- what may be sent along ----------------------------------------------------------------------


def request(number: int, method: str, *params: Any) -> bytes:
    return msgpack.packb([0, number, method, params])  # type: ignore[no-any-return]


async def answers(reader: asyncio.StreamReader, count: int) -> list[Any]:
    """Return messages of the server."""
    unpacker, found = msgpack.Unpacker(), []
    while len(found) < count:
        data = await asyncio.wait_for(reader.read(65536), 10)
        assert data, f"the connection was closed after {found}"
        unpacker.feed(data)
        found += list(unpacker)
    return found


@on_loop
async def test_calls_sent_right_after_the_request_are_executed_in_order(
    nats_server: NatsServer,
) -> None:
    async with servers(nats_server) as (a, b):
        ann = await travel(a.game)
        token = ann.client._token
        reader, writer = await b.game.raw()
        calls = [request(number, "move", 1) for number in range(2, 5)]
        notice = msgpack.packb([2, "move", [10]])
        data = b"".join((request(1, "cred.resume", token, 1), *calls, notice))
        early = request(5, "cred.resume", token, 1) + request(6, "cred.login", "ANONYMOUS")
        late = request(7, "move", 0.5)
        writer.write(data + early + late[:5])
        await until(lambda: a.pipes and b.pipes)
        writer.write(late[5:] + request(8, "move", 0))
        said = {message[1]: message[2:] for message in await answers(reader, 8)}
        assert said[1][1]["session"] == ann.client.session
        assert [said[number][1][0] for number in (2, 3, 4, 7, 8)] == [1.0, 2.0, 3.0, 13.5, 13.5]
        assert {said[number][0]["code"] for number in (5, 6)} == {"out-of-order"}
        await ann.client.wait_closed()
        assert ann.client._goodbye.code == GoodbyeCode.RESUMED


@on_loop
async def test_a_failed_resume_leaves_the_connection_as_it_was(nats_server: NatsServer) -> None:
    async with servers(nats_server) as (a, b):
        reader, writer = await b.game.raw()
        writer.write(request(1, "cred.resume", f"{a.cluster.node}.guess", 0))
        writer.write(request(2, "move", 1))
        said = {message[1]: message[2:] for message in await answers(reader, 2)}
        assert [said[number][0]["code"] for number in (1, 2)] == ["refused", "not-logged-in"]
        writer.write(request(3, "cred.login", "PLAIN", b"\0ann\0s3cret"))
        answer, *_ = await answers(reader, 1)
        assert answer[3]["avatar_id"] == "ann"
        assert node_of(answer[3]["token"]) == b.cluster.node
        writer.write(request(4, "cred.logout"))


@on_loop
async def test_a_client_that_takes_only_answers_gets_no_goodbye_of_either_node(
    nats_server: NatsServer,
) -> None:
    async with servers(nats_server) as (a, b):
        reader, writer = await a.game.raw()
        login = request(1, "cred.login", "PLAIN", b"\0ann\0s3cret", {"notifications": False})
        writer.write(login)
        (answer,) = await answers(reader, 1)
        writer.close()
        reader, writer = await b.game.raw()
        writer.write(request(1, "cred.resume", answer[3]["token"], 0))
        (answer,) = await answers(reader, 1)
        assert answer[1] == 1
        (peer,) = b.game.hub.peers
        assert peer.answers_only
        b.node.pipes._lose_all()
        assert await reader.read() == b""


@on_loop
async def test_credentials_are_proven_again_over_another_node(nats_server: NatsServer) -> None:
    async with servers(nats_server, ("tls", "tls")) as (a, b):
        ann = await travel(a.game)
        await ann.go(b.game)
        with pytest.raises(CallError) as refused:
            await ann.client.call("sell_all")
        assert refused.value.code == "reauthenticate"
        with pytest.raises(UnauthorizedLogin):
            await ann.client.reauthenticate("wrong")
        await ann.client.reauthenticate()
        assert await ann.client.call("sell_all") == "sold"
        other = await a.game.connect()
        assert await ann.client.end_session(other.session)


@on_loop
async def test_what_breaks_the_protocol_is_told_by_the_node_of_the_session(
    nats_server: NatsServer,
) -> None:
    async with servers(nats_server) as (a, b):
        ann = await travel(a.game)
        await ann.go(b.game)
        assert ann.client._line is not None
        ann.client._line._wire.write(b"\xc1\xc1\xc1")
        lost = await ann.client.wait_closed()
        assert lost.code == GoodbyeCode.PROTOCOL_ERROR
        (event,) = [event for event in a.game.events if isinstance(event, ConnectionBroken)]
        assert event.client.address == "127.0.0.1"


# -- tokens --------------------------------------------------------------------------------------


def refusals(game: WireStage) -> list[LoginRefused]:
    return [event for event in game.events if isinstance(event, LoginRefused)]


async def resume(at: WireStage, token: str) -> CallError:
    line = await at.bare()
    try:
        with pytest.raises(CallError) as refused:
            await line.request("cred.resume", (token, 0))
    finally:
        line.abort()
    return refused.value


@on_loop
async def test_a_token_of_another_node_is_secret_and_used_up_by_its_use(
    nats_server: NatsServer,
) -> None:
    async with servers(nats_server) as (a, b):
        ann = await travel(a.game)
        token = str(ann.client._token)
        assert node_of(token) == a.cluster.node
        assert await ann.go(b.game)
        assert (await resume(b.game, token)).code == "refused"
        assert (await resume(a.game, token)).code == "refused"
        assert (await resume(b.game, token[:-1] + "x")).code == "refused"
        assert [len(refusals(one.game)) for one in (a, b)] == [1, 2]
        assert await ann.client.call("move", 1) == [1.0, 0.0]


@on_loop
async def test_guesses_are_counted_where_they_are_made_but_not_tokens_of_dead_nodes(
    nats_server: NatsServer,
) -> None:
    options: dict[str, Any] = {"limit_loopback": True, "free_failures": 2}
    async with servers(nats_server, **options) as (a, b):
        for node in ("gone-0123456789ab", "*", ">", "a.b", "x" * 1000):
            assert (await resume(b.game, f"{node}.secret")).code == "refused"
        codes = [(await resume(b.game, f"{a.cluster.node}.{n}")).code for n in range(4)]
        assert codes == ["refused", "refused", "refused", "denied"]
        assert (await resume(a.game, f"{a.cluster.node}.guess")).code == "refused"
        for one in (a, b):
            one.game.portal.protection._penalties.succeeded("from 127.0.0.1")


@on_loop
async def test_a_token_of_a_session_that_has_ended_is_no_guess_at_any_node(
    nats_server: NatsServer,
) -> None:
    async with servers(nats_server) as (a, b):
        ann = await a.game.connect(reconnect=True)
        await a.game.portal.kick(everyone=True)
        await a.game.until(lambda: not a.game.hub.channels)
        for one in (a, b):
            assert (await resume(one.game, str(ann._token))).code == "refused"
            assert [refusal.seen for refusal in refusals(one.game)] == [False]


# -- when a node goes ----------------------------------------------------------------------------


@on_loop
async def test_a_client_logs_in_elsewhere_when_the_node_of_its_session_has_died(
    nats_server: NatsServer,
) -> None:
    async with servers(nats_server, ("tcp", "websocket-json"), lease=60.0) as (a, b):
        ann = await travel(a.game)
        session = ann.client.session
        await ann.go(b.game)
        await a.die()

        async def calls() -> None:
            while True:  # NATS itself may learn of it a moment later
                with contextlib.suppress(ConnectionLost):
                    await ann.client.call("move", 1)

        calling = asyncio.create_task(calls())
        assert await ann.back() is False
        calling.cancel()
        assert ann.client.session != session
        assert node_of(str(ann.client._token)) == b.cluster.node
        await until(lambda: (a.pipes, b.pipes) == (0, 0))


@on_loop
async def test_sessions_outlive_a_restart_of_nats(own_server: NatsServer) -> None:
    async with servers(own_server) as (a, b):
        ann = await travel(a.game)
        session = ann.client.session
        await ann.go(b.game)
        assert await ann.client.call("move", 5) == [5.0, 0.0]
        own_server.kill()
        await until(lambda: not a.node.bus.connected and not b.node.bus.connected)
        assert (await resume(b.game, str(ann.client._token))).code == "unavailable"
        own_server.restart()
        assert await ann.back()
        assert ann.client.session == session
        assert await ann.client.call("move", 1) == [6.0, 0.0]


@on_loop
async def test_a_node_without_room_for_pipes_lets_clients_wait(nats_server: NatsServer) -> None:
    async with servers(nats_server) as (a, b):
        ann = await travel(a.game)
        b.node.pipes._most = 0
        coming = asyncio.create_task(ann.go(b.game))
        await until(lambda: refusals(b.game))
        assert refusals(b.game)[0].cause == RefusalCause.UNAVAILABLE
        b.node.pipes._most = 1
        assert await coming
        assert await ann.client.call("move", 1) == [1.0, 0.0]


@on_loop
async def test_a_drain_of_the_node_of_the_connection_leaves_the_session(
    nats_server: NatsServer,
) -> None:
    async with servers(nats_server, ("tcp", "tcp", "tcp")) as (a, b, c):
        ann = await travel(a.game)
        session = ann.client.session
        await ann.go(b.game)
        ann.client.address = c.game.address
        b.game.hub.retry_after = 0.01
        assert await b.game.server.close(5) == 0
        assert await ann.back()
        assert ann.client.session == session
        assert (a.pipes, b.pipes, c.pipes) == (1, 0, 1)


@on_loop
async def test_a_drain_of_the_node_of_the_session_sends_its_clients_away(
    nats_server: NatsServer,
) -> None:
    async with servers(nats_server) as (a, b):
        ann = await travel(a.game)
        await ann.go(b.game)
        a.game.hub.retry_after = 0.01
        assert await a.game.server.close(5) == 1
        assert await ann.back() is False
        assert ann.client._goodbye.code == "drained"
        assert a.game.log == [("ann", "drained")]
        assert node_of(str(ann.client._token)) == b.cluster.node


@on_loop
async def test_the_node_of_a_session_learns_that_the_client_is_lost(
    nats_server: NatsServer,
) -> None:
    async with servers(nats_server, grace=0.2) as (a, b):
        ann = await travel(a.game)
        await ann.go(b.game)
        ann.client._options = rpc.ClientOptions(reconnect=False)
        ann.lose()
        await until(lambda: a.game.log == [("ann", "lost")])


@on_loop
async def test_a_client_that_is_lost_while_it_resumes_leaves_nothing(
    nats_server: NatsServer,
) -> None:
    async with servers(nats_server, lease=60.0) as (a, b):
        ann = await travel(a.game)
        ann.client._options = rpc.ClientOptions(reconnect=False)
        ann.lose()
        line = await b.game.bare()
        a.tap.slow(0.2)
        resuming = line.request("cred.resume", (ann.client._token, 0))
        await until(lambda: b.pipes)
        line.abort()
        with pytest.raises(ConnectionLost):
            await resuming
        await until(lambda: not b.game.hub.peers)
        a.tap.slow(0.0)
        await until(lambda: (a.pipes, b.pipes) == (0, 0))
        await until(lambda: not a.game.hub.peers)


@on_loop
async def test_a_session_that_ends_as_it_is_resumed_says_why(nats_server: NatsServer) -> None:
    async with servers(nats_server) as (a, b):
        ann = await travel(a.game)
        ann.client._options = rpc.ClientOptions(reconnect=False)
        ann.lose()
        session: Any = await a.game.portal.session(ann.client.session)
        moved = session.moved

        def end(client: Any) -> None:
            moved(client)
            session.end(detail="just now")

        session.__class__.moved, kept = lambda _, client: end(client), session.__class__.moved
        try:
            reader, writer = await b.game.raw()
            writer.write(request(1, "cred.resume", ann.client._token, 1))
            said = await answers(reader, 3)
        finally:
            session.__class__.moved = kept
        assert [said[0][1], said[1][1], said[2][1]] == [1, "so long", "cred.goodbye"]
        assert said[2][2][0] == {"code": "logout", "message": "just now"}
        assert await reader.read() == b""


# -- limits --------------------------------------------------------------------------------------


@on_loop
async def test_limits_count_a_client_where_it_arrives(nats_server: NatsServer) -> None:
    async with servers(nats_server) as (a, b):
        ann = await travel(a.game)
        await ann.go(b.game)
        assert (len(b.game.hub.admission), b.game.hub.admission.connections) == (0, 1)
        assert a.game.hub.admission.connections == 0
        (peer,) = b.game.hub.peers
        (own,) = a.game.hub.peers
        assert not peer.make_room()
        assert peer.overdue(peer.heard + 1000) is None
        assert own.overdue(own.heard + 1000)[0] == GoodbyeCode.SILENT
        assert await ann.client.call("cred.ping") is not None
        assert own.heard >= peer.heard


@on_loop
async def test_a_rate_of_the_node_of_the_session_holds(nats_server: NatsServer) -> None:
    async with servers(nats_server, requests_per_second=1.0, request_burst=3) as (a, b):
        ann = await travel(a.game)
        await ann.go(b.game)
        with pytest.raises(CallError) as refused:
            await asyncio.gather(*(ann.client.call("move", 1) for _ in range(10)))
        assert refused.value.code == "too-many-requests"


# -- what other nodes send -----------------------------------------------------------------------


@pytest.mark.parametrize("greeting", [b"", b"\xff", b"junk", msgpack.packb({"token": 1})])
@on_loop
async def test_a_greeting_that_is_not_understood_is_refused(
    nats_server: NatsServer, greeting: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with servers(nats_server) as (a, b):
        end: Any = Relay(SimpleNamespace(hub=b.game.hub), a.cluster.node)  # type: ignore[arg-type]
        outcome = await b.node.pipes.open(a.cluster.node, SERVICE, greeting, end)
        assert outcome is NoRoute.UNKNOWN
        assert "is not understood" in caplog.text


@on_loop
async def test_an_answer_that_is_not_understood_is_no_session(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with servers(nats_server) as (a, b):
        ann = await travel(a.game)
        monkeypatch.setattr("actorcred.rpc.server.relayed.Resumed", lambda *_: {"other": 1})
        assert (await resume(b.game, str(ann.client._token))).code == "unavailable"
        assert "in another way" in caplog.text


@on_loop
async def test_a_router_that_fails_lets_clients_wait(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with servers(nats_server) as (a, b):
        monkeypatch.setattr(type(b.node.pipes), "_ask", lambda *_: 1 / 0)
        assert (await resume(b.game, f"{a.cluster.node}.x")).code == "unavailable"
        assert "could not be resumed" in caplog.text


@on_loop
async def test_a_fault_closes_only_the_connection_that_it_belongs_to(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with servers(nats_server) as (a, b):
        ann = await travel(a.game)
        await ann.go(b.game)
        with monkeypatch.context() as patched:
            patched.setattr(ServerConnection, "_take", lambda *_: 1 / 0)
            ann.client.notify("move", 1)
            await until(lambda: not a.game.hub.peers)
        assert await ann.back()
        assert await ann.client.call("move", 1) == [1.0, 0.0]
