"""The logins in progress, from credentials to an open session.

All of it runs in the portal's context and never waits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from types import CoroutineType
from typing import Any

from actorcred.actors import ActorRef, Future
from actorcred.actors.lifecycle import stops_all
from actorcred.credentials import BearerToken
from actorcred.errors import (
    CheckerUnavailable,
    LoginDenied,
    LoginFailed,
    RefusalCause,
    UnauthorizedLogin,
    UnhandledCredentials,
)
from actorcred.exchange import Exchange
from actorcred.identity import identity_of, seconds_left
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.names import AvatarId
from actorcred.portal.attempt import Attempt
from actorcred.portal.checking import Checking
from actorcred.portal.logouts import Logouts
from actorcred.portal.messages import (
    AnswerChallenge,
    Challenged,
    CheckerAnswered,
    ExpireLogins,
    PlaceClaimed,
    RealmAnswered,
    ReportRefusal,
)
from actorcred.portal.opening import Opening
from actorcred.portal.options import PortalOptions
from actorcred.portal.pending_answer import PendingAnswer
from actorcred.portal.protection import Protection
from actorcred.portal.ref import PortalRef
from actorcred.portal.reports import Reports
from actorcred.portal.services import Services
from actorcred.sessions.directory import Directory
from actorcred.sessions.registry import FarPlace, Place, Registry
from actorcred.sessions.session import Session
from actorcred.sessions.states import CHECKING, State
from actorcred.throttle import RETRY_AFTER

__all__ = ["Logins"]


logger = logging.getLogger("actorcred.portal")


class Logins:
    """The logins in progress at one portal.

    Args:
        portal: the portal's ref, to which checkers and realm answer.
        options: the portal's settings.
        services: the checkers and the realm.
        directory: where open sessions are added.
        registry: where places are claimed.
        logouts: ends sessions.
        protection: counts failures and limits sources.

    Attributes:
        checking: where late answers of checkers go.
        opening: where late answers of the realm go.
        when_opened: called with the session of a login that has succeeded.
    """

    def __init__(  # noqa: PLR0917  # the parts of a portal
        self,
        portal: PortalRef,
        options: PortalOptions,
        services: Services,
        directory: Directory,
        registry: Registry,
        logouts: Logouts,
        protection: Protection,
    ) -> None:
        self._portal = portal
        self._options = options
        self._services = services
        self._directory = directory
        self._registry = registry
        self._logouts = logouts
        self._protection = protection
        self.when_opened: Callable[[Session], object] = lambda session: None
        self._reports = Reports(portal, options, services, logouts.events)
        logouts.when_gone = self.avatar_gone
        self._closed = False
        # In the order of their deadlines, since the timeout is the same for all.
        self._attempts: dict[Attempt, None] = {}
        self._timer_runs = False
        self.checking = Checking(options.may_act_as, self.checker_answered, self._proven, self.fail)
        self.opening = Opening(portal, services, options, directory, self)

    def __len__(self) -> int:
        return len(self._attempts)

    # -- from step to step -----------------------------------------------------------------------

    def begin(self, attempt: Attempt) -> None:
        """Accept a new login and ask the first checker."""
        if self._closed:
            self.fail(attempt, _draining(seen=False))
        elif attempt.future.done():
            self.fail(attempt, _given_up())
        elif not (checkers := self._services.checkers_for(attempt.credentials)):
            self.fail(attempt, UnhandledCredentials(f"no checker takes {attempt.kind}"))
        elif (denied := self._protection.enter(attempt, len(self._attempts))) is not None:
            self.fail(attempt, denied)
        else:
            now = self._portal.now()
            attempt.begin(checkers, now, now + self._options.login_timeout)
            self._attempts[attempt] = None
            if not self._timer_runs:
                self._arm_timer(self._options.login_timeout)
            if attempt.exchange is not None:
                self._take_turns(attempt, attempt.exchange)
            if self._protection.is_calm():  # by far the most frequent case
                self.checking.ask_next(attempt)
                self._keep_turn(attempt)
                return
            self._in_turn(attempt, self.checking.ask_next)
            if attempt.checker is None:
                # It has to wait; until its turn, all of it is queue.
                attempt.looked = attempt.deadline

    def _take_turns(self, attempt: Attempt, exchange: Exchange) -> None:
        """Have a login give up its turn with each challenge, and wait for one with each answer."""
        tell, challenge = self._portal.deliver_if_alive, exchange.on_challenge
        exchange.turn = lambda go: tell(AnswerChallenge(attempt, go))

        def challenged(data: bytes) -> None:
            tell(Challenged(attempt))
            if challenge is not None:
                challenge(data)

        exchange.on_challenge = challenged

    def _in_turn(self, attempt: Attempt, look: Callable[[Attempt], object]) -> None:
        """Continue a login when it is its turn, unless a penalty denies it."""
        protection = self._protection
        alone = protection.nobody_has_a_turn()
        if not alone and not protection.turn_at_once(attempt):
            protection.await_turn(attempt, partial(self._guard, self._after_queue, attempt, look))
            return
        self._unless_denied(attempt, look)
        if alone:
            self._keep_turn(attempt)

    def _keep_turn(self, attempt: Attempt) -> None:
        """Take the turn of a login that is being looked at, while no other one was.

        What was answered at once needs no turn: no other login could come in between.
        """
        if attempt.state is CHECKING:
            self._protection.turn_at_once(attempt)

    def _after_queue(self, attempt: Attempt, look: Callable[[Attempt], object]) -> None:
        if attempt.checker is None:
            attempt.looked = self._portal.now()
        self._unless_denied(attempt, look)

    def _unless_denied(self, attempt: Attempt, look: Callable[[Attempt], object]) -> None:
        denied = self._protection.denial(attempt)
        if denied is None:
            look(attempt)
        else:
            self.fail(attempt, denied)

    def challenged(self, attempt: Attempt) -> None:
        """Let others have their turn while a client thinks about a challenge."""
        self._protection.end_turn(attempt)

    def answer(self, attempt: Attempt, go: Callable[[], object]) -> None:
        """Process a client's answer to a challenge when it is the login's turn."""
        if attempt.state is not CHECKING:
            go()  # the exchange only pretends to go on, so that the client learns nothing
            return
        self._in_turn(attempt, lambda _: go())

    def refused_elsewhere(self, report: ReportRefusal) -> None:
        """Count and publish a refusal by a protocol."""
        error, client = report.error, report.client
        source = self._protection.source_of(client)
        if error.seen:
            self._protection.count(error, source, report.claimed)
        else:
            self._protection.count_denied(source)
        self._reports.refused_elsewhere(report)

    def checker_answered(self, attempt: Attempt, answer: PendingAnswer) -> bool:
        """Send a checker's late answer to the portal; return whether it was sent. Thread-safe."""
        return self._portal.tell_if_alive(CheckerAnswered(attempt, answer))

    def realm_answered(self, attempt: Attempt, answer: PendingAnswer) -> bool:
        """Send the realm's late answer to the portal; return whether it was sent. Thread-safe."""
        return self._portal.tell_if_alive(RealmAnswered(attempt, answer))

    def _proven(self, attempt: Attempt, avatar_id: AvatarId) -> None:
        if attempt.renews is not None and attempt.renews.avatar_id != avatar_id:
            other = UnauthorizedLogin("the credentials are another user's", known=True)
            self.fail(attempt, other.because(RefusalCause.ANOTHER_USER))
            return
        self._reports.proven(attempt)
        if attempt.account:
            self._protection.proven(attempt)
        if attempt.turns:
            self._protection.end_turn(attempt)
        if attempt.interfaces:
            attempt.proven(avatar_id)
            if attempt.source and (denied := self._protection.open(attempt)) is not None:
                self.fail(attempt, denied)
            else:
                self._claim(attempt)
        else:
            self._attempts.pop(attempt, None)
            self._protection.leave(attempt)
            if attempt.renews is not None:
                self._renew(attempt.renews, attempt)
            attempt.verified(avatar_id)

    def _renew(self, session: Session, attempt: Attempt) -> None:
        """Record a newer proof of the credentials, which can move the end of the session."""
        proven = attempt.identity or identity_of(session.avatar_id, attempt.credentials)
        now = datetime.now(UTC)
        # A token can be of any age if it does not say when it was issued.
        undated = proven.authenticated is None and type(attempt.credentials) is BearerToken
        session.reproven(proven, now, recent=not undated)
        session.expires_in(seconds_left(session.identity, now))
        self._directory.reschedule(session)
        self._logouts.watch_deadlines()
        self._reports.renewed(attempt, session)

    def _claim(self, attempt: Attempt) -> None:
        """Claim a place."""
        try:
            place = self._registry.claim(
                attempt.avatar_id,
                attempt.session_id,
                attempt.interfaces,
                attempt.deadline,
                attempt,
            )
        except LoginFailed as error:
            self.fail(attempt, error)
            return
        if place is None:
            self.opening.request_avatar(attempt)
        elif isinstance(place, Future):
            tell = self._portal.tell_if_alive
            place.add_done_callback(lambda done: tell(PlaceClaimed(attempt, done)))
        else:
            self._share(attempt, place)

    def _share(self, attempt: Attempt, place: object) -> None:
        """Have a login share the avatar that the registry returned."""
        if isinstance(place, FarPlace):
            if self._keeps_its_place(attempt):
                self.opening.enter(attempt, place)
            return
        if not isinstance(place, Session) or place.shared is None:
            if isinstance(place, CoroutineType):
                place.close()
            registry = type(self._registry).__name__
            raise TypeError(
                f"{registry}.claim() must return None, a session with a shared avatar, a far "
                f"place, or an actorcred Future of one of these, not {place!r}"
            )
        if place.is_open:
            if self._keeps_its_place(attempt):
                self.opening.join(attempt, place)
            return
        # It has ended meanwhile.
        self._registry.release(attempt.avatar_id, attempt.session_id)
        if attempt.may_claim_again():
            self._claim(attempt)
        else:
            ended = "the session to share has ended"
            denied = LoginDenied(ended, retry_after=RETRY_AFTER)
            self.fail(attempt, denied.because(RefusalCause.SESSION_LIMIT))

    def placed(self, attempt: Attempt, done: Future[Place]) -> None:
        """Continue a login that has waited for its place."""
        if attempt.state is not State.WAITING:
            return  # it has failed, and its claim is withdrawn
        try:
            place = done.get()
        except LoginFailed as error:
            self.fail(attempt, error)
            return
        attempt.granted()
        if place is None:
            self.opening.request_avatar(attempt)
        else:
            self._share(attempt, place)

    def _keeps_its_place(self, attempt: Attempt) -> bool:
        """Return whether a login that shares an avatar still has its place; if not, it fails."""
        if attempt.waited:
            try:
                self.confirm(attempt)
            except LoginFailed as error:
                self.fail(attempt, error)
                return False
        return True

    def confirm(self, attempt: Attempt) -> None:
        """Make sure that a login still has its place, and number it."""
        attempt.placed(self._registry.fence(attempt.session_id))

    def avatar_opened(self, session: Session) -> None:
        """Complete a login whose avatar has run `on_login`, or calls its client from there."""
        attempt = self.opening.take_held(session)
        if attempt is not None:
            attempt.done_at = self._portal.now()
            self._guard(self.succeed, attempt, session)

    def avatar_gone(self, session: Session, cause: BaseException | None) -> None:
        """Fail a login whose avatar ended before `on_login` had finished."""
        attempt = self.opening.take_held(session)
        if attempt is not None:
            self.fail(attempt, self.opening.failure(session, cause))

    def hold(self, session: Session) -> None:
        """Make a session visible to others while its avatar runs `on_login`."""
        self._registry.opened(session)

    def succeed(self, attempt: Attempt, session: Session) -> None:
        """Complete a login whose avatar is ready, and make its session visible to others."""
        self._attempts.pop(attempt, None)
        if attempt.counted:
            self._protection.leave(attempt)
        self._logouts.watch_deadlines()
        if attempt.proven_at is not None:
            self._reports.succeeded(attempt, session)
        if attempt.future.settle(attempt.succeed()):
            self._registry.opened(session)
            self.when_opened(session)
        else:
            self._logouts.end(session, LogoutReason(LogoutCode.LOST, "gave up during the login"))

    # -- failing ---------------------------------------------------------------------------------

    def fail(self, attempt: Attempt, error: LoginFailed) -> None:
        """Fail a login, and release all that it holds."""
        checked = attempt.state is not CHECKING
        if not checked:
            self._protection.failed(attempt, error)
        attempt.fail()
        self._attempts.pop(attempt, None)
        self._protection.leave(attempt)
        session = attempt.session
        if session is not None:
            self.opening.take_held(session)
            code = LogoutCode.STOPPED if error.seen else LogoutCode.LOST
            self._logouts.end(session, LogoutReason(code))
        else:
            attempt.abandon_minds()
        self._reports.refused(attempt, error, checked=checked)
        attempt.future.settle_error(error)
        if session is None and attempt.session_id:
            self._protection.closed(attempt.session_id)
            self._registry.release(attempt.avatar_id, attempt.session_id)

    def _guard(self, step: Callable[..., object], attempt: Attempt, *args: Any) -> None:
        """Do a step of one of several logins. An exception ends this login only."""
        try:
            step(attempt, *args)
        except BaseException as error:
            if stops_all(error):
                raise
            logger.exception("A login failed with an unexpected error:")
            self.abort(attempt, error)

    def abort(self, attempt: Attempt, error: BaseException) -> None:
        """End a login after an unexpected exception."""
        failure = CheckerUnavailable(f"unexpected error: {type(error).__name__}")
        if attempt.session is not None:
            self._attempts.pop(attempt, None)
            self._protection.leave(attempt)
            self.opening.take_held(attempt.session)
            attempt.session.end(LogoutCode.CRASHED)
            attempt.future.settle_error(failure)
        elif attempt.state is not State.ENDED:
            try:
                self.fail(attempt, failure)
            finally:
                attempt.future.settle_error(failure)

    def give_up(self, attempt: Attempt) -> None:
        """End a login whose client no longer waits."""
        if attempt in self._attempts:
            self.fail(attempt, _given_up())

    def service_is_gone(self, ref: ActorRef[Any]) -> None:
        """Continue with the logins that a checker or the realm will not answer."""
        for attempt in list(self._attempts):
            if attempt.awaited is not None:
                self._guard(self._do_without, attempt, ref)

    def _do_without(self, attempt: Attempt, ref: ActorRef[Any]) -> None:
        if attempt.state is State.OPENING and ref is self._services.realm:
            self.fail(attempt, CheckerUnavailable("the realm is down"))
        elif attempt.state is CHECKING and attempt.checker is ref:
            self.checking.do_without(attempt)

    def revoke(self, checker: str, avatar_id: AvatarId) -> None:
        """Refuse the logins of an account that was disabled or changed after it was checked.

        Args:
            checker: the name of the checker that accepted the credentials.
            avatar_id: the account.
        """
        for attempt in list(self._attempts):
            acting = attempt.identity if attempt.authorize_as else None
            if (
                avatar_id in (attempt.avatar_id, None if acting is None else acting.avatar_id)
                and attempt.state is not CHECKING
                and self._services.name_of(attempt.checker) == checker
            ):
                revoked = UnauthorizedLogin("the account was revoked during the login")
                self._guard(self.fail, attempt, revoked.because(RefusalCause.REVOKED))

    # -- deadlines -------------------------------------------------------------------------------

    def _arm_timer(self, seconds: float) -> None:
        self._timer_runs = True
        self._portal.send_after(seconds, ExpireLogins())

    def expire(self) -> None:
        """Fail the logins whose deadline has passed."""
        self._timer_runs = False
        now = self._portal.now()
        while self._attempts:
            attempt = next(iter(self._attempts))
            if attempt.deadline > now:
                self._arm_timer(attempt.deadline - now)
                return
            late = f"not done within {self._options.login_timeout:g} s, while {attempt.state.value}"
            timeout = CheckerUnavailable(late).because(RefusalCause.TIMEOUT)
            self._guard(self.fail, attempt, timeout)
            self._attempts.pop(attempt, None)

    def close(self) -> None:
        """Refuse new logins, and fail those in progress."""
        self._closed = True
        for attempt in list(self._attempts):
            self._guard(self.fail, attempt, _draining(seen=True))


def _given_up() -> LoginFailed:
    error = LoginFailed("given up by the client").because(RefusalCause.GIVEN_UP)
    error.seen = False  # so that a flood of them is reported as a sum
    return error


def _draining(*, seen: bool) -> LoginDenied:
    denied = LoginDenied("the portal is draining", retry_after=RETRY_AFTER, seen=seen)
    return denied.because(RefusalCause.DRAINING)
