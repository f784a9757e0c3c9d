"""What the connections of one server share: its portal, its limits, and the sessions that wait for their clients."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING, Any

from actorcred.actors import Future
from actorcred.interface import methods_of
from actorcred.penalties import Penalties, Turns, source_of
from actorcred.rpc.events import ConnectionBroken, ConnectionRefused
from actorcred.rpc.guard import Admission
from actorcred.rpc.options import ServerOptions
from actorcred.sessions.session import LogoutCode

if TYPE_CHECKING:
    from actorcred.portal import PortalRef
    from actorcred.rpc.link import Link
    from actorcred.rpc.peer import Peer

__all__ = ["ServerCore", "open_core"]

SWEEPS = 4
"""Looks for peers whose time is over, per shortest time-out."""


class ServerCore:
    """The middle of a server, without any transport. Lives on one event loop; its methods are for that loop's thread.

    Args:
        portal: where clients log in.
        options: settings.

    Attributes:
        peers: all connections.
        links: the sessions that can be resumed, by the hash of their token.
        lost_links: those of them that have no connection.
        draining: whether nobody may log in any more.
    """

    retry_after = 5.0
    """Seconds after which a client may come back to a server that goes down or is full."""

    def __init__(self, portal: PortalRef, options: ServerOptions) -> None:
        self.portal = portal
        self.options = options
        self.loop = asyncio.get_running_loop()
        self.thread = get_ident()
        self.interfaces: tuple[type, ...] = ()
        """What clients may ask for; the first one is the default."""
        self.peers: set[Peer] = set()
        self.links: dict[bytes, Link] = {}
        self.lost_links: set[Link] = set()
        self.draining = False
        self.ignored_notices = 0
        """Notifications from clients for methods that do not exist."""
        self.admission = Admission(options.max_connections, options.max_connections_per_source)
        self.penalties = Penalties(options.penalty, options.free_failures, options.max_penalty)
        self.turns = Turns(max(1, options.free_failures))
        self._nobody = asyncio.Event()
        self._nobody.set()
        self._dirty: list[Peer] = []
        self._random = random.SystemRandom()
        self._timer: asyncio.TimerHandle | None = None

    # -- connections --------------------------------------------------------------------------------------------------

    def admit(self, address: str) -> str | None:
        """Count a connection in; return the source that it has to be counted out with, or None if it is refused.

        Args:
            address: of the peer; "" if it has none.
        """
        source = source_of(address) if address else ""
        refusal = "the server is going down" if self.draining else self.admission.enter(source, self._random.random())
        if refusal is None:
            return source
        self.portal.publish(ConnectionRefused(address, refusal))
        return None

    def enter(self, peer: Peer) -> None:
        """Take in a connection."""
        self.peers.add(peer)
        self._nobody.clear()
        if self._timer is None:
            self._sweep_later()

    def leave(self, peer: Peer) -> None:
        """Forget a connection."""
        self.peers.discard(peer)
        if not self.peers:
            self._nobody.set()

    def write_later(self, peer: Peer) -> None:
        """Write what a peer has to send at the end of this turn of the loop, together with all that comes till then."""
        self._dirty.append(peer)
        if len(self._dirty) == 1:
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for peer in dirty:
            peer.flush()

    def forget_token(self, token: bytes | None) -> None:
        """Let a resume token be of no use any more."""
        if token is not None:
            self.links.pop(token, None)

    # -- time ---------------------------------------------------------------------------------------------------------

    def _sweep_later(self) -> None:
        options = self.options
        shortest = min(options.login_timeout, options.heartbeat, options.grace or options.heartbeat)
        self._timer = self.loop.call_later(min(1.0, shortest / SWEEPS), self._sweep)

    def _sweep(self) -> None:
        now = self.loop.time()
        for peer in list(self.peers):
            overdue = peer.overdue(now)
            if overdue is not None:
                self.portal.publish(ConnectionBroken(peer.origin.address, overdue[1]))
                peer.goodbye(*overdue, None)
                peer.wire.abort()
        for link in list(self.lost_links):
            if link.lost_at is not None and now - link.lost_at >= self.options.grace:
                self.lost_links.discard(link)
                link.session.end(LogoutCode.LOST)
        self._timer = None
        if self.peers or self.lost_links:
            self._sweep_later()

    # -- other threads ------------------------------------------------------------------------------------------------

    def here(self, function: Callable[..., Any], *args: Any) -> None:
        """Run a function on the loop's thread: at once if this is it."""
        if get_ident() == self.thread:
            function(*args)
        else:
            self.from_thread(function, *args)

    def from_thread(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Have a function run on the loop's thread; return a future of its result, or of what its result promises."""
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
            future.settle_error(ConnectionError("the server is gone"))
        return future

    # -- the end ------------------------------------------------------------------------------------------------------

    async def drain(self, timeout: float) -> int:
        """Let nobody log in any more, log everybody out, and say goodbye to all.

        Args:
            timeout: seconds for the avatars' `on_logout`, and for the clients to take what they are sent.

        Returns:
            The number of sessions that were ended.
        """
        self.draining = True
        links = {peer.link for peer in self.peers if peer.link is not None} | self.lost_links
        ended = [link.session.end(LogoutCode.DRAINED) for link in links]
        for peer in list(self.peers):
            if peer.link is None:
                peer.goodbye(str(LogoutCode.DRAINED), "the server is going down", self.retry_after)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                for future in ended:
                    await future
                await self._nobody.wait()
        for peer in list(self.peers):
            peer.goodbye(str(LogoutCode.DRAINED), "the server is going down", self.retry_after)
            peer.wire.abort()
        if self._timer is not None:
            self._timer.cancel()
        return len(ended)


async def open_core(portal: PortalRef, options: ServerOptions | None) -> ServerCore:
    """Return the middle of a server on the running loop.

    Raises:
        TypeError: if an interface of the realm has methods that cannot be called over a wire.
        ValueError: if the realm lists no interfaces, or two of the same name.
    """
    core = ServerCore(portal, options or ServerOptions())
    core.interfaces = await portal.list_interfaces()
    if not core.interfaces:
        raise ValueError("the realm lists no interfaces; set its class attribute `interfaces`, by whose names clients ask")
    names = [interface.__name__ for interface in core.interfaces]
    if len(set(names)) < len(names):
        raise ValueError(f"two interfaces of the realm have the same name, by which clients ask: {', '.join(sorted(names))}")
    for interface in core.interfaces:
        methods_of(interface)
    return core
