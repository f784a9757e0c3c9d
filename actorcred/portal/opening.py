"""Getting the avatar of a client from the realm, and opening its session."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from actorcred.actors import Actor, ActorRef
from actorcred.actors.cell import Cell
from actorcred.avatar import Attached, Avatar, Opened, implements, wrap_object
from actorcred.errors import CheckerUnavailable, LoginFailed, NoInterface, RefusalCause
from actorcred.identity import NO_INFO, seconds_left
from actorcred.mind.channel import channel_to
from actorcred.mind.mind import MindRef
from actorcred.mind.outbox import unused_outbox
from actorcred.names import ANONYMOUS
from actorcred.portal.attempt import Attempt
from actorcred.portal.messages import SharedAvatarGone
from actorcred.portal.options import PortalOptions
from actorcred.portal.pending_answer import ANSWERED, DOWN, PendingAnswer, is_stop_of
from actorcred.portal.ref import PortalRef
from actorcred.portal.services import Services
from actorcred.realm import Granted, RequestAvatar, examine
from actorcred.sessions.directory import Directory
from actorcred.sessions.policies import Policy
from actorcred.sessions.registry import FarPlace
from actorcred.sessions.session import Session
from actorcred.sessions.sharing import SharedAvatar

__all__ = ["Opening"]


class LoginSteps(Protocol):
    """The steps of a login around its opening."""

    def realm_answered(self, attempt: Attempt, answer: PendingAnswer) -> bool:
        """Called on any thread with an answer of the realm that was not immediate.

        Returns:
            Whether the portal accepts it.
        """

    def confirm(self, attempt: Attempt) -> None:
        """Called before a login that has waited for its place gets its session.

        Raises:
            LoginFailed: if it has lost its place.
        """

    def hold(self, session: Session) -> None:
        """Called with a session whose avatar must run `on_login` before the login succeeds."""

    def succeed(self, attempt: Attempt, session: Session) -> None:
        """Called with a login whose avatar is ready."""

    def fail(self, attempt: Attempt, error: LoginFailed) -> None:
        """Called with a login that failed, and the reason."""


class Opening:
    """Opens the sessions of a portal.

    Args:
        portal: the portal's ref.
        services: the realm, and the names of the checkers.
        options: the portal's settings.
        directory: where open sessions are added.
        steps: called for the further steps of a login.
    """

    def __init__(
        self,
        portal: PortalRef,
        services: Services,
        options: PortalOptions,
        directory: Directory,
        steps: LoginSteps,
    ) -> None:
        self._portal = portal
        self._services = services
        self._realm = services.realm
        self._outbox = unused_outbox(options.outbox)
        self._shares = options.policy is Policy.SHARE
        self._directory = directory
        self._steps = steps
        self._held: dict[Session, Attempt] = {}
        """Logins whose avatars run `on_login`, by their sessions."""

    def request_avatar(self, attempt: Attempt) -> None:
        """Ask the realm for an avatar."""
        mind = own = self._start_mind(attempt, attempt.target)
        shared = None
        if self._shares and attempt.avatar_id is not ANONYMOUS:
            shared = SharedAvatar[Session]()
            shared.hub = mind = self._start_mind(attempt, shared)
        attempt.admit(own, shared)
        answer = PendingAnswer(self._realm, attempt, self._steps.realm_answered)
        question = RequestAvatar(answer, attempt.avatar_id, mind, attempt.interfaces)
        asked = answer.ask(question)
        if asked is ANSWERED:
            self.answered(attempt, answer)
        elif asked is DOWN:
            self._steps.fail(attempt, CheckerUnavailable("the realm is down"))

    def _start_mind(self, attempt: Attempt, target: Any) -> MindRef:
        mind = MindRef(
            channel_to(target),
            self._outbox,
            self._portal.actor_inbox.dispatcher,
            attempt.identity or attempt.avatar_id,
            attempt.client,
        )
        if attempt.info is not NO_INFO:
            mind.inform(attempt.info)
        return mind

    def answered(self, attempt: Attempt, answer: PendingAnswer) -> None:
        """Continue with the realm's answer."""
        if attempt.awaited is not answer:
            answer.discard_avatar()
            return
        attempt.awaited = None
        try:
            granted = examine(answer.get(), attempt.interfaces, self._realm.actor_class.__name__)
            if not attempt.waited or self._has_its_place(attempt, answer):
                self._open(attempt, granted)
        except LoginFailed as error:
            if not isinstance(error, CheckerUnavailable):
                error.because(RefusalCause.REALM_REFUSED)
            self._steps.fail(attempt, error)
        except Exception:
            # For example, an interface whose subclass check raises.
            if attempt.session is None:
                answer.discard_avatar()
            raise

    def _has_its_place(self, attempt: Attempt, answer: PendingAnswer) -> bool:
        """Return whether a login still has its place; if not, it fails."""
        try:
            self._steps.confirm(attempt)
        except LoginFailed as error:
            answer.discard_avatar()
            self._steps.fail(attempt, error)
            return False
        return True

    def _open(self, attempt: Attempt, granted: Granted) -> None:
        assert attempt.mind is not None
        ref, shared = granted.avatar, attempt.shared
        if not isinstance(ref, ActorRef):
            mind = attempt.mind if shared is None else shared.hub
            dispatcher = self._realm.actor_inbox.dispatcher
            ref = wrap_object(ref, attempt.avatar_id, mind, dispatcher)
        mailbox = ref.actor_inbox
        stops_itself = is_stop_of(granted.logout, ref)
        session = self._make_session(attempt, granted.interface, ref, shared)
        if not stops_itself:
            session.when_gone(self._realm, granted.logout)
        if shared is not None:
            portal = self._portal
            ref.watch(lambda cause: portal.tell_if_alive(SharedAvatarGone(shared, cause)))
        else:
            mailbox.watch(session)
        if _tell_opened(mailbox, session):
            self._steps.succeed(attempt, session)
        else:
            self._held[session] = attempt
            # If it is dead, the watcher ends the session.
            mailbox.put(Opened(session, partial(self._portal.avatar_opened, session)))
            self._steps.hold(session)

    def enter(self, attempt: Attempt, place: FarPlace) -> None:
        """Have a login share an avatar of another machine (policy SHARE)."""
        mind = self._start_mind(attempt, attempt.target)
        attempt.admit(mind, None)
        interface, avatar = place.enter(mind)
        self._open(attempt, Granted(interface, avatar, avatar.stop))

    def join(self, attempt: Attempt, present: Session) -> None:
        """Have a login share the avatar of a session (policy SHARE)."""
        avatar_class = present.avatar.actor_class
        interface = next(
            (wanted for wanted in attempt.interfaces if implements(avatar_class, wanted)), None
        )
        if interface is None:
            self._steps.fail(attempt, NoInterface(attempt.interfaces))
            return
        attempt.admit(self._start_mind(attempt, attempt.target), None)
        session = self._make_session(attempt, interface, present.avatar, present.shared)
        session.log_out_like(present)
        if issubclass(avatar_class, Avatar):
            present.avatar.actor_inbox.put(Attached(session.mind))
        self._steps.succeed(attempt, session)

    def _make_session(
        self,
        attempt: Attempt,
        interface: type,
        ref: ActorRef[Any],
        shared: SharedAvatar[Session] | None,
    ) -> Session:
        assert attempt.mind is not None
        session = Session(
            attempt.session_id,
            attempt.avatar_id,
            interface,
            checker=self._services.name_of(attempt.checker),
            mind=attempt.mind,
            owner=self._portal,
            fence=attempt.fence,
        )
        if attempt.identity is not None and attempt.identity.expires is not None:
            session.expires_in(seconds_left(attempt.identity, datetime.now(UTC)))
        session.give_avatar(ref, shared)
        attempt.give_session(session)
        self._directory.add(session)
        return session

    # -- avatars that run `on_login` -------------------------------------------------------------

    def take_held(self, session: Session) -> Attempt | None:
        """Remove and return the login that waits for the `on_login` of a session's avatar."""
        return self._held.pop(session, None)

    def failure(self, session: Session, cause: BaseException | None) -> CheckerUnavailable:
        """Return the error for a login whose avatar ended before `on_login` had finished."""
        avatar = session.avatar.actor_class.__name__
        if cause is None:
            return CheckerUnavailable(f"{avatar} stopped before on_login() had finished")
        error = CheckerUnavailable(f"{avatar}.on_login() failed: {type(cause).__name__}")
        error.__cause__ = cause
        return error


def _tell_opened(mailbox: Cell, session: Session) -> bool:
    """Notify an avatar that the session is open, unless it is none of our class.

    Returns:
        False if the login must wait for its `on_start` or `on_login`, and it was not notified.
    """
    kind: Any = mailbox.actor_class
    if Avatar not in kind.__mro__:
        return True
    if kind.on_login is not Avatar.on_login or kind.on_start is not Actor.on_start:
        return False
    # No code of the application runs, so this needs no turn of the avatar.
    avatar = mailbox.take_idle()
    if avatar is None:
        mailbox.put(Opened(session))
        return True
    try:
        avatar._cred_welcome(session)
    finally:
        mailbox.leave()
    return True
