"""A portal on the network: servers and clients for MessagePack-RPC with SASL.

Transports are TCP, TLS, Unix sockets and WebSocket. The names below are loaded when they are used,
so that importing `actorcred.rpc.protocol.connection`, which is pure, loads nothing else.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actorcred.rpc.client.blocking import BlockingClient, connect_blocking
    from actorcred.rpc.client.client import Client, connect
    from actorcred.rpc.client.options import ClientOptions
    from actorcred.rpc.protocol.addresses import Address
    from actorcred.rpc.protocol.codec import WireLimits
    from actorcred.rpc.protocol.connection import Connection
    from actorcred.rpc.server.asgi import WebApp
    from actorcred.rpc.server.options import Rates, Resume, ServerOptions, TrustedProxy
    from actorcred.rpc.server.server import Server, ThreadedServer, serve, serve_in_thread

_HOMES = {
    "Address": "protocol.addresses",
    "BlockingClient": "client.blocking",
    "Client": "client.client",
    "ClientOptions": "client.options",
    "Connection": "protocol.connection",
    "Rates": "server.options",
    "Resume": "server.options",
    "Server": "server.server",
    "ServerOptions": "server.options",
    "ThreadedServer": "server.server",
    "TrustedProxy": "server.options",
    "WebApp": "server.asgi",
    "WireLimits": "protocol.codec",
    "connect": "client.client",
    "connect_blocking": "client.blocking",
    "serve": "server.server",
    "serve_in_thread": "server.server",
}

__all__ = [
    "Address",
    "BlockingClient",
    "Client",
    "ClientOptions",
    "Connection",
    "Rates",
    "Resume",
    "Server",
    "ServerOptions",
    "ThreadedServer",
    "TrustedProxy",
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
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value
