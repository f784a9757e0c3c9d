"""A third-party client in its own process: Neovim's, which speaks MessagePack-RPC."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

from tests.rpc.stage import on_loop, stage

SCRIPT = """
import json, sys
from pynvim.msgpack_rpc import tcp_session

session = tcp_session(sys.argv[1], int(sys.argv[2]))
options = {"interface": "Player", "client": ["pynvim", "0"], "errors": "list"}
login = session.request("cred.login", "PLAIN", "\\0ann\\0s3cret", options)
place = session.request("move", 3, 4)
session.request("tell", 2)
heard = [session.next_message()[:3] for _ in range(3)]
try:
    session.request("nothing")
except Exception as error:
    failure = str(error)
moved = session.request("move", 1, 0)
print(json.dumps([login["avatar_id"], login["interface"], place, heard, failure, moved]))
assert session.request("cred.logout") is True
"""


@on_loop
async def test_neovims_client_logs_in_calls_and_is_notified() -> None:
    async with stage() as game:
        words = [sys.executable, "-c", SCRIPT, game.address.host, str(game.address.port)]
        done = await asyncio.to_thread(
            subprocess.run, words, capture_output=True, text=True, timeout=30, check=True
        )
        avatar_id, interface, place, heard, failure, moved = json.loads(done.stdout)
        assert (avatar_id, interface) == ("ann", "Player")
        assert (place, moved) == ([3.0, 4.0], [4.0, 4.0])
        assert heard == [
            ["notification", "welcome", ["ann"]],
            ["notification", "tick", [0]],
            ["notification", "tick", [1]],
        ]
        assert failure == "no method 'nothing'"
        await game.until(lambda: game.log == [("ann", "logout")])
