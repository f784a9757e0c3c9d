"""The same service with actors. It knows nothing of protocols."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from actorcred import Avatar, MindRef, Realm

__all__ = ["Echo", "EchoRealm"]


class Echo(ABC):
    """What a client may call."""

    @abstractmethod
    def echo(self, text: str) -> str:
        """Return a text, and tell the client that it was heard."""


class EchoAvatar(Avatar, Echo):
    """A user."""

    def echo(self, text: str) -> str:
        """See `Echo`."""
        self.mind.notify("heard", text)
        return f"{self.avatar_id} said {text}"


class EchoRealm(Realm):
    """Makes avatars."""

    interfaces = (Echo,)

    def request_avatar(self, avatar_id: Any, mind: MindRef, *interfaces: type) -> Any:
        """Start one."""
        avatar = EchoAvatar.start(avatar_id, mind)
        return Echo, avatar, avatar.stop
