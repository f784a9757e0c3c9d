"""Silent connections do not lock out clients that want to log in."""

from __future__ import annotations

import asyncio

import pytest

from actorcred.rpc.server.events import ConnectionBroken
from actorcred.rpc.server.guard import LOOKED_AT, OLD_ENOUGH, ConnectionLimiter, Place
from tests.rpc.stage import on_both_loops, stage


@pytest.mark.parametrize("transport", ["tcp", "tls", "websocket"])
@on_both_loops
async def test_silent_connections_make_room_for_those_who_log_in(
    transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorcred.rpc.server.guard.OLD_ENOUGH", 0.05)
    async with stage(transport, unauthenticated=8) as game:
        silent = []
        while len(game.hub.admission) < 8:  # above half, chance refuses some
            silent.append(await game.raw())
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.06)
        for _ in range(10):
            client = await game.connect()
            assert await client.call("echo", "in") == "in"
        assert len(game.hub.admission) <= 8
        assert any(
            "make room" in event.detail
            for event in game.events
            if isinstance(event, ConnectionBroken)
        )


@on_both_loops
async def test_who_is_about_to_log_in_makes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorcred.rpc.server.guard.OLD_ENOUGH", 0.0)
    async with stage(unauthenticated=2) as game:
        line = await game.bare()
        answer = await line.request(
            "cred.login", ("SCRAM-SHA-256", b"n,,n=ann,r=abcdefghijklmnopqrstuvwxyz")
        )
        assert "challenge" in answer
        others = [await game.raw() for _ in range(20)]
        assert len(game.hub.admission) <= 2
        assert await line.request("cred.ping", (None,)) is True
        for _, writer in others:
            writer.close()
        line.abort()


def place(admission: ConnectionLimiter, since: float, yields: bool | None) -> Place:
    assert admission.enter("a", 1.0) is None
    made = Place(admission, "a", since)
    if yields is not None:
        made.yields = lambda: yields
    return made


def test_the_oldest_goes_that_has_not_begun_to_log_in() -> None:
    admission = ConnectionLimiter(10, 10)
    place(admission, 0.0, False)
    place(admission, 1.0, None)
    third = place(admission, 2.0, True)
    place(admission, 3.0, True)
    assert admission.make_room(100.0) is third
    assert (len(admission), admission.connections) == (3, 3)
    third.leave()
    assert (len(admission), admission.connections) == (3, 3)


def test_everybody_has_the_time_to_begin() -> None:
    admission = ConnectionLimiter(10, 10)
    place(admission, 5.0, True)
    assert admission.make_room(5.0 + OLD_ENOUGH / 2) is None
    assert admission.make_room(5.0 + OLD_ENOUGH) is not None


def test_who_has_logged_in_or_is_gone_is_not_looked_at() -> None:
    admission = ConnectionLimiter(10, 10)
    place(admission, 0.0, True).recognise()
    place(admission, 0.0, True).leave()
    assert admission.make_room(100.0) is None
    assert not admission.places


def test_not_all_are_looked_at() -> None:
    admission = ConnectionLimiter(1000, 1000)
    for _ in range(LOOKED_AT):
        place(admission, 0.0, False)
    place(admission, 0.0, True)
    assert admission.make_room(100.0) is None
