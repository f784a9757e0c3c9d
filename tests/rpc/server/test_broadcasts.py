"""A broadcast to many connections is written in slices, which holds up no other client."""

from __future__ import annotations

import asyncio
from typing import Any

import msgpack
import pytest

from actorcred import Group
from actorcred.mind import broadcast
from actorcred.rpc.server import hub as server_hub
from tests.rpc.lines import line
from tests.rpc.server.test_resets import peer_of
from tests.rpc.stage import Recorder, WireStage, on_both_loops, on_loop, stage


@pytest.fixture(autouse=True)
def slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """End each slice at the first look at the clock, after one client or connection."""
    for module in (broadcast, server_hub):
        monkeypatch.setattr(module, "SLICE", -1.0)
        monkeypatch.setattr(module, "CHUNK", 1)
    monkeypatch.setattr(broadcast, "AT_ONCE", 1)


async def peers(game: WireStage, count: int) -> list[Any]:
    """Log in so many clients that are quiet; return the server's ends."""
    for _ in range(count):
        await game.connect()
    found = [peer_of(game, session) for session in await game.portal.sessions("ann")]
    await game.until(lambda: all(peer.channel.sent for peer in found))
    return found


@on_both_loops
async def test_a_call_during_a_broadcast_is_answered_before_the_others_have_got_it() -> None:
    async with stage("tcp") as game:
        found = await peers(game, 10)
        await game.until(lambda: not any(peer._due for peer in found))
        written: list[Any] = []
        for peer in found:

            def write(messages: list[bytes], peer: Any = peer, on: Any = peer.transport) -> None:
                written.append(peer)
                type(on).write(on, messages)

            peer.transport = Spied(peer.transport, write)
        for peer in found:
            peer.channel.session.mind.notify("heard", "x")
        assert not written
        found[-1].received(msgpack.packb([0, 99, "cred.ping", []]))
        assert written == [found[-1]]
        await asyncio.sleep(0)
        assert len(written) < 10  # a slice of the others
        found[-1].channel.session.mind.notify("heard", "y")
        await game.until(lambda: len(written) >= 11)
        assert {*written} == {*found}
        assert not game.hub._dirty


class Spied:
    """A transport whose writes are noted."""

    def __init__(self, transport: Any, write: Any) -> None:
        self._transport = transport
        self.write = write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


@on_both_loops
async def test_all_get_a_broadcast_in_order_and_its_sender_before_the_answer() -> None:
    async with stage("tcp") as game:
        heard = [Recorder() for _ in range(6)]
        for recorder in heard:
            await game.connect(handler=recorder)
        here = await line(game)
        await here.log_in()
        for text in ("one", "two"):
            assert (await here.call("shout", text)).result == 7
            assert here.notices[-1].params == [text]
            assert here.heard[-2] is here.notices[-1]
        for recorder in heard:
            await recorder.until(lambda events: ("heard", "two") in events)
            assert [text for _, text in recorder.named("heard")] == ["one", "two"]
        here.cut()


@on_loop
async def test_a_broadcast_that_waits_for_a_session_moves_with_it() -> None:
    async with stage("tcp") as game:
        found = await peers(game, 5)
        channels, room = [peer.channel for peer in found], Group()
        for channel in channels:
            room.add(channel.session.mind)
            channel.moves = True
            channel._halt()
            channel._state()
        room.notify("heard", "late")
        assert broadcast.under_way
        left = [channel._leave(None) for channel in channels]
        assert [[(one.name, one.args) for one in each.notifications] for each in left] == [
            [("heard", ("late",))]
        ] * 5
        await game.portal.kick(everyone=True)
