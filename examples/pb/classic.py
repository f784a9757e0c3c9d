"""A service as in Twisted's documentation: SimplePerspective and SimpleRealm.

It knows nothing of actorcred.
"""

from __future__ import annotations

from typing import Any

from twisted.cred.portal import IRealm
from twisted.spread import pb
from zope.interface import implementer

__all__ = ["SimpleRealm"]


class SimplePerspective(pb.Avatar):
    """The methods of a user."""

    def __init__(self, name: bytes, mind: Any) -> None:
        self.name = name
        self.mind = mind

    def perspective_echo(self, text: str) -> str:
        """Return a string, and notify the client that it was heard."""
        self.mind.callRemote("heard", text)
        return f"{self.name.decode()} said {text}"

    def logged_out(self) -> None:
        """Forget the client."""
        self.mind = None


@implementer(IRealm)
class SimpleRealm:
    """Creates perspectives."""

    # Twisted's names
    def requestAvatar(  # noqa: N802
        self,
        avatarId: bytes,  # noqa: N803
        mind: Any,
        *interfaces: Any,
    ) -> Any:
        """Return a perspective."""
        if pb.IPerspective not in interfaces:
            raise NotImplementedError
        avatar = SimplePerspective(avatarId, mind)
        return pb.IPerspective, avatar, avatar.logged_out
