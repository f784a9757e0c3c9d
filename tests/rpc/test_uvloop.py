"""The wire on uvloop, which the command uses if it is installed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from actorcred import actors
from actorcred.actors import AsyncioDispatcher, set_default_dispatcher
from tests.rpc.stage import TRANSPORTS, Recorder, stage

uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed: pip install uvloop")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_login_calls_notifications_and_coming_back(transport: str, tmp_path: Path) -> None:
    async def body() -> None:
        set_default_dispatcher(AsyncioDispatcher())
        async with asyncio.timeout(30), stage(transport, tmp_path) as game:
            heard = Recorder()
            client = await game.connect(handler=heard, reconnect=True)
            back: asyncio.Queue[bool] = asyncio.Queue()
            client.on_reconnect = back.put_nowait
            assert await asyncio.gather(*[client.call("echo", n) for n in range(100)]) == list(
                range(100)
            )
            assert await client.call("echo", "x" * 20_000) == "x" * 20_000
            client._line._wire.abort()
            assert await back.get()
            await client.call("tell", 3)
            await heard.until(lambda events: ("tick", 2) in events)
        await asyncio.to_thread(actors.shutdown, 10)

    uvloop.run(body())
