"""What is logged of an avatar's exception, which its client does not see."""

from __future__ import annotations

import logging

import pytest

from actorcred import CallError
from tests.rpc.stage import on_loop, stage


def tracebacks(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return the records with the traceback of a RuntimeError."""
    return [
        record
        for record in caplog.records
        if record.exc_info and isinstance(record.exc_info[1], RuntimeError)
    ]


@on_loop
async def test_the_exception_of_a_call_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with stage() as game, await game.connect() as client:
        with pytest.raises(CallError, match="internal error"):
            await client.call("fail", "secretly")
        (record,) = tracebacks(caplog)
        assert record.getMessage() == "A call of 'fail' failed:"
        assert record.levelname == "ERROR"


@on_loop
async def test_the_exception_that_ends_an_avatar_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with stage() as game:
        client = await game.connect()
        client.notify("fail", "secretly")
        assert (await client.wait_closed()).code == "crashed"
        (record,) = tracebacks(caplog)
        assert "Unhandled exception in Actor2" in record.getMessage()
