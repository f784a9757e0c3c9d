"""The contract of the protocol, over each transport."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from actorcred import (
    CallError,
    ConnectionLost,
    LoginFailed,
    NoInterface,
    PortalOptions,
    UnauthorizedLogin,
)
from actorcred.portal.events import LoggedOut, LoginRefused
from actorcred.sasl.mechanisms import LEGACY
from tests.rpc.stage import TRANSPORTS, Recorder, on_loop, stage


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@on_loop
async def test_a_login_says_who_and_what_one_is(transport: str, tmp_path: Path) -> None:
    async with stage(transport, tmp_path) as game:
        client = await game.connect()
        assert (client.avatar_id, client.interface) == ("ann", "Player")
        assert client.limits["frame"] == 65536
        session = await game.portal.session(client.session)
        assert session.avatar_id == "ann"
        await client.close()
        assert await game.count() == 0


@on_loop
async def test_each_mechanism_lets_the_right_one_in_and_keeps_the_wrong_one_out(
    transport: str, tmp_path: Path
) -> None:
    async with stage(transport, tmp_path, legacy_mechanisms=LEGACY) as game:
        for mechanism in ("PLAIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", None):
            async with await game.connect(mechanism=mechanism) as client:
                assert client.avatar_id == "ann"
            for username, password in (("ann", "wrong"), ("nobody", "s3cret")):
                with pytest.raises(UnauthorizedLogin) as refused:
                    await game.connect(username, password, mechanism=mechanism)
                assert str(refused.value) == "login refused"
            game.portal.protection._penalties.succeeded("as ann")
            game.portal.protection._penalties.succeeded("from 127.0.0.1")
        guest = await game.connect("", None)
        assert guest.avatar_id is None
        await guest.close()


@on_loop
async def test_a_client_gets_the_interface_that_it_asks_for(transport: str, tmp_path: Path) -> None:
    async with stage(transport, tmp_path) as game:
        spectator = await game.connect(interface="Spectator")
        assert await spectator.call("watch") == "seen"
        with pytest.raises(CallError) as error:
            await spectator.call("move", 1, 1)
        assert error.value.code == "unknown-method"
        dearest = await game.connect(interface=["Unwanted", "Spectator"])
        assert dearest.interface == "Spectator"
        with pytest.raises(NoInterface):
            await game.connect(interface="Unwanted")


@on_loop
async def test_calls_are_answered_and_notifications_come_in_order(
    transport: str, tmp_path: Path
) -> None:
    async with stage(transport, tmp_path) as game:
        heard = Recorder()
        client = await game.connect(handler=heard)
        assert await client.call("move", 1, 2.5) == [1.0, 2.5]
        assert await client.call("move", 1) == [2.0, 2.5]
        assert await client.call("goto", {"x": 1, "y": 2}, {"x": 3, "y": 4}) == {"x": 3.0, "y": 4.0}
        answers = await asyncio.gather(
            *[client.call("echo", {"n": [number, "ü", None]}) for number in range(100)]
        )
        assert answers == [{"n": [number, "ü", None]} for number in range(100)]
        client.notify("tell", 50)
        await heard.until(lambda events: ("tick", 49) in events)
        assert heard.heard == [("welcome", "ann"), *[("tick", number) for number in range(50)]]


@on_loop
async def test_answers_may_come_in_any_order(transport: str, tmp_path: Path) -> None:
    async with stage(transport, tmp_path) as game:
        client = await game.connect()
        slow = asyncio.ensure_future(client.call("later"))
        await game.until(lambda: game.waiting)
        assert await client.call("echo", "fast") == "fast"
        game.waiting[0].set("slow")
        assert await slow == "slow"


@on_loop
async def test_the_server_can_ask_the_client(transport: str, tmp_path: Path) -> None:
    async with stage(transport, tmp_path) as game:
        client = await game.connect(handler=Recorder())
        assert await client.call("ask_client", "times seven") == 42
        with pytest.raises(CallError) as error:
            await client.call("ask_client", "sulk")
        assert (error.value.code, error.value.message) == ("sulking", "no!")


@pytest.mark.parametrize(
    ("method", "args", "code"),
    [
        ("move", (), "bad-arguments"),
        ("move", (1, 2, 3), "bad-arguments"),
        ("move", ("one",), "bad-arguments"),
        ("move", ([1],), "bad-arguments"),
        ("goto", ({"x": 1},), "bad-arguments"),
        ("goto", ({"x": 1, "y": 2}, 7), "bad-arguments"),
        ("_private", (), "unknown-method"),
        ("helper", (), "unknown-method"),
        ("on_login", (), "unknown-method"),
        ("stop", (), "unknown-method"),
        ("secret", (), "unknown-method"),
        ("mind", (), "unknown-method"),
        ("__class__", (), "unknown-method"),
        ("move.__call__", (), "unknown-method"),
        ("watch", (), "unknown-method"),
        ("cred.nothing", (), "unknown-method"),
        ("cred.login", ("PLAIN",), "out-of-order"),
        ("cred.resume", ("a token", 0), "out-of-order"),
        ("cred.respond", (b"x",), "out-of-order"),
        ("cred.ping", ("x",), "bad-arguments"),
        ("sell_all", (), "reauthenticate"),
    ],
)
@on_loop
async def test_what_cannot_be_called_is_refused_and_harms_nothing(
    transport: str, tmp_path: Path, method: str, args: Any, code: str
) -> None:
    async with stage(transport, tmp_path) as game:
        client = await game.connect()
        with pytest.raises(CallError) as error:
            await client.call(method, *args)
        assert error.value.code == code
        assert await client.call("move", 1, 1) == [1.0, 1.0]


@on_loop
async def test_errors_tell_the_client_only_what_is_meant_for_it(
    transport: str, tmp_path: Path
) -> None:
    async with stage(transport, tmp_path) as game:
        client = await game.connect()
        with pytest.raises(CallError) as error:
            await client.call("fail", "politely")
        assert (error.value.code, error.value.message, error.value.retry_after) == (
            "locked",
            "the door is locked",
            3,
        )
        for how in ("secretly", "unencodable"):
            with pytest.raises(CallError) as error:
                await client.call("fail", how)
            assert (error.value.code, error.value.message) == ("internal", "internal error")


@on_loop
async def test_nothing_can_be_called_before_the_login(transport: str, tmp_path: Path) -> None:
    async with stage(transport, tmp_path) as game:
        line = await game.bare()
        for method, args in (
            ("move", (1, 1)),
            ("cred.sessions", ()),
            ("cred.end", ("x",)),
            ("cred.logout", ()),
        ):
            with pytest.raises(CallError) as error:
                await line.request(method, args)
            assert error.value.code == "not-logged-in"
        line.abort()


@on_loop
async def test_a_client_may_begin_anew_after_a_login_that_came_to_nothing(
    transport: str, tmp_path: Path
) -> None:
    async with stage(transport, tmp_path, legacy_mechanisms=LEGACY) as game:
        line = await game.bare()
        assert "challenge" in await line.request("cred.login", ("CRAM-MD5",))
        assert "challenge" in await line.request(
            "cred.login", ("SCRAM-SHA-256", b"n,,n=ann,r=abcdefghijklmnopqrstuvwxyz")
        )
        for method, args, code in (
            ("cred.login", ("PLAIN", 7), "bad-arguments"),
            ("cred.login", ("PLAIN", b"rubbish"), "bad-arguments"),
            ("cred.login", ("MAGIC", b""), "bad-arguments"),
            ("cred.respond", (b"x",), "out-of-order"),
            ("cred.login", ("PLAIN", b"\0ann\0wrong"), "refused"),
        ):
            with pytest.raises(CallError) as error:
                await line.request(method, args)
            assert error.value.code == code
        assert (await line.request("cred.login", ("PLAIN", b"\0ann\0s3cret", {"resume": False})))[
            "avatar_id"
        ] == "ann"
        line.abort()
        await game.until(lambda: game.log)


@on_loop
async def test_a_notification_for_no_method_is_counted_and_ends_nothing(
    transport: str, tmp_path: Path
) -> None:
    async with stage(transport, tmp_path) as game:
        client = await game.connect()
        before = game.hub.ignored_notices
        client.notify("nothing", 1)
        client.notify("move", "wrong")
        client.notify("_private")
        assert await client.call("move", 1, 1) == [1.0, 1.0]
        assert game.hub.ignored_notices == before + 3


@on_loop
async def test_a_kick_says_goodbye_with_its_reason(transport: str, tmp_path: Path) -> None:
    async with stage(transport, tmp_path) as game:
        client = await game.connect()
        assert await game.portal.kick(avatar_id="ann", reason="be nice\ud83d \ud83d\ude42") == 1
        goodbye = await client.wait_closed()
        assert (goodbye.code, str(goodbye)) == ("kicked", "be nice\ufffd 🙂")
        with pytest.raises(ConnectionLost):
            await client.call("move", 1, 1)
        assert game.log == [("ann", "kicked: be nice\ufffd 🙂")]


@on_loop
async def test_the_end_of_the_server_says_when_to_come_back(transport: str, tmp_path: Path) -> None:
    async with stage(transport, tmp_path) as game:
        clients = [await game.connect() for _ in range(3)]
        assert await game.server.close() == 3
        goodbyes = [await client.wait_closed() for client in clients]
        assert {(goodbye.code, goodbye.retry_after) for goodbye in goodbyes} == {("drained", 5.0)}
        assert game.log == [("ann", "drained")] * 3


@on_loop
async def test_a_crash_of_an_avatar_ends_its_session_and_no_other(
    transport: str, tmp_path: Path
) -> None:
    async with stage(transport, tmp_path) as game:
        ann, bob = await game.connect(), await game.connect("bob", "hush")
        await ann.call("fail", "badly")
        assert (await ann.wait_closed()).code == "crashed"
        assert await bob.call("move", 1) == [1.0, 0.0]


@on_loop
async def test_a_client_that_vanishes_without_resuming_is_lost_at_once(
    transport: str, tmp_path: Path
) -> None:
    async with stage(transport, tmp_path) as game:
        client = await game.connect()
        client._line._wire.abort()
        await game.until(lambda: any(isinstance(event, LoggedOut) for event in game.events))
        assert game.log == [("ann", "lost")]


@on_loop
async def test_users_see_and_end_their_own_sessions_only(transport: str, tmp_path: Path) -> None:
    async with stage(transport, tmp_path) as game:
        here = await game.connect(client=("test", "1"))
        there = await game.connect()
        bob = await game.connect("bob", "hush")
        sessions = {session["session"]: session for session in await here.sessions()}
        assert set(sessions) == {here.session, there.session}
        mine = sessions[here.session]
        assert mine["current"]
        assert mine["client"] == "test 1"
        assert (mine["protocol"], mine["transport"]) == ("rpc", transport.replace("-json", ""))
        assert sessions[there.session]["current"] is False
        with pytest.raises(CallError) as error:
            await here.end_session(there.session)
        assert error.value.code == "reauthenticate"
        with pytest.raises(UnauthorizedLogin):
            await here.reauthenticate("wrong")
        await here.reauthenticate("s3cret")
        assert await here.call("sell_all") == "sold"
        assert not await here.end_session(bob.session)
        assert await here.end_session(there.session)
        assert (await there.wait_closed()).code == "kicked"
        assert await bob.call("move", 1)


@on_loop
async def test_nobody_reauthenticates_as_somebody_else(transport: str, tmp_path: Path) -> None:
    async with stage(transport, tmp_path) as game:
        client = await game.connect()
        client._secrets = type(client._secrets)("bob", "hush")
        with pytest.raises(UnauthorizedLogin):
            await client.reauthenticate()
        with pytest.raises(CallError):
            await client.call("sell_all")


@on_loop
async def test_nobody_acts_as_somebody_else_unless_a_policy_allows_it(
    transport: str, tmp_path: Path
) -> None:
    policy = PortalOptions(may_act_as=lambda proven, wanted: (proven, wanted) == ("ann", "carol"))
    async with stage(transport, tmp_path, policy) as game:
        for name, allowed in (("carol", True), ("ann", True), ("bob", False)):
            if allowed:
                async with await game.connect(authorize_as=name) as client:
                    assert client.avatar_id == name
            else:
                with pytest.raises(LoginFailed):
                    await game.connect(authorize_as=name)
        refused = [event for event in game.events if isinstance(event, LoginRefused)]
        assert "another user" in refused[0].detail
