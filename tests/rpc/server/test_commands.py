"""The commands that a client sends before and after its login, in and out of order."""

from __future__ import annotations

from typing import Any

import pytest

from actorcred import CallError
from tests.rpc.stage import on_loop, stage

ANN = b"\0ann\0s3cret"


async def logged_in(game: Any) -> tuple[Any, dict[str, Any]]:
    line = await game.bare()
    wishes = {"resume": True}
    answer = await line.request("cred.login", ("PLAIN", ANN, wishes))
    return line, answer


@on_loop
async def test_a_connection_logs_in_once() -> None:
    async with stage() as game:
        line, answer = await logged_in(game)
        for command, params in (
            ("cred.login", ("PLAIN", ANN)),
            ("cred.resume", (answer["token"], 0)),
        ):
            with pytest.raises(CallError, match="this connection is logged in") as failed:
                await line.request(command, params)
            assert failed.value.code == "out-of-order"
        line.abort()


@pytest.mark.parametrize(
    ("token", "code"), [(5, "bad-arguments"), (b"\xff", "refused"), ("nonsense", "refused")]
)
@on_loop
async def test_a_token_that_is_none_resumes_nothing(token: Any, code: str) -> None:
    async with stage() as game:
        line = await game.bare()
        with pytest.raises(CallError) as failed:
            await line.request("cred.resume", (token, 0))
        assert failed.value.code == code
        line.abort()


@on_loop
async def test_who_guesses_tokens_has_to_wait() -> None:
    async with stage(limit_loopback=True, free_failures=0, step=60.0) as game:
        line = await game.bare()
        with pytest.raises(CallError):
            await line.request("cred.resume", ("guessed", 0))
        with pytest.raises(CallError) as failed:
            await line.request("cred.resume", ("guessed", 0))
        assert failed.value.code == "denied"
        assert failed.value.retry_after
        line.abort()


@on_loop
async def test_an_anonymous_client_has_its_own_session_and_nothing_to_prove() -> None:
    async with stage() as game:
        line, other = await game.bare(), await game.bare()
        for one in (line, other):
            await one.request("cred.login", ("ANONYMOUS", b"guest"))
        (own,) = await line.request("cred.sessions", ())
        assert own["current"] is True
        with pytest.raises(CallError, match="has no credentials to prove"):
            await line.request("cred.reauthenticate", ("PLAIN", ANN))
        for one in (line, other):
            one.abort()


@on_loop
async def test_a_sign_of_life_is_answered_before_and_after_the_login() -> None:
    async with stage() as game:
        line = await game.bare()
        assert await line.request("cred.ping", ()) is True
        assert await line.request("cred.ping", (3,)) is True
        line.abort()
