"""The same with python-socketio: an ASGI application under uvicorn, WebSocket only."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

import socketio
import uvicorn

server = socketio.AsyncServer(async_mode="asgi", transports=["websocket"])
server.eio.transports = ["websocket"]


@server.event  # type: ignore[untyped-decorator]
async def connect(sid: str, environ: Any, auth: Any) -> bool:
    """Accept everyone, without hashing."""
    if not auth or "username" not in auth:
        return False
    await server.save_session(sid, {"username": auth["username"]})
    await server.enter_room(sid, "all")
    return True


@server.event  # type: ignore[untyped-decorator]
async def echo(sid: str, text: str) -> str:
    """Return the text."""
    return text


@server.event  # type: ignore[untyped-decorator]
async def fan(sid: str) -> int:
    """Broadcast a notification to all clients."""
    await server.emit("n", "hello", room="all")
    return 1


async def main() -> None:
    """Serve until killed."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(4096)
    print(sock.getsockname()[1], os.getpid(), flush=True)
    config = uvicorn.Config(
        socketio.ASGIApp(server), log_level="error", ws_per_message_deflate=False
    )
    await uvicorn.Server(config).serve(sockets=[sock])


if __name__ == "__main__":
    asyncio.run(main())
