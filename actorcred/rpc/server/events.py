"""What happens at a server's connections; told to the subscribers of its portal beside `actorcred.portal.events`.

Events with a `count` are summed by source: the first one is told at once, those that follow once per 10 s and at the end, with the
fields of the last one.
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
    "LoginThrottled",
    "RequestsThrottled",
    "SessionResumed",
]


@dataclass(frozen=True, slots=True)
class ConnectionRefused(Event):
    """A connection was refused: there are too many without a login.

    Attributes:
        address: where it came from.
        detail: which limit.
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
    """The server ended a connection whose client broke the protocol, or was silent for too long.

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
class LoginThrottled(Event):
    """A login was denied without a look at its credentials, since too many have failed of late.

    Attributes:
        address: where it came from.
        claimed: the user name that the client claimed, treated as in `actorcred.portal.events.LoginRefused`.
        retry_after: seconds until another one is looked at.
        count: how many this stands for.
    """

    name: ClassVar[str] = "login-throttled"
    level: ClassVar[int] = logging.WARNING

    address: str
    claimed: str
    retry_after: float
    count: int = 1

    def summed_by(self) -> str | None:
        """Return the source."""
        return source_of_peer(self.address)


@dataclass(frozen=True, slots=True)
class RequestsThrottled(Event):
    """A client sends more requests per second than it may; told once for each time that it begins to.

    Attributes:
        address: where it is.
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
    """A client came back to its session by another connection.

    Attributes:
        session_id: the session.
        avatar_id: whose it is.
        address: where the client is now.
        complete: whether it got all that it had missed.
    """

    name: ClassVar[str] = "resumed"

    session_id: str
    avatar_id: AvatarId
    address: str
    complete: bool
