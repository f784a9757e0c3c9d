"""Perspective Broker on our portals.

`PBServerFactory(CredPortal(...))` uses this module, so that each login knows its connection.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Iterable
from hashlib import md5
from typing import Any, Protocol

import msgspec
from twisted.cred.credentials import IUsernameHashedPassword
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.spread import pb
from twisted.spread.interfaces import IJellyable
from zope.interface import implementer
from zope.interface.interface import InterfaceClass

from actorcred import credentials as ours
from actorcred.adapters.twisted.client import ProtocolChannel
from actorcred.adapters.twisted.connection import ProtocolConnection
from actorcred.adapters.twisted.dispatcher import deferred_of
from actorcred.adapters.twisted.errors import raise_theirs, their_error
from actorcred.adapters.twisted.faces import Face
from actorcred.credentials import LoginCredentials
from actorcred.errors import CallError, LoginDenied, LoginFailed, UnauthorizedLogin
from actorcred.exchange import UsernameHashedPassword
from actorcred.fronts.trusted import TrustedProxy
from actorcred.identity import ClientInfo
from actorcred.methods import methods_of
from actorcred.names import prepare_username
from actorcred.portal.login import Login, LoginFuture
from actorcred.portal.ref import PortalRef

__all__ = ["CallFailed", "Perspective"]


class CallFailed(pb.Error):
    """A call failed; the text is for the client."""


@implementer(pb.IPerspective)
class Perspective(Face):
    """An avatar that is an actor, for PB. Clients may call the methods of the login's interface.

    Arguments are checked against its annotations. Use it in the faces of a `CredPortal`:
    `{IPerspective: (Player, Perspective)}`.
    """

    def perspectiveMessageReceived(self, broker: Any, message: str, args: Any, kw: Any) -> Any:  # noqa: N802  # Twisted's name
        """Call a method of the avatar."""
        params, keywords = broker.unserialize(args, self), broker.unserialize(kw, self)
        return broker.serialize(self._call(message, params, keywords), self, None, params, keywords)

    def _call(self, name: str, params: Any, keywords: dict[str, Any]) -> Any:
        method = methods_of(self.avatar.session.interface).get(name)
        try:
            if method is None:
                raise CallError(f"there is no method {name!r}")
            if keywords:
                raise CallError(f"{name}: give the arguments by position")
            answer = self.ask(name, *method.arguments(list(params), msgspec.convert))
        except Exception as error:
            raise _told(error) from None
        return answer.addErrback(_raise_told) if isinstance(answer, Deferred) else answer


def _told(error: BaseException) -> CallFailed:
    """Return the error to send to a client; only the text of a `CallError` is disclosed."""
    return CallFailed(
        error.message if isinstance(error, CallError) else "something went wrong in the server"
    )


def _raise_told(failure: Any) -> None:
    raise _told(failure.value)


class PBPortal(Protocol):
    """The parts of a `CredPortal` that this module needs."""

    portal: PortalRef
    proxies: TrustedProxy | None

    def begin(
        self,
        credentials: LoginCredentials,
        client: ProtocolChannel,
        interfaces: Iterable[InterfaceClass],
    ) -> LoginFuture:
        """Log a client in."""

    def granted(
        self, login: Login, client: ProtocolChannel
    ) -> tuple[InterfaceClass, Any, Callable[[], None]]:
        """Return a login as Twisted's protocols expect it."""


@implementer(pb.IPBRoot)
class Root:
    """Returns the first object of each connection."""

    def __init__(self, portal: PBPortal) -> None:
        self._portal = portal

    def rootObject(self, broker: Any) -> Entrance:  # noqa: N802  # Twisted's name
        """Return the object where a client logs in."""
        return Entrance(self._portal, broker)


class Entrance(pb.Referenceable, ProtocolConnection):
    """Where a client of PB logs in."""

    def __init__(self, portal: PBPortal, broker: Any) -> None:
        # A broker that is being built has no transport yet.
        client = ClientInfo(protocol="pb")
        ProtocolConnection.__init__(self, broker, client, portal.portal, portal.proxies)
        self._portal = portal
        broker.notifyOnDisconnect(self._disconnected)

    def remoteMessageReceived(self, broker: Any, message: str, args: Any, kw: Any) -> Any:  # noqa: N802  # Twisted's name
        """Handle a message. A login bypasses PB's serialization, at a fifth of the cost."""
        if message == "login" and len(args) == 2 and type(args[1]) is bytes and len(kw) == 1:
            challenge, challenger = self.remote_login(args[1])
            return [b"tuple", challenge, [b"remote", broker.registerReference(challenger)]]
        return super().remoteMessageReceived(broker, message, args, kw)

    def remote_login(self, username: str | bytes) -> Any:
        """Begin a login by name and password."""
        challenge = os.urandom(16)
        return challenge, Challenger(self, username, challenge)

    def remote_loginAnonymous(self, mind: Any) -> Any:  # noqa: N802  # Twisted's name
        """Log in without a name."""
        return self.log_in(ours.Anonymous(), mind)

    def log_in(self, presented: LoginCredentials, mind: Any) -> Any:
        """Log in; return the client's perspective, or a Deferred of it."""
        client = PBChannel(mind, self)
        login = self._portal.begin(presented, client, (pb.IPerspective,))
        if login.done():
            try:
                return self._shown(login.get(), client)
            except LoginFailed as error:
                self._close_if_denied(error)
                return defer.fail(their_error(error))
        return (
            deferred_of(login)
            .addCallbacks(self._shown, self._refused, callbackArgs=(client,))
            .addBoth(self.if_there)
        )

    def _refused(self, failure: Any) -> None:
        self._close_if_denied(failure.value)
        raise_theirs(failure)

    def _close_if_denied(self, error: object) -> None:
        """Close the connection of a client that did not stop, when it has its answer."""
        if isinstance(error, LoginDenied) and error.close:
            self._close_later("")

    def tell_refused(self, error: LoginFailed, kind: str) -> None:
        """Report a login that was refused before it reached the portal."""
        self._portal.portal.tell_refused(error, kind, client=self.client)

    def _shown(self, login: Login, client: PBChannel) -> Any:
        """Return the object that represents the avatar on the wire."""
        avatar = self._portal.granted(login, client)[1]
        shown = avatar if IJellyable.providedBy(avatar) else client
        if self._protocol is not None:
            # The session is unusable once the client has released its reference.
            self._protocol._localCleanup[shown.processUniqueID()] = client.log_out
        return shown

    def _disconnected(self) -> None:
        self.lost(on_purpose=bool(self._protocol.transport.disconnecting))


class Challenger(pb.Referenceable):
    """Receives a client's response to its challenge."""

    def __init__(self, entrance: Entrance, username: str | bytes, challenge: bytes) -> None:
        self._entrance: Entrance | None = entrance
        self._username = username
        self._challenge = challenge

    def remoteMessageReceived(self, broker: Any, message: str, args: Any, kw: Any) -> Any:  # noqa: N802  # Twisted's name
        """Handle a message; see `Entrance.remoteMessageReceived`."""
        if (
            message == "respond"
            and len(args) == 3
            and type(args[1]) is bytes
            and type(args[2]) is list
            and args[2][:1] == [b"remote"]
            and len(kw) == 1
        ):
            shown = self.remote_respond(args[1], pb.RemoteReference(None, broker, args[2][1], 1))
            return (
                [b"remote", broker.registerReference(shown)]
                if type(shown) is PBChannel
                else broker.serialize(shown)
            )
        return super().remoteMessageReceived(broker, message, args, kw)

    def remote_respond(self, response: bytes, mind: Any) -> Any:
        """Log in with a response to the challenge."""
        entrance, self._entrance = self._entrance, None
        if entrance is None:
            raise CallFailed("this challenge has been answered")
        try:
            presented = ChallengeResponse(
                self._username, self._challenge, response, entrance.source
            )
        except LoginFailed as error:  # a name that no user can have
            entrance.tell_refused(error, "ChallengeResponse")
            return defer.fail(their_error(error))
        return entrance.log_in(presented, mind)


class PBChannel(pb.Referenceable, ProtocolChannel):
    """The channel to a PB client, and its perspective, which passes calls to the avatar.

    Calls are passed as long as the session is open.
    """

    def __init__(self, mind: Any, connection: ProtocolConnection) -> None:
        ProtocolChannel.__init__(self, mind, connection)

    def remoteMessageReceived(self, broker: Any, message: str, args: Any, kw: Any) -> Any:  # noqa: N802  # Twisted's name
        """Pass a call on to the avatar."""
        session = self.session
        if session is None or not session.is_open:
            raise CallFailed("the session is over")
        session.touch()
        return self.hears.perspectiveMessageReceived(broker, message, args, kw)


class ChallengeResponse(UsernameHashedPassword):
    """A name and the response to PB's challenge: `MD5(MD5(password) + challenge)`.

    Args:
        username: the name that the client claims.
        challenge: the challenge that it was sent.
        response: its response.
        source: its address.

    Raises:
        UnauthorizedLogin: if no user can have the name.
    """

    __slots__ = ("_challenge", "_response", "_wire_name", "source", "username")

    def __init__(
        self, username: str | bytes, challenge: bytes, response: bytes, source: str
    ) -> None:
        try:
            self.username = prepare_username(username)
        except (ValueError, TypeError) as error:
            raise UnauthorizedLogin(str(error)) from None
        self._wire_name = username
        self._challenge = challenge
        self._response = response if isinstance(response, bytes) else b""
        self.source = source

    def __repr__(self) -> str:
        return f"ChallengeResponse(username={self.username!r})"

    @property
    def original(self) -> TheirChallengeResponse:
        """Return this response in the form that a Twisted checker expects."""
        return TheirChallengeResponse(self, self._wire_name)

    def check_password(self, password: bytes) -> bool:
        """Return whether the response was made with this password."""
        return self.check_md5(md5(password, usedforsecurity=False).digest())

    def check_md5(self, digest: bytes) -> bool:
        """Return whether the response was made with a password that has this MD5 digest."""
        right = md5(digest + self._challenge, usedforsecurity=False).digest()
        return hmac.compare_digest(right, self._response)


@implementer(IUsernameHashedPassword, pb.IUsernameMD5Password)
class TheirChallengeResponse:
    """A `ChallengeResponse` for a Twisted checker."""

    def __init__(self, response: ChallengeResponse, username: str | bytes) -> None:
        self.username = username
        self.checkPassword = response.check_password
        self.checkMD5Password = response.check_md5
