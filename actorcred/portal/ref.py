"""The ref to a portal, which is the interface for protocols and the application."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar, Unpack, cast, overload

import pykka

from actorcred.actors import ActorRef, Future
from actorcred.checker import Revocation, require_checker
from actorcred.credentials import LoginCredentials
from actorcred.errors import CheckerUnavailable, LoginDenied, LoginFailed
from actorcred.identity import NO_CLIENT, NO_INFO, ClientInfo
from actorcred.mind.channel import MovableChannel
from actorcred.names import ANONYMOUS, AvatarId
from actorcred.portal.arguments import LoginOptions, require, require_interfaces
from actorcred.portal.attempt import Attempt
from actorcred.portal.events import Event
from actorcred.portal.keeping import SessionKeeper
from actorcred.portal.login import LoginFuture
from actorcred.portal.messages import (
    Annotate,
    BeginLogin,
    CountSessions,
    Drain,
    FindSession,
    FindSessions,
    GiveUpLogin,
    Kick,
    ListCredentialsInterfaces,
    ListDigestAlgorithms,
    ListInterfaces,
    Publish,
    Recheck,
    RegisterChecker,
    ReportRefusal,
    Revoke,
    Subscribe,
    Unsubscribe,
    UseUp,
)
from actorcred.portal.options import PortalOptions
from actorcred.portal.presence import Presence
from actorcred.portal.protection import Protection
from actorcred.portal.publishing import Subscriber, require_subscriber
from actorcred.sessions.groups import Groups, NamedGroup
from actorcred.sessions.info import SessionInfo
from actorcred.sessions.routing import Router
from actorcred.sessions.session import Session

__all__ = ["Landing", "PortalRef"]

Landing: TypeAlias = Callable[[Any], Future[MovableChannel]]
"""Makes the channel of a session that arrives from another server, from its state there. May be
called on any thread."""

I = TypeVar("I")  # noqa: E741
J = TypeVar("J")


class PortalRef(SessionKeeper):
    """A ref to a portal: its whole interface for protocols and the application.

    All methods return immediately. Those that look something up or change something return a
    future.

    Attributes:
        options: the portal's settings.
        protection: what failed logins are counted by; see the methods for protocols.
        presence: tells which users are online.
        groups: the named groups; see `group`.
        router: the way to the sessions of other nodes, for protocols whose clients come back.
        landings: make the channels of sessions that arrive from other nodes, by their kind; set by
            the servers of protocols.
    """

    __slots__ = ("groups", "landings", "options", "presence", "protection", "router")

    options: PortalOptions
    protection: Protection
    presence: Presence
    groups: Groups
    router: Router
    landings: dict[str, Landing]

    # -- for protocols -----------------------------------------------------------------------------

    @overload
    def login(
        self,
        credentials: LoginCredentials,
        mind: Any,
        interface: Callable[..., I],
        /,
        **options: Unpack[LoginOptions],
    ) -> LoginFuture[I]: ...
    @overload
    def login(
        self,
        credentials: LoginCredentials,
        mind: Any,
        interface: Callable[..., I],
        /,
        *others: Callable[..., J],
        **options: Unpack[LoginOptions],
    ) -> LoginFuture[I | J]: ...
    def login(
        self,
        credentials: LoginCredentials,
        mind: Any,
        *interfaces: Callable[..., Any],
        authorize_as: str | None = None,
        client: ClientInfo = NO_CLIENT,
        info: Mapping[str, Any] = NO_INFO,
        mechanism: str = "",
    ) -> LoginFuture[Any]:
        """Log a client in.

        Args:
            credentials: what the client presents.
            mind: how to reach the client: None, a callable, an object with methods, an actor ref,
                or a `Channel`.
            interfaces: the interfaces that the client requests of its avatar, in order of
                preference; at least one.
            authorize_as: the avatar id that the client requests to act as, if that is not the
                proven one. The login is refused unless `PortalOptions.may_act_as` permits it.
            client: where the client comes from, which every protocol that knows must say. Failed
                logins are counted by its address; the realm reads `mind.client`.
            info: what else the protocol tells the realm, which reads `mind.info`. What a client
                says of itself is not to be trusted.
            mechanism: how the client presents its credentials, for events and the log, such as the
                name of a SASL mechanism or of a scheme of HTTP.

        Returns:
            A future of a `Login`. It fails with a `LoginFailed`, whose text may be sent to the
            client.

        Raises:
            TypeError: if no interface is given, one is not a class, or another argument has a
                wrong type.
        """
        classes = require_interfaces(interfaces)
        if authorize_as is not None:
            require("authorize_as", authorize_as, str)
        if type(client) is not ClientInfo:
            require("client", client, ClientInfo)
        if info is not NO_INFO:
            require("info", info, Mapping)
        return self._begin(
            Attempt(self, credentials, mind, classes, authorize_as, client, info, mechanism)
        )

    def verify(
        self,
        credentials: LoginCredentials,
        *,
        authorize_as: str | None = None,
        client: ClientInfo = NO_CLIENT,
        mechanism: str = "",
    ) -> Future[AvatarId]:
        """Check credentials without opening a session.

        Args:
            credentials: what the client presents.
            authorize_as: see `login`.
            client: see `login`.
            mechanism: see `login`.

        Returns:
            A future of the avatar id. It fails with a `LoginFailed`, as a login does.

        Raises:
            TypeError: if an argument has a wrong type.
        """
        require("authorize_as", authorize_as, str, None)
        require("client", client, ClientInfo)
        return self._check(credentials, client, authorize_as, mechanism)

    def reauthenticate(
        self,
        session: Session,
        credentials: LoginCredentials,
        *,
        authorize_as: str | None = None,
        client: ClientInfo | None = None,
        mechanism: str = "",
    ) -> Future[AvatarId]:
        """Have the user of a session prove the credentials again; see `methods.reauthenticated`.

        A proof that lasts longer than the one before, such as a fresh token, moves the end of the
        session.

        Args:
            session: the session.
            credentials: what the client presents.
            authorize_as: see `login`.
            client: see `login`; by default the one of the session.
            mechanism: see `login`.

        Returns:
            A future of the avatar id. It fails with a `LoginFailed`, also if the credentials are
            another user's.

        Raises:
            TypeError: if an argument has a wrong type.
        """
        require("session", session, Session)
        require("authorize_as", authorize_as, str, None)
        client = session.client if client is None else client
        require("client", client, ClientInfo)
        return self._check(credentials, client, authorize_as, mechanism, session)

    def _check(
        self,
        credentials: LoginCredentials,
        client: ClientInfo,
        authorize_as: str | None,
        mechanism: str,
        renews: Session | None = None,
    ) -> Future[AvatarId]:
        attempt = Attempt(
            self, credentials, None, (), authorize_as, client, NO_INFO, mechanism, renews
        )
        return cast("Future[AvatarId]", self._begin(attempt))

    def _begin(self, attempt: Attempt) -> LoginFuture[Any]:
        tracing = self.options.tracing
        if tracing is not None:
            attempt.trace = tracing.presented()
        try:
            # On an event loop, all steps of a login that need not wait are done within this call.
            self.deliver(BeginLogin(attempt), None)
        except pykka.ActorDeadError:
            attempt.future.settle_error(CheckerUnavailable("the portal has stopped"))
        return attempt.future

    def give_up(self, attempt: Attempt) -> None:
        """Called when the client no longer waits for a login."""
        self.tell_if_alive(GiveUpLogin(attempt))

    def list_interfaces(self) -> Future[tuple[type, ...]]:
        """Return the interfaces that the realm lists for clients; the first one is the default."""
        return self._request(ListInterfaces())

    def list_credentials_interfaces(self, *, for_everybody: bool = False) -> Future[list[type]]:
        """Return the kinds of credentials that some checker takes.

        Args:
            for_everybody: leave out proofs of a password with which not every user who has a
                password can log in.
        """
        return self._request(ListCredentialsInterfaces(for_everybody))

    def digest_algorithms(self) -> Future[frozenset[str] | None]:
        """Return the algorithms of HTTP Digest that can be offered; None for any.

        For example, a file written by Apache's htdigest supports only "MD5".
        """
        return self._request(ListDigestAlgorithms())

    # -- for the application -----------------------------------------------------------------------

    def register_checker(
        self, checker: ActorRef[Any], *credential_interfaces: type
    ) -> Future[None]:
        """Add a checker. It is asked after those that are already registered.

        Args:
            checker: a ref to a started checker.
            credential_interfaces: the kinds of credentials to ask it about; by default all that it
                takes.

        Returns:
            A future, which fails with `AccountError` if the template of the checker and that of
            another one allow the same avatar id (see `CheckerRef.named`).

        Raises:
            TypeError: if `checker` is not a checker, or takes no credentials.
        """
        return self._request(RegisterChecker(*require_checker(checker, credential_interfaces)))

    def count(self) -> Future[int]:
        """Return the number of open sessions."""
        return self._look_up(CountSessions())

    def session(self, session_id: str) -> Future[SessionInfo | None]:
        """Return the open session with this id, or None."""
        require("session_id", session_id, str)
        return self._look_up(FindSession(session_id))

    def sessions(self, avatar_id: AvatarId | None = None) -> Future[list[SessionInfo]]:
        """Return the open sessions of one avatar id or, by default, all; oldest first."""
        require("avatar_id", avatar_id, str, ANONYMOUS, None)
        return self._look_up(FindSessions(avatar_id))

    def annotate(self, session_id: str, **notes: Any) -> Future[bool]:
        """Add notes to a session; a value of None removes a note.

        Returns:
            Whether the session exists.
        """
        require("session_id", session_id, str)
        return self._look_up(Annotate(session_id, notes))

    def kick(
        self,
        *,
        session_id: str | None = None,
        avatar_id: AvatarId | None = None,
        everyone: bool = False,
        reason: str = "",
    ) -> Future[int]:
        """End sessions.

        Args:
            session_id: end this session.
            avatar_id: end all sessions of this avatar id.
            everyone: end all sessions.
            reason: a string for `on_logout`, the mind and the log.

        Returns:
            The number of sessions that are ended.

        Raises:
            TypeError: unless exactly one of `session_id`, `avatar_id` and `everyone` is given, or
                if a type is wrong.
        """
        if [session_id is not None, avatar_id is not None, bool(everyone)].count(True) != 1:
            raise TypeError("kick() needs exactly one of session_id, avatar_id and everyone=True")
        require("session_id", session_id, str, None)
        require("avatar_id", avatar_id, str, ANONYMOUS, None)
        require("reason", reason, str)
        return self._look_up(Kick(session_id, avatar_id, reason))

    def group(self, name: str) -> NamedGroup:
        """Return the group of clients with a name, such as those in a room; see `NamedGroup`.

        Raises:
            TypeError: if the name is not a string.
            ValueError: if it is empty or too long, or there are too many groups.
        """
        return self.groups.get(name)

    def drain(self, timeout: float = 10.0, *, move: bool = False) -> Future[int]:
        """Refuse new logins and end all sessions, such as before the server shuts down.

        Args:
            timeout: seconds for the avatars to run their `on_logout`.
            move: move the sessions to other servers of the cluster, as far as their avatars have a
                `snapshot` and their clients can resume; end the others.

        Returns:
            The number of ended and moved sessions, once all have or the timeout has expired.

        Raises:
            TypeError: if the timeout is not a number.
            ValueError: if it is negative or NaN.
        """
        require("timeout", timeout, (int, float))
        if not timeout >= 0:
            raise ValueError(f"the timeout of drain() must be 0 seconds or more, not {timeout!r}")
        timeout = min(timeout, sys.float_info.max)  # an integer can be larger than any float
        drained: Future[int] = Future()
        drained.expect_from(self.actor_inbox)
        if not self.tell_if_alive(Drain(timeout, drained, bool(move))):
            drained.settle(0)
        return drained

    def subscribe(self, subscriber: Subscriber) -> Future[pykka.ActorRef[Any]]:
        """Subscribe a function or an actor to all events; see `actorcred.portal.events`.

        An actor receives the events as messages. A function is called by an actor of its own, with
        one event at a time.

        Returns:
            A ref for `unsubscribe`.

        Raises:
            TypeError: if the subscriber is neither.
        """
        require_subscriber(subscriber)
        return self._request(Subscribe(subscriber))

    def unsubscribe(self, subscription: pykka.ActorRef[Any]) -> Future[None]:
        """Send no more events to a subscriber.

        Args:
            subscription: the ref that `subscribe` returned.

        Raises:
            TypeError: if it is not a ref.
        """
        require("subscription", subscription, pykka.ActorRef)
        return self._request(Unsubscribe(subscription))

    def publish(self, event: Event) -> None:
        """Send an event of a protocol to the subscribers and the audit log.

        Raises:
            TypeError: if it is not an `Event`.
        """
        require("event", event, Event)
        self.tell_if_alive(Publish(event))

    def tell_refused(
        self,
        error: LoginFailed,
        kind: str,
        claimed: str = "",
        client: ClientInfo = NO_CLIENT,
        *,
        mechanism: str = "",
    ) -> Future[None]:
        """Report a login that a protocol refused without asking the portal.

        An example is a login with a name that cannot be prepared. It counts like a login that the
        portal has refused.

        Args:
            error: the reason.
            kind: the kind of credentials.
            claimed: the user name that the client claimed.
            client: where the client comes from.
            mechanism: see `login`; the kind by default.

        Returns:
            A future that is done when it is counted. A protocol that answers only then cannot be
            asked again too early.
        """
        try:
            return self._request(ReportRefusal(error, kind, claimed, client, mechanism))
        except pykka.ActorDeadError:
            counted: Future[None] = Future()
            counted.settle()
            return counted

    def source_of(self, client: ClientInfo) -> str:
        """Return the source for which a client is counted and penalised; "" if it has none.

        May be called on any thread, as may the methods that follow.
        """
        return self.protection.source_of(client)

    def must_wait(self, client: ClientInfo) -> LoginDenied | None:
        """Return the error for a client whose source must wait; None if it may try now.

        For protocols that do something costly, or give something away, before `login`. They report
        the error by `tell_refused`.
        """
        return self.protection.refusal(self.source_of(client))

    def is_shut_out(self, client: ClientInfo) -> float:
        """Return the seconds for which connections of a client are refused; 0 if they are not.

        They are if its source continued to try during its penalty.
        """
        return self.protection.shut_out(self.source_of(client))

    # -- for this package --------------------------------------------------------------------------

    def revoke(self, checker: ActorRef[Any], avatar_id: AvatarId, what: Revocation) -> None:
        """Called by a checker when an account was disabled or deleted, or has a new password.

        Raises:
            pykka.ActorDeadError: if the portal has stopped.
        """
        self.tell(Revoke(checker, avatar_id, what))

    def recheck(self, checker: ActorRef[Any]) -> None:
        """Called by a checker that might have missed changes: it is asked about all its users.

        Raises:
            pykka.ActorDeadError: if the portal has stopped.
        """
        self.tell(Recheck(checker))

    def use_up(self, key: str, seconds: float, use: str) -> Future[bool]:
        """Called by a checker to use up what can be used once; see `CheckerRef.use_up`."""
        return self._look_up(UseUp(key, seconds, use))
