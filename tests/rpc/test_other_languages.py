"""Clients in other languages, written from docs/protocol.md, and Neovim, in separate processes."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from actorcred import rpc
from tests.rpc.stage import WireStage, on_loop, stage

HERE = Path(__file__).parent
CLIENTS = HERE.parents[1] / "examples" / "clients"


@functools.cache
def ruby() -> list[str]:
    """Return the command for Ruby; skip if it is not installed."""
    program = shutil.which("ruby")
    if (
        program is None
        or subprocess.run(
            [program, "-rmsgpack", "-e", ""], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("ruby and its gem msgpack are not installed: apt install ruby ruby-msgpack")
    return [program]


@functools.cache
def node() -> list[str]:
    """Return the command for Node.js with WebSocket; skip if it is not installed, or too old."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("node is not installed: apt install nodejs")
    for flags in ([], ["--experimental-websocket"]):
        words = [program, *flags]
        done = subprocess.run(
            [*words, "-p", "typeof WebSocket"], check=False, capture_output=True, text=True
        )
        if done.stdout.strip() == "function":
            return words
    pytest.skip("node has no WebSocket: it needs version 20.10 or newer")


async def run(*words: str) -> str:
    """Run a program to its end; return what it printed."""
    process = await asyncio.create_subprocess_exec(
        *words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PASSWORD": "s3cret"},
    )
    try:
        async with asyncio.timeout(30):
            printed, complaints = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()
        raise
    assert process.returncode == 0, complaints.decode()
    return printed.decode()


def check(game: WireStage, seen: dict[str, Any]) -> None:
    """Check the observations of a client that did what the scripts do."""
    assert seen == {
        "wrong": ["refused", "login refused", None],
        "early": ["not-logged-in", "log in first: cred.login", None],
        "avatar_id": "ann",
        "moved": [3.0, 4.0],
        "heard": [["welcome", "ann"], ["tick", 0], ["tick", 1], ["tick", 2]],
        "counted": 4,
        "asked": 42,
        "unasked": ["unknown-method", "no method nonsense", None],
        "failed": ["locked", "the door is locked", 3],
        "many": list(range(20)),
        "whole": True,
        "resumed": [True, 5, [4.0, 4.0]],
        "used": ["refused", "login refused", None],
        "goodbye": {"code": "logout", "message": ""},
        "after": ["logout", "", None],
    }
    assert game.log == [("ann", "logout")]


@on_loop
async def test_the_ruby_client_does_all_that_the_page_says() -> None:
    async with stage() as game:
        check(
            game,
            json.loads(
                await run(
                    *ruby(), "-W", str(HERE / "drive.rb"), game.address.host, str(game.address.port)
                )
            ),
        )


@on_loop
async def test_the_client_for_node_does_all_that_the_page_says() -> None:
    async with stage("websocket-json") as game:
        url = f"ws://{game.address.host}:{game.address.port}{game.address.path}"
        check(game, json.loads(await run(*node(), str(HERE / "drive.mjs"), url)))


@on_loop
async def test_the_clients_can_be_called_from_a_shell() -> None:
    async with stage() as game:
        web = await game.server.listen("ws:127.0.0.1:0")
        script, where = str(CLIENTS / "client.rb"), (game.address.host, str(game.address.port))
        assert json.loads(await run(*ruby(), script, *where, "ann", "move", "1", "2.5")) == [
            1.0,
            2.5,
        ]
        script, url = str(CLIENTS / "client.mjs"), f"ws://{web.host}:{web.port}{web.path}"
        assert json.loads(await run(*node(), script, url, "ann", "move", "1", "2.5")) == [1.0, 2.5]


BROWSERS = """
globalThis.location = {{ href: "http://127.0.0.1/" }};
const {{ connect }} = await import("{module}");
const heard = [];
const listeners = {{
  welcome: () => heard.push("welcome"),
  tick: () => heard.push("tick"),
  closed: () => heard.push("closed"),
}};
const client = await connect("{url}", {{
  username: "ann",
  password: "s3cret",
  notifications: {notifications},
  listeners,
}});
await client.call("tell", 2);
await client.call("echo", 1);
const counted = client.notifications;
await client.close();
console.log(JSON.stringify([counted, heard]));
"""


@pytest.mark.parametrize(
    ("notifications", "seen"),
    [("false", [0, ["closed"]]), ("undefined", [3, ["welcome", "tick", "tick", "closed"]])],
)
@on_loop
async def test_the_browsers_client_can_do_without_notifications(
    tmp_path: Path, notifications: str, seen: list[Any]
) -> None:
    async with stage("websocket-json") as game:
        module = shutil.copy(
            Path(rpc.__file__).parent / "browser" / "actorcred.js", tmp_path / "actorcred.mjs"
        )
        url = f"ws://{game.address.host}:{game.address.port}{game.address.path}"
        script = tmp_path / "script.mjs"
        script.write_text(
            BROWSERS.format(module=module, url=url, notifications=notifications), encoding="utf-8"
        )
        assert json.loads(await run(*node(), str(script))) == seen


HURRIED = """
globalThis.location = {{ href: "http://127.0.0.1/" }};
const {{ connect, CredError }} = await import("{module}");
const secrets = {{ username: "ann", password: "s3cret" }};
const client = await connect("{url}", secrets);
const early = client.reconnectNow();
const reconnecting = new Promise((resolve) => {{
  client.on("reconnecting", (error, seconds) => resolve([error.code, seconds >= 2700]));
}});
const reconnected = new Promise((resolve) => client.on("reconnected", resolve));
client._goodbye = new CredError("drained", "the server restarts", 3600);
client._socket.close();
const told = await reconnecting;
const hurried = client.reconnectNow();
const complete = await reconnected;
const moved = await client.call("move", 1);

client._goodbye = new CredError("drained", "the server restarts", 3600);
const again = new Promise((resolve) => client.on("reconnecting", resolve));
const closed = new Promise((resolve) => client.on("closed", resolve));
client._socket.close();
await again;
await client.close();
const gone = (await closed).code;
console.log(JSON.stringify([early, told, hurried, complete, moved, gone]));
process.exit(0);
"""


@on_loop
async def test_the_browsers_client_tells_how_long_it_waits_and_can_be_told_to_try_now(
    tmp_path: Path,
) -> None:
    async with stage("websocket-json") as game:
        module = shutil.copy(
            Path(rpc.__file__).parent / "browser" / "actorcred.js", tmp_path / "actorcred.mjs"
        )
        url = f"ws://{game.address.host}:{game.address.port}{game.address.path}"
        script = tmp_path / "script.mjs"
        script.write_text(HURRIED.format(module=module, url=url), encoding="utf-8")
        early, told, hurried, complete, moved, gone = json.loads(await run(*node(), str(script)))
        assert (early, hurried, complete, gone) == (False, True, True, "drained")
        assert told == ["drained", True]
        assert moved == [1.0, 0.0]


NEOVIM = """
local channel = vim.fn.sockconnect("tcp", "{host}:{port}", {{ rpc = true }})
local seen = {{}}
local function try(...)
  local ok, result = pcall(vim.rpcrequest, channel, ...)
  table.insert(seen, ok and result or tostring(result))
end
local options = {{ errors = "{form}", interface = "Player", client = {{ "neovim", "0" }} }}
try("cred.login", "PLAIN", "\\0ann\\0wrong", options)
local login = vim.rpcrequest(channel, "cred.login", "PLAIN", "\\0ann\\0s3cret", options)
table.insert(seen, login.avatar_id)
try("move", 3, 4)
try("tell", 3)
try("fail", "politely")
try("nothing")
try("cred.logout")
io.stdout:write(vim.fn.json_encode(seen))
vim.cmd("qa!")
"""


def neovim() -> str:
    return shutil.which("nvim") or pytest.skip("Neovim is not installed: apt install neovim")


@pytest.mark.parametrize(
    ("form", "refused", "locked", "unknown"),
    [
        (
            "text",
            "refused: login refused",
            "locked: the door is locked",
            "unknown-method: no method 'nothing'",
        ),
        ("map", "unknown error", "unknown error", "unknown error"),  # the purpose of the option
    ],
)
@on_loop
async def test_neovim_shows_errors_as_texts(
    tmp_path: Path, form: str, refused: str, locked: str, unknown: str
) -> None:
    program = neovim()
    async with stage() as game:
        script = tmp_path / "script.lua"
        script.write_text(
            NEOVIM.format(host=game.address.host, port=game.address.port, form=form),
            encoding="utf-8",
        )
        seen = json.loads(
            await run(program, "--clean", "--headless", "-c", f"luafile {script}", "-c", "cquit")
        )
        wrong, avatar_id, place, _, fault, nothing, logout = seen
        assert (avatar_id, place, logout) == ("ann", [3, 4], True)
        assert [wrong.endswith(refused), fault.endswith(locked), nothing.endswith(unknown)] == [
            True
        ] * 3
        await game.until(lambda: game.log == [("ann", "logout")])
