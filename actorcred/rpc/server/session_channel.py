"""The channel from a session to its client, which outlives the connection.

Notifications that the client missed wait for its return.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Callable
from threading import get_ident
from typing import Any, Protocol

from actorcred.actors import Future
from actorcred.errors import ClientGone
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.methods import Method, methods_of
from actorcred.mind.channel import Channel
from actorcred.mind.outbox import Notification
from actorcred.rpc.protocol.codec import MSGPACK, Codec
from actorcred.rpc.protocol.connection import Connection
from actorcred.rpc.protocol.faults import FaultForm
from actorcred.rpc.protocol.goodbye import GoodbyeCode
from actorcred.rpc.server.guard import Backlog
from actorcred.rpc.server.options import ServerOptions
from actorcred.sessions.routing import new_token
from actorcred.sessions.session import Session

__all__ = ["SessionChannel", "token_hash"]


logger = logging.getLogger("actorcred.rpc")


def token_hash(token: str) -> bytes:
    """Return the hash of a resume token, which is stored in its place.

    A token has 256 random bits, so that a plain hash cannot be reversed.
    """
    return hashlib.sha256(token.encode()).digest()


class Line(Protocol):
    """What the channel of a session needs of the client's connection."""

    connection: Connection
    channel: SessionChannel | None

    @property
    def drained(self) -> Future[None] | None:
        """A future that is done when the client can receive more; None if it can now."""

    def send(self, data: bytes) -> None:
        """Send a message."""

    def call(self, name: str, args: tuple[Any, ...]) -> Future[Any]:
        """Call the client."""

    def goodbye(self, code: str, detail: str, retry_after: float | None) -> None:
        """Close the connection, after a goodbye with the reason."""


class ChannelHub(Protocol):
    """What channels need of the hub."""

    options: ServerOptions
    node: str
    thread: int
    channels: dict[bytes, SessionChannel]
    lost_channels: set[SessionChannel]
    retry_after: float

    def from_thread(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Have a function run on the loop's thread."""

    def forget_token(self, token: bytes | None) -> None:
        """Invalidate a resume token."""


class SessionChannel(Channel):
    """The channel of a session's mind.

    Notifications are numbered from 1 on by both sides. Those that the client might not have
    received are kept.

    Args:
        hub: the hub of the server.
        keeps: whether the client may return to its session after it has lost its connection.
        takes_notifications: whether the client accepts what it did not request. What the mind drops
            is not counted here, so a client that returns has missed nothing.
        errors: the form of errors for this client.
    """

    __slots__ = (
        "_end",
        "_hub",
        "_keeps",
        "_kept",
        "_kept_bytes",
        "_token",
        "backlog",
        "errors",
        "lost_at",
        "methods",
        "peer",
        "sent",
        "session",
        "takes_notifications",
    )

    session: Session

    def __init__(
        self,
        hub: ChannelHub,
        *,
        keeps: bool,
        takes_notifications: bool = True,
        errors: FaultForm = FaultForm.MAP,
    ) -> None:
        self._hub = hub
        self._keeps = keeps
        self.takes_notifications = takes_notifications
        self.errors = errors
        self._token: bytes | None = None
        self._end: LogoutReason | None = None
        self.backlog = Backlog(2 * hub.options.wire.pending, hub.options.backlog_bytes)
        """What the client sent, on any connection, and the avatar has not begun to handle."""
        # Until the client has the answer to its login, notifications wait as after a lost
        # connection.
        self._kept: deque[tuple[Notification, int]] | None = None
        self._kept_bytes = 0
        self.sent = 0
        """The number of the last notification."""
        self.peer: Line | None = None
        self.lost_at: float | None = None
        self.methods: dict[str, Method] = {}
        """When the user proved the credentials again, on the server's clock."""

    def open(self, session: Session) -> None:
        """Set the session that was opened."""
        self.session = session
        self.methods = methods_of(session.interface)

    def new_token(self) -> str | None:
        """Return a new token to resume the session once; None if it cannot be resumed.

        The previous token is invalidated.
        """
        self._hub.forget_token(self._token)
        self._token = None
        if not self._keeps or self._end is not None:
            return None
        token = new_token(self._hub.node)
        self._token = token_hash(token)
        self._hub.channels[self._token] = self
        return token

    def ready(self) -> bool:
        """Return whether this is the loop's thread, and the client reads what it is sent."""
        return get_ident() == self._hub.thread and (self.peer is None or self.peer.drained is None)

    def size(self, notification: Notification) -> int:
        """Return the bytes of a notification."""
        codec = self._codec
        try:
            return len(notification.encoded(codec.name, codec.encode_notification))
        except Exception:
            return 0  # the mind gets the error when sending

    @property
    def _codec(self) -> Codec:
        peer = self.peer
        return MSGPACK if peer is None else peer.connection.codec

    # -- called by the mind ------------------------------------------------------------------------

    def notify(self, notification: Notification) -> Any:
        """Send or keep a notification; return a future if the client can receive no more now."""
        if get_ident() != self._hub.thread:
            return self._hub.from_thread(self.notify, notification)
        peer = self.peer
        codec = self._codec
        data = notification.encoded(codec.name, codec.encode_notification)
        self.sent += 1
        if self._keeps or peer is None:
            self._keep(notification, len(data))
        if peer is None:
            return None
        peer.send(data)
        return peer.drained

    def _keep(self, notification: Notification, size: int) -> None:
        kept, options = self._kept, self._hub.options
        if kept is None:
            kept = self._kept = deque()
        kept.append((notification, size))
        self._kept_bytes += size
        while len(kept) > options.resume.replay or (
            self._kept_bytes > options.resume.replay_bytes and len(kept) > 1
        ):
            self._kept_bytes -= kept.popleft()[1]

    def call(self, name: str, args: tuple[Any, ...]) -> Any:
        """Call the client; return a future of its answer."""
        if not self.takes_notifications:
            raise ClientGone(
                "the client logged in with `notifications: false`, so it cannot be called"
            )
        if get_ident() != self._hub.thread:
            return self._hub.from_thread(self.call, name, args)
        if self.peer is None:
            raise ClientGone("the client has lost its connection")
        return self.peer.call(name, args)

    def close(self, reason: LogoutReason) -> None:
        """Close the client's connection with a goodbye, since its session is over."""
        if get_ident() != self._hub.thread:
            self._hub.from_thread(self.close, reason)
            return
        self._end = reason
        self._hub.forget_token(self._token)
        self._hub.lost_channels.discard(self)
        self._kept = None
        peer, self.peer = self.peer, None
        if peer is not None:
            self._say_goodbye(peer, reason)

    def _say_goodbye(self, peer: Line, reason: LogoutReason) -> None:
        peer.channel = None
        retry_after = self._hub.retry_after if reason.code is LogoutCode.DRAINED else None
        peer.goodbye(str(reason.code), reason.detail, retry_after)

    # -- connections -------------------------------------------------------------------------------

    def attach(self, peer: Line, last_seen: int) -> None:
        """Use a connection from now on.

        Args:
            peer: the connection.
            last_seen: the number of the last notification that the client received.
        """
        if peer.channel is not self:
            return  # the connection was lost meanwhile
        if self._end is not None:
            self._say_goodbye(peer, self._end)
            return
        previous, self.peer = self.peer, peer
        if previous is not None:
            previous.channel = None
            previous.goodbye(
                GoodbyeCode.RESUMED, "the session continues on another connection", None
            )
        self.lost_at = None
        self._hub.lost_channels.discard(self)
        self.acknowledge(last_seen)
        self._send_kept(peer)
        if not self._keeps:
            self._kept = None

    def _send_kept(self, peer: Line) -> None:
        """Send what waits for the client, except for what this connection's codec cannot encode."""
        codec, sent = peer.connection.codec, deque[tuple[Notification, int]]()
        for notification, size in self._kept or ():
            try:
                peer.send(notification.encoded(codec.name, codec.encode_notification))
            except Exception as error:
                self._kept_bytes -= size
                self.sent -= 1  # the client counts what it gets
                logger.warning("A client's %r failed:", notification.name, exc_info=error)
            else:
                sent.append((notification, size))
        if self._kept is not None:
            self._kept = sent

    def misses(self, last_seen: int) -> bool:
        """Return whether a reconnecting client has missed notifications that are no longer kept."""
        return not self.sent - len(self._kept or ()) <= last_seen <= self.sent

    def acknowledge(self, last_seen: int) -> None:
        """Drop the notifications that the client has received."""
        kept = self._kept
        if kept is None:
            return
        for _ in range(min(len(kept), last_seen - (self.sent - len(kept)))):
            self._kept_bytes -= kept.popleft()[1]
        if not kept:
            self._kept = None
            self._kept_bytes = 0

    def lost(self, now: float) -> None:
        """Called when the connection is lost."""
        self.peer = None
        if self._keeps:
            self.lost_at = now
            self._hub.lost_channels.add(self)
        else:
            self.session.end(LogoutCode.LOST)
