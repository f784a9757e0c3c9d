"""Where sessions live: tokens that name their node, and pipes to other nodes.

A session does not move when its client comes to another node. That node becomes a pipe to the one
that has the session. Servers and adapters use this through `PortalRef.router`; without a cluster,
it is `ALONE`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeAlias

from actorcred.actors import Future
from actorcred.sessions.info import SessionInfo
from actorcred.sessions.session import Session

__all__ = [
    "ALONE",
    "Accept",
    "Accepted",
    "NoRoute",
    "Opened",
    "Pipe",
    "PipeEnd",
    "Router",
    "new_token",
    "node_of",
]


# -- tokens --------------------------------------------------------------------------------------

SECRET = 32
"""Random bytes of a token, so that its hash cannot be reversed."""


def new_token(node: str) -> str:
    """Return a secret token by which a client continues a session: `NODE.SECRET` or `SECRET`.

    Args:
        node: the id of the node that has the session; "" without a cluster.
    """
    secret = secrets.token_urlsafe(SECRET)
    return f"{node}.{secret}" if node else secret


def node_of(token: str) -> str:
    """Return the id of the node that a token names; "" if it names none.

    A client can send any string, so the result must be looked up before it is used.
    """
    return token.rpartition(".")[0]


# -- pipes ---------------------------------------------------------------------------------------


class Pipe(Protocol):
    """One end of a connection to another node. All methods can be called on any thread.

    Messages arrive whole, once and in order, or the pipe is over.
    """

    @property
    def waiting(self) -> int:
        """About how many bytes the other end has not taken; 0 if they are only a few."""

    def send(self, messages: list[bytes]) -> None:
        """Send messages. They wait here while the other end does not take what it got."""

    def taken(self, size: int) -> None:
        """Let the other end send more.

        Args:
            size: bytes of the messages that were handled.
        """

    def close(self) -> None:
        """Close the pipe when everything is sent."""

    def abort(self) -> None:
        """Close the pipe at once."""


class PipeEnd(Protocol):
    """What the user of a pipe is told, on the thread of the cluster. No method may block."""

    def received(self, messages: list[bytes]) -> None:
        """Handle messages. `Pipe.taken` must be called when that is done."""

    def drained(self) -> None:
        """Called when the other end has taken something, so that `Pipe.waiting` is smaller."""

    def closed(self, why: str) -> None:
        """Called once, at the end.

        Args:
            why: why the other node cannot be reached any more; "" if one of the ends has closed
                the pipe.
        """


class NoRoute(Enum):
    """Why a pipe could not be opened."""

    GONE = "there is no such node, or no more"
    SILENT = "the node is not heard, and has probably died"
    OVER = "the node has ended what was asked for"
    UNKNOWN = "the node does not know what was asked for"
    AWAY = "the node cannot be reached now"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A pipe that another node has opened is accepted.

    Args:
        end: this end.
        answer: what the other node is told.
        session: the session that the pipe belongs to, if the other node is to know it.
    """

    end: PipeEnd
    answer: bytes = b""
    session: Session | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A pipe to another node.

    Args:
        pipe: the pipe.
        answer: what the other node says, see `Accepted`.
        session: the session there; None if it was not named.
    """

    pipe: Pipe
    answer: bytes
    session: SessionInfo | None


Accept: TypeAlias = Callable[[bytes, Pipe], Future[Accepted | None]]
"""Called with the greeting of a pipe that another node opens; answers None to what it does not
know, and fails with `ActorDeadError` if that is over. It is called on the thread of the cluster,
and must not block."""


class Router(Protocol):
    """The way to the sessions of other nodes. All methods can be called on any thread.

    Attributes:
        node: the id of this node; "" without a cluster.
    """

    node: str

    def open(
        self, node: str, service: str, greeting: bytes, end: PipeEnd
    ) -> Future[Opened | NoRoute]:
        """Open a pipe to another node.

        Args:
            node: its id.
            service: the name under which it accepts pipes, see `serve`.
            greeting: what it is told first.
            end: this end. It may get messages before the future is done.
        """

    def serve(self, service: str, accept: Accept) -> Callable[[], None]:
        """Accept pipes of other nodes. Several functions for a service are asked in turn.

        Returns:
            A function that ends this.
        """


class _Alone:
    """All sessions are here."""

    node = ""

    def open(
        self, node: str, service: str, greeting: bytes, end: PipeEnd
    ) -> Future[Opened | NoRoute]:
        gone: Future[Opened | NoRoute] = Future()
        gone.settle(NoRoute.GONE)
        return gone

    def serve(self, service: str, accept: Accept) -> Callable[[], None]:
        return lambda: None


ALONE: Router = _Alone()
"""The router of a portal without a cluster."""
