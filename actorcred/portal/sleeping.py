"""Putting avatars to sleep. All of it runs in the portal's context and never waits."""

from __future__ import annotations

from actorcred.actors import Future
from actorcred.avatar import FallAsleep
from actorcred.portal.logouts import Logouts
from actorcred.portal.messages import AvatarSlept
from actorcred.portal.ref import PortalRef
from actorcred.sessions.directory import Directory
from actorcred.sessions.session import Session

__all__ = ["Sleeping"]


class Sleeping:
    """Puts avatars to sleep whose clients are idle, and those that the application chooses.

    Args:
        portal: the portal's ref.
        directory: its sessions.
        logouts: watches their deadlines.
    """

    def __init__(self, portal: PortalRef, directory: Directory, logouts: Logouts) -> None:
        self._portal = portal
        self._directory = directory
        self._logouts = logouts
        logouts.when_idle = self.put_to_sleep

    def put_to_sleep(self, session: Session) -> Future[bool]:
        """Have an avatar fall asleep; return a future of whether it sleeps."""
        answer: Future[bool] = Future()
        if not session.is_open or session.asleep:
            answer.settle(session.is_open)
        elif not session.may_sleep:
            answer.settle(False)
        else:
            tell = self._portal.tell_if_alive
            answer.add_done_callback(lambda _: tell(AvatarSlept(session)))
            message = FallAsleep(self._portal.options.snapshot_size, answer)
            session.avatar.actor_inbox.put(message)
        return answer

    def slept(self, session: Session) -> None:
        """Save what memory can be saved now that an avatar sleeps."""
        if session.is_open and session.asleep:
            session.let_go()
            self._directory.reschedule(session)

    def woke(self, session: Session) -> None:
        """Watch again whether the clients of an avatar are idle."""
        now = self._portal.now()
        shared = session.shared
        for one in [session] if shared is None else list(shared.sessions.values()):
            self._directory.reschedule(one, now)
        self._logouts.watch_deadlines()
