"""One avatar and the sessions that share it (policy SHARE)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actorcred.actors import Future
from actorcred.errors import ClientGone
from actorcred.mind.channel import Channel
from actorcred.mind.group import Group
from actorcred.mind.mind import MindRef
from actorcred.mind.outbox import Notification

if TYPE_CHECKING:
    from actorcred.sessions.session import Session

__all__ = ["SharedAvatar"]


class SharedAvatar(Channel):
    """One avatar and the sessions that share it (policy SHARE), as the target of the avatar's mind."""

    hub: MindRef
    """The mind that the avatar has been given, whose target this is."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self._group = Group()

    def add(self, session: Session) -> None:
        """Let a session share the avatar."""
        self.sessions[session.id] = session
        self._group.add(session.mind)

    def discard(self, session: Session) -> None:
        """Let a session go."""
        self.sessions.pop(session.id, None)
        self._group.discard(session.mind)

    def notify(self, notification: Notification) -> None:
        """Send a notification to all clients of the avatar."""
        for mind in self._group:
            mind.send(notification)

    def call(self, name: str, args: tuple[Any, ...]) -> Future[Any]:
        """Ask the client that logged in last."""
        if not self.sessions:
            raise ClientGone("no client shares this avatar any more")
        return next(reversed(self.sessions.values())).mind.call(name, *args)
