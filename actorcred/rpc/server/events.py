"""The events of a server's connections, published in addition to `actorcred.portal.events`.

Events with a `count` are summed by source: the first one is published immediately, those that
follow once per 10 s and at the end, with the fields of the last one.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar

from actorcred.identity import ClientInfo, Identity
from actorcred.names import AvatarId
from actorcred.network import source_of
from actorcred.portal.events import Event

__all__ = [
    "ConnectionBroken",
    "ConnectionRefused",
    "RequestsThrottled",
    "SessionResumed",
    "stranger",
]


def stranger(address: str) -> ClientInfo:
    """Return what is known of a client before its connection is set up."""
    return ClientInfo(address=address, protocol="rpc")


@dataclass(frozen=True, slots=True)
class ConnectionRefused(Event):
    """A connection was refused, usually because of a limit.

    Attributes:
        client: where it came from.
        detail: the reason, such as which limit.
        count: how many this stands for.
    """

    name: ClassVar[str] = "connection-refused"
    level: ClassVar[int] = logging.WARNING

    client: ClientInfo
    detail: str
    count: int = 1

    def summed_by(self) -> str | None:
        """Return the source."""
        return source_of(self.client.address)


@dataclass(frozen=True, slots=True)
class ConnectionBroken(Event):
    """The server ended a connection whose client violated the protocol, or was silent for too long.

    Attributes:
        client: where it came from.
        detail: what was wrong.
        count: how many this stands for.
    """

    name: ClassVar[str] = "connection-broken"
    level: ClassVar[int] = logging.WARNING

    client: ClientInfo
    detail: str
    count: int = 1

    def summed_by(self) -> str | None:
        """Return the source."""
        return source_of(self.client.address)


@dataclass(frozen=True, slots=True)
class RequestsThrottled(Event):
    """A client began to send more requests per second than allowed.

    Attributes:
        client: where the client comes from.
        session_id: its session; "" before the login.
        avatar_id: the session's avatar id; "" before the login.
        count: how many this stands for.
    """

    name: ClassVar[str] = "requests-throttled"
    level: ClassVar[int] = logging.WARNING

    client: ClientInfo
    session_id: str
    avatar_id: AvatarId = ""
    count: int = 1

    def summed_by(self) -> str | None:
        """Return the source."""
        return source_of(self.client.address)


@dataclass(frozen=True, slots=True)
class SessionResumed(Event):
    """A client continued its session on another connection.

    Attributes:
        session_id: the session.
        avatar_id: the session's avatar id.
        client: where the client comes from now.
        complete: whether it got all notifications that it had missed.
        checker: the name of the checker that had accepted the credentials.
        identity: who the user is.
    """

    name: ClassVar[str] = "resumed"

    session_id: str
    avatar_id: AvatarId
    client: ClientInfo
    complete: bool
    checker: str = ""
    identity: Identity | None = None
