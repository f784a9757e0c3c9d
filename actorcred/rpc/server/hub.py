"""The hub of a server: the portal, limits and resumable sessions that its connections share."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import get_ident
from time import monotonic
from typing import Any, Protocol

from actorcred.actors import Future
from actorcred.errors import LoginFailed
from actorcred.identity import ClientInfo
from actorcred.logout import GOING_DOWN, LogoutCode
from actorcred.methods import Method
from actorcred.mind.channel import MovableChannel
from actorcred.network import source_of
from actorcred.portal.ref import PortalRef
from actorcred.rpc.server.events import ConnectionBroken, ConnectionRefused, stranger
from actorcred.rpc.server.guard import ConnectionLimiter, Place
from actorcred.rpc.server.options import ServerOptions
from actorcred.rpc.server.session_channel import Line, SessionChannel
from actorcred.rpc.server.shortage import Shortage, descriptor_limit
from actorcred.rpc.server.transport import Transport
from actorcred.throttle import RETRY_AFTER

__all__ = ["Commands", "Hub", "Peer"]


logger = logging.getLogger("actorcred.rpc")

SLICE = 0.005
"""Seconds after which the writing of output yields to the other callbacks of the loop.

Shorter slices make broadcasts slower: with 2 ms by a few per cent.
"""

CHUNK = 16
"""The number of connections that are written to between two looks at the clock."""

SWEEPS = 4
"""The number of checks for overdue connections per shortest timeout."""


class Newcomer(Protocol):
    """A connection that is not a peer yet."""

    def end_if_overdue(self, now: float) -> None:
        """Close it if it is overdue. Never raises."""


class Peer(Line, Protocol):
    """A connection, as the lower layers of a server see it."""

    hub: Hub
    transport: Transport
    client: ClientInfo
    closed: bool
    dialogue: Any
    """The SASL exchange in progress."""

    @property
    def in_session(self) -> bool:
        """Whether the client has an open session."""

    def flush_due(self) -> None:
        """Pass the output so far to the transport, as `Hub.write_later` has promised."""

    def overdue(self, now: float) -> tuple[str, str] | None:
        """Return the code and the reason if the connection must end now; None if not."""

    def tell_refused(self, error: LoginFailed, kind: str) -> Future[None]:
        """Report a refused login that the portal did not see; see `PortalRef.tell_refused`."""

    def close_if_denied(self, error: Exception) -> None:
        """Close the connection of a client that continues during its penalty, after its answer."""


@dataclass(frozen=True, slots=True)
class Commands:
    """The methods that the server handles itself.

    Args:
        table: name on the wire -> how its arguments are read, and the function, which is given the
            connection first.
        logins: those after which further messages of the client wait for the answer.
        at_once: those that do not wait for a login, since they need none.
    """

    table: Mapping[str, tuple[Method, Callable[..., Any]]]
    logins: frozenset[str]
    at_once: frozenset[str]


OVER = 20_000
"""Tokens that are remembered after their sessions are over."""


class Hub:
    """The core of a server, independent of transports.

    It belongs to one event loop. Its methods must be called on that loop's thread, except for
    `here` and `from_thread`.

    Args:
        portal: where clients log in.
        options: settings.
        commands: the methods that the server handles itself.

    Attributes:
        node: the id of this node in its cluster; "" without one.
        peers: all connections.
        channels: the channels of sessions that can be resumed, by the hash of their token.
        lost_channels: those of them that have no connection.
        draining: whether new logins are refused.
    """

    retry_after = RETRY_AFTER
    """Seconds after which a client may return to a server that is full or shuts down."""

    def __init__(self, portal: PortalRef, options: ServerOptions, commands: Commands) -> None:
        self.portal = portal
        self.node = portal.router.node
        self.commands = commands
        self.options = options
        self.loop = asyncio.get_running_loop()
        self.thread = get_ident()
        self.interfaces: tuple[type, ...] = ()
        """The interfaces that clients may request; the first one is the default."""
        self.peers: dict[Peer, None] = {}
        self.channels: dict[bytes, SessionChannel] = {}
        self._over: dict[bytes, None] = {}
        """Tokens of sessions that are over, the latest last."""
        self.lost_channels: set[SessionChannel] = set()
        self.draining = False
        self.ignored_notices = 0
        """The number of notifications from clients that were not handled."""
        self._descriptors = descriptor_limit()
        admission = portal.options.admission
        self.admission = ConnectionLimiter(
            admission.unauthenticated,
            admission.unauthenticated_per_source,
            admission.connections or self._descriptors,
        )
        self.shortage = Shortage(self.loop)
        self.visitors: set[Newcomer] = set()
        """Connections that are not peers yet, such as those that still speak HTTP."""
        self._nobody = asyncio.Event()
        self._nobody.set()
        self.when_closed: list[Callable[[], object]] = []
        """Called when the server has closed."""
        self._dirty: deque[Peer] = deque()
        """Connections with output to write, each at most once."""
        self._flushes = False
        self._random = random.SystemRandom()
        self._timer: asyncio.TimerHandle | None = None

    # -- connections -------------------------------------------------------------------------------

    def source_of(self, address: str) -> str:
        """Return the source for which a client is counted and penalised; "" if there is none.

        Args:
            address: of the client; "" if it has none.
        """
        return source_of(address, loopback=self.portal.options.admission.limit_loopback)

    def admit(self, address: str, *, is_proxy: bool = False) -> Place | None:
        """Count a connection; return its place, which it must leave, or None if it is refused.

        Args:
            address: of the client; "" if it has none.
            is_proxy: whether it is a trusted proxy, whose client will be known later; see `move`.
        """
        source, now = "" if is_proxy else self.source_of(address), self.loop.time()
        refusal = self._refusal_of(source) or self._enter(source, now)
        if refusal is None:
            return Place(self.admission, source, now, address)
        self.refuse(address, refusal)
        return None

    def move(self, place: Place, client: ClientInfo) -> bool:
        """Count a connection for the client behind a proxy; return whether that is admitted."""
        source = self.source_of(client.address)
        refusal = self._refusal_of(source) or place.move(source, client.address)
        if refusal is not None:
            self.refuse(client.address, refusal)
        return refusal is None

    def refuse(self, address: str, why: str) -> None:
        """Report a connection that is refused."""
        self.portal.publish(ConnectionRefused(stranger(address), why))

    def trusts(self, address: str) -> bool:
        """Return whether an address is a trusted proxy; "" is a Unix socket."""
        proxy = self.options.proxy
        return proxy is not None and proxy.includes(address)

    def _refusal_of(self, source: str) -> str | None:
        if self.draining:
            return GOING_DOWN
        if self.portal.protection.shut_out(source):
            return "too many logins during the penalty of this source"
        return None

    def _enter(self, source: str, now: float) -> str | None:
        admission = self.admission
        if admission.is_crowded(0.0) is None:  # nearly always; a random number is a system call
            return admission.enter(source, 1.0)
        chance = self._random.random()
        if admission.source_is_full(source) is None and admission.is_crowded(chance) is not None:
            # End a silent connection rather than refuse one that might be a user. Otherwise silent
            # ones could keep all others out.
            ended = admission.make_room(now)
            if ended is not None:
                self.portal.publish(
                    ConnectionBroken(
                        stranger(ended.address),
                        "it had not begun to log in, and was closed to make room for another one",
                    )
                )
                chance = 1.0
        return admission.enter(source, chance)

    def spare_descriptors(self, used: int) -> bool:
        """Return whether enough file descriptors are left to serve a connection.

        Args:
            used: the number of the descriptor that it got.
        """
        if self._descriptors is None or used < self._descriptors:
            return True
        self.shortage.met(f"{used} file descriptors are in use", len(self.peers))
        return False

    def enter(self, peer: Peer) -> None:
        """Add a connection."""
        self.peers[peer] = None
        if len(self.peers) == 1:
            self._nobody.clear()
        if self._timer is None:
            self._sweep_later()

    def leave(self, peer: Peer) -> None:
        """Remove a connection."""
        self.peers.pop(peer, None)
        if not self.peers:
            self._nobody.set()

    def write_later(self, peer: Peer) -> None:
        """Write the output of a peer at the end of this turn of the loop, all together.

        If many have output, the loop serves others in between. Must be called again only after
        `flush_due` of the peer.
        """
        self._dirty.append(peer)
        if not self._flushes:
            self._flushes = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        dirty, deadline = self._dirty, monotonic() + SLICE
        while dirty:
            for _ in range(min(CHUNK, len(dirty))):
                peer = dirty.popleft()
                try:
                    peer.flush_due()
                except Exception as error:
                    self.give_up(peer, error)
            if dirty and monotonic() >= deadline:
                self.loop.call_soon(self._flush)
                return
        self._flushes = False

    def give_up(self, peer: Peer, error: Exception) -> None:
        """Close a connection that raised an exception, so that the others are not affected."""
        logger.error("A connection is closed after an unexpected error:", exc_info=error)
        try:
            peer.transport.abort()
        except Exception as another:
            logger.error("The connection could not be closed:", exc_info=another)

    def forget_token(self, token: bytes | None, *, over: bool = False) -> None:
        """Invalidate a resume token.

        Args:
            token: its hash; None if there is none.
            over: whether the session is over, so that its client may come with this token.
        """
        if token is None:
            return
        self.channels.pop(token, None)
        if over:
            self._over[token] = None
            if len(self._over) > OVER:
                del self._over[next(iter(self._over))]

    def is_over(self, token: bytes) -> bool:
        """Return whether a token is that of a session that is over, and thus no guess."""
        return token in self.channels or token in self._over

    def await_return(self, channel: SessionChannel) -> None:
        """End the session of a channel if its client does not resume it in time."""
        channel.lost_at = self.loop.time()
        self.lost_channels.add(channel)
        self.sweep()

    def land(self, state: Any) -> Future[MovableChannel]:
        """Return the channel of a session that arrives from another server. Thread-safe."""
        return self.from_thread(SessionChannel.land, self, state)

    # -- deadlines ---------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Check periodically for overdue connections and sessions, as long as any exist."""
        if self._timer is None:
            self._sweep_later()

    def _sweep_later(self) -> None:
        options = self.options
        shortest = min(
            options.login_timeout,
            options.heartbeat,
            options.resume.grace or options.heartbeat,
            options.write_timeout,
        )
        self._timer = self.loop.call_later(min(1.0, shortest / SWEEPS), self._sweep)

    def _sweep(self) -> None:
        now = self.loop.time()
        for peer in list(self.peers):
            try:
                self._end_if_overdue(peer, now)
            except Exception as error:
                self.give_up(peer, error)
        for visitor in list(self.visitors):
            visitor.end_if_overdue(now)
        for channel in list(self.lost_channels):
            if channel.lost_at is not None and now - channel.lost_at >= self.options.resume.grace:
                self.lost_channels.discard(channel)
                self._end_session(channel, LogoutCode.LOST)
        self._timer = None
        if self.peers or self.lost_channels or self.visitors:
            self._sweep_later()

    def _end_if_overdue(self, peer: Peer, now: float) -> None:
        overdue = peer.overdue(now)
        if overdue is not None:
            self.portal.publish(ConnectionBroken(peer.client, overdue[1]))
            peer.goodbye(*overdue, None)
            peer.transport.abort()

    def _end_session(self, channel: SessionChannel, code: LogoutCode) -> Future[None]:
        """End a session; return a future of its end, which also holds any error."""
        try:
            return channel.session.end(code)
        except Exception as error:
            logger.error("A session could not be ended:", exc_info=error)
            failed: Future[None] = Future()
            failed.settle_error(error)
            return failed

    # -- other threads -----------------------------------------------------------------------------

    def here(self, function: Callable[..., Any], *args: Any) -> None:
        """Run a function on the loop's thread; immediately if this is that thread."""
        if get_ident() == self.thread:
            function(*args)
        else:
            self.from_thread(function, *args)

    def from_thread(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Have a function run on the loop's thread; return a future of its result.

        If the result is a future itself, it is followed.
        """
        future: Future[Any] = Future()

        def run() -> None:
            try:
                result = function(*args)
            except Exception as error:
                future.settle_error(error)
                return
            if isinstance(result, Future):
                future.follow(result)
            else:
                future.settle(result)

        try:
            self.loop.call_soon_threadsafe(run)
        except RuntimeError:  # the loop is closed
            future.settle_error(ConnectionError("the server has stopped"))
        return future

    # -- shutdown ----------------------------------------------------------------------------------

    async def drain(self, timeout: float) -> int:
        """Refuse new logins, end all sessions, and close all connections with a goodbye.

        Args:
            timeout: seconds for the avatars' `on_logout`, and for the clients to read what they are
                sent.

        Returns:
            The number of sessions that were ended.
        """
        self.draining = True
        channels = {
            peer.channel for peer in self.peers if peer.channel is not None
        } | self.lost_channels
        ended = [self._end_session(channel, LogoutCode.DRAINED) for channel in channels]
        for peer in list(self.peers):
            if peer.channel is None:
                self._say_that_it_ends(peer)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                for future in ended:
                    with contextlib.suppress(Exception):  # the portal logs it; the others still end
                        await future
                await self._nobody.wait()
        for peer in list(self.peers):
            self._say_that_it_ends(peer, abort=True)
        if self._timer is not None:
            self._timer.cancel()
        self.shortage.close()
        for function in self.when_closed:
            function()
        return len(ended)

    def _say_that_it_ends(self, peer: Peer, *, abort: bool = False) -> None:
        try:
            peer.goodbye(str(LogoutCode.DRAINED), GOING_DOWN, self.retry_after)
            if abort:
                peer.transport.abort()
        except Exception as error:
            self.give_up(peer, error)
