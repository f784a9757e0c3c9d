"""The portal actor, which connects protocols, checkers and a realm, and owns all sessions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, NoReturn, cast

from actorcred.actors import Actor, ActorRef, ControlMessage, Dispatcher, Future
from actorcred.actors.messages import describe
from actorcred.checker import Revocation, require_checker
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.names import AvatarId
from actorcred.portal import messages as m
from actorcred.portal.arguments import require_list
from actorcred.portal.attempt import Attempt
from actorcred.portal.gauges import Gauges
from actorcred.portal.host import Host
from actorcred.portal.logins import Logins
from actorcred.portal.logouts import Logouts
from actorcred.portal.moving import Moving
from actorcred.portal.online import Online
from actorcred.portal.options import PasswordChange, PortalOptions
from actorcred.portal.presence import Presence
from actorcred.portal.protection import Protection
from actorcred.portal.publishing import Events, complain
from actorcred.portal.ref import PortalRef
from actorcred.portal.services import Services
from actorcred.portal.sleeping import Sleeping
from actorcred.portal.standing import StandingWatch
from actorcred.realm import require_realm
from actorcred.sessions.directory import Directory
from actorcred.sessions.registry import Registry
from actorcred.sessions.session import Session

__all__ = ["Portal"]


logger = logging.getLogger("actorcred.portal")

LAG_INTERVAL = 1.0
"""Seconds between two measurements of the lag, if there are metrics."""


class Portal(Actor):
    """The actor behind a `PortalRef`. Start it and use the ref; it is not meant for subclassing.

    Args:
        realm: a ref to the started realm.
        checkers: refs to started checkers, in the order in which they are asked.
        options: settings.

    Raises:
        TypeError: if the realm or a checker is not one, or a checker takes no credentials.
        AccountError: if the templates of two checkers allow the same avatar id.
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
        required = [require_checker(checker) for checker in require_list(checkers)]
        self._options = options or PortalOptions()
        portal = cast("PortalRef", self._actor_ref)
        portal.options = self._options
        portal.landings = {}
        self._events = Events(
            self._options.claimed_names(),
            portal.now,
            lambda seconds: portal.send_after(seconds, m.TellRepeated()),
            self._options.log_omit,
        )
        self._protection = portal.protection = Protection(
            self._options.admission, self._options.penalty, portal.now
        )
        self._directory = Directory(
            self._options.idle_timeout, self._options.lifetime, self._options.sleep_after
        )
        self._services = Services(portal, realm, self._options.restart, self._events)
        self._logouts = Logouts(portal, self._directory, self._events, self._options.logout_timeout)
        self._sleeping = Sleeping(portal, self._directory, self._logouts)
        online = Online(self._directory, self._options.presence)
        self._registry = self._make_registry(portal, online)
        self._presence = self._link(portal, online)
        self._logouts.when_ending = online.ending
        self._logouts.when_free = self._free
        self._logouts.metrics = self._metrics = self._options.metrics
        self._logins = Logins(
            portal,
            self._options,
            self._services,
            self._directory,
            self._registry,
            self._logouts,
            self._protection,
        )
        self._logins.when_opened = online.opened
        self._services.add_checkers(*required)
        self._standing = StandingWatch(
            portal, self._directory, self._services, self._events, self._end_revoked
        )
        self._unwatch: Callable[[], object] | None = None

    def _make_registry(self, portal: PortalRef, online: Online) -> Registry:
        mover = Moving(
            portal, self._directory, self._services, self._logouts, self._protection, online
        )
        host = Host(portal, self._logouts, self._services, self._directory, self._protection, mover)
        return self._options.registry(self._options.limits, self._directory, host)

    def _link(self, portal: PortalRef, online: Online) -> Presence:
        """Set what reaches other servers; return who tells them which users are online."""
        self._events.node = self._registry.node
        self._protection.tell = self._registry.tell_news
        self._logouts.when_arrived = self._registry.opened
        presence = portal.presence = Presence(portal, online, self._options.presence)
        presence.link = self._registry.link(presence)
        portal.groups, portal.router = self._registry.groups, self._registry.router
        return presence

    def on_start(self) -> None:
        """Begin to ask the checkers about open sessions, and to show metrics, if there are any."""
        self._standing.begin()
        if self._metrics is not None:
            gauges = Gauges(
                cast("PortalRef", self._actor_ref),
                self._directory,
                self._logins,
                self._services,
                self._protection,
                self._registry,
            )
            self._unwatch = self._metrics.watch(gauges.read)
            self._measure_lag()

    def _measure_lag(self) -> None:
        self.send_after(LAG_INTERVAL, m.MeasureLag(self.now() + LAG_INTERVAL))

    def _lagged(self, seconds: float) -> None:
        if self._metrics is not None:
            self._metrics.lagged(max(0.0, seconds))
            self._measure_lag()

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

    if not TYPE_CHECKING:  # an attribute that does not exist is an error for type checkers

        def __getattr__(self, name: str) -> NoReturn:
            problem = f"{type(self).__name__!r} object has no attribute {name!r}"
            if not name.startswith("_") and hasattr(PortalRef, name):
                problem += (
                    "; it is one of the ref that Portal.start(realm, checkers) returns, "
                    "in place of Portal(...)"
                )
            raise AttributeError(problem, name=name, obj=self)

    def _free(self, avatar_id: AvatarId, session_id: str) -> None:
        self._protection.closed(session_id)
        self._registry.release(avatar_id, session_id)

    def _actor_survives(self, error: BaseException, message: Any) -> bool:
        """Fail the login or session that the message belongs to, and continue.

        The portal owns all sessions, so an exception in a callback of the application or a bug in
        this package must not end more than one.
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
        """Refuse new logins and end all sessions."""
        self._logins.close()
        self._logouts.abandon()
        self._services.close()
        self._events.close()
        self._presence.close()
        if self._unwatch is not None:
            self._unwatch()

    def on_failure(self, *_: Any) -> None:
        """End all sessions after a crash as well."""
        self.on_stop()

    # -- messages ----------------------------------------------------------------------------------

    def _actor_control(self, message: ControlMessage) -> Any:  # noqa: C901, PLR0911, PLR0912  # a table
        """Pass a message to the part that handles it. The most frequent messages come first."""
        match message:
            case m.BeginLogin():
                return self._logins.begin(message.attempt)
            case m.AvatarOpened():
                return self._logins.avatar_opened(message.session)
            case m.AvatarGone():
                return self._logouts.avatar_gone(message.session, message.cause)
            case m.EndSession():
                return self._logouts.end(message.session, message.reason, message.done)
            case m.CheckerAnswered():
                return self._logins.checking.answered(message.attempt, message.answer)
            case m.RealmAnswered():
                return self._logins.opening.answered(message.attempt, message.answer)
            case m.PlaceClaimed(attempt, done):
                return self._logins.placed(attempt, done)
            case m.GiveUpLogin(attempt):
                return self._logins.give_up(attempt)
            case m.Challenged(attempt):
                return self._logins.challenged(attempt)
            case m.AnswerChallenge(attempt, go):
                return self._logins.answer(attempt, go)
            case m.ReportRefusal():
                return self._logins.refused_elsewhere(message)
            case m.SharedAvatarGone(shared, cause):
                return self._logouts.shared_avatar_gone(shared, cause)
            case m.ExpireLogins():
                return self._logins.expire()
            case m.ExpireSessions():
                return self._logouts.expire()
            case m.ExpireLeaving():
                return self._logouts.expire_leaving()
            case (
                m.Drain()
                | m.DrainTimeout()
                | m.Kick()
                | m.Annotate()
                | m.FindSession()
                | m.FindSessions()
                | m.CountSessions()
                | m.PutToSleep()
                | m.MoveSession()
                | m.AvatarSlept()
                | m.AvatarWoke()
            ):
                return self._of_sessions(message)
            case m.Publish() | m.TellRepeated() | m.MeasureLag() | m.Subscribe() | m.Unsubscribe():
                return self._of_events(message)
            case _:
                return self._of_services(message)

    def _of_events(self, message: ControlMessage) -> Any:
        match message:
            case m.Publish(event):
                return self._events.publish(event)
            case m.TellRepeated():
                return self._events.tell_repeated()
            case m.MeasureLag(due):
                return self._lagged(self.now() - due)
            case m.Subscribe(subscriber):
                return self._events.subscribe(subscriber)
            case m.Unsubscribe(subscription):
                return self._events.unsubscribe(subscription)
        return None

    def _of_sessions(self, message: ControlMessage) -> Any:  # noqa: C901  # a table
        match message:
            case m.FindSession(session_id):
                return self._registry.find(session_id)
            case m.FindSessions(avatar_id):
                return self._registry.sessions(avatar_id)
            case m.CountSessions():
                return self._registry.count()
            case m.Annotate(session_id, notes):
                return self._registry.annotate(session_id, notes)
            case m.Kick(session_id, avatar_id, detail):
                return self._registry.kick(session_id, avatar_id, detail)
            case m.Drain(timeout, drained, move):
                self._logins.close()
                self._registry.close()
                self._logouts.drain(timeout, drained, self._move if move else None)
            case m.MoveSession(session, node):
                return self._registry.move(session, node)
            case m.DrainTimeout(drained):
                self._logouts.drain_timeout(drained)
            case m.PutToSleep(session):
                return self._sleeping.put_to_sleep(session)
            case m.AvatarSlept(session):
                self._sleeping.slept(session)
            case m.AvatarWoke(session):
                self._sleeping.woke(session)
        return None

    def _move(self, session: Session) -> Future[str]:
        return self._registry.move(session, "")

    def _of_services(self, message: ControlMessage) -> Any:  # noqa: C901, PLR0911, PLR0912  # a table
        match message:
            case m.RegisterChecker(checker, interfaces):
                self._services.add_checkers((checker, interfaces))
                return self._standing.begin()
            case m.CheckStanding() | m.StandingAnswered() | m.Recheck():
                return self._standing.receive(message)
            case m.ListInterfaces():
                return tuple(self._services.realm.actor_class.interfaces)
            case m.ListCredentialsInterfaces(for_everybody):
                return self._services.credential_interfaces(for_everybody)
            case m.ListDigestAlgorithms():
                return self._services.digest_algorithms()
            case m.Revoke(checker, avatar_id, what):
                return self._revoke(checker, avatar_id, what)
            case m.RevokeNamed(name, avatar_id, what):
                return self._revoke_named(name, avatar_id, what)
            case m.RunStep(step):
                return step()
            case m.UseUp(key, seconds, use):
                return self._registry.use_up(key, seconds, use)
            case m.ServiceCrashed(ref, error):
                pause = self._services.crashed(ref, error, self.now())
                if pause:
                    self._logins.service_is_gone(ref)
                return pause
            case m.ServiceBegun(ref):
                return self._services.begun(ref)
            case m.ServiceGone(ref, cause):
                self._services.gone(ref, cause)
                return self._logins.service_is_gone(ref)
            case _:
                return super()._actor_control(message)

    def _revoke(self, checker: ActorRef[Any], avatar_id: AvatarId, what: Revocation) -> None:
        name = self._services.name_of(checker)
        self._revoke_named(name, avatar_id, what)
        self._registry.revoked(name, avatar_id, what)

    def _revoke_named(self, name: str, avatar_id: AvatarId, what: Revocation) -> None:
        sessions = [one for one in self._sessions_of(avatar_id) if one.checker == name]
        if what is Revocation.CHANGED:
            self._standing.ask_about(sessions)
            return
        self._logins.revoke(name, avatar_id)
        for session in sessions:
            self._end_revoked(session, what)

    def _sessions_of(self, avatar_id: AvatarId) -> list[Session]:
        """Return the sessions of an avatar id, and those of its user that act as another one."""
        sessions = list(self._directory.of(avatar_id))
        if self._options.may_act_as is not None:
            sessions += [
                session
                for session in self._directory
                if session.avatar_id != avatar_id and session.identity.avatar_id == avatar_id
            ]
        return sessions

    def _end_revoked(self, session: Session, what: Revocation) -> None:
        if (
            what is Revocation.PASSWORD_CHANGED
            and self._options.on_password_change is PasswordChange.TELL
        ):
            session.mind.notify("password_changed")
        else:
            self._logouts.guard(
                self._logouts.end, session, LogoutReason(LogoutCode.REVOKED, str(what))
            )


def _contents(message: Any) -> list[Any]:
    return (
        [getattr(message, field.name) for field in fields(message)] if is_dataclass(message) else []
    )
