"""What the sessions of a portal, and its own parts, do with its ref."""

from __future__ import annotations

from actorcred.actors import Future
from actorcred.logout import LogoutReason
from actorcred.portal.arguments import require
from actorcred.portal.asking import Asking
from actorcred.portal.messages import (
    AvatarGone,
    AvatarOpened,
    AvatarWoke,
    EndSession,
    MoveSession,
    PutToSleep,
)
from actorcred.sessions.session import Session

__all__ = ["SessionKeeper"]


class SessionKeeper(Asking):
    """The part of a portal's ref that is for this package; implements `SessionOwner`."""

    __slots__ = ()

    def now(self) -> float:
        """Return the time in seconds on the portal's clock."""
        return self.actor_inbox.dispatcher.now()

    def end_session(self, session: Session, reason: LogoutReason) -> Future[None]:
        """End a session; see `Session.end`."""
        done: Future[None] = Future()
        done.expect_from(self.actor_inbox)
        if not self.tell_if_alive(EndSession(session, reason, done)):
            done.settle()
        return done

    def avatar_opened(self, session: Session) -> None:
        """Complete the login of a session."""
        self.deliver_if_alive(AvatarOpened(session))

    def avatar_gone(self, session: Session, cause: BaseException | None) -> None:
        """Finish the end of a session whose avatar has stopped; may be called on any thread."""
        self.deliver_if_alive(AvatarGone(session, cause))

    def avatar_woke(self, session: Session) -> None:
        """Watch again whether a session is idle; may be called on any thread."""
        self.tell_if_alive(AvatarWoke(session))

    def put_to_sleep(self, session: Session) -> Future[bool]:
        """Put the avatar of a session to sleep; see `Session.sleep`."""
        return self._look_up(PutToSleep(session))

    def move_session(self, session: Session, node: str) -> Future[str]:
        """Move a session to another server; see `Session.move`."""
        require("node", node, str)
        return self._look_up(MoveSession(session, node))
