"""Login options by which a client announces what it supports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actorcred import ClientGone
from actorcred.mind.outbox import OutboxLimit, OutboxOverflow
from actorcred.portal.actor import PortalOptions
from actorcred.sessions.policies import Policy
from tests.rpc.lines import PASSWORD, line
from tests.rpc.stage import TRANSPORTS, Recorder, WireStage, on_loop, stage

REFUSED = {
    "map": {"code": "refused", "message": "login refused"},
    "list": ["refused", "login refused"],
    "text": "refused: login refused",
}
KINDS = {"map": dict, "list": list, "text": str}


async def mind_of(game: WireStage, session: str) -> Any:
    return (await game.portal.session(session)).mind


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", KINDS)
@pytest.mark.parametrize("transport", TRANSPORTS)
@on_loop
async def test_errors_have_the_form_that_the_login_asked_for(
    transport: str, form: str, tmp_path: Path
) -> None:
    async with stage(transport, tmp_path) as game:
        here = await line(game)
        assert (
            await here.call("cred.login", "PLAIN", b"\0ann\0wrong", {"errors": form})
        ).error == REFUSED[form]
        await here.log_in(errors=form, resume=False)
        for method, *params in (
            ("nothing",),
            ("move", "x"),
            ("fail", "politely"),
            ("fail", "secretly"),
            ("cred.nothing",),
        ):
            assert type((await here.call(method, *params)).error) is KINDS[form]
        assert (
            type((await here.call("cred.reauthenticate", "PLAIN", b"\0ann\0wrong")).error)
            is KINDS[form]
        )
        here.cut()


@on_loop
async def test_the_option_of_a_login_is_in_force_from_that_login_to_the_next_one() -> None:
    async with stage() as game:
        here = await line(game)
        assert type((await here.call("move", 1)).error) is dict
        assert type((await here.call("cred.login", "MAGIC", b"", {"errors": "list"})).error) is list
        assert type((await here.call("move", 1)).error) is list
        assert (
            type((await here.call("cred.login", "MAGIC", b"", 5)).error) is list
        )  # it cannot be read
        assert type((await here.call("cred.login", "MAGIC", b"")).error) is dict
        assert type((await here.call("cred.login", "MAGIC", b"", {"errors": "text"})).error) is str
        await here.log_in(resume=False)
        assert type((await here.call("nothing")).error) is dict
        assert (
            type((await here.call("cred.login", "PLAIN", PASSWORD, {"errors": "text"})).error)
            is dict
        )  # out of order
        here.cut()


@on_loop
async def test_the_answers_to_what_waited_for_a_login_have_its_form() -> None:
    async with stage() as game:
        here = await line(game)
        _, call = here.send(
            ("cred.login", "PLAIN", PASSWORD, {"errors": "text", "resume": False}), ("nothing",)
        )
        assert (await here.answer(call)).error == "unknown-method: no method 'nothing'"
        here.cut()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"errors": "x"}, "the option errors must be one of map, list, text, not 'x'"),
        ({"errors": 3}, "$[2].errors"),
        ({"errors": None}, "$[2].errors"),
        ({"notifications": 3}, "$[2].notifications"),
        ({"notifications": "no"}, "$[2].notifications"),
        ({"resume": 1}, "$[2].resume"),
        ({"heartbeat": 1}, "$[2].heartbeat"),
        ({"interface": 5}, "$[2].interface"),
        ({"interface": ["Player", 5]}, "$[2].interface[1]"),
        ({"client": 5}, "$[2].client"),
        ([], "$[2]"),
        (5, "$[2]"),
    ],
)
@pytest.mark.parametrize("transport", ["tcp", "websocket-json"])
@on_loop
async def test_an_option_that_is_not_what_it_should_be_is_named(
    transport: str, options: Any, words: str
) -> None:
    async with stage(transport) as game:
        here = await line(game)
        error = (await here.call("cred.login", "PLAIN", PASSWORD, options)).error
        assert error["code"] == "bad-arguments"
        assert words in error["message"]
        assert (await here.log_in(resume=False))["avatar_id"] == "ann"
        here.cut()


@on_loop
async def test_the_key_of_an_option_must_be_a_text() -> None:
    async with stage() as game:
        here = await line(game)
        for key in (b"resume", 1):
            assert (await here.call("cred.login", "PLAIN", PASSWORD, {key: True})).error[
                "code"
            ] == "bad-arguments"
        here.cut()


@on_loop
async def test_options_that_the_server_does_not_know_are_ignored() -> None:
    async with stage() as game:
        here = await line(game)
        assert (await here.log_in(nobody_knows_this={"a": [1]}, resume=False))["avatar_id"] == "ann"
        here.cut()


@on_loop
async def test_a_resumed_session_keeps_the_form_of_errors_and_a_refused_resume_is_a_map() -> None:
    async with stage() as game:
        here = await line(game)
        token = (await here.log_in(errors="text"))["token"]
        here.cut()
        there = await line(game)
        assert type((await there.call("cred.resume", "made up", 0)).error) is dict
        assert (await there.call("cred.resume", token, 0)).error is None
        assert type((await there.call("nothing")).error) is str
        assert (await there.call("cred.logout")).result is True


# -- answers only --------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
@on_loop
async def test_a_client_that_takes_no_notifications_gets_answers_only(
    transport: str, tmp_path: Path
) -> None:
    async with stage(transport, tmp_path) as game:
        here, bob = await line(game), await game.connect("bob", "hush")
        await here.log_in(notifications=False)
        assert (await here.call("tell", 3)).error is None
        assert await bob.call("shout", "hello")
        assert (await here.call("ask_client", "times seven")).error == {
            "code": "unanswered",
            "message": "no answer",
        }
        assert (await here.call("cred.ping")).result is True
        assert (await here.call("cred.logout")).result is True
        await here.until(lambda: here.gone)
        assert (here.notices, here.requests) == ([], [])  # no goodbye either
        assert game.log == [("ann", "logout")]


@on_loop
async def test_an_avatar_that_asks_a_client_which_takes_answers_only_is_told_so() -> None:
    async with stage() as game:
        here = await line(game)
        mind = await mind_of(game, (await here.log_in(notifications=False))["session"])
        with pytest.raises(ClientGone, match="notifications: false"):
            await mind.call("question")
        await here.call("cred.logout")


@on_loop
async def test_what_is_not_sent_fills_no_outbox_and_no_window_of_a_resume() -> None:
    limit = OutboxLimit(bound=2, overflow=OutboxOverflow.END_SESSION)
    async with stage(portal_options=PortalOptions(outbox=limit), replay=5) as game:
        here = await line(game)
        login = await here.log_in(notifications=False)
        mind = await mind_of(game, login["session"])
        (link,) = game.hub.channels.values()
        for connected in (True, False):
            for number in range(100):
                mind.notify("news", number)
            assert (len(mind.outbox), mind.outbox.dropped) == (0, 0)
            assert (link.sent, link._kept) == (0, None)
            if connected:
                here.cut()
                await game.until(lambda: game.hub.lost_channels)
        there = await line(game)
        answer = (await there.call("cred.resume", login["token"], 0)).result
        assert (answer["refresh"], answer["notifications"]) == (False, 0)
        assert (await there.call("tell", 3)).error is None
        assert (await there.call("cred.logout")).result is True
        await there.until(lambda: there.gone)
        assert there.notices == []


@on_loop
async def test_a_notification_pushes_no_call_out_of_the_outbox_if_the_client_will_not_get_it() -> (
    None
):
    async with stage(portal_options=PortalOptions(outbox=OutboxLimit(bound=2))) as game:
        here = await line(game)
        mind = await mind_of(game, (await here.log_in(notifications=False))["session"])
        asked = mind.call("question")
        for number in range(10):
            mind.notify("news", number)
        with pytest.raises(
            ClientGone, match="notifications: false"
        ):  # and not that the outbox was full
            await asked
        await here.call("cred.logout")


@on_loop
async def test_an_avatar_that_several_share_asks_a_client_that_can_be_asked() -> None:
    async with stage(portal_options=PortalOptions(policy=Policy.SHARE)) as game:
        client, here = await game.connect(handler=Recorder()), await line(game)
        await here.log_in(notifications=False)
        assert await client.call("ask_client", "times seven") == 42
        await client.close()
        assert (await here.call("ask_client", "times seven")).error["code"] == "unanswered"
        await here.call("cred.logout")


@pytest.mark.parametrize("end", ["kick", "takeover", "drain", "breach"])
@on_loop
async def test_a_connection_that_takes_answers_only_ends_without_a_word(end: str) -> None:
    async with stage() as game:
        here = await line(game)
        token = (await here.log_in(notifications=False))["token"]
        if end == "kick":
            await game.portal.kick(avatar_id="ann")
        elif end == "takeover":
            there = await line(game)
            assert (await there.call("cred.resume", token, 0)).error is None
        elif end == "drain":
            await game.server.close()
        else:
            here._wire.write(b"\xc1")
        await here.until(lambda: here.gone)
        assert here.notices == []
        await game.portal.kick(everyone=True)


@on_loop
async def test_a_login_in_vain_that_asked_for_answers_only_is_not_said_goodbye_to_either() -> None:
    async with stage(login_timeout=0.1) as game:
        silent, deaf = await line(game), await line(game)
        assert (
            await deaf.call("cred.login", "PLAIN", b"\0ann\0wrong", {"notifications": False})
        ).error["code"] == "refused"
        for here in (silent, deaf):
            await here.until(lambda here=here: here.gone)
        assert [notice.params[0]["code"] for notice in silent.notices] == ["login-timeout"]
        assert deaf.notices == []


@on_loop
async def test_the_python_client_can_do_without_notifications() -> None:
    async with stage() as game:
        heard: list[Any] = []
        client = await game.connect(handler=lambda *said: heard.append(said), notifications=False)
        await client.call("tell", 3)
        assert await client.call("echo", "after") == "after"
        await client.close()
        assert (heard, client.notifications) == ([], 0)
        assert (await client.wait_closed()).code == ""
