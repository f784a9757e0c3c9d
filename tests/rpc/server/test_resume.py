"""Sessions that outlive their connection."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from actorcred import CallError, UnauthorizedLogin
from actorcred.portal.events import LoggedOut, LoginRefused
from actorcred.rpc.client.client import Client
from actorcred.rpc.server.events import SessionResumed
from actorcred.rpc.server.hub import OVER
from tests.rpc.stage import TRANSPORTS, Recorder, WireStage, on_loop, stage


async def lose(client: Client) -> None:
    """Cut the client's connection."""
    assert client._line._wire is not None
    client._line._wire.abort()


def resumable(game: WireStage, **settings: Any) -> Any:
    return game.connect(reconnect=True, **settings)


def reconnects(client: Client) -> asyncio.Queue[bool]:
    queue: asyncio.Queue[bool] = asyncio.Queue()
    client.on_reconnect = queue.put_nowait
    return queue


@pytest.mark.parametrize("transport", TRANSPORTS)
@on_loop
async def test_a_client_comes_back_and_gets_what_it_missed(transport: str, tmp_path: Path) -> None:
    async with stage(transport, tmp_path) as game:
        heard = Recorder()
        client = await resumable(game, handler=heard)
        back = reconnects(client)
        other = await game.connect("bob", "hush")
        await client.call("move", 5)
        session = client.session
        for number in range(3):
            for peer in game.hub.peers:
                peer.heard -= (
                    1000  # the grace period counts from the loss, not from the last message
                )
            await lose(client)
            await other.call("shout", f"missed {number}")
            assert await back.get()
            await heard.until(lambda events, number=number: ("heard", f"missed {number}") in events)
        assert client.session == session
        assert await client.call("move", 1) == [6.0, 0.0]
        assert heard.named("heard") == [("heard", f"missed {number}") for number in range(3)]
        assert heard.named("welcome") == [("welcome", "ann")]
        assert [event.complete for event in game.events if isinstance(event, SessionResumed)] == [
            True
        ] * 3


@pytest.mark.parametrize(("first", "second"), [("tcp", "websocket-json"), ("websocket", "tcp")])
@on_loop
async def test_a_session_goes_on_by_another_transport(first: str, second: str) -> None:
    async with stage(first) as game:
        heard = Recorder()
        client = await resumable(game, handler=heard)
        back = reconnects(client)
        await client.call("tell", 3)
        client.address = await game.server.listen(
            {"tcp": "tcp:127.0.0.1:0"}.get(second, "ws:127.0.0.1:0")
        )
        client._options = type(client._options)(reconnect=True, json=second.endswith("json"))
        await lose(client)
        game.portal.session(client.session)
        assert await back.get()
        await client.call("tell", 2, "more")
        await heard.until(lambda events: ("more", 1) in events)
        ticks = [event for event in heard.heard if event[0] in {"tick", "more"}]
        assert ticks == [("tick", 0), ("tick", 1), ("tick", 2), ("more", 0), ("more", 1)]
        (mine,) = await client.sessions()
        assert mine["transport"] == second.replace("-json", "")


@on_loop
async def test_who_missed_more_than_was_kept_is_told_to_refresh() -> None:
    async with stage(replay=5) as game:
        heard = Recorder()
        client = await resumable(game, handler=heard)
        back = reconnects(client)
        session = await game.portal.session(client.session)
        await lose(client)
        await game.until(lambda: game.hub.lost_channels)
        for number in range(50):
            session.mind.notify("news", number)
        assert await back.get() is False
        session.mind.notify("after")
        await heard.until(lambda events: ("after",) in events)
        assert heard.named("news") == []
        await lose(client)
        assert await back.get() is True  # from here on both sides agree on the count


@on_loop
async def test_what_is_kept_is_bounded_in_bytes() -> None:
    async with stage(replay=1000, replay_bytes=10_000) as game:
        client = await resumable(game)
        session = await game.portal.session(client.session)
        (link,) = game.hub.channels.values()
        await lose(client)
        await game.until(lambda: game.hub.lost_channels)
        for _ in range(100):
            session.mind.notify("news", "x" * 1000)
        await game.until(lambda: link.sent == 101)
        assert sum(size for _, size in link._kept) <= 10_000


@on_loop
async def test_a_token_is_used_up_by_its_use() -> None:
    async with stage() as game:
        client = await resumable(game)
        token = client._token
        back = reconnects(client)
        await lose(client)
        assert await back.get()
        thief = await game.bare()
        for stolen in (token, "made up"):
            with pytest.raises(CallError) as error:
                await thief.request("cred.resume", (stolen, 0))
            assert error.value.code == "refused"
        thief.abort()


@on_loop
async def test_the_server_keeps_only_the_hash_of_a_token() -> None:
    async with stage() as game:
        client = await resumable(game)
        assert isinstance(client._token, str)
        assert len(client._token) >= 22  # 128 bits at least
        assert all(client._token.encode() not in kept for kept in game.hub.channels)


@on_loop
async def test_a_session_whose_client_does_not_come_back_is_lost_after_the_grace() -> None:
    async with stage(grace=0.05) as game:
        client = await resumable(game)
        client._options = type(client._options)(reconnect=False)
        await lose(client)
        await game.until(lambda: any(isinstance(event, LoggedOut) for event in game.events))
        assert game.log == [("ann", "lost")]


@on_loop
async def test_a_client_that_comes_too_late_logs_in_anew() -> None:
    async with stage() as game:
        client = await resumable(game)
        back = reconnects(client)
        old = client.session
        assert client._line._wire is not None
        client._token = "forgotten"
        await lose(client)
        assert await back.get() is False
        assert client.session != old
        assert await client.call("move", 1) == [1.0, 0.0]
        await game.portal.kick(session_id=old)


@on_loop
async def test_a_kicked_or_replaced_client_does_not_come_back() -> None:
    async with stage() as game:
        client = await resumable(game)
        await game.portal.kick(avatar_id="ann", reason="enough")
        assert (await client.wait_closed()).code == "kicked"
        assert await game.count() == 0


@on_loop
async def test_a_session_that_is_taken_over_says_goodbye_to_its_old_connection() -> None:
    async with stage() as game:
        client = await game.connect(reconnect=True)
        token = client._token
        second = await game.bare()
        await second.request("cred.resume", (token, client.notifications))
        assert (await client.wait_closed()).code == "resumed"
        assert await second.request("echo", ("still here",)) == "still here"
        second.abort()
        await game.portal.kick(everyone=True)


@on_loop
async def test_a_call_in_flight_fails_when_the_connection_is_lost_and_the_next_waits() -> None:
    async with stage() as game:
        client = await resumable(game)
        slow = asyncio.ensure_future(client.call("later"))
        await game.until(lambda: game.waiting)
        await lose(client)
        with pytest.raises(ConnectionError):
            await slow
        assert await client.call("echo", "again") == "again"


@on_loop
async def test_a_wrong_password_after_the_return_ends_the_client() -> None:
    async with stage() as game:
        client = await resumable(game)
        client._token = None
        client._secrets = type(client._secrets)("ann", "changed meanwhile")
        await lose(client)
        assert (await client.wait_closed()).code == "refused"
        await game.portal.kick(everyone=True)


@on_loop
async def test_a_reauthentication_does_not_outlive_its_session() -> None:
    async with stage() as game:
        client = await resumable(game)
        await client.reauthenticate()
        assert await client.call("sell_all") == "sold"
        with pytest.raises(UnauthorizedLogin):
            await client.reauthenticate("wrong")
        assert await client.call("sell_all") == "sold"


@on_loop
async def test_a_client_whose_session_has_ended_is_refused_but_has_guessed_nothing() -> None:
    async with stage() as game:
        client = await resumable(game)
        token = client._token
        await game.portal.kick(everyone=True)
        await game.until(lambda: not game.hub.channels)
        line = await game.bare()
        for one in (token, "made up"):
            with pytest.raises(CallError) as error:
                await line.request("cred.resume", (one, 0))
            assert error.value.code == "refused"
        line.abort()
        refusals = [event for event in game.events if isinstance(event, LoginRefused)]
        assert [event.seen for event in refusals] == [False, True]


@on_loop
async def test_only_so_many_tokens_of_ended_sessions_are_remembered() -> None:
    async with stage() as game:
        for number in range(OVER + 1):
            game.hub.forget_token(b"%d" % number, over=True)
        assert not game.hub.is_over(b"0")
        assert game.hub.is_over(b"1")
        assert game.hub.is_over(b"%d" % OVER)
