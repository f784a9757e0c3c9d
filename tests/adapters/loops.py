"""Threads that run Twisted's reactor and an asyncio loop, for tests that wait in another one."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine
from typing import Any


@functools.cache
def reactor() -> Any:
    """Return Twisted's reactor, running in a thread until the process ends: it cannot restart."""
    from twisted.internet import reactor as made

    started = threading.Event()
    made.callWhenRunning(started.set)
    threading.Thread(
        target=lambda: made.run(installSignalHandlers=False), name="reactor", daemon=True
    ).start()
    assert started.wait(10)
    return made


def in_reactor(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in the reactor's thread; return its result, or that of a fired Deferred."""
    from twisted.internet import threads

    return threads.blockingCallFromThread(reactor(), function, *args)


@functools.cache
def loop() -> asyncio.AbstractEventLoop:
    """Return an asyncio loop, which runs in a thread until the process ends."""
    made = asyncio.new_event_loop()
    threading.Thread(target=made.run_forever, name="adapters-loop", daemon=True).start()
    return made


def in_loop(coroutine: Coroutine[Any, Any, Any], timeout: float = 30) -> Any:
    """Run a coroutine on the loop, and return its result."""
    return asyncio.run_coroutine_threadsafe(coroutine, loop()).result(timeout)


class HttpServer:
    """A real HTTP server on the loop, for an ASGI application."""

    def __init__(self, app: Any, *, proxy_headers: bool = True) -> None:
        import uvicorn

        config = uvicorn.Config(
            app,
            "127.0.0.1",
            0,
            # By default, older versions of uvicorn use a deprecated part of websockets.
            ws="websockets-sansio",
            lifespan="off",
            log_config=None,
            proxy_headers=proxy_headers,
            timeout_graceful_shutdown=1,
        )
        config.load()
        self._server = uvicorn.Server(config)
        self._server.lifespan = config.lifespan_class(config)
        in_loop(self._server.startup())
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        in_loop(self._server.shutdown())


class WsgiServer:
    """A real HTTP server with a thread for each request, for a WSGI application."""

    def __init__(self, app: Any) -> None:
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Quiet(WSGIRequestHandler):
            def log(self, kind: str, message: str, *args: Any) -> None:
                """Log nothing."""

        self._server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
        self.port: int = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), name="wsgi"
        )
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
