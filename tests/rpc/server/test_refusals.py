"""Every refusal on the wire is one log record, and floods of them are summed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from actorcred import CallError, LoginDenied, LoginFailed, NoInterface, PortalOptions
from actorcred.portal.events import LoginRefused
from actorcred.portal.messages import TellRepeated
from actorcred.sasl.mechanisms import LEGACY
from tests.rpc.stage import WireStage, on_loop, stage


async def refused(
    game: WireStage, call: Awaitable[Any], kind: type[Exception] = LoginFailed
) -> LoginRefused:
    """Return the only record of a login that must fail."""
    before = len(game.events)
    with pytest.raises(kind):
        await call
    await game.until(lambda: len(game.events) > before)
    assert await game.count() >= 0  # by now the portal has sent all its events
    event, *others = [event for event in game.events[before:] if isinstance(event, LoginRefused)]
    assert others == []
    return event


def denied(game: WireStage) -> list[LoginRefused]:
    """Return the records of logins whose credentials were not looked at."""
    return [event for event in game.events if isinstance(event, LoginRefused) and not event.seen]


@pytest.mark.parametrize(
    ("mechanism", "message"),
    [
        ("PLAIN", b"\0a\x01b\0s3cret"),
        ("PLAIN", b"\0hunter2 avatar_id=admin \0s3cret"),
        ("SCRAM-SHA-256", b"n,,n=a  b,r=abcdefghijklmnopqrstuvwxyz"),
    ],
)
@on_loop
async def test_a_name_that_cannot_be_anybodys_is_told_without_showing_it(
    mechanism: str, message: bytes
) -> None:
    async with stage() as game:
        line = await game.bare()
        event = await refused(game, line.request("cred.login", (mechanism, message)), CallError)
        assert (event.code, event.claimed, event.known, event.seen) == ("refused", "", False, True)
        assert "the user name" in event.detail
        assert event.client.address == "127.0.0.1"
        assert "hunter2" not in repr(game.events)
        line.abort()


@on_loop
async def test_an_interface_that_does_not_exist_and_a_token_that_is_none_are_told() -> None:
    async with stage() as game:
        event = await refused(game, game.connect(interface="King"), NoInterface)
        assert event.code == "no-interface"
        line = await game.bare()
        event = await refused(game, line.request("cred.resume", ("0" * 43, 0)), CallError)
        assert "token" in event.detail
        assert "0000" not in event.detail
        line.abort()


@on_loop
async def test_a_client_that_proves_to_be_somebody_else_is_told() -> None:
    async with stage() as game:
        client = await game.connect("ann")
        event = await refused(
            game, client._request("cred.reauthenticate", ("PLAIN", b"\0bob\0hush")), CallError
        )
        assert "another user" in event.detail


@on_loop
async def test_a_password_typed_as_a_name_is_not_told_and_a_known_name_is() -> None:
    async with stage(free_failures=100, legacy_mechanisms=LEGACY) as game:
        for mechanism in ("PLAIN", "CRAM-MD5", "SCRAM-SHA-256"):
            event = await refused(game, game.connect("hunter2", "x", mechanism=mechanism))
            assert event.claimed.startswith("hash:")
            event = await refused(game, game.connect("ann", "x", mechanism=mechanism))
            assert (event.claimed, event.known) == ("ann", True)


@on_loop
async def test_what_the_client_reads_is_the_same_whether_the_name_is_known(tmp_path: Path) -> None:
    async with stage(
        portal_options=PortalOptions(log_unknown_names="show"), free_failures=100
    ) as game:  # type: ignore[arg-type]
        texts = set()
        for name in ("ann", "hunter2"):
            line = await game.bare()
            with pytest.raises(CallError) as error:
                await line.request("cred.login", ("PLAIN", b"\0" + name.encode() + b"\0wrong"))
            texts.add(
                (
                    error.value.code,
                    error.value.message,
                    str(error.value),
                    repr(error.value),
                    error.value.retry_after,
                )
            )
            line.abort()
        assert len(texts) == 1


@on_loop
async def test_denied_logins_of_one_source_are_told_once_and_as_a_sum_at_the_end() -> None:
    async with stage(free_failures=1, step=1000, longest=1000, limit_loopback=True) as game:
        for _ in range(2):
            await refused(game, game.connect("ann", "wrong"))
        for _ in range(15):
            with pytest.raises(LoginDenied):
                await game.connect("ann", "wrong")
        assert [event.count for event in denied(game)] == [1]
        assert await game.count() == 0
        game.portal.tell(TellRepeated())
        assert await game.count() == 0
        assert sum(event.count for event in denied(game)) == 1
        game.portal.actor_inbox.actor._events.close()
        await game.until(lambda: sum(event.count for event in denied(game)) == 15)


@pytest.mark.parametrize("transport", ["tls", "websocket"])
@on_loop
async def test_rubbish_of_one_source_is_no_line_each(
    transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with stage(transport) as game:
        caplog.clear()
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", game.address.port)
            writer.write(b"rubbish\r\n\r\n")
            await reader.read()
            writer.close()
        await (await game.connect()).close()
        await game.until(lambda: len(game.hub.peers) == 0)
        told = [
            record
            for record in caplog.records
            if record.levelno >= logging.INFO and record.name != "asyncio"
        ]
        assert (
            len([record for record in told if "login" not in str(getattr(record, "event", ""))])
            <= 3
        )
        assert not [record for record in caplog.records if record.name.startswith("uvicorn")]
