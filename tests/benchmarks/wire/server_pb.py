"""The same as a Twisted Perspective Broker.

With the argument CredPortal, it runs on our portal instead of Twisted's.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from twisted.cred import checkers, credentials, portal
from twisted.internet import reactor
from twisted.spread import pb
from zope.interface import implementer

from actorcred import Admission

everybody: dict[int, Any] = {}


class EchoAvatar(pb.Avatar):  # type: ignore[misc]
    """A user."""

    def __init__(self, mind: Any) -> None:
        self.mind = mind

    def perspective_echo(self, text: str) -> str:
        """Return the text."""
        return text

    def perspective_fan(self) -> int:
        """Broadcast a notification to all clients."""
        for mind in everybody.values():
            mind.callRemote("n", "hello").addErrback(lambda _: None)
        return len(everybody)


@implementer(portal.IRealm)
class EchoRealm:
    """The realm of all users."""

    def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:  # Twisted's names
        """Make an avatar."""
        # In Twisted 26.10, minds of several connections cannot be put in a set.
        everybody[id(mind)] = mind
        return pb.IPerspective, EchoAvatar(mind), lambda: everybody.pop(id(mind), None)


@implementer(checkers.ICredentialsChecker)
class AnyPassword:
    """Accepts everyone, without hashing."""

    credentialInterfaces = (credentials.IUsernamePassword, credentials.IUsernameHashedPassword)  # noqa: N815

    def requestAvatarId(self, presented: Any) -> Any:
        """Accept."""
        return presented.username


def make_portal(name: str) -> Any:
    """Return Twisted's portal or ours, with the same realm and checker."""
    if name != "CredPortal":
        return portal.Portal(EchoRealm(), [AnyPassword()])
    from actorcred import PortalOptions
    from actorcred.adapters.twisted import CredPortal

    logging.getLogger("actorcred.audit").setLevel(logging.CRITICAL)
    return CredPortal(
        EchoRealm(), [AnyPassword()], options=PortalOptions(admission=Admission(logins=10_000))
    )


if __name__ == "__main__":
    factory = pb.PBServerFactory(make_portal(" ".join(sys.argv[1:])))
    port = reactor.listenTCP(0, factory, backlog=4096, interface="127.0.0.1")  # type: ignore[attr-defined]
    print(port.getHost().port, os.getpid(), flush=True)
    reactor.run()  # type: ignore[attr-defined]
