"""Connections and sessions that have ended are freed without the garbage collector."""

from __future__ import annotations

import gc
from collections import Counter
from pathlib import Path

import pytest

from tests.rpc.stage import on_loop, stage

COUNT = 40
OURS = {
    "MindRef",
    "ServerConnection",
    "Session",
    "SessionChannel",
    "SocketTransport",
    "StreamTransport",
}


def kinds() -> Counter[str]:
    return Counter(type(one).__qualname__ for one in gc.get_objects())


@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_clients_that_have_logged_out_leave_nothing(transport: str, tmp_path: Path) -> None:
    @on_loop
    async def body() -> None:
        async with stage(transport, tmp_path) as game:
            gc.collect()
            before = kinds()
            gc.disable()
            for _ in range(COUNT):
                await (await game.connect()).close()
            await game.until(lambda: not game.hub.peers)
            left = kinds() - before
            gc.enable()
        assert {kind: left[kind] for kind in OURS if left[kind] > COUNT / 4} == {}

    try:
        body()
    finally:
        gc.enable()
