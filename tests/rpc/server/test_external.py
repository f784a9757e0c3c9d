"""EXTERNAL logins by the headers of a proxy, which must be trusted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import InvalidStatus

from actorcred import CallError, LoginFailed, Portal, UnauthorizedLogin, rpc
from actorcred.checkers.external import ExternalChecker
from actorcred.rpc.server.asgi import is_same_host
from tests.rpc.stage import Game, on_loop, pump


@contextlib.asynccontextmanager
async def proxy(port: int, *headers: str) -> AsyncIterator[int]:
    """Forward connections with additional headers, like a proxy that authenticated its client."""
    tasks = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        head = await reader.readuntil(b"\r\n\r\n")
        far_writer.write(
            head[:-2] + "".join(f"{header}\r\n" for header in headers).encode() + b"\r\n"
        )
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    await asyncio.gather(*tasks)


@contextlib.asynccontextmanager
async def serving(*fronts: str, origins: tuple[str, ...] | None = None) -> AsyncIterator[int]:
    portal = Portal.start(Game.start([], []), [ExternalChecker.start()])
    options = rpc.ServerOptions(
        proxy=rpc.TrustedProxy(fronts, "X-Remote-User"),
        origins=origins,
        resume=rpc.Resume(grace=0),
    )
    async with await rpc.serve(portal, "ws:127.0.0.1:0", options=options) as server:
        yield int(str(server.addresses[0]).split(":")[-1].split("/")[0])


async def log_in(port: int, json: bool = False, authorize_as: str = "") -> object:
    address = f"ws:127.0.0.1:{port}"
    async with await rpc.connect(
        address,
        "whoever",
        None,
        authorize_as=authorize_as,
        options=rpc.ClientOptions(mechanism="EXTERNAL", json=json),
    ) as client:
        return client.avatar_id


@pytest.mark.parametrize("json", [False, True])
@on_loop
async def test_a_trusted_proxy_says_who_the_client_is(json: bool) -> None:
    async with serving("127.0.0.0/8") as port:
        for name in ("ann", "zo\u00eb"):
            async with proxy(
                port, f"x-remote-user: {name}", "X-Forwarded-For: 198.51.100.7"
            ) as front:
                assert await log_in(front, json) == name
                with pytest.raises(UnauthorizedLogin):
                    await log_in(front, json, authorize_as="bob")


@pytest.mark.parametrize(
    ("trusted", "headers"),
    [
        ("192.0.2.1", ["X-Remote-User: ann"]),
        (
            "192.0.2.1",
            ["X-Remote-User: ann", "X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1"],
        ),
        ("127.0.0.1", []),
        ("127.0.0.1", ["X-Remote-User: "]),
        ("127.0.0.1", ["X-Remote-User: eve", "X-Remote-User: ann"]),
        ("127.0.0.1", ["X-Remote-User: a\u202enn"]),
        ("127.0.0.1", ["X-Remote_User: ann"]),
    ],
)
@on_loop
async def test_nobody_else_does(trusted: str, headers: list[str]) -> None:
    async with serving(trusted) as port, proxy(port, *headers) as front:
        with pytest.raises(CallError, match="not offered"):
            await log_in(front)
        with pytest.raises(LoginFailed):
            await rpc.connect(f"ws:127.0.0.1:{front}", "ann", None)


@on_loop
async def test_a_page_of_another_site_cannot_act_as_its_visitor() -> None:
    async with serving("127.0.0.1") as port, proxy(port, "X-Remote-User: ann") as front:
        settings: Any = {"subprotocols": ["actorcred.json"], "proxy": None}
        for origin in (
            "https://evil.example.org",
            "null",
            f"http://127.0.0.1:{front + 1}",
            f"file://127.0.0.1:{front}",
        ):
            with pytest.raises(InvalidStatus):
                async with open_socket(f"ws://127.0.0.1:{front}", origin=origin, **settings):
                    pass
        async with open_socket(
            f"ws://127.0.0.1:{front}", origin=f"http://127.0.0.1:{front}", **settings
        ):  # its own page
            pass
        assert await log_in(front) == "ann"  # a program, not a page


@on_loop
async def test_origins_that_are_named_count_alone() -> None:
    async with (
        serving("127.0.0.1", origins=("https://play.example.org",)) as port,
        proxy(port, "X-Remote-User: ann") as front,
    ):
        settings: Any = {"subprotocols": ["actorcred.json"], "proxy": None}
        async with open_socket(
            f"ws://127.0.0.1:{front}", origin="https://play.example.org", **settings
        ):
            pass
        with pytest.raises(InvalidStatus):
            async with open_socket(
                f"ws://127.0.0.1:{front}", origin=f"http://127.0.0.1:{front}", **settings
            ):
                pass


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("https://play.example.org", "play.example.org", True),
        ("https://play.example.org", "Play.Example.org:443", True),
        ("http://play.example.org:80", "play.example.org", True),
        ("http://play.example.org", "play.example.org:443", False),
        ("https://play.example.org:8443", "play.example.org", False),
        ("https://play.example.org.evil.example", "play.example.org", False),
        ("https://", "", False),
        ("null", "null", False),
        ("play.example.org", "play.example.org", False),
    ],
)
def test_a_page_is_of_the_host_that_has_its_name_and_port(
    origin: str, host: str, same: bool
) -> None:
    assert is_same_host(origin, host) is same
