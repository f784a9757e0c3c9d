"""How a client behaves."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["ClientOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """How a client behaves.

    Args:
        interface: what to use the avatar as: the name of an interface, or several, the dearest first; by default the
            first one of the realm.
        mechanism: the SASL mechanism; by default the strongest that both sides have, but never
            CRAM-MD5 or SCRAM-SHA-1.
        reconnect: come back after the connection was lost, to the same session if that is possible.
        max_pause: seconds between two attempts at most.
        timeout: seconds for connecting, and for the first answer of the server.
        login_timeout: seconds for logging in, once connected: more than the 30 that a portal takes by default, so that it is the
            portal that says that it cannot be done.
        on_slow_login: called when a login has taken some seconds and goes on; by default that is logged.
        client: name and version, for the user's list of sessions.
        context: for TLS; by default certificates are verified against those of the system.
        json: write JSON; on WebSocket only.
        notifications: whether the server may send what the client did not ask for. Without it comes no goodbye either, so that
            a client that reconnects does so even after it was kicked.
    """

    interface: str | list[str] | None = None
    mechanism: str | None = None
    reconnect: bool = False
    max_pause: float = 30.0
    timeout: float = 10.0
    login_timeout: float = 40.0
    on_slow_login: Callable[[], object] | None = None
    client: tuple[str, str] = ("actorcred", "")
    context: ssl.SSLContext | None = None
    json: bool = False
    notifications: bool = True
