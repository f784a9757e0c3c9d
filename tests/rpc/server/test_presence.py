"""Presence and groups as clients of a real server get them."""

from __future__ import annotations

from typing import Any

import pytest

from actorcred.rpc.protocol.codec import Codec
from tests.rpc.stage import Recorder, WireStage, on_both_loops, stage


async def session_of(game: WireStage, name: str) -> Any:
    return (await game.portal.sessions(name))[0]


@pytest.mark.parametrize("transport", ["tcp", "websocket-json"])
@on_both_loops
async def test_a_client_is_told_who_is_online(transport: str) -> None:
    async with stage(transport) as game:
        recorder = Recorder()
        await game.connect("ann", handler=recorder)
        ann = await session_of(game, "ann")
        game.portal.presence.watch(ann.mind, "bob")
        bob = await game.connect("bob", "hush")
        await game.portal.presence.set_status(await session_of(game, "bob"), away=True)
        await recorder.until(lambda heard: ("presence", "bob", True, {"away": True}, None) in heard)
        await bob.close()
        await recorder.until(lambda heard: not heard[-1][2])
        assert recorder.heard[-1][4] > 0


@on_both_loops
async def test_what_many_clients_are_told_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage() as game:
        encoded: list[str] = []
        encode = Codec.encode_notification

        def count(self: Codec, name: str, args: tuple[Any, ...]) -> bytes:
            encoded.append(name)
            return encode(self, name, args)

        monkeypatch.setattr(Codec, "encode_notification", count)
        recorders = [Recorder() for _ in range(3)]
        room = game.portal.group("room")
        for recorder in recorders:
            await game.connect("ann", handler=recorder)
        for session in await game.portal.sessions("ann"):
            game.portal.presence.watch(session.mind, "bob")
            room.add(session.mind)
        await game.connect("bob", "hush")
        room.notify("said", "hello")
        for recorder in recorders:
            await recorder.until(lambda heard: {"said", "presence"} <= {one[0] for one in heard})
            assert recorder.named("said") == [("said", "hello")]
            assert recorder.named("presence") == [("presence", "bob", True, {}, None)]
        assert (encoded.count("presence"), encoded.count("said")) == (1, 1)
