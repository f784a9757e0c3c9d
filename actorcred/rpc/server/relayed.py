"""Connections that other nodes pass on, since their sessions are at this one."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
import pykka

from actorcred.actors import Future
from actorcred.rpc.protocol.codec import SUBPROTOCOLS
from actorcred.rpc.protocol.connection import Connection
from actorcred.rpc.server.commands import continue_session
from actorcred.rpc.server.connection import ServerConnection
from actorcred.rpc.server.guard import ConnectionLimiter, Place
from actorcred.rpc.server.hub import Hub
from actorcred.rpc.server.relay import Greeting, Resumed
from actorcred.rpc.server.session_channel import SessionChannel
from actorcred.sessions.routing import Accepted, Pipe

__all__ = ["Relayed", "RelayedTransport"]

logger = logging.getLogger("actorcred.rpc")

CODECS = {codec.name: codec for codec in SUBPROTOCOLS.values()}

UNLIMITED = 1 << 30
"""Connections that are passed on are limited by the number of pipes, and where they arrive."""


class RelayedTransport:
    """The transport of a connection that another node passes on; this node's end of the pipe.

    Args:
        hub: the hub of the server.
        pipe: the pipe to the other node.

    Attributes:
        peer: the server's end of the connection.
    """

    __slots__ = ("_full", "_held", "_hub", "_pipe", "_untaken", "peer")

    peer: ServerConnection

    def __init__(self, hub: Hub, pipe: Pipe) -> None:
        self._hub = hub
        self._pipe = pipe
        self._full = False
        """Whether nothing is taken from the client, since it does not read."""
        self._held: asyncio.TimerHandle | None = None
        self._untaken = 0

    # -- from the other node ---------------------------------------------------------------------

    def received(self, messages: list[bytes]) -> None:
        """Handle data of the client."""
        self._hub.here(self._received, messages)

    def _received(self, messages: list[bytes]) -> None:
        try:
            for data in messages:
                self.peer.received(data)
        except Exception as error:
            self._hub.give_up(self.peer, error)
        self._untaken += sum(map(len, messages))
        self._take()

    def _take(self) -> None:
        if self._untaken and not self._full and self._held is None:
            size, self._untaken = self._untaken, 0
            self._pipe.taken(size)

    def drained(self) -> None:
        """Stop holding back, if the client has read enough."""
        self._hub.here(self._drained)

    def _drained(self) -> None:
        if self._full and self._pipe.waiting <= self._hub.options.write_buffer // 2:
            self._full = False
            self.peer.resume()
            self._take()

    def closed(self, why: str) -> None:
        """Note that the connection is lost, after what runs now, as with any transport."""
        self._hub.here(self._hub.loop.call_soon, self._lost)

    def _lost(self) -> None:
        self.go_on()
        self.peer.lost()

    # -- called by the peer ----------------------------------------------------------------------

    def write(self, messages: list[bytes]) -> None:
        """Send messages."""
        self._pipe.send(messages)
        if not self._full and self._pipe.waiting > self._hub.options.write_buffer:
            self._full = True
            self.peer.pause()

    def waiting(self) -> int:
        """Return the number of bytes that the other node has not passed on yet."""
        return self._pipe.waiting

    def hold(self, seconds: float) -> None:
        """Take nothing from the client for `seconds`."""
        if self._held is None:
            self._held = self._hub.loop.call_later(seconds, self.go_on)

    def go_on(self) -> None:
        """Take more from the client."""
        if self._held is not None:
            self._held.cancel()
            self._held = None
            self._take()

    def close(self) -> None:
        """Close the connection when everything is sent."""
        self._pipe.close()

    def abort(self) -> None:
        """Close the connection immediately."""
        self._pipe.abort()


class Relayed:
    """Accepts the connections that other nodes pass on.

    Args:
        hub: the hub of the server.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._limiter = ConnectionLimiter(UNLIMITED, UNLIMITED)

    def accept(self, greeting: bytes, pipe: Pipe) -> Future[Accepted | None]:
        """Continue a session, if it is here; see `Router.serve`."""
        return self._hub.from_thread(self._accept, greeting, pipe)

    def _accept(self, greeting: bytes, pipe: Pipe) -> Future[Accepted] | None:
        hub = self._hub
        try:
            said = msgspec.msgpack.decode(greeting, type=Greeting)
            codec = CODECS[said.codec]
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError) as error:
            logger.warning("Another node passes a connection on that is not understood: %s", error)
            return None
        channel = hub.channels.get(said.token)
        if channel is None or not channel.session.is_open:
            if hub.is_over(said.token):
                raise pykka.ActorDeadError("the session is over")
            return None
        transport = RelayedTransport(hub, pipe)
        connection = Connection(codec, hub.options.wire, framed=said.framed)
        self._limiter.enter("", 1.0)
        place = Place(self._limiter, "", hub.loop.time(), said.client.address)
        transport.peer = ServerConnection(hub, transport, connection, said.client, place)
        return self._continue(transport, channel, said)

    @staticmethod
    def _continue(
        transport: RelayedTransport, channel: SessionChannel, said: Greeting
    ) -> Future[Accepted]:
        accepted: Future[Accepted] = Future()

        def tell(told: dict[str, Any]) -> Accepted:
            resumed = Resumed(told, not channel.takes_notifications)
            return Accepted(transport, msgspec.msgpack.encode(resumed))

        accepted.follow(
            continue_session(transport.peer, channel, said.last_seen, said.heartbeat), tell
        )
        return accepted
