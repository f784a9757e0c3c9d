"""The logins under way, from credentials to an open session. Runs in the portal's context and waits for nobody."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from actorcred.actors import ActorRef
from actorcred.actors.lifecycle import stops_all
from actorcred.errors import (
    CheckerUnavailable,
    LoginDenied,
    LoginFailed,
    UnauthorizedLogin,
    UnhandledCredentials,
)
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.names import AvatarId
from actorcred.portal.attempt import Attempt
from actorcred.portal.checking import Checking
from actorcred.portal.events import LoggedIn, LoginRefused
from actorcred.portal.login import Login
from actorcred.portal.logouts import Logouts
from actorcred.portal.messages import Answered, ExpireLogins
from actorcred.portal.opening import Opening
from actorcred.portal.options import PortalOptions
from actorcred.portal.pending_answer import PendingAnswer
from actorcred.portal.places import Places
from actorcred.portal.ref import PortalRef
from actorcred.portal.services import Services
from actorcred.sessions.directory import Directory
from actorcred.sessions.policies import Deny, Join
from actorcred.sessions.session import Session
from actorcred.sessions.states import SessionEvent, State, step
from actorcred.throttle import RETRY_AFTER

__all__ = ["Logins"]


logger = logging.getLogger("actorcred.portal")


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
        roles: Services,
        directory: Directory,
        logouts: Logouts,
    ) -> None:
        self._portal = portal
        self._realm = roles.realm
        self._options = options
        self._roles = roles
        self._logouts = logouts
        self._events = logouts.events
        logouts.when_free = self.avatar_id_is_free
        logouts.when_gone = self.avatar_gone
        self._closed = False
        # In the order of their deadlines, since all have the same time.
        self._attempts: dict[Attempt, None] = {}
        self._timer_runs = False
        self._places = Places(options.limits, directory)
        self._checking = Checking(options.may_act_as, self._tell_answered, self._proven, self.fail)
        self._opening = Opening(portal, roles.realm, options.outbox, directory, self._places)
        self._opening.tell = self._tell_answered
        self._opening.succeeded = self._succeed
        self._opening.failed = self.fail

    def __len__(self) -> int:
        return len(self._attempts)

    # -- from step to step --------------------------------------------------------------------------------------------

    def begin(self, attempt: Attempt) -> None:
        """Take a new login in and ask the first checker."""
        if self._closed:
            self.fail(
                attempt, LoginDenied("the portal is draining", retry_after=RETRY_AFTER, seen=False)
            )
        elif len(self._attempts) >= self._options.max_pending_logins:
            self.fail(
                attempt,
                LoginDenied(
                    f"{len(self._attempts)} logins in flight", retry_after=RETRY_AFTER, seen=False
                ),
            )
        elif attempt.future.done():
            self.fail(attempt, _given_up())
        elif not (checkers := self._roles.checkers_for(attempt.credentials)):
            self.fail(attempt, UnhandledCredentials(f"no checker takes {attempt.kind}"))
        else:
            attempt.deadline = self._portal.now() + self._options.login_timeout
            self._attempts[attempt] = None
            self._arm_timer(self._options.login_timeout)
            checkers.reverse()
            attempt.candidates = checkers
            self._checking.ask_next(attempt)

    def _tell_answered(self, attempt: Attempt, answer: PendingAnswer) -> bool:
        return self._portal.tell_if_alive(Answered(attempt, answer))

    def answered(self, attempt: Attempt, answer: PendingAnswer) -> None:
        """Go on with what a checker or the realm has decided later than at once."""
        if answer.role is self._realm:
            self._opening.answered(attempt, answer)
        else:
            self._checking.answered(attempt, answer)

    def _proven(self, attempt: Attempt, avatar_id: AvatarId) -> None:
        attempt.avatar_id = avatar_id
        if attempt.interfaces:
            attempt.state = step(attempt.state, SessionEvent.PROVEN)
            self._admit(attempt)
        else:
            attempt.state = step(attempt.state, SessionEvent.VERIFIED)
            self._attempts.pop(attempt, None)
            attempt.future.settle(avatar_id)  # type: ignore[arg-type]

    def _admit(self, attempt: Attempt) -> None:
        if self._places.unlimited:
            self._opening.request_avatar(attempt)
            return
        decision = self._places.decide(attempt)
        if decision is None:
            self._places.wait(attempt)
        elif isinstance(decision, Deny):
            self.fail(attempt, LoginDenied(decision.why, retry_after=RETRY_AFTER))
        elif isinstance(decision, Join):
            self._opening.join(attempt, decision.session)
        elif decision.evict:
            # First the place, then the end of those who have it: on a full server another login would take it.
            self._places.wait(attempt, keep=True)
            for session in decision.evict:
                self._logouts.end(session, LogoutReason(LogoutCode.REPLACED))
        else:
            self._opening.request_avatar(attempt)

    def avatar_id_is_free(self, avatar_id: AvatarId) -> None:
        """Go on with the logins that waited for another session or login of the same avatar id."""
        for attempt in self._places.take_waiting(avatar_id):
            self._guard(self._admit, attempt)

    def avatar_opened(self, session: Session) -> None:
        """Succeed with a login whose avatar has run `on_login`, or asks its client meanwhile."""
        attempt = self._opening.take_held(session)
        if attempt is not None:
            self._guard(self._succeed, attempt, session)

    def avatar_gone(self, session: Session, cause: BaseException | None) -> None:
        """Fail a login whose avatar has ended before it had run `on_login`."""
        attempt = self._opening.take_held(session)
        if attempt is not None:
            self.fail(attempt, self._opening.failure(session, cause))

    def _succeed(self, attempt: Attempt, session: Session) -> None:
        attempt.state = step(attempt.state, SessionEvent.OPENED)
        session.announced = True
        self._attempts.pop(attempt, None)
        self._logouts.watch_deadlines()
        if self._events.wanted(LoggedIn):
            checker = "?" if session.checker is None else session.checker.actor_class.__name__
            self._events.emit(
                LoggedIn, session.id, session.avatar_id, session.interface.__name__, checker
            )
        if not attempt.future.settle(Login(session.interface, session.avatar, session.end)):
            self._logouts.end(session, LogoutReason(LogoutCode.LOST, "gave up during the login"))
        if self._places.waiting:
            self.avatar_id_is_free(session.avatar_id)

    # -- failing ------------------------------------------------------------------------------------------------------

    def fail(self, attempt: Attempt, error: LoginFailed) -> None:
        """End a login without a session, and leave nothing of it."""
        session = attempt.session
        was_opening = attempt.state is State.OPENING and session is None
        attempt.state = step(attempt.state, SessionEvent.FAILED)
        answer, attempt.answer = attempt.answer, None
        attempt.credentials = None
        self._attempts.pop(attempt, None)
        self._places.wait_no_more(attempt)
        if was_opening:
            self._places.leave(attempt)
        if answer is not None and attempt.mind is None:  # a realm finishes, and is cleaned up after
            answer.cancel()
        if session is not None:
            self._opening.take_held(session)
            self._logouts.end(
                session, LogoutReason(LogoutCode.STOPPED if error.seen else LogoutCode.LOST)
            )
        else:
            _abandon(attempt)
        told = (
            error.code,
            attempt.kind,
            attempt.claimed,
            error.detail,
            attempt.known,
            error.seen,
            attempt.source,
        )
        self._events.emit(LoginRefused, *told)
        attempt.future.settle_error(error)
        if was_opening:
            self.avatar_id_is_free(attempt.avatar_id)

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
            held = self._opening.take_held(attempt.session)
            if attempt.state is State.OPENING and held is None:
                attempt.state = step(attempt.state, SessionEvent.OPENED)
                self._places.leave(attempt)
            attempt.session.end(LogoutCode.CRASHED)
            attempt.future.settle_error(failure)
        elif attempt.state is not State.ENDED:
            try:
                self.fail(attempt, failure)
            finally:
                attempt.future.settle_error(failure)

    def give_up(self, attempt: Attempt) -> None:
        """End a login whose client does not wait any more."""
        if attempt in self._attempts:
            self.fail(attempt, _given_up())

    def role_is_gone(self, ref: ActorRef[Any]) -> None:
        """Go on with the logins that a checker or the realm will not answer any more."""
        for attempt in list(self._attempts):
            if attempt.answer is not None:
                self._guard(self._do_without, attempt, ref)

    def _do_without(self, attempt: Attempt, ref: ActorRef[Any]) -> None:
        if attempt.state is State.OPENING and ref is self._realm:
            self.fail(attempt, CheckerUnavailable("the realm is down"))
        elif attempt.state is State.CHECKING and attempt.checker is ref:
            self._checking.do_without(attempt)

    def revoke(self, checker: ActorRef[Any], avatar_id: AvatarId) -> None:
        """Refuse the logins under way of an account that was disabled or changed since it was checked."""
        for attempt in list(self._attempts):
            if (
                attempt.avatar_id == avatar_id
                and attempt.checker is checker
                and attempt.state is not State.CHECKING
            ):
                self._guard(
                    self.fail,
                    attempt,
                    UnauthorizedLogin("the account was revoked during the login"),
                )

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
            self._guard(self.fail, attempt, CheckerUnavailable(late))
            self._attempts.pop(attempt, None)

    def close(self) -> None:
        """Admit nobody any more, and fail what is under way."""
        self._closed = True
        for attempt in list(self._attempts):
            self._guard(
                self.fail, attempt, LoginDenied("the portal is draining", retry_after=RETRY_AFTER)
            )


def _given_up() -> LoginFailed:
    error = LoginFailed("given up by the client")
    error.seen = False  # to no end, so that floods of them are told as sums
    return error


def _abandon(attempt: Attempt) -> None:
    for mind in (attempt.mind, None if attempt.shared is None else attempt.shared.hub):
        if mind is not None:
            mind.abandon()
