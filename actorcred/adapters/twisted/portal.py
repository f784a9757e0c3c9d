"""A portal with Twisted Cred's interface, for Twisted's protocols, on one of our portals."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from twisted.cred.credentials import ISSHPrivateKey
from twisted.internet import defer
from twisted.internet.defer import Deferred
from zope.interface.interface import InterfaceClass

from actorcred.actors import ActorRef, Dispatcher
from actorcred.adapters.twisted.checkers import CredChecker, PortalChecker, TwistedChecker
from actorcred.adapters.twisted.client import ProtocolChannel
from actorcred.adapters.twisted.connection import ProtocolConnection
from actorcred.adapters.twisted.credentials import (
    from_twisted,
    kinds_from_twisted,
    kinds_to_twisted,
)
from actorcred.adapters.twisted.dispatcher import deferred_of, reactor_dispatcher
from actorcred.adapters.twisted.errors import their_error
from actorcred.adapters.twisted.faces import face_class
from actorcred.adapters.twisted.interfaces import class_of
from actorcred.adapters.twisted.realm import TwistedAvatar, TwistedRealm
from actorcred.checker import CheckerRef
from actorcred.credentials import LoginCredentials
from actorcred.errors import LoginDenied, LoginFailed
from actorcred.fronts.trusted import TrustedProxy, trusted
from actorcred.identity import NO_CLIENT, ClientInfo
from actorcred.portal.actor import Portal
from actorcred.portal.login import Login, LoginFuture
from actorcred.portal.options import PortalOptions
from actorcred.portal.ref import PortalRef
from actorcred.sessions.session import AvatarRef

__all__ = ["CredPortal", "Faces"]

F = TypeVar("F")

Faces = Mapping[InterfaceClass, tuple[type, Callable[[AvatarRef[Any]], Any]]]
"""Twisted's interface -> our interface and a function; see `Face`.

The function is given the client's ref to the avatar and returns an object with Twisted's interface,
or a Deferred of one.
"""

TIMEOUT = 10.0
"""Seconds to wait for a portal that is not on the reactor, where Twisted's interface blocks."""


class CredPortal:
    """A portal with the interface of `twisted.cred.portal.Portal`, for Twisted's protocols.

    Sessions end when the protocol calls `logout`. With `attach` they also end with their
    connection, and close it when they end.

    Args:
        realm: the ref of one of our portals; or a realm, ours or Twisted's, for which a portal is
            started on the reactor.
        checkers: checkers, ours or Twisted's.
        faces: how protocols see avatars of our realms. For any other interface, the avatar's class
            must implement it, and each of its methods is called on the avatar.
        options: the settings of the portal that is started for a realm.
        trusted_proxies: addresses and networks of the proxies whose PROXY headers count, if the
            server's factory is wrapped by Twisted's `HAProxyWrappingFactory`.

    Attributes:
        portal: the ref of our portal.
        proxies: the trusted proxies; None if there are none.
        realm: the realm that was given; None if a portal was given.
    """

    def __init__(
        self,
        realm: Any,
        checkers: Iterable[Any] = (),
        faces: Faces | None = None,
        options: PortalOptions | None = None,
        *,
        trusted_proxies: TrustedProxy | Iterable[str] = (),
    ) -> None:
        self.proxies = trusted(trusted_proxies)
        self.realm: Any = None if isinstance(realm, PortalRef) else realm
        if not isinstance(realm, PortalRef):
            dispatcher = self._dispatcher()
            if not isinstance(realm, ActorRef):
                realm = TwistedRealm.start(realm, dispatcher=dispatcher)
            realm = Portal.start(realm, (), options, dispatcher=dispatcher)
        elif options is not None:
            raise TypeError(
                "options are for a portal that is started here, not for one that exists already"
            )
        self.portal: PortalRef = realm
        self._faces = dict(faces or {})
        self._registered: dict[InterfaceClass, Any] = {}
        self._connection: ProtocolConnection | None = None
        for checker in checkers:
            self.registerChecker(checker)

    @staticmethod
    def _dispatcher() -> Dispatcher:
        return reactor_dispatcher()

    # -- Twisted's interface -----------------------------------------------------------------------

    def login(
        self,
        credentials: Any,
        mind: Any,
        *interfaces: InterfaceClass,
        authorize_as: str | None = None,
        mechanism: str = "",
    ) -> Deferred[tuple[InterfaceClass, Any, Any]]:
        """Log a client in.

        Args:
            credentials: Twisted's, or ours.
            mind: reaches the client: None, an object with `callRemote`, or an object with methods.
            interfaces: the interfaces that the client requests, in order of preference.
            authorize_as: the user to act as; see `PortalRef.login`.
            mechanism: how the client presents the credentials; see `PortalRef.login`.

        Returns:
            A Deferred of the interface, the avatar, and a function without arguments that logs out.
            It fails with Twisted Cred's errors, and with `CheckerUnavailable` if the login cannot
            be decided now. It has already fired if nothing had to be waited for.
        """
        connection = self._connection or ProtocolConnection.speaking_to(self.portal)
        if ISSHPrivateKey.providedBy(credentials) and not credentials.signature:
            return defer.fail(_may_try_the_key())
        client = ProtocolChannel(mind, connection)
        try:
            presented = self._presented(
                credentials, NO_CLIENT if connection is None else connection.client
            )
            login = self.begin(presented, client, interfaces, authorize_as, mechanism)
        except Exception as error:
            return defer.fail(their_error(error))
        answer = deferred_of(login).addCallbacks(
            self._opened, _refused, callbackArgs=(client,), errbackArgs=(connection,)
        )
        return answer if connection is None else answer.addBoth(connection.if_there)

    def _presented(self, credentials: Any, client: ClientInfo) -> LoginCredentials:
        try:
            return from_twisted(credentials, client.address)
        except LoginFailed as error:  # a name that no user can have
            self.portal.tell_refused(error, type(credentials).__name__, client=client)
            raise

    def _opened(self, login: Login, client: ProtocolChannel) -> Any:
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
        """Add a checker, ours or Twisted's.

        It is asked after those that are registered for the same credentials.
        """
        shown = CredChecker(checker) if isinstance(checker, CheckerRef) else checker
        if isinstance(checker, CheckerRef):
            added = self.portal.register_checker(checker, *kinds_from_twisted(credentialInterfaces))
        else:
            added = self.portal.register_checker(
                TwistedChecker.start(checker, *credentialInterfaces, dispatcher=self._dispatcher())
            )
        added.get(timeout=TIMEOUT)
        self._registered.update(
            dict.fromkeys(credentialInterfaces or shown.credentialInterfaces, shown)
        )

    @property
    def checkers(self) -> Mapping[InterfaceClass, Any]:
        """The checkers by the kinds of credentials that they accept; read-only.

        For each kind it is the last checker that was registered here; otherwise, a checker that
        asks all checkers of the portal.
        """
        interfaces = self.listCredentialsInterfaces()
        others = PortalChecker(self.portal, interfaces)
        return MappingProxyType(
            {interface: self._registered.get(interface, others) for interface in interfaces}
        )

    def listCredentialsInterfaces(self) -> list[InterfaceClass]:  # noqa: N802  # Twisted's name
        """Return the kinds of credentials that some checker accepts, as far as Twisted has them."""
        return kinds_to_twisted(self.portal.list_credentials_interfaces().get(timeout=TIMEOUT))

    def __conform__(self, interface: InterfaceClass) -> Any:
        """Return an adapter to another interface, or None; PB uses this for `IPBRoot`."""
        if interface.__identifier__ != "twisted.spread.flavors.IPBRoot":
            return None
        from actorcred.adapters.twisted.pb import Root

        return Root(self)

    # -- for protocols with known connections ------------------------------------------------------

    def attach(self, factory: F) -> F:
        """Make the protocols that a factory builds log in here, with their connections.

        Credentials then have the client's address, for checkers that use it. When a connection
        ends, its sessions end; a pending login is abandoned, and its Deferred never fires. When a
        session ends, the client is sent its protocol's farewell (`connection.FAREWELLS`) and the
        connection is closed. A client that must wait after failed logins is told so in its
        protocol's way (`denials.ANSWERS`), and connections of one that does not stop are refused.

        Returns:
            The factory.
        """
        target: Any = factory
        build = target.buildProtocol

        def build_protocol(address: Any) -> Any:
            client = ClientInfo(address=str(getattr(address, "host", None) or ""))
            if self.portal.is_shut_out(client):
                return None  # closed without a message, as it did not stop
            protocol = build(address)
            if protocol is not None:
                ProtocolConnection.attach(protocol, self, address)
            return protocol

        target.buildProtocol = build_protocol
        return factory

    def bound_to(self, connection: ProtocolConnection) -> CredPortal:
        """Return this portal for the clients of one connection."""
        bound = copy.copy(self)
        bound._connection = connection
        return bound

    def begin(
        self,
        credentials: LoginCredentials,
        client: ProtocolChannel,
        interfaces: Iterable[InterfaceClass],
        authorize_as: str | None = None,
        mechanism: str = "",
    ) -> LoginFuture:
        """Log a client in with our credentials; return the portal's future, for `granted`."""
        client.wanted = tuple(interfaces)
        login = self.portal.login(
            credentials,
            client,
            *map(self._class_for, client.wanted),
            authorize_as=authorize_as,
            client=NO_CLIENT if client.connection is None else client.connection.client,
            mechanism=mechanism,
        )
        if client.connection is not None and not login.done():
            client.connection.begun(login)
        return login

    def _class_for(self, interface: InterfaceClass) -> type:
        known = self._faces.get(interface)
        return class_of(interface) if known is None else known[0]

    def granted(
        self, login: Login, client: ProtocolChannel
    ) -> tuple[InterfaceClass, Any, Callable[[], None]]:
        """Return a login as Twisted's protocols expect it."""
        session = login.session
        if client.connection is None:
            session.never_idle()  # what the client sends is not seen here
        else:
            client.connection.opened(login)
        client.session = session
        interface, avatar = self._face_of(login, client.wanted)
        client.hears = avatar
        return interface, avatar, client.log_out

    def _face_of(
        self, login: Login, wanted: Iterable[InterfaceClass]
    ) -> tuple[InterfaceClass, Any]:
        """Return the granted interface, and the object that has it."""
        interface = next(theirs for theirs in wanted if self._class_for(theirs) is login.interface)
        if interface in self._faces:
            return interface, self._faces[interface][1](login.avatar)
        mailbox = login.avatar.actor_inbox
        if issubclass(mailbox.actor_class, TwistedAvatar):
            actor: Any = mailbox.actor
            return interface, None if actor is None else actor.original
        return interface, face_class(interface)(login.avatar)


def _refused(failure: Any, connection: ProtocolConnection | None) -> Deferred[Any]:
    """Raise Twisted Cred's error, unless the client was told that it must wait."""
    error = failure.value
    unseen = isinstance(error, LoginDenied) and not error.seen
    if unseen and connection is not None and connection.denied(error):
        return Deferred()
    raise their_error(error)


def _may_try_the_key() -> Exception:
    """Return the exception that makes an SSH client sign with its key.

    It is returned for any key, so as not to reveal which keys a user has.
    """
    from twisted.conch.error import ValidPublicKey

    return ValidPublicKey()
