"""The connection of a client whose session is at another node: this node passes its data on.

The data are passed on as they are, a frame or some bytes of a stream at a time. What comes back are
whole messages, so that a goodbye of this node can be sent between them.
"""

from __future__ import annotations

import logging
from typing import Any, Protocol

import msgspec

from actorcred.actors import Future
from actorcred.errors import CheckerUnavailable, LoginFailed, RefusalCause, UnauthorizedLogin
from actorcred.identity import ClientInfo
from actorcred.rpc.protocol.goodbye import GoodbyeCode
from actorcred.rpc.server.guard import Stall
from actorcred.rpc.server.hub import Peer
from actorcred.rpc.server.session_channel import token_hash
from actorcred.sessions.routing import NoRoute, Opened, Pipe

__all__ = ["SERVICE", "Greeting", "Relay", "Resumed"]

logger = logging.getLogger("actorcred.rpc")

SERVICE = "rpc"
"""The name under which servers accept the connections of other nodes."""

AWAY = "the server that has the session cannot be reached now"


class Greeting(msgspec.Struct, frozen=True):
    """What a node says of a connection that it passes on.

    Attributes:
        token: the hash of the resume token.
        last_seen, heartbeat: as in the client's `cred.resume`.
        codec: the name of the codec.
        framed: whether data arrive in frames of one message each.
        client: where the client comes from.
    """

    token: bytes
    last_seen: int
    heartbeat: bool
    codec: str
    framed: bool
    client: ClientInfo


class Resumed(msgspec.Struct, frozen=True):
    """What the node of a session answers.

    Attributes:
        told: the answer to the client.
        answers_only: whether the client accepts only answers.
    """

    told: dict[str, Any]
    answers_only: bool


class Carrier(Peer, Protocol):
    """What a relay needs of the client's connection."""

    relay: Relay | None

    def refusal(self, error: LoginFailed, kind: str) -> Future[Any]:
        """Report a refusal that the portal does not see; return an answer that waits for that."""

    def relayed(self, *, answers_only: bool) -> None:
        """Note that another node has accepted the client."""

    def deliver(self, messages: list[bytes]) -> None:
        """Send messages to the client after those that wait."""

    def take_early(self) -> list[bytes]:
        """Return what the client has sent since its request, encoded, and what is incomplete."""

    def hang_up(self) -> None:
        """Close the connection without a goodbye of this node."""


class Relay:
    """Passes the data of a client on; this node's end of the pipe.

    Args:
        peer: the client's connection.
        node: the id of the node that has the session; a client can send any.
    """

    __slots__ = (
        "_answer",
        "_closed",
        "_early",
        "_full",
        "_node",
        "_peer",
        "_pipe",
        "_stall",
        "_untaken",
    )

    def __init__(self, peer: Carrier, node: str) -> None:
        self._peer = peer
        self._node = node
        self._pipe: Pipe | None = None
        self._answer: Future[Any] = Future()
        self._early: list[bytes] = []
        """What the other node has sent before its answer was handled; the pipe's window bounds
        it."""
        self._closed: str | None = None
        self._full = False
        self._untaken = 0
        self._stall = Stall(peer.hub.options.write_timeout)

    @property
    def open(self) -> bool:
        """Whether the other node has accepted the client."""
        return self._pipe is not None

    def resume(self, token: str, last_seen: int, heartbeat: bool) -> Future[Any]:
        """Ask the other node to resume the session; see `commands.resume`.

        Returns:
            A future of the answer to the client.
        """
        peer = self._peer
        connection = peer.connection
        greeting = Greeting(
            token_hash(token),
            last_seen,
            heartbeat,
            connection.codec.name,
            connection.framed,
            peer.client,
        )
        data = msgspec.msgpack.encode(greeting)
        opening = peer.hub.portal.router.open(self._node, SERVICE, data, self)
        opening.add_done_callback(lambda done: peer.hub.here(self._opened, done))
        return self._answer

    def _opened(self, done: Future[Opened | NoRoute]) -> None:
        try:
            outcome = done.get()
        except Exception:
            logger.exception("A session at another node could not be resumed:")
            outcome = NoRoute.AWAY
        if isinstance(outcome, NoRoute):
            self._refuse(outcome)
        elif self._peer.closed:
            outcome.pipe.close()
        else:
            self._begin(outcome)

    def _begin(self, outcome: Opened) -> None:
        try:
            resumed = msgspec.msgpack.decode(outcome.answer, type=Resumed)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            logger.warning("Node %s resumes sessions in another way: %s", self._node, error)
            outcome.pipe.abort()
            self._refuse(NoRoute.AWAY)
            return
        self._pipe = outcome.pipe
        self._peer.relayed(answers_only=resumed.answers_only)
        self._answer.settle(resumed.told)
        self._deliver(self._early)
        self._early = []
        early = self._peer.take_early()
        if early:
            self._pipe.send(early)
        if self._closed is not None:
            self._end(self._closed)

    def _refuse(self, outcome: NoRoute) -> None:
        peer = self._peer
        peer.relay = None
        if outcome is NoRoute.AWAY:
            away = CheckerUnavailable(AWAY).because(RefusalCause.UNAVAILABLE)
            refusal = peer.refusal(away, "resume")
        else:
            unknown = UnauthorizedLogin(f"no open session has this token: {outcome.value}")
            # When a node has died, many users of one source may come with its tokens.
            unknown.seen = outcome is NoRoute.UNKNOWN
            refusal = peer.refusal(unknown, "resume")
        self._answer.follow(refusal)

    # -- from the client -------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Pass data of the client on, once the other node has accepted it."""
        assert self._pipe is not None
        self._pipe.send([data])
        options = self._peer.hub.options
        if self._pipe.waiting > options.write_buffer:
            self._peer.transport.hold(options.write_timeout)

    def pause(self) -> None:
        """Take no more from the other node, since the client does not read."""
        self._full = True

    def go_on(self) -> None:
        """Take more."""
        self._full = False
        self._take(0)

    def close(self) -> None:
        """Tell the other node that the client is gone."""
        if self._pipe is not None:
            self._pipe.close()

    def is_stuck(self, now: float) -> bool:
        """Return whether the other node has taken nothing for too long."""
        return self._pipe is not None and self._stall.is_over(self._pipe.waiting, now)

    # -- from the other node ---------------------------------------------------------------------

    def received(self, messages: list[bytes]) -> None:
        """Pass messages on to the client."""
        self._peer.hub.here(self._received, messages)

    def _received(self, messages: list[bytes]) -> None:
        if self._pipe is None:
            self._early += messages
        else:
            self._deliver(messages)

    def _deliver(self, messages: list[bytes]) -> None:
        self._peer.deliver(messages)
        self._take(sum(map(len, messages)))

    def _take(self, size: int) -> None:
        self._untaken += size
        if self._untaken and not self._full and self._pipe is not None:
            size, self._untaken = self._untaken, 0
            self._pipe.taken(size)

    def drained(self) -> None:
        """Read from the client again, if the other node has taken enough."""
        self._peer.hub.here(self._drained)

    def _drained(self) -> None:
        if (
            self._pipe is not None
            and self._pipe.waiting <= self._peer.hub.options.write_buffer // 2
        ):
            self._peer.transport.go_on()

    def closed(self, why: str) -> None:
        """Close the client's connection."""
        self._peer.hub.here(self._end, why)

    def _end(self, why: str) -> None:
        if self._pipe is None:
            self._closed = why  # before the answer was handled
        elif why:
            self._peer.goodbye(GoodbyeCode.LOST, why, None)
        else:
            self._peer.hang_up()
