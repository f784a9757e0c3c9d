"""The way from credentials to an open session. Runs in the portal's context and waits for nobody."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import pykka

from actorcred.actors import ActorRef
from actorcred.actors.mailbox import Mailbox, stops_all
from actorcred.avatar import Attached, Avatar, Opened, implements, wrap_object
from actorcred.checker import Check
from actorcred.errors import (
    CheckerUnavailable,
    LoginDenied,
    LoginFailed,
    NoInterface,
    UnauthorizedLogin,
    UnhandledCredentials,
)
from actorcred.exchange import Exchange
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.mind.mind import Mind
from actorcred.names import ANONYMOUS, AvatarId, make_avatar_id
from actorcred.portal.acting import act_as
from actorcred.portal.attempt import Attempt
from actorcred.portal.events import LoggedIn, LoginRefused
from actorcred.portal.login import Login
from actorcred.portal.logouts import Logouts
from actorcred.portal.messages import Answered, ExpireLogins, SharedAvatarGone
from actorcred.portal.options import PortalOptions
from actorcred.portal.pending_answer import PendingAnswer, is_stop_of
from actorcred.portal.ref import PortalRef
from actorcred.portal.services import Roles
from actorcred.realm import Granted, RequestAvatar, examine
from actorcred.service import Request, request
from actorcred.sessions.directory import Directory
from actorcred.sessions.policies import Deny, Join, Limits, Policy, decide
from actorcred.sessions.session import AvatarRef, Session
from actorcred.sessions.sharing import SharedAvatar
from actorcred.sessions.states import Event, State, step

__all__ = ["RETRY_AFTER", "Logins"]


logger = logging.getLogger("actorcred.portal")

RETRY_AFTER = 5.0
"""Seconds after which a client may ask again when the server is full or going down."""


class Logins:
    """The logins under way of one portal.

    Args:
        portal: the portal's ref, to which checkers and realm answer.
        options: the portal's settings.
        roles: the checkers and the realm.
        directory: where open sessions go.
        logouts: ends sessions that have to make place.
    """

    def __init__(
        self,
        portal: PortalRef,
        options: PortalOptions,
        roles: Roles,
        directory: Directory,
        logouts: Logouts,
    ) -> None:
        self._portal = portal
        self._realm = roles.realm
        self._options = options
        self._limits = options.limits
        self._nobody_waits = self._limits == Limits()
        self._roles = roles
        self._directory = directory
        self._logouts = logouts
        self._events = logouts.events
        logouts.when_free = self.avatar_id_is_free
        logouts.when_gone = self.avatar_gone
        self._closed = False
        # In the order of their deadlines, since all have the same time.
        self._attempts: dict[Attempt, None] = {}
        self._timer_runs = False
        self._opening: dict[AvatarId, int] = {}
        self._opening_total = 0
        self._held: dict[Session, Attempt] = {}
        """Logins whose avatars run `on_login`, by their sessions."""
        # In the order in which they came; the values mean nothing.
        self._waiting: dict[AvatarId, dict[Attempt, None]] = {}
        self._places_kept = 0
        """Logins that wait for sessions which were ended for them: each has the place of one."""

    def __len__(self) -> int:
        return len(self._attempts)

    # -- checking -----------------------------------------------------------------------------------------------------

    def begin(self, attempt: Attempt) -> None:
        """Take a new login in and ask the first checker."""
        if self._closed:
            self._fail(attempt, LoginDenied("the portal is draining", retry_after=RETRY_AFTER, seen=False))
        elif len(self._attempts) >= self._options.max_pending_logins:
            self._fail(attempt, LoginDenied(f"{len(self._attempts)} logins in flight", retry_after=RETRY_AFTER, seen=False))
        elif attempt.future.done():
            self._fail(attempt, _given_up())
        elif not (checkers := self._roles.checkers_for(attempt.credentials)):
            self._fail(attempt, UnhandledCredentials(f"no checker takes {attempt.kind}"))
        else:
            attempt.deadline = self._portal.now() + self._options.login_timeout
            self._attempts[attempt] = None
            self._arm_timer(self._options.login_timeout)
            checkers.reverse()
            attempt.candidates = checkers
            self._ask_next(attempt)

    def _ask_next(self, attempt: Attempt) -> None:
        while attempt.candidates:
            checker = attempt.candidates.pop()
            if isinstance(attempt.credentials, Exchange):
                attempt.credentials.last = not attempt.candidates
            attempt.checker = checker
            if self._ask(attempt, checker, lambda answer: Check(answer, attempt.credentials)):
                return
            self._note(attempt, f"{checker.actor_class.__name__} is down", CheckerUnavailable())
        detail = "; ".join(attempt.details or ())
        error = attempt.unavailable
        if error is None:
            self._fail(attempt, UnauthorizedLogin(detail))
        elif type(error) is CheckerUnavailable:
            self._fail(attempt, CheckerUnavailable(detail))
        else:  # an adapter's, which knows it again by what it carries
            self._fail(attempt, error)

    def _ask(self, attempt: Attempt, ref: ActorRef[Any], question: Callable[[PendingAnswer], Request]) -> bool:
        """Ask a checker or the realm, and go on with its answer, at once if it is there. Return False if it is down."""
        attempt.answer = answer = PendingAnswer(ref, partial(self._tell_answered, attempt))
        try:
            request(ref, question(answer))
        except pykka.ActorDeadError:
            attempt.answer = None
            return False
        if answer.is_there():
            self.answered(attempt, answer)
        return True

    def _tell_answered(self, attempt: Attempt, answer: PendingAnswer) -> bool:
        return self._portal.tell_if_alive(Answered(attempt, answer))

    def answered(self, attempt: Attempt, answer: PendingAnswer) -> None:
        """Go on with what a checker or the realm has decided."""
        if answer.role is self._realm:
            self._granted(attempt, answer)
        else:
            self._checked(attempt, answer)

    def _note(self, attempt: Attempt, detail: str, error: LoginFailed) -> None:
        """Remember why a checker did not let a client in, until the next ones have been asked."""
        if isinstance(error, CheckerUnavailable):
            attempt.unavailable = error
        attempt.known |= getattr(error, "known", False)
        attempt.details = [*(attempt.details or ()), detail]

    def _checked(self, attempt: Attempt, answer: PendingAnswer) -> None:
        if attempt.answer is not answer:
            return  # late: the login has failed, or gone on without this checker
        attempt.answer = None
        try:
            avatar_id = answer.get()
            if avatar_id is not ANONYMOUS:
                avatar_id = make_avatar_id(avatar_id)
            attempt.known = True
            if attempt.authorize_as:
                avatar_id = act_as(avatar_id, attempt, self._options.may_act_as)
        except LoginDenied as error:
            self._fail(attempt, error)
        except LoginFailed as error:
            why = f"{answer.role.actor_class.__name__}: {error.detail or 'no'}"
            self._note(attempt, why, error)
            self._ask_next(attempt)
        except (TypeError, ValueError) as error:
            checker = answer.role.actor_class.__name__
            logger.error("%s.request_avatar_id() returned no avatar id: %s", checker, error)
            self._note(attempt, f"{checker} returned no avatar id", CheckerUnavailable())
            self._ask_next(attempt)
        else:
            attempt.avatar_id = avatar_id
            attempt.credentials = None  # a secret is not kept longer than it is needed
            if not attempt.interfaces:
                attempt.state = step(attempt.state, Event.VERIFIED)
                self._attempts.pop(attempt, None)
                attempt.future.settle(avatar_id)
                return
            attempt.state = step(attempt.state, Event.PROVEN)
            self._admit(attempt)

    # -- admitting ----------------------------------------------------------------------------------------------------

    def _admit(self, attempt: Attempt) -> None:
        if self._nobody_waits:
            self._request_avatar(attempt)
            return
        avatar_id = attempt.avatar_id
        nobody = avatar_id is ANONYMOUS
        alone = self._limits.policy is not Policy.ALLOW and not nobody
        if alone and (avatar_id in self._opening or self._directory.is_ending(avatar_id)):
            self._wait(attempt)
            return
        present = () if nobody else self._directory.store.by_avatar_id(avatar_id)
        opening = 0 if nobody else self._opening.get(avatar_id, 0)
        kept = self._places_kept - attempt.keeps_place
        total = len(self._directory) + self._directory.ending + self._opening_total + kept
        decision = decide(self._limits, present, opening, total)
        if isinstance(decision, Deny):
            self._fail(attempt, LoginDenied(decision.why, retry_after=RETRY_AFTER))
        elif isinstance(decision, Join):
            self._join(attempt, decision.session)
        elif decision.evict:
            # First the place, then the end of those who have it: on a full server another login would take it.
            self._keep_place(attempt, True)
            self._wait(attempt)
            for session in decision.evict:
                self._logouts.end(session, LogoutReason(LogoutCode.REPLACED))
        else:
            self._request_avatar(attempt)

    def _wait(self, attempt: Attempt) -> None:
        self._waiting.setdefault(attempt.avatar_id, {})[attempt] = None

    def _keep_place(self, attempt: Attempt, keeps: bool) -> None:
        self._places_kept += keeps - attempt.keeps_place
        attempt.keeps_place = keeps

    def avatar_id_is_free(self, avatar_id: AvatarId) -> None:
        """Go on with the logins that waited for another session or login of the same avatar id."""
        waiting = self._waiting.pop(avatar_id, None)
        for attempt in waiting or ():
            if attempt.state is State.WAITING:
                self._guard(self._admit, attempt)

    # -- getting the avatar -------------------------------------------------------------------------------------------

    def _request_avatar(self, attempt: Attempt) -> None:
        avatar_id = attempt.avatar_id
        self._enter_opening(attempt)
        attempt.mind = mind = Mind.start(attempt.target, self._options.outbox, dispatcher=self._portal.actor_inbox.dispatcher)
        if self._limits.policy is Policy.SHARE and avatar_id is not ANONYMOUS:
            attempt.shared = SharedAvatar[Session]()
            attempt.shared.hub = mind = Mind.start(attempt.shared, self._options.outbox, dispatcher=mind.dispatcher)
        if not self._ask(attempt, self._realm, lambda answer: RequestAvatar(answer, avatar_id, mind, attempt.interfaces)):
            self._fail(attempt, CheckerUnavailable("the realm is down"))

    def _granted(self, attempt: Attempt, answer: PendingAnswer) -> None:
        if attempt.answer is not answer:
            answer.discard_avatar()
            return
        attempt.answer = None
        try:
            self._open(attempt, examine(answer.get(), attempt.interfaces, self._realm.actor_class.__name__))
        except LoginFailed as error:
            self._fail(attempt, error)
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
        self._leave_opening(attempt)
        if issubclass(mailbox.actor_class, Avatar) and not _tell_opened(mailbox, session):
            self._held[session] = attempt
            mailbox.put(
                Opened(session, partial(self._portal.avatar_opened, session))
            )  # if it is dead, the watcher ends the session
        else:
            self._succeed(attempt, session)

    def avatar_opened(self, session: Session) -> None:
        """Succeed with a login whose avatar has run `on_login`, or asks its client meanwhile."""
        attempt = self._held.pop(session, None)
        if attempt is not None:
            self._guard(self._succeed, attempt, session)

    def avatar_gone(self, session: Session, cause: BaseException | None) -> None:
        """Go on with a login whose avatar has stopped before it had run `on_login`; one that failed fails the login."""
        attempt = self._held.pop(session, None)
        if attempt is None:
            return
        if cause is None:
            self._guard(self._succeed, attempt, session)
            return
        avatar, kind = session.avatar.actor_class.__name__, type(cause).__name__
        error = CheckerUnavailable(f"{avatar}.on_login() failed: {kind}")
        error.__cause__ = cause
        self._fail(attempt, error)

    def _join(self, attempt: Attempt, present: Session) -> None:
        """Let a login share the avatar of a session (policy SHARE)."""
        avatar_class = present.avatar.actor_class
        interface = next((wanted for wanted in attempt.interfaces if implements(avatar_class, wanted)), None)
        if interface is None:
            self._fail(attempt, NoInterface(attempt.interfaces))
            return
        self._enter_opening(attempt)
        attempt.mind = Mind.start(attempt.target, self._options.outbox, dispatcher=self._portal.actor_inbox.dispatcher)
        session = self._make_session(attempt, interface, present.avatar)
        session.shared = present.shared
        session.on_gone = present.on_gone
        assert session.shared is not None
        session.shared.add(session)
        if issubclass(avatar_class, Avatar):
            present.avatar.actor_inbox.put(Attached(session.mind))
        self._leave_opening(attempt)
        self._succeed(attempt, session)

    def _make_session(self, attempt: Attempt, interface: type, ref: ActorRef[Any]) -> Session:
        assert attempt.mind is not None
        session = Session(os.urandom(16).hex(), attempt.avatar_id, interface, attempt.mind, self._portal)
        session.avatar = AvatarRef(ref, session)
        session.checker = attempt.checker
        attempt.session = attempt.mind.session = session
        self._directory.add(session)
        return session

    def _succeed(self, attempt: Attempt, session: Session) -> None:
        attempt.state = step(attempt.state, Event.OPENED)
        session.announced = True
        self._attempts.pop(attempt, None)
        self._logouts.watch_deadlines()
        if self._events.wanted(LoggedIn):
            checker = "?" if session.checker is None else session.checker.actor_class.__name__
            self._events.emit(LoggedIn, session.id, session.avatar_id, session.interface.__name__, checker)
        if not attempt.future.settle(Login(session.interface, session.avatar, session.end)):
            self._logouts.end(session, LogoutReason(LogoutCode.LOST, "gave up during the login"))
        if self._waiting:
            self.avatar_id_is_free(session.avatar_id)

    # -- failing ------------------------------------------------------------------------------------------------------

    def _fail(self, attempt: Attempt, error: LoginFailed) -> None:
        """End a login without a session, and leave nothing of it."""
        session = attempt.session
        was_opening = attempt.state is State.OPENING and session is None
        attempt.state = step(attempt.state, Event.FAILED)
        answer, attempt.answer = attempt.answer, None
        attempt.credentials = None
        self._attempts.pop(attempt, None)
        self._keep_place(attempt, False)
        self._wait_no_more(attempt)
        if was_opening:
            self._leave_opening(attempt)
        if answer is not None and attempt.mind is None:  # a realm finishes, and is cleaned up after
            answer.cancel()
        if session is not None:
            self._held.pop(session, None)
            self._logouts.end(session, LogoutReason(LogoutCode.STOPPED if error.seen else LogoutCode.LOST))
        else:
            _abandon(attempt)
        told = (error.code, attempt.kind, attempt.claimed, error.detail, attempt.known, error.seen, attempt.source)
        self._events.emit(LoginRefused, *told)
        attempt.future.settle_error(error)
        if was_opening:
            self.avatar_id_is_free(attempt.avatar_id)

    def _wait_no_more(self, attempt: Attempt) -> None:
        waiting = self._waiting.get(attempt.avatar_id)
        if waiting is not None:
            waiting.pop(attempt, None)
            if not waiting:
                del self._waiting[attempt.avatar_id]

    def _guard(self, step: Callable[..., object], attempt: Attempt, *args: Any) -> None:
        """Take a step of one login among others. What it raises ends this login and none of the others."""
        try:
            step(attempt, *args)
        except BaseException as error:
            if stops_all(error):
                raise
            logger.exception("A login failed by a fault:")
            self.abort(attempt, error)

    def abort(self, attempt: Attempt, error: BaseException) -> None:
        """End a login of which a step has raised what it must not."""
        failure = CheckerUnavailable(f"a fault: {type(error).__name__}")
        if attempt.session is not None:
            self._attempts.pop(attempt, None)
            held = self._held.pop(attempt.session, None)
            if attempt.state is State.OPENING and held is None:
                attempt.state = step(attempt.state, Event.OPENED)
                self._leave_opening(attempt)
            attempt.session.end(LogoutCode.CRASHED)
            attempt.future.settle_error(failure)
        elif attempt.state is not State.ENDED:
            try:
                self._fail(attempt, failure)
            finally:
                attempt.future.settle_error(failure)

    def _enter_opening(self, attempt: Attempt) -> None:
        attempt.state = step(attempt.state, Event.ADMITTED)
        if attempt.keeps_place:
            self._keep_place(attempt, False)
        self._opening[attempt.avatar_id] = self._opening.get(attempt.avatar_id, 0) + 1
        self._opening_total += 1

    def _leave_opening(self, attempt: Attempt) -> None:
        self._opening_total -= 1
        left = self._opening[attempt.avatar_id] - 1
        if left:
            self._opening[attempt.avatar_id] = left
        else:
            del self._opening[attempt.avatar_id]

    def give_up(self, attempt: Attempt) -> None:
        """End a login whose client does not wait any more."""
        if attempt in self._attempts:
            self._fail(attempt, _given_up())

    def role_is_gone(self, ref: ActorRef[Any]) -> None:
        """Go on with the logins that a checker or the realm will not answer any more."""
        for attempt in list(self._attempts):
            if attempt.answer is not None:
                self._guard(self._do_without, attempt, ref)

    def _do_without(self, attempt: Attempt, ref: ActorRef[Any]) -> None:
        if attempt.state is State.OPENING and ref is self._realm:
            self._fail(attempt, CheckerUnavailable("the realm is down"))
        elif attempt.state is State.CHECKING and attempt.checker is ref:
            attempt.answer = None
            self._note(attempt, f"{ref.actor_class.__name__} is down", CheckerUnavailable())
            self._ask_next(attempt)

    def revoke(self, checker: ActorRef[Any], avatar_id: AvatarId) -> None:
        """Refuse the logins under way of an account that was disabled or changed since it was checked."""
        for attempt in list(self._attempts):
            if attempt.avatar_id == avatar_id and attempt.checker is checker and attempt.state is not State.CHECKING:
                self._guard(self._fail, attempt, UnauthorizedLogin("the account was revoked during the login"))

    # -- deadlines ----------------------------------------------------------------------------------------------------

    def _arm_timer(self, seconds: float) -> None:
        if not self._timer_runs:
            self._timer_runs = True
            self._portal.send_after(seconds, ExpireLogins())

    def expire(self) -> None:
        """Fail the logins whose deadline has come."""
        self._timer_runs = False
        now = self._portal.now()
        while self._attempts:
            attempt = next(iter(self._attempts))
            if attempt.deadline > now:
                self._arm_timer(attempt.deadline - now)
                return
            late = f"not done within {self._options.login_timeout:g} s, while {attempt.state.value}"
            self._guard(self._fail, attempt, CheckerUnavailable(late))
            self._attempts.pop(attempt, None)

    def close(self) -> None:
        """Admit nobody any more, and fail what is under way."""
        self._closed = True
        for attempt in list(self._attempts):
            self._guard(self._fail, attempt, LoginDenied("the portal is draining", retry_after=RETRY_AFTER))


def _given_up() -> LoginFailed:
    error = LoginFailed("given up by the client")
    error.seen = False  # to no end, so that floods of them are told as sums
    return error


def _abandon(attempt: Attempt) -> None:
    for mind in (attempt.mind, None if attempt.shared is None else attempt.shared.hub):
        if mind is not None:
            mind.abandon()


def _tell_opened(mailbox: Mailbox, session: Session) -> bool:
    """Tell an avatar that the session is open; return False if it has an `on_login`, for which the login waits."""
    if mailbox.actor_class.on_login is not Avatar.on_login:  # type: ignore[attr-defined]
        return False
    message = Opened(session)
    # No code of the user's runs then, so it need not have a turn of its own.
    if mailbox.dispatcher.runs_here() and mailbox.busy.acquire(False):
        mailbox.dispatcher.run_here(mailbox, message, None)
    else:
        mailbox.put(message)
    return True
