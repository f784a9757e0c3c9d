"""Serve one service in three ways, and call each.

1. Twisted's realm on a PB server, over our portal: the application is unchanged.
2. Our realm on a PB server: old clients need no change.
3. Our realm on our own wire: what new clients use.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from twisted.internet import asyncioreactor

from actorcred import Portal, PortalRef, rpc
from actorcred.checkers.memory import MemoryChecker
from actorcred.cli.lifetime import Life, run
from examples.pb.service import Echo, EchoRealm

NAME, PASSWORD = "ann", "s3cret"


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    argparse.ArgumentParser(
        prog="python -m examples.pb",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args(argv)
    return run(_live)


async def _live(life: Life) -> int:
    """Serve and call, unless a signal arrives first; return an exit code."""
    return await life.opened(_show())


async def _show() -> int:
    asyncioreactor.install(asyncio.get_running_loop())
    from twisted.internet import reactor
    from twisted.spread import pb

    from actorcred.adapters.twisted import CredPortal, TwistedRealm, reactor_dispatcher
    from actorcred.adapters.twisted.pb import Perspective
    from examples.pb.classic import SimpleRealm

    running: Any = reactor
    running.startRunning(installSignalHandlers=False)
    here = reactor_dispatcher()
    checker = MemoryChecker.start(
        {NAME: PASSWORD}, plaintext=True, dispatcher=here
    )  # PB's challenge needs the plaintext
    classic = Portal.start(TwistedRealm.start(SimpleRealm()), [checker], dispatcher=here)
    ours = Portal.start(EchoRealm.start(dispatcher=here), [checker], dispatcher=here)

    for title, cred in (
        ("Twisted's realm by PB", CredPortal(classic)),
        ("our realm by PB", CredPortal(ours, faces={pb.IPerspective: (Echo, Perspective)})),
    ):
        port = running.listenTCP(0, pb.PBServerFactory(cred), interface="127.0.0.1")
        print(f"{title + ':':<23}", *await call_by_pb(port.getHost().port))
        await port.stopListening().asFuture(asyncio.get_running_loop())
    print(f"{'our realm by our wire:':<23}", *await call_by_wire(ours))
    await classic.drain()
    await ours.drain()
    return 0


async def call_by_pb(port: int) -> tuple[str, str]:
    """Call the service with Twisted's own client; return the answer and what the client heard."""
    from twisted.cred.credentials import UsernamePassword
    from twisted.internet import reactor
    from twisted.spread import pb

    heard: list[str] = []
    loop = asyncio.get_running_loop()
    running: Any = reactor

    class Mind(pb.Referenceable):
        def remote_heard(self, text: str) -> None:
            heard.append(text)

    factory = pb.PBClientFactory()
    connector = running.connectTCP("127.0.0.1", port, factory)
    try:
        perspective = await factory.login(
            UsernamePassword(NAME.encode(), PASSWORD.encode()), Mind()
        ).asFuture(loop)
        answer = await perspective.callRemote("echo", "hello").asFuture(loop)
    finally:
        connector.disconnect()
    return answer, f"(heard {', '.join(heard)})"


async def call_by_wire(portal: PortalRef) -> tuple[str, str]:
    """Call the service with our client."""
    heard: list[str] = []
    async with await rpc.serve(portal, "tcp:127.0.0.1:0") as server:
        handler = lambda name, *args: heard.append(args[0]) if name == "heard" else None  # noqa: E731
        async with await rpc.connect(
            server.addresses[0], NAME, PASSWORD, handler=handler
        ) as client:
            answer = await client.call("echo", "hello")
    return answer, f"(heard {', '.join(heard)})"


if __name__ == "__main__":
    raise SystemExit(main())
