"""Getting the avatar of a client from the realm, and opening its session."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from actorcred.actors import Actor, ActorRef
from actorcred.actors.cell import Cell
from actorcred.avatar import Attached, Avatar, Opened, implements, wrap_object
from actorcred.errors import CheckerUnavailable, LoginFailed, NoInterface
from actorcred.mind.mind import Mind
from actorcred.mind.outbox import OutboxLimit
from actorcred.names import ANONYMOUS
from actorcred.portal.attempt import Attempt
from actorcred.portal.messages import SharedAvatarGone
from actorcred.portal.pending_answer import PendingAnswer, is_stop_of
from actorcred.portal.places import Places
from actorcred.portal.ref import PortalRef
from actorcred.realm import Granted, Realm, RequestAvatar, examine
from actorcred.sessions.directory import Directory
from actorcred.sessions.session import AvatarRef, Session
from actorcred.sessions.sharing import SharedAvatar

__all__ = ["Opening"]


class Opening:
    """Opens the sessions of a portal.

    Args:
        portal: the portal's ref.
        realm: its realm.
        outbox: how much may wait for a client.
        directory: where open sessions go.
        places: which places are taken.
    """

    def __init__(
        self,
        portal: PortalRef,
        realm: ActorRef[Realm],
        outbox: OutboxLimit,
        directory: Directory,
        places: Places,
    ) -> None:
        self._portal = portal
        self._realm = realm
        self._outbox = outbox
        self._directory = directory
        self._places = places
        self._held: dict[Session, Attempt] = {}
        """Logins whose avatars run `on_login`, by their sessions."""
        self.tell: Callable[[Attempt, PendingAnswer], bool]
        """Told a login and the realm's answer, if that comes later than at once."""
        self.succeeded: Callable[[Attempt, Session], None]
        """Called with a login and its session, once its avatar is ready."""
        self.failed: Callable[[Attempt, LoginFailed], None]
        """Called with a login that gets no session, and why."""

    def request_avatar(self, attempt: Attempt) -> None:
        """Ask the realm for an avatar."""
        avatar_id = attempt.avatar_id
        self._places.enter(attempt)
        dispatcher = self._portal.actor_inbox.dispatcher
        attempt.mind = mind = Mind.start(attempt.target, self._outbox, dispatcher=dispatcher)
        if self._places.shares and avatar_id is not ANONYMOUS:
            attempt.shared = SharedAvatar[Session]()
            attempt.shared.hub = mind = Mind.start(
                attempt.shared, self._outbox, dispatcher=dispatcher
            )
        answer = PendingAnswer(self._realm, attempt, self.tell)
        if not answer.ask(RequestAvatar(answer, avatar_id, mind, attempt.interfaces)):
            self.failed(attempt, CheckerUnavailable("the realm is down"))
        elif answer.is_there():
            self.answered(attempt, answer)

    def answered(self, attempt: Attempt, answer: PendingAnswer) -> None:
        """Go on with what the realm has decided."""
        if attempt.answer is not answer:
            answer.discard_avatar()
            return
        attempt.answer = None
        try:
            self._open(
                attempt, examine(answer.get(), attempt.interfaces, self._realm.actor_class.__name__)
            )
        except LoginFailed as error:
            self.failed(attempt, error)
        except Exception:
            # As of an interface that cannot tell who implements it.
            if attempt.session is None:
                answer.discard_avatar()
            raise

    def _open(self, attempt: Attempt, granted: Granted) -> None:
        assert attempt.mind is not None
        ref = granted.avatar
        if not isinstance(ref, ActorRef):
            mind = attempt.mind if attempt.shared is None else attempt.shared.hub
            ref = wrap_object(ref, attempt.avatar_id, mind, self._realm.actor_inbox.dispatcher)
        mailbox = ref.actor_inbox
        stops_itself = is_stop_of(granted.logout, ref)
        session = self._make_session(attempt, granted.interface, ref)
        session.shared = attempt.shared
        if not stops_itself:
            session.on_gone = (self._realm, granted.logout)
        if attempt.shared is not None:
            attempt.shared.add(session)
            portal, shared = self._portal, attempt.shared
            ref.watch(lambda cause: portal.tell_if_alive(SharedAvatarGone(shared, cause)))
        else:
            mailbox.watch(session.avatar_gone)
        self._places.leave(attempt)
        if issubclass(mailbox.actor_class, Avatar) and not _tell_opened(mailbox, session):
            self._held[session] = attempt
            # If it is dead, the watcher ends the session.
            mailbox.put(Opened(session, partial(self._portal.avatar_opened, session)))
        else:
            self.succeeded(attempt, session)

    def join(self, attempt: Attempt, present: Session) -> None:
        """Let a login share the avatar of a session (policy SHARE)."""
        avatar_class = present.avatar.actor_class
        interface = next(
            (wanted for wanted in attempt.interfaces if implements(avatar_class, wanted)), None
        )
        if interface is None:
            self.failed(attempt, NoInterface(attempt.interfaces))
            return
        self._places.enter(attempt)
        attempt.mind = Mind.start(
            attempt.target, self._outbox, dispatcher=self._portal.actor_inbox.dispatcher
        )
        session = self._make_session(attempt, interface, present.avatar)
        session.shared = present.shared
        session.on_gone = present.on_gone
        assert session.shared is not None
        session.shared.add(session)
        if issubclass(avatar_class, Avatar):
            present.avatar.actor_inbox.put(Attached(session.mind))
        self._places.leave(attempt)
        self.succeeded(attempt, session)

    def _make_session(self, attempt: Attempt, interface: type, ref: ActorRef[Any]) -> Session:
        assert attempt.mind is not None
        session = Session(
            os.urandom(16).hex(), attempt.avatar_id, interface, attempt.mind, self._portal
        )
        session.avatar = AvatarRef(ref, session)
        session.checker = attempt.checker
        attempt.session = attempt.mind.session = session
        self._directory.add(session)
        return session

    # -- avatars that run `on_login` ----------------------------------------------------------------------------------

    def take_held(self, session: Session) -> Attempt | None:
        """Return the login that waits for the `on_login` of a session's avatar; it waits no more."""
        return self._held.pop(session, None)

    def failure(self, session: Session, cause: BaseException | None) -> CheckerUnavailable:
        """Return what a login fails with whose avatar has ended before it had run `on_login`."""
        avatar = session.avatar.actor_class.__name__
        if cause is None:
            return CheckerUnavailable(f"{avatar} has stopped before it had run on_login()")
        error = CheckerUnavailable(f"{avatar}.on_login() failed: {type(cause).__name__}")
        error.__cause__ = cause
        return error


def _tell_opened(mailbox: Cell, session: Session) -> bool:
    """Tell an avatar that the session is open; return False if the login waits for its `on_start` or `on_login`."""
    kind: Any = mailbox.actor_class
    if kind.on_login is not Avatar.on_login or kind.on_start is not Actor.on_start:
        return False
    message = Opened(session)
    # No code of the user's runs then, so it need not have a turn of its own.
    if mailbox.dispatcher.runs_here() and mailbox.busy.acquire(False):
        mailbox.dispatcher.run_here(mailbox, message, None)
    else:
        mailbox.put(message)
    return True
