"""Messages that a client sends together with its login."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actorcred import CallError, Checker, UnauthorizedLogin, UsernamePassword
from actorcred.actors import Future
from actorcred.rpc.protocol.codec import Request, Response, WireLimits
from actorcred.rpc.server.early import EARLY_MEMORY, Early
from tests.rpc.lines import PASSWORD, Line, line
from tests.rpc.stage import TRANSPORTS, WireStage, on_loop, stage

LOGIN = ("cred.login", "PLAIN", PASSWORD)


class Slow(Checker):
    """Answers when the test says so."""

    credential_interfaces = (UsernamePassword,)

    def __init__(self, decisions: list[Future[str]]) -> None:
        super().__init__()
        self.decisions = decisions

    def request_avatar_id(self, credentials: UsernamePassword) -> Future[str]:
        if credentials.username != "slow":
            raise UnauthorizedLogin("somebody else's")
        self.decisions.append(Future())
        return self.decisions[-1]


@contextlib.asynccontextmanager
async def slow_login(
    **options: object,
) -> AsyncIterator[tuple[WireStage, Line, int, list[Future[str]]]]:
    """A login that waits for the test: stage, connection, the login's id, and its decisions."""
    decisions: list[Future[str]] = []
    async with stage(checkers=[Slow.start(decisions)], **options) as game:  # type: ignore[arg-type]
        here = await line(game)
        (login,) = here.send(("cred.login", "PLAIN", b"\0slow\0x"))
        await game.until(lambda: decisions)
        yield game, here, login, decisions
        here.cut()
        await game.portal.kick(everyone=True)


@pytest.mark.parametrize("transport", TRANSPORTS)
@on_loop
async def test_calls_that_are_sent_with_the_login_are_carried_out_after_it_and_in_order(
    transport: str, tmp_path: Path
) -> None:
    async with stage(transport, tmp_path) as game:
        here = await line(game)
        login, first, second, logout = here.send(LOGIN, ("move", 1), ("move", 2), ("cred.logout",))
        assert (await here.answer(login)).result["avatar_id"] == "ann"
        assert ((await here.answer(first)).result, (await here.answer(second)).result) == (
            [1.0, 0.0],
            [3.0, 0.0],
        )
        assert (await here.answer(logout)).result is True
        assert here.answered == [login, first, second, logout]
        assert isinstance(here.heard[0], Response)  # no notification arrives before it
        await here.until(lambda: here.gone)
        assert game.log == [("ann", "logout")]


@on_loop
async def test_notifications_that_are_sent_with_the_login_wait_for_it_too() -> None:
    async with slow_login() as (game, here, _, decisions):
        ignored = game.hub.ignored_notices
        here.tell("tell", 1, "early")
        (call,) = here.send(("echo", 1))
        decisions[0].settle("slow")
        await here.answer(call)
        await here.until(lambda: [notice.method for notice in here.notices] == ["welcome", "early"])
        assert game.hub.ignored_notices == ignored


@on_loop
async def test_what_the_login_has_notified_arrives_before_the_answers_to_such_calls() -> None:
    async with slow_login() as (_, here, login, decisions):
        (call,) = here.send(("tell", 1))
        decisions[0].settle("slow")
        await here.answer(call)
        assert [
            message.id if isinstance(message, Response) else message.method  # type: ignore[union-attr]
            for message in here.heard
        ] == [login, "welcome", "tick", call]


@on_loop
async def test_calls_that_are_sent_with_a_login_in_vain_are_not_carried_out() -> None:
    async with slow_login() as (game, here, login, decisions):
        ignored = game.hub.ignored_notices
        here.tell("tell", 1)
        (call,) = here.send(("move", 1))
        decisions[0].settle_error(UnauthorizedLogin("no"))
        assert (await here.answer(login)).error["code"] == "refused"
        assert (await here.answer(call)).error["code"] == "not-logged-in"
        assert game.hub.ignored_notices == ignored + 1
        assert (await here.call(*LOGIN)).result["avatar_id"] == "ann"


@on_loop
async def test_a_challenge_is_an_answer_so_what_waited_for_it_is_not_carried_out() -> None:
    async with stage() as game:
        here = await line(game)
        login, call = here.send(
            ("cred.login", "SCRAM-SHA-256", b"n,,n=ann,r=abcdefghijklmnopqrstuvwxyz"), ("move", 1)
        )
        assert "challenge" in (await here.answer(login)).result
        assert (await here.answer(call)).error["code"] == "not-logged-in"
        here.cut()


@on_loop
async def test_a_checker_whose_challenge_comes_after_the_end_of_the_login_gets_no_error() -> None:
    async with stage() as game:
        here = await line(game)
        login = here.send(("cred.login", "SCRAM-SHA-256", b"n,,n=ann,r=abcdefghijklmnopqrstuvwxyz"))
        assert "challenge" in (await here.answer(login[0])).result
        dialogue = next(iter(game.hub.peers)).dialogue  # type: ignore[attr-defined]
        exchange = dialogue._stepper.exchange
        here.cut()
        await game.until(lambda: not game.hub.peers)
        exchange.on_challenge(b"late")


@on_loop
async def test_what_needs_no_login_waits_for_none() -> None:
    async with slow_login() as (_, here, login, decisions):
        assert (await here.call("cred.ping")).result is True
        assert "PLAIN" in (await here.call("cred.mechanisms")).result
        for method in ("cred.login", "cred.respond", "cred.resume"):
            params = {
                "cred.login": LOGIN[1:],
                "cred.respond": (b"x",),
                "cred.resume": ("a token", 0),
            }[method]
            assert (await here.call(method, *params)).error["code"] == "out-of-order"
        assert login not in here.answered
        decisions[0].settle("slow")
        assert (await here.answer(login)).error is None


@on_loop
async def test_nothing_waits_for_a_reauthentication() -> None:
    async with slow_login() as (game, here, login, decisions):
        decisions[0].settle("slow")
        await here.answer(login)
        assert "challenge" in (await here.call("cred.reauthenticate", "PLAIN")).result
        (proof,) = here.send(("cred.respond", b"\0slow\0x"))
        await game.until(lambda: len(decisions) == 2)
        assert (await here.call("echo", 1)).result == 1
        decisions[1].settle("slow")
        assert (await here.answer(proof)).result["avatar_id"] == "slow"


@on_loop
async def test_what_waits_for_a_login_is_bounded_in_memory_and_what_is_over_it_is_refused() -> None:
    async with slow_login(bytes_per_second=None) as (game, here, _, decisions):
        ignored = game.hub.ignored_notices
        large, small = here.send(("echo", "x" * EARLY_MEMORY), ("echo", 1))
        here.tell("tell", 1)
        assert (await here.answer(small)).error["code"] == "too-many-requests"
        await game.until(lambda: game.hub.ignored_notices == ignored + 1)
        decisions[0].settle("slow")
        assert (await here.answer(large)).result == "x" * EARLY_MEMORY


@on_loop
async def test_what_waits_for_a_login_is_bounded_in_number() -> None:
    async with slow_login(wire=WireLimits(pending=3)) as (_, here, login, decisions):
        calls = here.send(("echo", 1), ("echo", 2), ("echo", 3))  # and the login makes four
        assert (await here.answer(calls[2])).error["code"] == "too-many-requests"
        decisions[0].settle("slow")
        for number in (login, *calls[:2]):
            assert (await here.answer(number)).error is None


@on_loop
async def test_a_connection_that_is_lost_during_its_login_takes_what_waited_with_it() -> None:
    async with slow_login() as (game, here, _, decisions):
        here.send(("move", 1))
        (peer,) = game.hub.peers
        here.cut()
        await game.until(lambda: not game.hub.peers)
        decisions[0].settle("slow")
        assert peer.closed
        assert game.log == []


def test_one_message_may_always_wait_and_no_more_than_the_count() -> None:
    early = Early(2)
    early.add(Request(1, "echo", ["x" * 2 * EARLY_MEMORY]))
    with pytest.raises(CallError):
        early.add(Request(2, "echo", []))
    early = Early(2)
    for number in (1, 2):
        early.add(Request(number, "echo", []))
    with pytest.raises(CallError):
        early.add(Request(3, "echo", []))
    assert [message.id for message in early.messages if isinstance(message, Request)] == [1, 2]


@on_loop
async def test_a_login_that_succeeds_as_its_connection_is_closed_is_no_session() -> None:
    async with slow_login() as (game, here, _, decisions):
        (peer,) = game.hub.peers
        decisions[0].settle("slow")  # the portal hears of it in the next turn
        peer.goodbye("going", "away", None)
        await here.until(lambda: here.gone)
        await game.until(lambda: not game.hub.peers)
        assert await game.count() == 0
        assert not game.hub.lost_channels
