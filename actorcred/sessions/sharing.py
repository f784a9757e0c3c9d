"""One avatar and the sessions that share it (policy SHARE)."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

from actorcred.actors import Future
from actorcred.errors import ClientGone
from actorcred.mind.channel import Channel
from actorcred.mind.group import Group
from actorcred.mind.mind import MindRef
from actorcred.mind.outbox import Notification

__all__ = ["SharedAvatar"]


class Sharer(Protocol):
    """What a shared avatar needs of a session."""

    id: str
    mind: MindRef


S = TypeVar("S", bound=Sharer)


class SharedAvatar(Channel, Generic[S]):
    """One avatar and the sessions that share it, as the target of the avatar's mind."""

    hub: MindRef
    """The avatar's mind, whose target this is."""

    def __init__(self) -> None:
        self.sessions: dict[str, S] = {}
        self._group = Group()

    def add(self, session: S) -> None:
        """Add a session."""
        self.sessions[session.id] = session
        self._group.add(session.mind)

    def discard(self, session: S) -> None:
        """Remove a session."""
        self.sessions.pop(session.id, None)
        self._group.discard(session.mind)

    def notify(self, notification: Notification) -> None:
        """Send a notification to all clients of the avatar."""
        for mind in self._group:
            mind.send(notification)

    def call(self, name: str, args: tuple[Any, ...]) -> Future[Any]:
        """Call the client that logged in last, of those that can be called."""
        if not self.sessions:
            raise ClientGone("no client shares this avatar any more")
        minds = [session.mind for session in reversed(self.sessions.values())]
        return next((mind for mind in minds if mind.channel.takes_notifications), minds[0]).call(
            name, *args
        )
