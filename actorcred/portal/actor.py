"""The portal: it joins protocols, checkers and a realm, and owns every session from login to logout."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, cast

from actorcred.actors import Actor, ActorRef, ControlCall, Dispatcher, Future
from actorcred.actors.messages import describe
from actorcred.checker import Revocation
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.names import AvatarId
from actorcred.portal.attempt import Attempt
from actorcred.portal.events import Events, complain
from actorcred.portal.logouts import Logouts
from actorcred.portal.opening import Logins
from actorcred.portal.options import PasswordChange, PortalOptions
from actorcred.portal.ref import PortalRef
from actorcred.portal.services import Roles, require_checker, require_realm
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

    def __init__(self, realm: ActorRef[Any], checkers: Sequence[ActorRef[Any]] = (), options: PortalOptions | None = None) -> None:
        super().__init__()
        realm = require_realm(realm)
        required = [require_checker(checker) for checker in checkers]
        self._options = options or PortalOptions()
        portal = cast("PortalRef", self._actor_ref)
        self._events = Events(
            self._options.claimed_names(),
            portal.now,
            lambda seconds: portal.send_after(seconds, ControlCall(("_tell_repeated",))),
        )
        self._directory = Directory(self._options.idle_timeout, self._options.lifetime)
        self._roles = Roles(portal, realm, self._options.restart, self._events)
        self._logouts = Logouts(portal, self._directory, self._events, self._options.logout_timeout)
        self._logins = Logins(portal, self._options, self._roles, self._directory, self._logouts)
        for checker, interfaces in required:
            self._roles.add_checker(checker, interfaces)
        # The messages that are the business of one part go to it straight.
        self._role_begun = self._roles.begun
        self._login = self._logins.begin
        self._give_up = self._logins.give_up
        self._expire_logins = self._logins.expire
        self._end = self._logouts.end
        self._avatar_opened = self._logins.avatar_opened
        self._avatar_gone = self._logouts.avatar_gone
        self._shared_avatar_gone = self._logouts.shared_avatar_gone
        self._expire_sessions = self._logouts.expire
        self._expire_leaving = self._logouts.expire_leaving
        self._drain_timeout = self._logouts.drain_timeout
        self._register_checker = self._roles.add_checker
        self._list_credentials_interfaces = self._roles.credential_interfaces
        self._digest_algorithms = self._roles.digest_algorithms
        self._subscribe = self._events.subscribe
        self._unsubscribe = self._events.unsubscribe
        self._publish = self._events.publish
        self._tell_repeated = self._events.tell_repeated
        self._session = self._directory.store.by_id

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
        for argument in message[1:] if isinstance(message, ControlCall) else ():
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

    # -- messages -----------------------------------------------------------------------------------------------------

    @staticmethod
    def _go_on(go_on: Callable[..., None], attempt: Attempt, answer: object) -> None:
        go_on(attempt, answer)

    def _role_crashed(self, ref: ActorRef[Any], error: BaseException) -> float:
        pause = self._roles.crashed(ref, error, self.actor_inbox.dispatcher.now())
        if pause:
            self._logins.role_is_gone(ref)
        return pause

    def _role_gone(self, ref: ActorRef[Any], cause: BaseException | None) -> None:
        self._roles.gone(ref, cause)
        self._logins.role_is_gone(ref)

    def _revoke(self, checker: ActorRef[Any], avatar_id: AvatarId, what: Revocation) -> None:
        tell = what is Revocation.PASSWORD_CHANGED and self._options.on_password_change is PasswordChange.TELL
        self._logins.revoke(checker, avatar_id)
        for session in self._directory.store.by_avatar_id(avatar_id):
            if session.checker is not checker:
                continue
            if tell:
                session.mind.notify("password_changed")
            else:
                self._logouts.guard(self._logouts.end, session, LogoutReason(LogoutCode.REVOKED, str(what)))

    def _drain(self, timeout: float, drained: Future[int]) -> None:
        self._logins.close()
        self._logouts.drain(timeout, drained)

    def _list_interfaces(self) -> tuple[type, ...]:
        return tuple(self._roles.realm.actor_class.interfaces)

    def _count(self) -> int:
        return len(self._directory)

    def _sessions(self, avatar_id: AvatarId | None) -> list[Session]:
        return list(self._directory if avatar_id is None else self._directory.store.by_avatar_id(avatar_id))

    def _annotate(self, session_id: str, notes: dict[str, Any]) -> bool:
        session = self._session(session_id)
        if session is not None:
            session.annotate(notes)
        return session is not None

    def _kick(self, session_id: str | None, avatar_id: AvatarId | None, detail: str) -> int:
        if session_id is not None:
            session = self._session(session_id)
            return self._logouts.kick([] if session is None else [session], detail)
        return self._logouts.kick(self._sessions(avatar_id), detail)
