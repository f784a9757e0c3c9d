"""Our server: prints its port and process id.

Run it as `python -m tests.benchmarks.wire.server_actorcred LOOP SCHEME [hashed]`.

All passwords are accepted. With `hashed`, this holds for names that begin with u. Other users have
the password "secret", which is hashed.
"""

from __future__ import annotations

import logging
import os
import ssl
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
    UnauthorizedLogin,
    UsernamePassword,
    rpc,
)
from actorcred.actors import AsyncioDispatcher, set_default_dispatcher, tune_gc
from actorcred.checkers.memory import MemoryChecker
from actorcred.rpc import Rates, ServerOptions
from tests.benchmarks.measure import raise_descriptor_limit, run_on_loop
from tests.benchmarks.wire.game import HASHED_USERS, ROUNDS_OF_BCRYPT

everybody = Group()
rooms: dict[int, Group] = {}


class Echo(ABC):
    """The methods that clients can call."""

    @abstractmethod
    def echo(self, text: str) -> str:
        """Return the text."""

    @abstractmethod
    def fan(self) -> int:
        """Broadcast a notification to all clients."""

    @abstractmethod
    def join(self, room: int) -> None:
        """Enter a room of the chat."""

    @abstractmethod
    def say(self, text: str) -> int:
        """Notify all in the room."""


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

    def join(self, room: int) -> None:
        """Enter a room of the chat."""
        self._room = rooms.setdefault(room, Group())
        self._room.add(self.mind)

    def say(self, text: str) -> int:
        """Notify all in the room."""
        return self._room.notify("said", text)


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


class AnyPasswordOfSome(AnyPassword):
    """Accepts those whose names begin with u."""

    def request_avatar_id(self, credentials: UsernamePassword) -> Any:
        """Accept, or leave it to the next checker."""
        if not credentials.username.startswith("u"):
            raise UnauthorizedLogin
        return credentials.username


def checkers(hashed: tuple[str, ...]) -> list[Any]:
    """Return the checkers."""
    if not hashed:
        return [AnyPassword.start()]
    users = {f"hashed{number}": "secret" for number in range(HASHED_USERS)}
    return [AnyPasswordOfSome.start(), MemoryChecker.start(users, rounds=ROUNDS_OF_BCRYPT)]


def certificate(scheme: str) -> ssl.SSLContext | None:
    """Return a context with a new certificate, if the scheme needs one."""
    if scheme not in ("tls", "wss"):
        return None
    import trustme

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    return context


async def main(scheme: str, *hashed: str) -> None:
    """Serve until killed."""
    logging.getLogger("actorcred.audit").setLevel(logging.CRITICAL)
    set_default_dispatcher(AsyncioDispatcher())
    portal = Portal.start(
        EchoRealm.start(),
        checkers(hashed),
        PortalOptions(admission=Admission(logins=10_000, unauthenticated=10_000)),
    )
    options = ServerOptions(
        rates=Rates(requests_per_second=None, bytes_per_second=None),
        login_timeout=300.0,
    )
    server = await rpc.serve(
        portal, f"{scheme}:127.0.0.1:0", options=options, context=certificate(scheme)
    )
    tune_gc()  # as docs advise, and as the command does
    print(server.addresses[0].port, os.getpid(), flush=True)
    await server.wait_closed()


if __name__ == "__main__":
    raise_descriptor_limit()
    loop, *words = sys.argv[1:]
    run_on_loop(main(*words), loop)
