"""The events of a server's connections, published in addition to `actorcred.portal.events`.

Events with a `count` are summed by source: the first one is published immediately, those that
follow once per 10 s and at the end, with the fields of the last one.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar

from actorcred.names import AvatarId
from actorcred.network import source_of_peer
from actorcred.portal.events import Event

__all__ = [
    "ConnectionBroken",
    "ConnectionRefused",
    "RequestsThrottled",
    "SessionResumed",
]


@dataclass(frozen=True, slots=True)
class ConnectionRefused(Event):
    """A connection was refused, usually because of a limit.

    Attributes:
        address: where it came from.
        detail: the reason, such as which limit.
        count: how many this stands for.
    """

    name: ClassVar[str] = "connection-refused"
    level: ClassVar[int] = logging.WARNING

    address: str
    detail: str
    count: int = 1

    def summed_by(self) -> str | None:
        """Return the source."""
        return source_of_peer(self.address)


@dataclass(frozen=True, slots=True)
class ConnectionBroken(Event):
    """The server ended a connection whose client violated the protocol, or was silent for too long.

    Attributes:
        address: where it came from.
        detail: what was wrong.
        count: how many this stands for.
    """

    name: ClassVar[str] = "connection-broken"
    level: ClassVar[int] = logging.WARNING

    address: str
    detail: str
    count: int = 1

    def summed_by(self) -> str | None:
        """Return the source."""
        return source_of_peer(self.address)


@dataclass(frozen=True, slots=True)
class RequestsThrottled(Event):
    """A client began to send more requests per second than allowed.

    Attributes:
        address: the client's address.
        session_id: its session; "" before the login.
        count: how many this stands for.
    """

    name: ClassVar[str] = "requests-throttled"
    level: ClassVar[int] = logging.WARNING

    address: str
    session_id: str
    count: int = 1

    def summed_by(self) -> str | None:
        """Return the source."""
        return source_of_peer(self.address)


@dataclass(frozen=True, slots=True)
class SessionResumed(Event):
    """A client continued its session on another connection.

    Attributes:
        session_id: the session.
        avatar_id: the session's avatar id.
        address: the client's new address.
        complete: whether it got all notifications that it had missed.
    """

    name: ClassVar[str] = "resumed"

    session_id: str
    avatar_id: AvatarId
    address: str
    complete: bool
