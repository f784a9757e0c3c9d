"""Twisted Cred's portal, as Twisted's protocols know it, on a portal of ours."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from twisted.cred.credentials import ISSHPrivateKey
from twisted.internet import defer
from twisted.internet.defer import Deferred
from zope.interface.interface import InterfaceClass

from actorcred.actors import ActorRef, Dispatcher, Future
from actorcred.adapters.twisted.checkers import TwistedChecker
from actorcred.adapters.twisted.connection import Connection
from actorcred.adapters.twisted.credentials import from_twisted, kinds_from_twisted, kinds_to_twisted
from actorcred.adapters.twisted.dispatcher import deferred_of, future_of, on_reactor, reactor_dispatcher
from actorcred.adapters.twisted.errors import raise_theirs, their_error
from actorcred.adapters.twisted.faces import face_class
from actorcred.adapters.twisted.interfaces import class_of
from actorcred.adapters.twisted.realm import TwistedAvatar, TwistedRealm
from actorcred.avatar import AvatarRef
from actorcred.checkers.base import CheckerRef
from actorcred.errors import LoginFailed
from actorcred.login import Login, LoginFuture
from actorcred.mind import Channel
from actorcred.options import PortalOptions
from actorcred.outbox import Notification
from actorcred.portal import Portal, PortalRef
from actorcred.sessions.session import LogoutReason, Session

__all__ = ["Client", "CredPortal", "Faces"]

F = TypeVar("F")

Faces = Mapping[InterfaceClass, tuple[type, Callable[[AvatarRef[Any]], Any]]]
"""Twisted's interface -> ours, and what makes an object with theirs, or a Deferred of one, of the client's ref to the avatar; see
`Face`."""

TIMEOUT = 10.0
"""Seconds for what Twisted's interface wants at once, of a portal that is not on the reactor."""


class CredPortal:
    """A portal with the interface of `twisted.cred.portal.Portal`, for any protocol of Twisted's that takes one.

    Sessions end when the protocol calls `logout`. With `attach` they also end with their connection, and end it.

    Args:
        realm: the ref of a portal of ours; or a realm, ours or Twisted's, for which one is started on the reactor.
        checkers: checkers, ours or Twisted's.
        faces: how avatars of our realms look to protocols. For an interface that is not in it, the avatar's class has to
            implement that interface, and is asked for each of its methods.
        options: settings, with a realm.

    Attributes:
        portal: the ref of our portal.
    """

    def __init__(
        self,
        realm: Any,
        checkers: Iterable[Any] = (),
        faces: Faces | None = None,
        options: PortalOptions | None = None,
    ) -> None:
        if not isinstance(realm, PortalRef):
            dispatcher = self._dispatcher()
            if not isinstance(realm, ActorRef):
                realm = TwistedRealm.start(realm, dispatcher=dispatcher)
            realm = Portal.start(realm, (), options, dispatcher=dispatcher)
        elif options is not None:
            raise TypeError("options are for a portal that is made here, not for one that is there already")
        self.portal: PortalRef = realm
        self._faces = dict(faces or {})
        self._connection: Connection | None = None
        for checker in checkers:
            self.registerChecker(checker)

    @staticmethod
    def _dispatcher() -> Dispatcher:
        return reactor_dispatcher()

    # -- Twisted's interface ------------------------------------------------------------------------------------------

    def login(
        self, credentials: Any, mind: Any, *interfaces: InterfaceClass, authorize_as: str | None = None
    ) -> Deferred[tuple[InterfaceClass, Any, Any]]:
        """Log a client in.

        Args:
            credentials: Twisted's, or ours.
            mind: what reaches the client: None; something with `callRemote`; or an object with methods.
            interfaces: what the client wants to use its avatar as, the dearest first.
            authorize_as: whom it wants to act as; see `PortalRef.login`.

        Returns:
            A Deferred of the interface, the avatar, and a function without arguments that logs out. It fails with Twisted
            Cred's errors, and with `CheckerUnavailable` if it cannot be told now. Where nothing has to be waited for, it has fired.
        """
        connection = self._connection
        if ISSHPrivateKey.providedBy(credentials) and not credentials.signature:
            return defer.fail(_may_try_the_key())
        client = Client(mind, connection)
        try:
            presented = self._presented(credentials, "" if connection is None else connection.source)
            login = self.begin(presented, client, interfaces, authorize_as)
        except Exception as error:
            return defer.fail(their_error(error))
        return deferred_of(login).addCallbacks(self._opened, raise_theirs, callbackArgs=(client,))

    def _presented(self, credentials: Any, source: str) -> object:
        try:
            return from_twisted(credentials, source)
        except LoginFailed as error:  # a name that cannot be anybody's
            self.portal.tell_refused(error, type(credentials).__name__, address=source)
            raise

    def _opened(self, login: Login, client: Client) -> Any:
        interface, face, log_out = granted = self.granted(login, client)
        if not isinstance(face, Deferred):
            return granted

        def ready(made: Any) -> tuple[InterfaceClass, Any, Callable[[], None]]:
            client.hears = made
            return interface, made, log_out

        def failed(failure: Any) -> Any:
            log_out()
            return failure

        return face.addCallbacks(ready, failed)

    def registerChecker(self, checker: Any, *credentialInterfaces: InterfaceClass) -> None:  # noqa: N802, N803  # Twisted's names
        """Add a checker, ours or Twisted's, to be asked after those that are registered for the same credentials."""
        if isinstance(checker, CheckerRef):
            added = self.portal.register_checker(checker, *kinds_from_twisted(credentialInterfaces))
        else:
            added = self.portal.register_checker(
                TwistedChecker.start(checker, *credentialInterfaces, dispatcher=self._dispatcher())
            )
        added.get(timeout=TIMEOUT)

    def listCredentialsInterfaces(self) -> list[InterfaceClass]:  # noqa: N802  # Twisted's name
        """Return the kinds of credentials that some checker takes, as far as Twisted has them."""
        return kinds_to_twisted(self.portal.list_credentials_interfaces().get(timeout=TIMEOUT))

    def __conform__(self, interface: InterfaceClass) -> Any:
        """Return what stands for this portal where another interface is wanted, as Perspective Broker does."""
        if interface.__identifier__ != "twisted.spread.flavors.IPBRoot":
            return None
        from actorcred.adapters.twisted.pb import Root

        return Root(self)

    # -- for protocols that know more ---------------------------------------------------------------------------------

    def attach(self, factory: F) -> F:
        """Have the protocols that a factory builds log in here, each knowing its connection; return the factory.

        A client's address then comes with its credentials, for checkers that go by it. A session ends when the connection does,
        also one that is still being opened; and when a session ends, the client is told in its protocol's way
        (`connection.FAREWELLS`) and the connection is closed.
        """
        target: Any = factory
        build = target.buildProtocol

        def build_protocol(address: Any) -> Any:
            protocol = build(address)
            if protocol is not None:
                Connection.attach(protocol, self, address)
            return protocol

        target.buildProtocol = build_protocol
        return factory

    def bound_to(self, connection: Connection) -> CredPortal:
        """Return this portal for the clients of one connection."""
        bound = copy.copy(self)
        bound._connection = connection
        return bound

    def begin(
        self, credentials: object, client: Client, interfaces: Iterable[InterfaceClass], authorize_as: str | None = None
    ) -> LoginFuture:
        """Log a client in with credentials of ours; return the portal's future, whose result is for `granted`."""
        client.wanted = tuple(interfaces)
        login = self.portal.login(credentials, client, *map(self._class_for, client.wanted), authorize_as=authorize_as)
        if client.connection is not None and not login.done():
            client.connection.begun(login)
        return login

    def _class_for(self, interface: InterfaceClass) -> type:
        known = self._faces.get(interface)
        return class_of(interface) if known is None else known[0]

    def granted(self, login: Login, client: Client) -> tuple[InterfaceClass, Any, Callable[[], None]]:
        """Return a login as Twisted's protocols expect it."""
        session = login.session
        if client.connection is None:
            session.last_seen = float("inf")  # nobody tells us when the client sends something; its protocol has time-outs
        else:
            client.connection.opened(login)
        client.session = session
        interface, avatar = self._face_of(login, client.wanted)
        client.hears = avatar
        return interface, avatar, client.log_out

    def _face_of(self, login: Login, wanted: Iterable[InterfaceClass]) -> tuple[InterfaceClass, Any]:
        """Return which interface was granted, and the object with it."""
        interface = next(theirs for theirs in wanted if self._class_for(theirs) is login.interface)
        if interface in self._faces:
            return interface, self._faces[interface][1](login.avatar)
        mailbox = login.avatar.actor_inbox
        if issubclass(mailbox.actor_class, TwistedAvatar):
            actor: Any = mailbox.actor
            return interface, None if actor is None else actor.original
        return interface, face_class(interface)(login.avatar)


class Client(Channel):
    """The client of one of Twisted's protocols, as our minds reach it. What is done with it is done on the reactor.

    Args:
        mind: what the protocol gave to `login`.
        connection: its connection, where it is known.

    Attributes:
        original: the mind.
        hears: the face of its avatar, which is told what the mind does not hear.
        session: its session, once it is logged in.
        wanted: the interfaces that it asked for.
    """

    __slots__ = ("connection", "hears", "original", "session", "wanted")

    def __init__(self, mind: Any, connection: Connection | None) -> None:
        self.original = mind
        self.connection = connection
        self.hears: Any = None
        self.session: Session | None = None
        self.wanted: tuple[InterfaceClass, ...] = ()

    def log_out(self) -> None:
        """Log out; what Twisted's protocols call at the end."""
        if self.session is not None:
            self.session.end()

    def notify(self, notification: Notification) -> Any:
        """Send a notification: to the mind, or to the face of the avatar if that has such a method and the mind has not."""
        if notification.name == "logged_out":
            return None  # `close` says it
        return _on_reactor(self._tell, notification.name, notification.args)

    def call(self, name: str, args: tuple[Any, ...]) -> Any:
        """Ask the mind."""
        return _on_reactor(self._ask, name, args)

    def close(self, reason: LogoutReason) -> None:
        """Say goodbye, unless it is the client that went."""
        on_reactor(self._close, reason)

    def _tell(self, name: str, args: tuple[Any, ...]) -> Any:
        if hasattr(self.original, "callRemote"):
            return self._ask(name, args)
        for who in (self.original, self.hears):
            method = getattr(who, name, None)
            if method is not None:
                return method(*args)
        return None

    def _ask(self, name: str, args: tuple[Any, ...]) -> Any:
        mind = self.original
        if not hasattr(mind, "callRemote"):
            return getattr(mind, name)(*args)
        return mind.callRemote(name, *args)

    def _close(self, reason: LogoutReason) -> None:
        session, self.session = self.session, None
        connection, self.connection = self.connection, None
        mind, self.original, self.hears = self.original, None, None  # the protocol may keep `log_out`, and with it this
        if connection is None:
            return
        if session is not None:
            connection.closed(session)
        if not reason.by_client:
            if hasattr(mind, "callRemote"):
                # The last that it hears; whether it has such a method, is its own business.
                mind.callRemote("logged_out", str(reason.code), reason.detail).addErrback(lambda _: None)
            connection.farewell(reason)


def _on_reactor(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function on the reactor; return what it returns, or a future of it."""
    dispatcher = reactor_dispatcher()
    if dispatcher.runs_here():
        return _as_future(function(*args))
    later: Future[Any] = Future()

    def run() -> None:
        try:
            result = _as_future(function(*args))
        except Exception as error:
            later.settle_error(error)
        else:
            later.follow(result) if isinstance(result, Future) else later.settle(result)

    dispatcher.call(run)
    return later


def _as_future(result: Any) -> Any:
    return future_of(result) if isinstance(result, Deferred) else result


def _may_try_the_key() -> Exception:
    """Return what tells an SSH client to sign with its key: any key may be tried, so which ones a user has, is told nobody."""
    from twisted.conch.error import ValidPublicKey

    return ValidPublicKey()
