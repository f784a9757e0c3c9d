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
from actorcred.errors import ClientGone, MoveFailed
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.methods import Method, methods_of
from actorcred.mind.broadcast import catch_up
from actorcred.mind.channel import Leftovers, MovableChannel
from actorcred.mind.outbox import Notification
from actorcred.rpc.protocol.codec import MSGPACK, Codec, NotificationMessage
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

    def hold(self) -> None:
        """Let further messages of the client wait."""

    def release(self) -> None:
        """Handle the messages that waited."""

    def move_on(self, token: str | None) -> list[NotificationMessage]:
        """Tell the client to resume at another server; return its notifications that waited."""


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

    def forget_token(self, token: bytes | None, *, over: bool = False) -> None:
        """Invalidate a resume token."""

    def await_return(self, channel: SessionChannel) -> None:
        """End the session of a channel if its client does not resume it in time."""

    def here(self, function: Callable[..., Any], *args: Any) -> None:
        """Run a function on the loop's thread; immediately if this is that thread."""


class SessionChannel(MovableChannel):
    """The channel of a session's mind.

    Notifications are numbered from 1 on by both sides. Those that the client might not have
    received are kept.

    Args:
        hub: the hub of the server.
        keeps: whether the client may return to its session after it has lost its connection.
        takes_notifications: whether the client accepts what it did not request. What the mind drops
            is not counted here, so a client that returns has missed nothing.
        errors: the form of errors for this client.

    Attributes:
        moves: whether the client can be told to continue at another server.
    """

    kind = "rpc"

    __slots__ = (
        "_backlog",
        "_end",
        "_halted",
        "_hub",
        "_keeps",
        "_kept",
        "_kept_bytes",
        "_late",
        "_token",
        "errors",
        "lost_at",
        "methods",
        "moves",
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
        self._backlog: Backlog | None = None
        # Until the client has the answer to its login, notifications wait as after a lost
        # connection.
        self._kept: deque[tuple[Notification, int]] | None = None
        self._kept_bytes = 0
        self._halted: int | None = None
        """While the session moves, the number of the last notification that was sent."""
        self._late: list[Notification] | None = None
        """What came after the state was taken for another server."""
        self.moves = False
        self.sent = 0
        """The number of the last notification."""
        self.peer: Line | None = None
        self.lost_at: float | None = None
        self.methods: dict[str, Method] = {}

    @property
    def backlog(self) -> Backlog:
        """What the client sent, on any connection, and the avatar has not begun to handle."""
        backlog = self._backlog
        if backlog is None:  # most clients send nothing while their avatar is busy
            options = self._hub.options
            backlog = self._backlog = Backlog(2 * options.wire.pending, options.backlog_bytes)
        return backlog

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
        if self._late is not None:
            self._late.append(notification)
            return None
        peer = self.peer if self._halted is None else None
        codec = self._codec if peer is None else peer.connection.codec
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
        if self.peer is None or self._halted is not None:
            raise ClientGone("the client has lost its connection, or moves to another server")
        return self.peer.call(name, args)

    def close(self, reason: LogoutReason) -> None:
        """Close the client's connection with a goodbye, since its session is over."""
        if get_ident() != self._hub.thread:
            self._hub.from_thread(self.close, reason)
            return
        self._end = reason
        self._hub.forget_token(self._token, over=True)
        self._hub.lost_channels.discard(self)
        peer, self.peer = self.peer, None
        if peer is not None:
            self._say_goodbye(peer, reason)

    def _say_goodbye(self, peer: Line, reason: LogoutReason) -> None:
        peer.channel = None
        retry_after = self._hub.retry_after if reason.code is LogoutCode.DRAINED else None
        peer.goodbye(str(reason.code), reason.detail, retry_after)

    # -- moving to another server, and from one ----------------------------------------------------

    def halt(self) -> Future[None]:
        """Keep what is to be sent, and hold what the client sends."""
        return self._hub.from_thread(self._halt)

    def _halt(self) -> None:
        if not self.moves:
            raise MoveFailed("the client cannot continue at another server")
        if self.peer is None:
            raise MoveFailed("the client is not connected now")
        self._halted = self.sent
        self.peer.hold()

    def state(self) -> Future[Any]:
        """Return what the client might not have received, and what it accepts."""
        return self._hub.from_thread(self._state)

    def _state(self) -> dict[str, Any]:
        encode = MSGPACK.encode_notification
        try:
            kept = [note.encoded(MSGPACK.name, encode) for note, _ in self._kept or ()]
        except Exception as error:
            raise MoveFailed(f"a notification cannot cross to another server: {error}") from None
        self._late = []
        return {"kept": kept, "sent": self.sent, "errors": str(self.errors)}

    def go_on(self) -> None:
        """Send and handle what was kept, since the session stays."""
        self._hub.here(self._go_on)

    def _go_on(self) -> None:
        if self._halted is None:
            return
        unsent, late = self.sent - self._halted, self._late
        self._halted = self._late = None
        peer = self.peer
        if peer is not None:
            kept, codec = list(self._kept or ()), self._codec
            for notification, _ in kept[len(kept) - min(unsent, len(kept)) :]:
                peer.send(notification.encoded(codec.name, codec.encode_notification))
        for notification in late or ():
            self.session.mind.send(notification)
        if peer is not None:
            peer.release()

    def leave(self, welcome: Any) -> Future[Leftovers]:
        """Tell the client to resume at the other server."""
        return self._hub.from_thread(self._leave, welcome)

    def _leave(self, token: Any) -> Leftovers:
        catch_up(self.session.mind)
        self._hub.forget_token(self._token, over=True)
        self._hub.lost_channels.discard(self)
        self._keeps, self._kept = False, None
        left = Leftovers(self._late or [])
        peer, self.peer = self.peer, None
        if peer is not None:
            peer.channel = None
            for notice in peer.move_on(token if isinstance(token, str) else None):
                method = self.methods.get(notice.method)
                if method is not None:
                    left.calls.append((method.name, notice.params))
        return left

    @classmethod
    def land(cls, hub: ChannelHub, state: Any) -> SessionChannel:
        """Return the channel of a session that arrives here, from its `state` elsewhere.

        Raises:
            MoveFailed: if that is none.
        """
        try:
            channel = cls(hub, keeps=True, errors=FaultForm(state["errors"]))
            for data in state["kept"]:
                note = MSGPACK.decode(data)
                if not isinstance(note, NotificationMessage):
                    raise TypeError(f"a {type(note).__name__} among the notifications")
                channel._keep(Notification(note.method, tuple(note.params)), len(data))
            channel.sent = int(state["sent"])
        except (KeyError, TypeError, ValueError) as error:
            raise MoveFailed(f"the state of a channel is not understood: {error}") from None
        channel.moves = True
        return channel

    def arrive(self, session: Any) -> Future[Any]:
        """Wait for the client to resume; return the token with which it does."""
        return self._hub.from_thread(self._arrive, session)

    def _arrive(self, session: Session) -> str | None:
        self.open(session)
        if self._end is not None:
            raise MoveFailed("the session has ended meanwhile")
        self._hub.await_return(self)
        return self.new_token()

    # -- connections -------------------------------------------------------------------------------

    def attach(self, peer: Line, last_seen: int) -> None:
        """Use a connection from now on.

        Args:
            peer: the connection.
            last_seen: the number of the last notification that the client received.
        """
        if peer.channel is not self:
            return  # the connection was lost meanwhile
        if self._end is not None:  # while the client was resuming
            self.acknowledge(last_seen)
            self._send_kept(peer)
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
        if self._kept is not None:
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
