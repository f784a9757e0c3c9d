"""What the registry of a portal can do with the portal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar, cast

from actorcred.actors import Future
from actorcred.checker import Revocation
from actorcred.logout import LogoutReason
from actorcred.names import AvatarId
from actorcred.portal.events import Event
from actorcred.portal.guests import attach
from actorcred.portal.logouts import Logouts
from actorcred.portal.messages import RevokeNamed, RunStep
from actorcred.portal.moving import Moving
from actorcred.portal.protection import Protection
from actorcred.portal.ref import PortalRef
from actorcred.portal.services import Services
from actorcred.sessions.directory import Directory
from actorcred.sessions.guest import Newcomer
from actorcred.sessions.session import Session
from actorcred.throttle import News

__all__ = ["Host"]

R = TypeVar("R")


class Host:
    """Implements `SessionHost` for one portal.

    Args:
        portal: the portal's ref.
        logouts: ends sessions.
        services: the realm.
        directory: the portal's sessions.
        protection: the penalties.
        mover: packs and unpacks sessions.
    """

    def __init__(  # noqa: PLR0917  # the parts of a portal
        self,
        portal: PortalRef,
        logouts: Logouts,
        services: Services,
        directory: Directory,
        protection: Protection,
        mover: Moving,
    ) -> None:
        self.mover = mover
        self._portal = portal
        self._logouts = logouts
        self._services = services
        self._directory = directory
        self._protection = protection

    def end(self, session: Session, reason: LogoutReason) -> None:
        """End a session, if it is open."""
        # The registry decides while it calls this, and must not be told of the end meanwhile.
        self._logouts.end(session, reason, later=True)

    def kick(self, sessions: Iterable[Session], detail: str) -> int:
        """End sessions at the application's request; return their number."""
        return self._logouts.kick(sessions, detail)

    def count(self) -> int:
        """Return the number of open sessions. Thread-safe."""
        return len(self._directory)

    def run(self, step: Callable[[], R]) -> Future[R]:
        """Run a function in the portal's context. Thread-safe.

        Returns:
            A future of its result. It fails with `pykka.ActorDeadError` if the portal has stopped.
        """
        return cast("Future[R]", self._portal.ask(RunStep(step), block=False))

    def now(self) -> float:
        """Return the time in seconds on the portal's clock. Thread-safe."""
        return self._portal.now()

    def revoke(self, checker: str, avatar_id: AvatarId, what: Revocation) -> None:
        """Treat an account as if its checker here had reported it. Thread-safe."""
        self._portal.tell_if_alive(RevokeNamed(checker, avatar_id, what))

    def hear_news(self, told: Sequence[News], *, standing: bool) -> None:
        """Count failed logins of other machines. Thread-safe."""
        hear = self._protection.merge if standing else self._protection.hear
        self._portal.tell_if_alive(RunStep(partial(hear, told)))

    def news(self, most: int) -> Future[list[News]]:
        """Return the latest failed logins that count here, and more. Thread-safe."""
        return self.run(lambda: self._protection.standing(most))

    def publish(self, event: Event) -> None:
        """Send an event to the subscribers and the audit log. Thread-safe."""
        self._portal.publish(event)

    def interfaces(self) -> tuple[type, ...]:
        """Return the interfaces that the realm lists."""
        return tuple(self._services.realm.actor_class.interfaces)

    def shareable(self, avatar_id: AvatarId) -> Session | None:
        """Return an open session, possibly a guest's, whose avatar others can share; or None."""
        return self._directory.shareable(avatar_id)

    def attach(self, present: Session, newcomer: Newcomer) -> Session:
        """Have a client of another machine share the avatar of an open session."""
        return attach(self._portal, self._directory, present, newcomer)
