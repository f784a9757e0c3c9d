"""Reading from a connection is limited in bytes per second, more strictly before the login.

Other connections do not wait for it.
"""

from __future__ import annotations

import asyncio

import msgpack
import pytest

from actorcred.rpc.server.connection import EARLY_BYTES, EARLY_BYTES_PER_SECOND
from actorcred.rpc.server.guard import Flow
from tests.rpc.stage import on_both_loops, plain, stage

JUNK = msgpack.packb([2, "x", [[[]] * 1000]])


@on_both_loops
async def test_a_flood_before_the_login_is_not_read_and_others_get_in() -> None:
    async with stage() as game:
        _, writer = await game.raw()
        writer.transport.set_write_buffer_limits(high=2**30)
        writer.write(JUNK * (4_000_000 // len(JUNK)))
        for _ in range(5):
            client = await game.connect()
            assert await client.call("echo", "in") == "in"
        (flooding,) = [peer for peer in game.hub.peers if peer.channel is None]
        # The server ignored no more than it can have read by now.
        waited = asyncio.get_running_loop().time() - flooding._place.since
        most = EARLY_BYTES + 64 * 1024 + EARLY_BYTES_PER_SECOND * waited
        assert game.hub.ignored_notices * len(JUNK) <= most


@pytest.mark.parametrize("transport", ["tcp", "tls", "websocket"])
@on_both_loops
async def test_what_is_sent_beyond_the_average_is_read_later_and_none_of_it_is_lost(
    transport: str,
) -> None:
    async with stage(
        transport, bytes_per_second=400_000, bytes_burst=50_000, requests_per_second=None
    ) as game:
        client = await game.connect()
        answers = await asyncio.gather(
            *(client.call("echo", f"{number} " + "x" * 2000) for number in range(100))
        )
        assert [answer.split()[0] for answer in answers] == [str(number) for number in range(100)]


@on_both_loops
async def test_a_login_behind_a_flood_of_its_own_is_answered_when_its_turn_comes() -> None:
    async with stage() as game:
        reader, writer = await game.raw()
        writer.write(msgpack.packb([2, "x", ["y" * 1800]]) * 20 + plain("ann", "s3cret"))  # 36 KB
        async with asyncio.timeout(20):
            assert b"avatar_id" in await reader.read(65536)


def test_a_flow_allows_bursts_and_holds_the_average() -> None:
    flow = Flow(10.0, 100, 0.0)
    assert flow.spend(100, 0.0) == 0.0
    assert flow.spend(5, 0.0) == pytest.approx(0.5)
    assert flow.spend(0, 0.5) == 0.0
    assert flow.spend(100, 100.0) == 0.0
    assert flow.spend(1, 100.0) == pytest.approx(0.1)
