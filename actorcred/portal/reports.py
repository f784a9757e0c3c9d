"""Telling the outcome of logins to subscribers, the audit log, metrics and tracing."""

from __future__ import annotations

from actorcred.errors import LoginFailed, RefusalCause, UnauthorizedLogin
from actorcred.identity import identity_of
from actorcred.portal.attempt import Attempt
from actorcred.portal.events import LoggedIn, LoginRefused, Reauthenticated
from actorcred.portal.messages import ReportRefusal
from actorcred.portal.options import PortalOptions
from actorcred.portal.publishing import Events
from actorcred.portal.ref import PortalRef
from actorcred.portal.services import Services
from actorcred.portal.steps import NO_TIMES, times_of
from actorcred.sessions.session import Session

__all__ = ["Reports"]


class Reports:
    """Tells the outcome of the logins of one portal.

    Args:
        portal: the portal's ref.
        options: the portal's settings.
        services: the names of the checkers.
        events: publishes events.
    """

    def __init__(
        self, portal: PortalRef, options: PortalOptions, services: Services, events: Events
    ) -> None:
        self._portal = portal
        self._services = services
        self._events = events
        self._metrics = options.metrics
        self._tracing = options.tracing
        self._always = options.metrics is not None or options.tracing is not None

    def proven(self, attempt: Attempt) -> None:
        """Note when the credentials of a login were accepted, if that will be needed."""
        if self._always or self._events.wanted(LoggedIn):
            attempt.proven_at = self._portal.actor_inbox.dispatcher.now()
            attempt.hashed = getattr(attempt.credentials, "hashing", None)

    def succeeded(self, attempt: Attempt, session: Session) -> None:
        """Tell of a login that has succeeded, and whose times were measured."""
        now = session.opened if attempt.done_at is None else attempt.done_at
        if self._metrics is not None:
            self._metrics.logged_in(session.checker, attempt, now)
        wanted = self._events.wanted(LoggedIn)
        if wanted or self._tracing is not None:
            times = times_of(attempt, now, checked=True)
        if self._tracing is not None:
            self._tracing.logged_in(attempt, session, times)
        if wanted:
            self._events.emit(
                LoggedIn,
                session.id,
                session.avatar_id,
                attempt.claimed,
                session.interface.__name__,
                session.checker,
                attempt.kind,
                attempt.mechanism or attempt.kind,
                attempt.client,
                attempt.identity or identity_of(session.avatar_id),
                times,
            )

    def renewed(self, attempt: Attempt, session: Session) -> None:
        """Tell of a user who has proven the credentials of a session again."""
        if self._events.wanted(Reauthenticated):
            self._events.emit(
                Reauthenticated,
                session.id,
                session.avatar_id,
                "" if attempt.checker is None else self._services.name_of(attempt.checker),
                attempt.kind,
                attempt.mechanism or attempt.kind,
                attempt.client,
                session.identity,
            )

    def refused(self, attempt: Attempt, error: LoginFailed, *, checked: bool) -> None:
        """Tell of a login that has failed.

        Args:
            attempt: the login.
            error: why.
            checked: whether its credentials were accepted before.
        """
        wanted = self._events.wanted(LoginRefused)
        if not wanted and not self._always:
            return
        now = self._portal.now()
        times = times_of(attempt, now, checked=checked)
        checker = "" if attempt.checker is None else self._services.name_of(attempt.checker)
        if self._metrics is not None:
            self._metrics.refused(error.cause, checker, attempt.client.protocol, times)
        if self._tracing is not None:
            self._tracing.refused(attempt, error, times)
        who, renews = attempt.avatar_id, attempt.renews
        self._events.emit(
            LoginRefused,
            error.code,
            attempt.kind,
            attempt.claimed,
            error.detail,
            attempt.known,
            error.seen,
            attempt.client,
            cause=error.cause,
            mechanism=attempt.mechanism or attempt.kind,
            checker=checker,
            session_id=attempt.session_id if renews is None else renews.id,
            avatar_id=who if renews is None else renews.avatar_id,
            identity=attempt.identity or (identity_of(who) if who else None),
            steps=times,
        )

    def refused_elsewhere(self, report: ReportRefusal) -> None:
        """Tell of a login that a protocol has refused."""
        error, client = report.error, report.client
        if isinstance(error, UnauthorizedLogin) and "cause" not in vars(error):
            error.because(RefusalCause.MALFORMED)  # the portal need not be asked about it
        if self._metrics is not None:
            self._metrics.refused(error.cause, "", client.protocol, NO_TIMES)
        self._events.emit(
            LoginRefused,
            error.code,
            report.kind,
            report.claimed,
            error.detail,
            getattr(error, "known", False),
            error.seen,
            client,
            cause=error.cause,
            mechanism=report.mechanism or report.kind,
        )
