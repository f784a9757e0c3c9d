"""Twisted's own client of Perspective Broker: does what standard input says."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Coroutine
from typing import Any

from twisted.cred.credentials import UsernamePassword
from twisted.internet import defer, reactor, task, threads
from twisted.spread import pb

from tests.benchmarks.wire.driver import Driver, Target


class Client(pb.Referenceable):  # type: ignore[misc]
    """Receives notifications."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def remote_n(self, text: str) -> None:
        """Count."""
        self._target.notified()


class PB(Target):
    """Perspective Broker."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._promised: Any = None

    def promise(self) -> Awaitable[Any]:
        """Return a Deferred."""
        self._promised = defer.Deferred()
        return self._promised  # type: ignore[no-any-return]

    def all_heard(self) -> None:
        """Fire the Deferred."""
        self._promised.callback(None)

    def together(self, coroutines: list[Coroutine[Any, Any, None]]) -> Awaitable[Any]:
        """Run coroutines as Deferreds."""
        return defer.gatherResults([defer.ensureDeferred(coroutine) for coroutine in coroutines])

    def next_order(self) -> Awaitable[str]:
        """Read it in a thread."""
        return threads.deferToThread(sys.stdin.readline)

    async def login(self, number: int) -> Any:
        """Connect and log in."""
        factory = pb.PBClientFactory()
        reactor.connectTCP("127.0.0.1", self._port, factory)  # type: ignore[attr-defined]
        return await factory.login(UsernamePassword(b"u%d" % number, b"x"), Client(self))

    async def close(self, session: Any) -> None:
        """Disconnect, which ends the session."""
        session.broker.transport.loseConnection()

    async def echo(self, session: Any) -> None:
        """Call."""
        await session.callRemote("echo", "hi")

    async def fan(self, session: Any) -> None:
        """Broadcast a notification to all clients."""
        await session.callRemote("fan")


if __name__ == "__main__":
    run = Driver(PB(int(sys.argv[1]))).run()
    task.react(lambda _: defer.ensureDeferred(run))
