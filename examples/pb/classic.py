"""A service as Twisted's documentation has it: SimplePerspective and SimpleRealm. It knows nothing of actorcred."""

from __future__ import annotations

from typing import Any

from twisted.cred.portal import IRealm
from twisted.spread import pb
from zope.interface import implementer

__all__ = ["SimpleRealm"]


class SimplePerspective(pb.Avatar):
    """What a user can do."""

    def __init__(self, name: bytes, mind: Any) -> None:
        self.name = name
        self.mind = mind

    def perspective_echo(self, text: str) -> str:
        """Return a text, and tell the client that it was heard."""
        self.mind.callRemote("heard", text)
        return f"{self.name.decode()} said {text}"

    def logged_out(self) -> None:
        """Forget the client."""
        self.mind = None


@implementer(IRealm)
class SimpleRealm:
    """Makes perspectives."""

    def requestAvatar(self, avatarId: bytes, mind: Any, *interfaces: Any) -> Any:  # noqa: N802, N803  # Twisted's names
        """Return one."""
        if pb.IPerspective not in interfaces:
            raise NotImplementedError
        avatar = SimplePerspective(avatarId, mind)
        return pb.IPerspective, avatar, avatar.logged_out
