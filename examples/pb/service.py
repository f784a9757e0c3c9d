"""The same service with actors. It knows nothing of protocols."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from actorcred import Avatar, MindRef, Realm

__all__ = ["Echo", "EchoRealm"]


class Echo(ABC):
    """The methods that a client can call."""

    @abstractmethod
    def echo(self, text: str) -> str:
        """Return a string, and notify the client that it was heard."""


class EchoAvatar(Avatar, Echo):
    """A user."""

    def echo(self, text: str) -> str:
        """See `Echo`."""
        self.mind.notify("heard", text)
        return f"{self.avatar_id} said {text}"


class EchoRealm(Realm):
    """Creates avatars."""

    interfaces = (Echo,)

    def request_avatar(self, avatar_id: Any, mind: MindRef, *interfaces: type) -> Any:
        """Start an avatar."""
        avatar = EchoAvatar.start(avatar_id, mind)
        return Echo, avatar, avatar.stop
