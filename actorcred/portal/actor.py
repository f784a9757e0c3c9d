"""The portal: it joins protocols, checkers and a realm, and owns every session from login to logout."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any, cast

from actorcred.actors import Actor, ActorRef, ControlMessage, Dispatcher, Future
from actorcred.actors.messages import describe
from actorcred.checker import Revocation, require_checker
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.names import AvatarId
from actorcred.portal import messages as m
from actorcred.portal.attempt import Attempt
from actorcred.portal.events import Events, complain
from actorcred.portal.logins import Logins
from actorcred.portal.logouts import Logouts
from actorcred.portal.options import PasswordChange, PortalOptions
from actorcred.portal.ref import PortalRef
from actorcred.portal.services import Services
from actorcred.realm import require_realm
from actorcred.sessions.directory import Directory
from actorcred.sessions.session import Session

__all__ = ["Portal"]


logger = logging.getLogger("actorcred.portal")


class Portal(Actor):
    """The actor behind a `PortalRef`. Start it, and use the ref; it is not made for subclassing.

    Args:
        realm: a ref to the started realm.
        checkers: refs to started checkers, in the order in which they are asked.
        options: settings.

    Raises:
        TypeError: if one of them is something else, or a checker takes no credentials.
    """

    ref_class = PortalRef

    def __init__(
        self,
        realm: ActorRef[Any],
        checkers: Sequence[ActorRef[Any]] = (),
        options: PortalOptions | None = None,
    ) -> None:
        super().__init__()
        realm = require_realm(realm)
        required = [require_checker(checker) for checker in checkers]
        self._options = options or PortalOptions()
        portal = cast("PortalRef", self._actor_ref)
        self._events = Events(
            self._options.claimed_names(),
            portal.now,
            lambda seconds: portal.send_after(seconds, m.TellRepeated()),
        )
        self._directory = Directory(self._options.idle_timeout, self._options.lifetime)
        self._roles = Services(portal, realm, self._options.restart, self._events)
        self._logouts = Logouts(portal, self._directory, self._events, self._options.logout_timeout)
        self._logins = Logins(portal, self._options, self._roles, self._directory, self._logouts)
        for checker, interfaces in required:
            self._roles.add_checker(checker, interfaces)

    @classmethod
    def start(  # type: ignore[override]
        cls,
        realm: ActorRef[Any],
        checkers: Sequence[ActorRef[Any]] = (),
        options: PortalOptions | None = None,
        *,
        dispatcher: Dispatcher | None = None,
    ) -> PortalRef:
        """Start a portal; see the class for the arguments."""
        return cast("PortalRef", super().start(realm, checkers, options, dispatcher=dispatcher))

    def _actor_survives(self, error: BaseException, message: Any) -> bool:
        """Fail what a message belonged to, and go on: the portal holds the sessions of all.

        What an application's callback raises, or a fault of this package, thus ends one login or session and no other.
        """
        complain("The portal could not handle %s:", describe(message), error=error)
        for argument in _contents(message):
            try:
                self._give_up_on(argument, error)
            except Exception:
                complain("The portal could not clean up after %s:", describe(message))
        return True

    def _give_up_on(self, argument: object, error: BaseException) -> None:
        if isinstance(argument, Attempt):
            self._logins.abort(argument, error)
        elif isinstance(argument, Session):
            argument.end(LogoutCode.CRASHED)
        elif isinstance(argument, Future):
            argument.settle_error(error)

    def on_stop(self) -> None:
        """Let nobody in any more and log everybody out."""
        self._logins.close()
        self._logouts.abandon()
        self._roles.close()
        self._events.close()

    def on_failure(self, *_: Any) -> None:
        """End in good order even so."""
        self.on_stop()

    # -- messages -----------------------------------------------------------------------------------

    def _actor_control(self, message: ControlMessage) -> Any:  # noqa: C901, PLR0911, PLR0912  # a table
        """Hand a message to the part whose business it is; the most frequent ones come first."""
        match message:
            case m.BeginLogin():
                return self._logins.begin(message.attempt)
            case m.AvatarGone():
                return self._logouts.avatar_gone(message.session, message.cause)
            case m.EndSession():
                return self._logouts.end(message.session, message.reason, message.done)
            case m.Answered(attempt, answer):
                return self._logins.answered(attempt, answer)
            case m.AvatarOpened(session):
                return self._logins.avatar_opened(session)
            case m.GiveUpLogin(attempt):
                return self._logins.give_up(attempt)
            case m.Publish(event):
                return self._events.publish(event)
            case m.SharedAvatarGone(shared, cause):
                return self._logouts.shared_avatar_gone(shared, cause)
            case m.ExpireLogins():
                return self._logins.expire()
            case m.ExpireSessions():
                return self._logouts.expire()
            case m.ExpireLeaving():
                return self._logouts.expire_leaving()
            case m.TellRepeated():
                return self._events.tell_repeated()
            case (
                m.Drain()
                | m.DrainTimeout()
                | m.Kick()
                | m.Annotate()
                | m.FindSession()
                | m.FindSessions()
                | m.CountSessions()
            ):
                return self._of_sessions(message)
            case m.Subscribe(subscriber):
                return self._events.subscribe(subscriber)
            case m.Unsubscribe(subscription):
                return self._events.unsubscribe(subscription)
            case _:
                return self._of_services(message)

    def _of_sessions(self, message: ControlMessage) -> Any:
        match message:
            case m.FindSession(session_id):
                return self._directory.find(session_id)
            case m.FindSessions(avatar_id):
                return self._sessions(avatar_id)
            case m.CountSessions():
                return len(self._directory)
            case m.Annotate(session_id, notes):
                session = self._directory.find(session_id)
                if session is not None:
                    session.annotate(notes)
                return session is not None
            case m.Kick(session_id, avatar_id, detail):
                session = None if session_id is None else self._directory.find(session_id)
                one = [] if session is None else [session]
                return self._logouts.kick(
                    self._sessions(avatar_id) if session_id is None else one, detail
                )
            case m.Drain(timeout, drained):
                self._logins.close()
                self._logouts.drain(timeout, drained)
            case m.DrainTimeout(drained):
                self._logouts.drain_timeout(drained)
        return None

    def _sessions(self, avatar_id: AvatarId | None) -> list[Session]:
        return list(self._directory if avatar_id is None else self._directory.of(avatar_id))

    def _of_services(self, message: ControlMessage) -> Any:  # noqa: PLR0911  # a table
        match message:
            case m.RegisterChecker(checker, interfaces):
                return self._roles.add_checker(checker, interfaces)
            case m.ListInterfaces():
                return tuple(self._roles.realm.actor_class.interfaces)
            case m.ListCredentialsInterfaces(for_everybody):
                return self._roles.credential_interfaces(for_everybody)
            case m.ListDigestAlgorithms():
                return self._roles.digest_algorithms()
            case m.Revoke(checker, avatar_id, what):
                return self._revoke(checker, avatar_id, what)
            case m.ServiceCrashed(ref, error):
                pause = self._roles.crashed(ref, error, self.now())
                if pause:
                    self._logins.role_is_gone(ref)
                return pause
            case m.ServiceBegun(ref):
                return self._roles.begun(ref)
            case m.ServiceGone(ref, cause):
                self._roles.gone(ref, cause)
                return self._logins.role_is_gone(ref)
            case _:
                return super()._actor_control(message)

    def _revoke(self, checker: ActorRef[Any], avatar_id: AvatarId, what: Revocation) -> None:
        tell = (
            what is Revocation.PASSWORD_CHANGED
            and self._options.on_password_change is PasswordChange.TELL
        )
        self._logins.revoke(checker, avatar_id)
        for session in self._directory.of(avatar_id):
            if session.checker is not checker:
                continue
            if tell:
                session.mind.notify("password_changed")
            else:
                self._logouts.guard(
                    self._logouts.end, session, LogoutReason(LogoutCode.REVOKED, str(what))
                )


def _contents(message: Any) -> list[Any]:
    return (
        [getattr(message, field.name) for field in fields(message)] if is_dataclass(message) else []
    )
