"""A client that others wrote."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from pynvim.msgpack_rpc import tcp_session  # Neovim's client of MessagePack-RPC, which speaks it to anybody

from tests.rpc.stage import on_loop, stage


def call_and_listen(host: str, port: int) -> tuple[Any, Any, list[Any], Any]:
    session = tcp_session(host, port)
    try:
        login = session.request("cred.login", "PLAIN", "\0ann\0s3cret", {"interface": "Player", "client": ["pynvim", "0"]})
        place = session.request("move", 3, 4)
        session.request("tell", 2)
        heard = [session.next_message() for _ in range(3)]
        try:
            session.request("nothing")
        except Exception as error:  # Neovim's errors are arrays and ours maps, so this is what it makes of them
            failure = error
        assert session.request("move", 1, 0) == [4.0, 4.0]
        assert session.request("cred.logout") is True
        return login, place, heard, failure
    finally:
        session.close()
        del session
        gc.collect()


# The client closes its socket only when it is collected.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@on_loop
async def test_neovims_client_logs_in_calls_and_is_notified() -> None:
    async with stage() as game:
        login, place, heard, failure = await asyncio.to_thread(call_and_listen, game.address.host, game.address.port)
        assert (login["avatar_id"], login["interface"]) == ("ann", "Player")
        assert place == [3.0, 4.0]
        assert [tuple(message[:3]) for message in heard] == [
            ("notification", "welcome", ["ann"]),
            ("notification", "tick", [0]),
            ("notification", "tick", [1]),
        ]
        assert isinstance(failure, Exception)
        await game.until(lambda: game.log == [("ann", "logout")])
