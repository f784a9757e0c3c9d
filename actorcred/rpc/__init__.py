"""A portal on the network: MessagePack-RPC with SASL, over TCP, TLS, Unix sockets and WebSocket; servers and clients.

The names below are loaded when they are used, so that `actorcred.rpc.connection`, which is pure, loads nothing else.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actorcred.rpc.addresses import Address
    from actorcred.rpc.asgi import WebApp
    from actorcred.rpc.blocking import BlockingClient, connect_blocking
    from actorcred.rpc.client import Client, connect
    from actorcred.rpc.codec import WireLimits
    from actorcred.rpc.connection import Connection
    from actorcred.rpc.options import ServerOptions
    from actorcred.rpc.server import Server, ThreadedServer, serve, serve_in_thread

_HOMES = {
    "Address": "addresses",
    "BlockingClient": "blocking",
    "Client": "client",
    "Connection": "connection",
    "Server": "server",
    "ServerOptions": "options",
    "ThreadedServer": "server",
    "WebApp": "asgi",
    "WireLimits": "codec",
    "connect": "client",
    "connect_blocking": "blocking",
    "serve": "server",
    "serve_in_thread": "server",
}

__all__ = [
    "Address",
    "BlockingClient",
    "Client",
    "Connection",
    "Server",
    "ServerOptions",
    "ThreadedServer",
    "WebApp",
    "WireLimits",
    "connect",
    "connect_blocking",
    "serve",
    "serve_in_thread",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
