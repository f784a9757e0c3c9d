"""Our server: prints its port and process id.

Run it as `python -m tests.benchmarks.wire.server_actorcred [uvloop]`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from abc import ABC, abstractmethod
from typing import Any

from actorcred import (
    ANONYMOUS,
    Admission,
    Avatar,
    Checker,
    Group,
    Portal,
    PortalOptions,
    Realm,
    UsernamePassword,
    rpc,
)
from actorcred.actors import AsyncioDispatcher, set_default_dispatcher
from actorcred.rpc import Rates, ServerOptions

everybody = Group()


class Echo(ABC):
    """The methods that clients can call."""

    @abstractmethod
    def echo(self, text: str) -> str:
        """Return the text."""

    @abstractmethod
    def fan(self) -> int:
        """Broadcast a notification to all clients."""


class EchoAvatar(Avatar, Echo):
    """A user."""

    def on_login(self) -> None:
        """Join the broadcast group."""
        everybody.add(self.mind)

    def echo(self, text: str) -> str:
        """Return the text."""
        return text

    def fan(self) -> int:
        """Broadcast a notification to all clients."""
        return everybody.notify("n", "hello")


class EchoRealm(Realm):
    """The realm of all users."""

    interfaces = (Echo,)

    def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        """Make an avatar."""
        avatar = EchoAvatar.start(avatar_id, mind)
        return Echo, avatar, avatar.stop


class AnyPassword(Checker):
    """Accepts everyone, without hashing."""

    credential_interfaces = (UsernamePassword,)

    def request_avatar_id(self, credentials: UsernamePassword) -> Any:
        """Accept."""
        return credentials.username or ANONYMOUS


async def main() -> None:
    """Serve until killed."""
    logging.getLogger("actorcred.audit").setLevel(logging.CRITICAL)
    set_default_dispatcher(AsyncioDispatcher())
    portal = Portal.start(
        EchoRealm.start(),
        [AnyPassword.start()],
        PortalOptions(admission=Admission(logins=10_000, unauthenticated=10_000)),
    )
    options = ServerOptions(
        rates=Rates(requests_per_second=None, bytes_per_second=None),
        login_timeout=300.0,
    )
    server = await rpc.serve(portal, "tcp:127.0.0.1:0", options=options)
    print(server.addresses[0].port, os.getpid(), flush=True)
    await server.wait_closed()


if __name__ == "__main__":
    if sys.argv[1:] == ["uvloop"]:
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())
