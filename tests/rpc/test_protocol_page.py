"""Promises of docs/protocol.md to authors of clients beyond the contract.

They are about lost lines, names, counts and bad messages.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from actorcred import ClientGone
from actorcred.errors import (
    CallCode,
    CheckerUnavailable,
    LoginDenied,
    NoInterface,
    UnauthorizedLogin,
)
from actorcred.rpc.protocol.codec import Request
from actorcred.rpc.server.login_options import LoginOptions
from actorcred.sasl.mechanisms import LEGACY
from tests.rpc.lines import PASSWORD, Line, line
from tests.rpc.stage import TRANSPORTS, WireStage, on_loop, stage

PAGE = Path(__file__).parents[2] / "docs" / "protocol.md"
FIRST = b"n,,n=ann,r=abcdefghijklmnopqrstuvwxyz"


def section(title: str) -> str:
    """Return a section of the page."""
    return re.split(
        r"^## ", PAGE.read_text(encoding="utf-8").split(f"\n## {title}\n")[1], flags=re.MULTILINE
    )[0]


def test_the_page_has_each_code_of_an_error_and_each_option_of_a_login() -> None:
    logins = {
        error.code for error in (UnauthorizedLogin, LoginDenied, NoInterface, CheckerUnavailable)
    }
    assert set(
        re.findall(r"^\| `([a-z-]+)` \|", section("Codes of errors"), flags=re.MULTILINE)
    ) == logins | set(CallCode)
    assert set(re.findall(r"^\| `([a-z]+)` \|", section("Login"), flags=re.MULTILINE)) >= set(
        LoginOptions.__struct_fields__
    )


# -- a lost line ---------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
@on_loop
async def test_a_request_in_flight_is_carried_out_once_and_its_answer_is_lost_with_the_line(
    transport: str, tmp_path: Path
) -> None:
    async with stage(transport, tmp_path) as game:
        here = await line(game)
        token = (await here.log_in())["token"]
        await here.call("move", 1)
        here.send(("later",))
        await game.until(lambda: game.waiting)
        here.cut()
        await game.until(lambda: game.hub.lost_channels)
        there = await line(game)
        assert (await there.call("cred.resume", token, 1)).error is None
        game.waiting[0].set("too late")
        assert (await there.call("move", 1)).result == [2.0, 0.0]
        assert there.answered == [1, 2]
        assert len(game.waiting) == 1
        await there.call("cred.logout")


@on_loop
async def test_the_ids_of_a_new_connection_have_nothing_to_do_with_those_of_the_lost_one() -> None:
    async with stage() as game:
        here = await line(game)
        token = (await here.log_in())["token"]
        (waiting,) = here.send(("later",))
        await game.until(lambda: game.waiting)
        here.cut()
        there = await line(game)
        await there.call("cred.resume", token, 1)
        answers = [await there.call("echo", number) for number in range(3)]
        assert [answer.result for answer in answers] == [0, 1, 2]
        assert waiting in [answer.id for answer in answers]
        await there.call("cred.logout")


@on_loop
async def test_a_session_that_cannot_be_resumed_ends_with_the_line_and_calls_in_flight_fail() -> (
    None
):
    async with stage() as game:
        here = await line(game)
        assert (await here.log_in(resume=False))["token"] is None
        here.send(("later",))
        await game.until(lambda: game.waiting)
        here.cut()
        await game.until(lambda: game.log)
        assert game.log == [("ann", "lost")]


@on_loop
async def test_what_the_server_asked_fails_with_the_line_and_a_later_answer_is_ignored() -> None:
    async with stage() as game:
        here = await line(game)
        login = await here.log_in()
        mind = (await game.portal.session(login["session"])).mind
        asked = mind.call("question")
        (request,) = await here.until(lambda: here.requests)
        here.cut()
        with pytest.raises(ClientGone):
            await asked
        there = await line(game)
        await there.call("cred.resume", login["token"], 1)
        there.reply(request.id, "too late")
        assert (await there.call("echo", "goes on")).result == "goes on"
        await there.call("cred.logout")


@on_loop
async def test_calls_may_be_sent_together_with_a_resume() -> None:
    async with stage() as game:
        here = await line(game)
        token = (await here.log_in())["token"]
        here.cut()
        await game.until(lambda: game.hub.lost_channels)
        there = await line(game)
        resume, call = there.send(("cred.resume", token, 1), ("echo", "at once"))
        assert (await there.answer(resume)).error is None
        assert (await there.answer(call)).result == "at once"
        stranger = await line(game)
        resume, call = stranger.send(("cred.resume", "made up", 1), ("echo", "at once"))
        assert (await stranger.answer(resume)).error["code"] == "refused"
        assert (await stranger.answer(call)).error["code"] == "not-logged-in"
        stranger.cut()
        await there.call("cred.logout")


@on_loop
async def test_a_client_that_goes_on_after_its_logout_is_logged_out_all_the_same() -> None:
    async with stage() as game:
        here = await line(game)
        await here.log_in()
        logout, *_ = here.send(("cred.logout",), ("move", 1), ("cred.ping",))
        await here.until(lambda: here.gone)
        assert (await here.answer(logout)).result is True
        assert here.notices[-1].method == "cred.goodbye"
        assert game.log == [("ann", "logout")]


# -- counts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "refresh", "notifications"),
    [(0, False, 0), (1, False, 1), (2, True, 1), (2**40, True, 1), (-1, True, 1)],
)
@on_loop
async def test_a_resume_with_a_number_that_cannot_be_is_told_to_refresh(
    seen: int, refresh: bool, notifications: int
) -> None:
    async with stage() as game:
        here = await line(game)
        token = (await here.log_in())["token"]
        await here.until(lambda: here.notices)
        here.cut()
        await game.until(lambda: game.hub.lost_channels)
        there = await line(game)
        answer = (await there.call("cred.resume", token, seen)).result
        assert (answer["refresh"], answer["notifications"]) == (refresh, notifications)
        await there.call("tell", 1)
        await there.until(lambda: there.notices)
        assert [notice.method for notice in there.notices] == ["welcome"] * (seen == 0) + ["tick"]
        await there.call("cred.logout")


@on_loop
async def test_a_ping_with_too_large_a_number_means_all_and_one_with_a_negative_number_none() -> (
    None
):
    async with stage() as game:
        here = await line(game)
        await here.log_in()
        (link,) = game.hub.channels.values()
        await here.call("tell", 3)
        for seen, kept in ((-5, 4), (2, 2), (1, 2), (2**40, 0)):
            assert (await here.call("cred.ping", seen)).result is True
            assert len(link._kept or ()) == kept
        for wrong in ("2", 1.5, [1]):
            assert (await here.call("cred.ping", wrong)).error["code"] == "bad-arguments"
        await here.call("cred.logout")


@on_loop
async def test_a_ping_needs_no_login() -> None:
    async with stage() as game:
        here = await line(game)
        assert [(await here.call("cred.ping", *seen)).result for seen in ((), (7,))] == [True, True]
        here.cut()


# -- names and SASL ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "avatar_id"),
    [
        ("ann", "ann"),
        ("\uff41nn", "ann"),  # a full-width letter
        ("Ann", None),  # case is kept
        (" ann", None),
        ("a\u200bnn", None),  # an invisible character is not ignored
        ("ann\x01", None),
        ("x" * 1024, None),
    ],
)
@on_loop
async def test_names_are_prepared_by_the_server_and_one_that_cannot_be_is_refused_as_an_unknown_one(
    name: str, avatar_id: str | None
) -> None:
    async with stage() as game:
        here = await line(game)
        answer = await here.call(
            "cred.login", "PLAIN", f"\0{name}\0s3cret".encode(), {"resume": False}
        )
        assert (answer.result or {}).get("avatar_id") == avatar_id
        assert avatar_id or answer.error == {"code": "refused", "message": "login refused"}
        here.cut()


@pytest.mark.parametrize(
    "params", [("PLAIN", "\0\u0065\u0301va\0s3cret"), ("PLAIN", "\0\u00e9va\0s3cret")]
)
@on_loop
async def test_a_name_may_be_sent_in_any_form_of_unicode(params: tuple[str, str]) -> None:
    async with stage() as game:
        game.checker.add("\u00e9va", "s3cret")
        here = await line(game)
        answer = await here.call("cred.login", *params, {"resume": False})
        assert answer.result["avatar_id"] == "\u00e9va"
        here.cut()


BAD = [
    ("MAGIC", b"", "bad-arguments"),
    ("EXTERNAL", b"", "bad-arguments"),  # without a certificate
    ("SCRAM-SHA-256-PLUS", b"p=tls-unique,,n=ann,r=abc", "bad-arguments"),  # without TLS
    (7, b"", "bad-arguments"),
    ("PLAIN", 7, "bad-arguments"),
    ("PLAIN", b"rubbish", "bad-arguments"),
    ("PLAIN", b"\0\xff\0x", "bad-arguments"),
    ("PLAIN", b"\0\0x", "bad-arguments"),
    ("ANONYMOUS", b"\xff", "bad-arguments"),
    ("ANONYMOUS", b"x" * 256, "bad-arguments"),
    ("CRAM-MD5", b"x", "bad-arguments"),
    ("SCRAM-SHA-256", b"n,,n=ann", "bad-arguments"),
    ("SCRAM-SHA-256", b"n,,m=1,n=ann,r=abc", "bad-arguments"),
    ("SCRAM-SHA-256", b"p=tls-unique,,n=ann,r=abc", "bad-arguments"),
    ("SCRAM-SHA-256", b"n,,n=" + b"x" * 257 + b",r=abc", "refused"),
    ("SCRAM-SHA-256", b"n,,n=a\xc2\x80,r=abc", "refused"),
    ("PLAIN", b"\0ann\0", "refused"),
]


@pytest.mark.parametrize(("mechanism", "initial", "code"), BAD)
@on_loop
async def test_a_bad_first_message_has_its_code_and_ends_the_exchange(
    mechanism: Any, initial: Any, code: str
) -> None:
    async with stage(legacy_mechanisms=LEGACY) as game:
        here = await line(game)
        assert (await here.call("cred.login", mechanism, initial)).error["code"] == code
        assert (await here.call("cred.respond", b"")).error["code"] == "out-of-order"
        here.cut()


@pytest.mark.parametrize(
    ("begin", "response", "code"),
    [
        (("SCRAM-SHA-256", FIRST), b"rubbish", "refused"),
        (("SCRAM-SHA-256", FIRST), b"\xff", "refused"),
        (("SCRAM-SHA-256", FIRST), None, "refused"),
        (("SCRAM-SHA-256", FIRST), 7, "bad-arguments"),
        (("CRAM-MD5",), b"rubbish", "bad-arguments"),
        (("CRAM-MD5",), b"\xff", "bad-arguments"),
        (("CRAM-MD5",), b"ann " + b"0" * 32, "refused"),
        (("PLAIN",), b"rubbish", "bad-arguments"),
        (("PLAIN",), b"\0ann\0wrong", "refused"),
    ],
)
@on_loop
async def test_a_bad_response_has_its_code_and_ends_the_exchange(
    begin: tuple[Any, ...], response: Any, code: str
) -> None:
    async with stage(legacy_mechanisms=LEGACY) as game:
        here = await line(game)
        assert "challenge" in (await here.call("cred.login", *begin)).result
        assert (await here.call("cred.respond", response)).error["code"] == code
        assert (await here.call("cred.respond", response)).error["code"] == "out-of-order"
        here.cut()


@on_loop
async def test_a_reauthentication_has_the_same_codes_and_harms_no_session() -> None:
    async with stage() as game:
        here = await line(game)
        await here.log_in(resume=False)
        wrong = [("PLAIN", b"\0ann\0wrong", "refused"), ("PLAIN", b"\0bob\0hush", "refused")]
        for mechanism, initial, code in [*BAD[:7], *wrong]:
            assert (await here.call("cred.reauthenticate", mechanism, initial)).error[
                "code"
            ] == code
            assert (await here.call("cred.respond", b"")).error["code"] == "out-of-order"
        assert (await here.call("echo", 1)).result == 1
        here.cut()


@pytest.mark.parametrize("mechanism", ["PLAIN", "ANONYMOUS", "SCRAM-SHA-256"])
@on_loop
async def test_a_client_that_sends_nothing_first_is_asked(mechanism: str) -> None:
    async with stage() as game:
        here = await line(game)
        assert (await here.call("cred.login", mechanism, None)).result == {"challenge": b""}
        here.cut()


@pytest.mark.parametrize("text", ["rubbish", "AGFubgBzM2NyZXQ", "AGFubgBz M2NyZXQ=", "\u00e9"])
@on_loop
async def test_in_json_sasl_data_must_be_base64_with_its_padding(text: str) -> None:
    async with stage("websocket-json") as game:
        here = await line(game)
        assert (await here.call("cred.login", "PLAIN", text)).error["code"] == "bad-arguments"
        assert (
            await here.call("cred.login", "PLAIN", "AGFubgBzM2NyZXQ=", {"resume": False})
        ).error is None
        here.cut()


async def waits(game: WireStage, *calls: tuple[Any, ...]) -> bool:
    """Return whether the account must wait after ten times these calls."""
    here: Line = await line(game)
    for _ in range(10):
        for call in calls:
            await here.call(*call)
    answer = await here.call("cred.login", "PLAIN", PASSWORD, {"resume": False})
    here.cut()
    return answer.error is not None and answer.error["code"] == "denied"


@on_loop
async def test_a_refusal_counts_as_a_failure_and_a_bad_message_does_not() -> None:
    async with stage(step=30) as game:
        assert not await waits(
            game, ("cred.login", "PLAIN", b"rubbish"), ("cred.login", "MAGIC", b"")
        )
        assert await waits(
            game, ("cred.login", "SCRAM-SHA-256", FIRST), ("cred.respond", b"rubbish")
        )


@on_loop
async def test_an_answer_has_the_form_of_sasl_data_that_the_client_used() -> None:
    async with stage() as game:
        here = await line(game)
        for initial, kind in ((FIRST, bytes), (FIRST.decode(), str)):
            assert (
                type((await here.call("cred.login", "SCRAM-SHA-256", initial)).result["challenge"])
                is kind
            )
        here.cut()


@on_loop
async def test_the_server_reads_errors_of_clients_in_each_form() -> None:
    async with stage() as game:
        here = await line(game)
        await here.log_in(resume=False)
        for fault in ({"code": "sulking", "message": "no"}, ["sulking", "no"], "no"):
            (call,) = here.send(("ask_client", "question"))
            request: Request = await here.until(lambda: here.requests and here.requests.pop())
            here.heard.remove(request)
            here._wire.write(here.connection.codec.encode((1, request.id, fault, None)))
            code = "failed" if fault == "no" else "sulking"
            assert (await here.answer(call)).error == {"code": code, "message": "no"}
        here.cut()
