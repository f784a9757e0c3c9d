"""Fair sharing of the event loop between connections, and sending no faster than clients read."""

from __future__ import annotations

import time
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import deferLater
from zope.interface import implementer

__all__ = ["Outlet", "Turns"]

MAX_WORK = 0.02
"""Seconds that a command may work before other connections get their turn."""


class Turns:
    """Mixin for Twisted's protocols with timeouts, whose commands let other connections run.

    Attributes:
        lost: whether the connection is lost.
    """

    transport: Any
    resetTimeout: Any
    lost = False
    _rested = 0.0

    async def rest(self) -> None:
        """Yield to other connections, if this one has worked for a while.

        Raises:
            CancelledError: if the connection is lost.
        """
        if time.monotonic() - self._rested > MAX_WORK:
            from twisted.internet import reactor

            await deferLater(reactor, 0)
            self.rested()
        if self.lost:
            raise CancelledError

    def rested(self) -> None:
        """Note that other connections had their turn."""
        self._rested = time.monotonic()


@implementer(IPushProducer)
class Outlet:
    """Pauses sending while the client does not read. Use it with `with`."""

    def __init__(self, wire: Turns) -> None:
        self._wire = wire
        self._closed: Deferred[None] | None = None

    def __enter__(self) -> Outlet:
        self._wire.transport.registerProducer(self, True)
        return self

    def __exit__(self, *_: object) -> None:
        self._wire.transport.unregisterProducer()

    async def opened(self) -> None:
        """Wait until the client has read, and yield to other connections."""
        while self._closed is not None:
            await self._closed
            self._wire.rested()
        self._wire.resetTimeout()
        await self._wire.rest()

    def pauseProducing(self) -> None:
        """Pause."""
        if self._closed is None:
            self._closed = Deferred()

    def resumeProducing(self) -> None:
        """Resume."""
        closed, self._closed = self._closed, None
        if closed is not None:
            closed.callback(None)

    def stopProducing(self) -> None:
        """Give up: the connection is lost."""
        closed, self._closed = self._closed, None
        if closed is not None:
            closed.cancel()
