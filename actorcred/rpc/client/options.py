"""The settings of a client."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from actorcred.settings import check_settings

__all__ = ["ClientOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """The settings of a client.

    Args:
        interface: the name of the interface to use the avatar as, or several in order of
            preference; by default the first one of the realm.
        mechanism: the SASL mechanism; by default the strongest that both sides have, but never
            CRAM-MD5 or SCRAM-SHA-1.
        reconnect: reconnect after the connection was lost, to the same session if possible.
        max_pause: seconds between two attempts to reconnect, at most.
        timeout: seconds for connecting, and for the first answer of the server.
        login_timeout: seconds for logging in, once connected. It is longer than a portal's default
            of 30, so that the portal's own time-out is reported to the client.
        on_slow_login: called when a login takes more than a few seconds; by default that is logged.
        client: name and version, for the user's list of sessions.
        context: for TLS; by default certificates are verified against those of the system.
        json: use JSON; on WebSocket only.
        info: what else the client tells the realm, a dict of values that can be sent, such as
            {"language": "de"}; a few kilobytes at most. The realm reads it as `mind.info`.
        notifications: whether the server may send notifications. Without them there is no goodbye
            either, so a client with `reconnect` reconnects even after it was kicked.
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
    info: dict[str, Any] = field(default_factory=dict)
    notifications: bool = True

    def __post_init__(self) -> None:
        check_settings(self)
        named = isinstance(self.client, tuple) and len(self.client) == 2
        if not named or not all(isinstance(part, str) for part in self.client):
            raise TypeError(f"client must be a tuple of name and version, not {self.client!r}")
        names: list[object] = [*self.info]
        if not all(isinstance(name, str) for name in names):
            raise TypeError("info must be a dict whose keys are strings")
