"""The portal mounted in applications of other frameworks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidStatus

from actorcred import Portal, PortalOptions, rpc
from actorcred.checkers.memory import MemoryChecker
from actorcred.metrics import Metrics
from tests.helpers import django_application
from tests.rpc.stage import USERS, Game, on_loop, stage


@contextlib.asynccontextmanager
async def serving(app: Any) -> AsyncIterator[int]:
    """Serve any ASGI application with uvicorn, as users do; yield the port."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, ws="websockets-sansio"))
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:
            await asyncio.sleep(0.001)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


def make_portal() -> Any:
    return Portal.start(
        Game.start([], []), [MemoryChecker.start(USERS, plaintext=True, scram_iterations=4096)]
    )


async def get(port: int, path: str) -> tuple[str, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    return head, body


@on_loop
async def test_alone_under_uvicorn_it_logs_everybody_out_at_the_end() -> None:
    portal = make_portal()
    app = rpc.WebApp(portal)
    async with serving(app) as port:
        client = await rpc.connect(f"ws:127.0.0.1:{port}", "ann", "s3cret")
        assert await client.call("move", 1) == [1.0, 0.0]
        assert await portal.count() == 1
        await app.close()
        assert (await client.wait_closed()).code == "drained"
    assert await portal.count() == 0


@on_loop
async def test_mounted_in_starlette_the_other_routes_stay() -> None:
    portal = make_portal()
    app = rpc.WebApp(portal)
    hello = Route("/hello", lambda request: PlainTextResponse("hello"))
    async with serving(Starlette(routes=[hello, Mount("/game", app)])) as port:
        assert (await get(port, "/hello"))[1] == "hello"
        head, script = await get(port, "/game/actorcred.js")
        assert "text/javascript" in head
        assert "export async function connect" in script
        assert "404" in (await get(port, "/game/other.js"))[0].splitlines()[0]
        async with await rpc.connect(
            f"ws:127.0.0.1:{port}/game/socket",
            "ann",
            "s3cret",
            options=rpc.ClientOptions(json=True),
        ) as client:
            assert await client.call("echo", "ü") == "ü"
        await app.close()


@on_loop
async def test_mounted_in_fastapi() -> None:
    fastapi = pytest.importorskip("fastapi", reason="FastAPI is not installed: pip install fastapi")
    app, inner = fastapi.FastAPI(), rpc.WebApp(make_portal())
    app.mount("/game", inner)
    async with serving(app) as port:
        async with await rpc.connect(f"ws:127.0.0.1:{port}/game/", "ann", "s3cret") as client:
            assert await client.call("move", 2) == [2.0, 0.0]
        await inner.close()


@on_loop
async def test_beside_django() -> None:
    pytest.importorskip("django", reason="Django is not installed: pip install django")
    from django.http import HttpResponse
    from django.urls import path

    pages = django_application(path("hello", lambda request: HttpResponse("hello from Django")))
    game = rpc.WebApp(make_portal())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        """Route WebSockets to the portal and the rest to Django, as in Django's documentation."""
        await (game if scope["type"] in {"websocket", "lifespan"} else pages)(scope, receive, send)

    async with serving(app) as port:
        assert "hello from Django" in (await get(port, "/hello"))[1]
        async with await rpc.connect(
            f"ws:127.0.0.1:{port}/socket", "ann", "s3cret", options=rpc.ClientOptions(json=True)
        ) as client:
            assert await client.call("move", 2) == [2.0, 0.0]


@on_loop
async def test_a_socket_that_speaks_something_else_is_refused() -> None:
    async with stage("websocket") as game:
        with pytest.raises(InvalidStatus):
            async with open_socket(str(game.address), subprotocols=["chat"], proxy=None):  # type: ignore[list-item]
                pass
        for subprotocol, frame in (
            ("actorcred.json", b"binary"),
            ("actorcred.msgpack", "text"),
            ("actorcred.json", "["),
        ):
            async with open_socket(
                str(game.address), subprotocols=[subprotocol], proxy=None
            ) as socket:  # type: ignore[list-item]
                await socket.send(frame)
                goodbye = await socket.recv(decode=False)
                assert b"protocol-error" in goodbye
                with pytest.raises(ConnectionClosed):
                    await socket.recv()


@on_loop
async def test_pages_of_strangers_can_be_refused() -> None:
    async with stage("websocket", origins=("https://play.example.org",)) as game:
        settings: Any = {"subprotocols": ["actorcred.json"], "proxy": None}
        async with open_socket(str(game.address), origin="https://play.example.org", **settings):
            pass
        with pytest.raises(InvalidStatus):
            async with open_socket(
                str(game.address), origin="https://evil.example.org", **settings
            ):
                pass
        await game.connect()  # a program, not a page


@on_loop
async def test_metrics_are_shown_at_their_path_only_if_that_is_wanted() -> None:
    pytest.importorskip(
        "prometheus_client",
        reason="prometheus-client is not installed: pip install 'actorcred[metrics]'",
    )
    async with stage(portal_options=PortalOptions(metrics=Metrics())) as game:
        async with serving(game.server.web_app(metrics=True)) as port:
            client = await rpc.connect(f"ws:127.0.0.1:{port}", "ann", "s3cret")
            head, text = await get(port, "/metrics")
            assert "text/plain; version=0.0.4" in head
            assert 'actorcred_sessions{state="open"} 1.0' in text
            await client.close()
        async with serving(game.server.web_app()) as port:
            head, _ = await get(port, "/metrics")
            assert head.startswith("HTTP/1.1 404")
    async with stage() as game:
        with pytest.raises(ValueError, match="PortalOptions"):
            game.server.web_app(metrics=True)
