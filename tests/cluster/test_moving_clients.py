"""A client is told to resume where its session has moved to, and loses nothing by that."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from actorcred import ConnectionLost, LogoutCode, MoveFailed, Session, rpc
from tests.cluster.conftest import until
from tests.cluster.nats_server import NatsServer
from tests.cluster.served import Served, servers, travel
from tests.rpc.stage import WireStage
from tests.rpc.test_other_languages import node


def session_of(served: Served) -> Session:
    """Return the one session of a server."""
    [session] = [one.session for one in served.node.holdings if one.session is not None]
    return session


def on_servers(test: Any, nats: NatsServer, *transports: str, folder: Path | None = None) -> None:
    async def body() -> None:
        async with asyncio.timeout(30), servers(nats, transports, folder) as made:
            await test(*made)

    asyncio.run(body())


@pytest.mark.parametrize("transport", ["tcp", "tls", "websocket", "websocket-json"])
def test_calls_and_notifications_are_neither_lost_nor_doubled(
    nats_server: NatsServer, transport: str
) -> None:
    async def check(a: Served, b: Served) -> None:
        ann = await travel(a.game)
        client, session = ann.client, session_of(a)
        await client.call("tell", 3)
        moving = session.move()
        for number in range(20):
            session.mind.notify("during", number)
        calls = [client.call("move", 1.0) for _ in range(20)]
        assert await moving == b.cluster.node
        assert await ann.back()
        assert await asyncio.gather(*calls) == [[float(n), 0.0] for n in range(1, 21)]
        await client.call("tell", 1, "after")
        heard = [("welcome", "ann"), *[("tick", n) for n in range(3)]]
        heard += [("during", n) for n in range(20)] + [("after", 0)]
        await until(lambda: len(ann.heard.heard) >= len(heard))
        assert ann.heard.heard == heard
        assert client.notifications == len(heard)
        assert client.session == session.id
        assert a.game.log == []

    on_servers(check, nats_server, transport, "tcp")


def test_a_client_that_sends_all_the_time_is_moved_to_and_fro(nats_server: NatsServer) -> None:
    async def check(a: Served, b: Served) -> None:
        ann = await travel(a.game)
        sent, answers = 0, []
        over = False

        async def send() -> None:
            nonlocal sent
            while not over:
                sent += 1
                answers.append(await ann.client.call("move", 1.0))
                await ann.client.call("tell", 1)

        sending = [asyncio.ensure_future(send()) for _ in range(5)]
        for there, back in ((a, b), (b, a)) * 4:
            await session_of(there).move(back.cluster.node)
            assert await ann.back()
        over = True
        await asyncio.gather(*sending)
        assert sorted(place[0] for place in answers) == [float(n) for n in range(1, sent + 1)]
        ticks = [one for one in ann.heard.heard if one[0] == "tick"]
        await until(lambda: len(ann.heard.heard) == sent + 1)
        assert len(ticks) <= sent

    on_servers(check, nats_server, "tcp", "tcp")


def test_notifications_of_a_client_that_wait_follow_its_session(nats_server: NatsServer) -> None:
    async def check(a: Served, b: Served) -> None:
        ann = await travel(a.game)
        session = session_of(a)
        channel: Any = session.mind.channel
        await channel.halt()
        ann.client.notify("move", 3.0)
        ann.client.notify("nonsense")
        early: Any = channel.peer
        await until(lambda: early._early is not None and len(early._early.messages) == 2)
        channel.go_on()
        await until(lambda: early._early is None)
        assert await ann.client.call("move", 1.0) == [4.0, 0.0]
        take = channel.state

        def late() -> Any:
            ann.client.notify("move", 3.0)
            ann.client.notify("nonsense")
            return take()

        type(channel).state, before = late_state(late), type(channel).state
        try:
            await session.move()
        finally:
            type(channel).state = before
        assert await ann.back()
        await until(lambda: session_of(b).avatar.actor_inbox.actor is not None)
        place = await ann.client.call("move", 0.0)
        assert place[0] in {4.0, 7.0}

    def late_state(late: Any) -> Any:
        return lambda self: late()

    on_servers(check, nats_server, "tcp", "tcp")


def test_a_session_that_stays_sends_what_it_kept_and_answers_what_it_held(
    nats_server: NatsServer,
) -> None:
    async def check(a: Served, b: Served) -> None:
        ann = await travel(a.game)
        session = session_of(a)
        check, b.node.moves._mover.check = b.node.moves._mover.check, _refuse  # type: ignore[method-assign]
        moving = session.move()
        calls = [ann.client.call("move", 1.0) for _ in range(3)]
        session.mind.notify("during", 1)
        with pytest.raises(MoveFailed, match="as it pleases"):
            await moving
        session.mind.notify("after", 2)
        assert await asyncio.gather(*calls) == [[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]]
        await until(lambda: len(ann.heard.heard) == 3)
        assert ann.heard.heard[1:] == [("during", 1), ("after", 2)]
        b.node.moves._mover.check = check  # type: ignore[method-assign]
        await session.move()
        assert await ann.back()
        assert ann.client.notifications == 3

    on_servers(check, nats_server, "tcp", "tcp")


async def _refuse(arrival: Any) -> None:
    raise MoveFailed("as it pleases")


def test_what_comes_for_a_session_after_it_was_packed_comes_if_it_stays(
    nats_server: NatsServer,
) -> None:
    async def check(a: Served, b: Served) -> None:
        ann = await travel(a.game)
        session = session_of(a)

        async def late(arrival: Any) -> None:
            session.mind.notify("late", 1)
            with pytest.raises(Exception, match="moves to another"):
                await session.mind.call("question")
            await _refuse(arrival)

        b.node.moves._mover.check = late  # type: ignore[method-assign]
        with pytest.raises(MoveFailed):
            await session.move()
        await until(lambda: ("late", 1) in ann.heard.heard)

    on_servers(check, nats_server, "tcp", "tcp")


def test_what_comes_for_a_session_after_it_was_packed_follows_it(nats_server: NatsServer) -> None:
    async def check(a: Served, b: Served) -> None:
        ann = await travel(a.game)
        session = session_of(a)
        check = b.node.moves._mover.check

        async def late(arrival: Any) -> None:
            session.mind.notify("late", 1)
            await check(arrival)

        b.node.moves._mover.check = late  # type: ignore[method-assign]
        await session.move()
        assert await ann.back()
        await until(lambda: ("late", 1) in ann.heard.heard)
        assert ann.client.notifications == len(ann.heard.heard) == 2

    on_servers(check, nats_server, "tcp", "tcp")


def test_a_client_that_is_away_or_too_old_keeps_its_session_here(nats_server: NatsServer) -> None:
    async def check(a: Served, b: Served) -> None:
        old = await a.game.connect("bob", "hush", reconnect=False)
        with pytest.raises(MoveFailed, match="cannot continue at another server"):
            await session_of(a).move()
        await old.close()
        await until(lambda: len(a.node.holdings) == 0)
        ann = await travel(a.game)
        session = session_of(a)
        line: Any = ann.client._line
        ann.client._options = rpc.ClientOptions(reconnect=False)
        line._wire.abort()
        channel: Any = session.mind.channel
        await until(lambda: channel.peer is None)
        with pytest.raises(MoveFailed, match="not connected"):
            await session.move()
        assert session.is_open
        session.end()

    on_servers(check, nats_server, "tcp", "tcp")


def test_a_drain_moves_those_who_can_and_tells_the_others_when_to_return(
    nats_server: NatsServer,
) -> None:
    async def check(a: Served, b: Served) -> None:
        old = await a.game.connect("bob", "hush", reconnect=False)
        ann = await travel(a.game)
        ann.client.address = b.game.address
        assert await a.game.server.close(5, move=True) == 2
        gone = await old.wait_closed()
        assert (gone.code, gone.retry_after is not None) == ("drained", True)
        assert await ann.back()
        assert await ann.client.call("move", 1.0) == [1.0, 0.0]
        assert session_of(b).id == ann.client.session
        assert a.pipes == b.pipes == 0

    on_servers(check, nats_server, "tcp", "tcp")


def test_a_client_that_does_not_come_ends_the_session_after_its_grace(
    nats_server: NatsServer,
) -> None:
    async def check(a: Served, b: Served) -> None:
        ann = await travel(a.game)
        ann.client._options = rpc.ClientOptions(reconnect=False)
        await session_of(a).move()
        lost = await ann.client.wait_closed()
        assert lost.code == "moved"
        assert lost.moved is not None
        moved = session_of(b)
        assert await b.game.until(lambda: moved.mind.channel in b.game.hub.lost_channels) is None
        channel: Any = moved.mind.channel
        channel.lost_at -= 1000
        await until(lambda: not moved.is_open)
        assert b.game.log == [("ann", "lost")]

    on_servers(check, nats_server, "tcp", "tcp")


def test_a_session_that_is_kicked_while_it_moves_says_goodbye_where_it_arrives(
    nats_server: NatsServer,
) -> None:
    async def check(a: Served, b: Served) -> None:
        ann = await travel(a.game)
        session = session_of(a)
        check = b.node.moves._mover.check

        async def kick(arrival: Any) -> None:
            session.end(LogoutCode.KICKED, "spam")
            await check(arrival)

        b.node.moves._mover.check = kick  # type: ignore[method-assign]
        await session.move()
        await until(lambda: len(b.node.holdings) == 0)
        assert b.game.log == [("ann", "kicked: spam")]
        await ann.client.close()

    on_servers(check, nats_server, "tcp", "tcp")


def test_a_channel_that_is_not_understood_is_refused(nats_server: NatsServer) -> None:
    async def check(a: Served, b: Served) -> None:
        land = b.game.portal.landings["rpc"]
        for odd in ({}, {"errors": "map", "kept": [b"\x93\x00\x01\x02"], "sent": 1}, 7):
            with pytest.raises(MoveFailed, match="not understood"):
                await land(odd)

    on_servers(check, nats_server, "tcp", "tcp")


def test_the_blocking_client_goes_on_elsewhere(nats_server: NatsServer) -> None:
    async def check(a: Served, b: Served) -> None:
        def play(game: WireStage) -> Any:
            options = rpc.ClientOptions(reconnect=True)
            client = rpc.connect_blocking(game.address, "ann", "s3cret", options=options)
            try:
                return [client.call("move", 1.0) for _ in range(40)]
            finally:
                client.close()

        playing = asyncio.get_running_loop().run_in_executor(None, play, a.game)
        await until(lambda: a.node.holdings.sessions == 1)
        assert await session_of(a).move() == b.cluster.node
        assert await playing == [[float(n), 0.0] for n in range(1, 41)]

    on_servers(check, nats_server, "tcp", "tcp")


BROWSER = """
import { connect } from "ACTORCRED";
globalThis.location = { href: "http://127.0.0.1/" };
const heard = [];
const client = await connect("URL", {
  username: "ann", password: "s3cret", storage: null,
  listeners: { welcome: (...a) => heard.push(a), tick: (...a) => heard.push(a) },
});
const complete = new Promise((done) => client.on("reconnected", done));
console.log("in");
await new Promise((done) => process.stdin.once("data", done));
const places = await Promise.all(Array.from({ length: 10 }, () => client.call("move", 1)));
await client.call("tell", 2);
const whole = await complete;
const more = await client.call("move", 1);
console.log(JSON.stringify([places.at(-1), more, whole, heard.length, client.session]));
await client.close();
process.exit(0);
"""


def test_the_browsers_client_goes_on_elsewhere(nats_server: NatsServer, tmp_path: Path) -> None:
    module = Path(rpc.__file__).parent / "browser" / "actorcred.js"
    (tmp_path / "actorcred.mjs").write_text(module.read_text())
    program = node()

    async def check(a: Served, b: Served) -> None:
        address = a.game.address
        url = f"ws://{address.host}:{address.port}/"
        script = tmp_path / "play.mjs"
        script.write_text(BROWSER.replace("ACTORCRED", "./actorcred.mjs").replace("URL", url))
        playing = await asyncio.create_subprocess_exec(
            *program, str(script), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert playing.stdin is not None
        assert playing.stdout is not None
        assert await playing.stdout.readline() == b"in\n"
        session = session_of(a)
        check = b.node.moves._mover.check

        async def late(arrival: Any) -> None:
            playing.stdin.write(b"go\n")  # its calls come while the session moves
            peer: Any = session.mind.channel
            await until(lambda: len(peer.peer._early.messages) >= 10)
            await check(arrival)

        b.node.moves._mover.check = late  # type: ignore[method-assign]
        await session.move()
        said = json.loads(await playing.stdout.readline())
        assert said == [[10.0, 0.0], [11.0, 0.0], True, 3, session.id]
        await playing.wait()

    on_servers(check, nats_server, "websocket-json", "websocket-json")


def test_calls_that_were_carried_out_but_not_answered_fail_as_ever(
    nats_server: NatsServer,
) -> None:
    async def check(a: Served, b: Served) -> None:
        ann = await travel(a.game)
        later = ann.client.call("later")
        await until(lambda: len(a.game.waiting) == 1)
        await session_of(a).move()
        with pytest.raises(ConnectionLost, match="continues at another server"):
            await later
        assert await ann.back()
        assert len(a.game.waiting) + len(b.game.waiting) == 1

    on_servers(check, nats_server, "tcp", "tcp")
