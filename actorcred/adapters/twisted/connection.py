"""The connections of Twisted's protocols: their logins and sessions, and their farewells."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ISSLTransport

from actorcred.adapters.twisted.denials import ANSWERS, name_in
from actorcred.adapters.twisted.dispatcher import on_reactor
from actorcred.adapters.twisted.fronts import client_of, is_wrapped
from actorcred.audit import printable
from actorcred.errors import LoginDenied
from actorcred.fronts.trusted import TrustedProxy
from actorcred.identity import ClientInfo
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.portal.events import ForwardingIgnored
from actorcred.portal.login import Login, LoginFuture
from actorcred.portal.ref import PortalRef
from actorcred.sessions.session import Session

__all__ = ["FAREWELLS", "ProtocolConnection", "client_of", "transport_of"]

DISCONNECT_BY_APPLICATION = 11
"""RFC 4253, section 11.1."""


def _line(text: str) -> Callable[[Any, bytes], object]:
    form = text.encode()
    return lambda protocol, why: protocol.sendLine(form % why)


FAREWELLS: dict[str, Callable[[Any, bytes], object]] = {
    "twisted.mail.pop3.POP3": _line("-ERR %s"),
    "twisted.mail.imap4.IMAP4Server": _line("* BYE %s"),
    "twisted.mail.smtp.SMTP": _line("421 %s"),
    "twisted.protocols.ftp.FTP": lambda protocol, why: protocol.sendLine("421 " + why.decode()),
    "twisted.conch.telnet.Telnet": lambda protocol, why: protocol.transport.write(why + b"\r\n"),
    "twisted.words.service.IRCUser": lambda protocol, why: protocol.sendMessage(
        "ERROR", ":" + why.decode()
    ),
    "twisted.conch.ssh.transport.SSHServerTransport": lambda protocol, why: protocol.sendDisconnect(
        DISCONNECT_BY_APPLICATION, why
    ),
}
"""By class name: sends why a session has ended, in ASCII, before its connection is closed."""


_SAYS_BYE = frozenset(("twisted.mail.imap4.IMAP4Server",))
"""Protocols that say goodbye after the answer to a command, before the connection is closed."""


_speaking: ContextVar[ProtocolConnection | None] = ContextVar("speaking", default=None)
"""The attached connection whose data is being handled."""


PROTOCOLS = {
    "twisted.mail.pop3.POP3": "pop3",
    "twisted.mail.imap4.IMAP4Server": "imap",
    "twisted.mail.smtp.SMTP": "smtp",
    "twisted.protocols.ftp.FTP": "ftp",
    "twisted.conch.telnet.Telnet": "telnet",
    "twisted.words.service.IRCUser": "irc",
    "twisted.conch.ssh.transport.SSHServerTransport": "ssh",
    "twisted.spread.pb.Broker": "pb",
    "twisted.web.http.HTTPChannel": "http",
    "twisted.web.http._GenericHTTPChannelProtocol": "http",
}
"""By class name: what clients of a protocol speak, for `ClientInfo`."""


def _name_of(protocol: Any) -> str:
    return PROTOCOLS.get(name_in(protocol, PROTOCOLS), "")


def _said_by(protocol: Any, kind: str) -> str:
    """Return what a client calls itself, as far as its protocol has that."""
    said: object = b""
    if kind == "smtp":
        said = (getattr(protocol, "_helo", None) or (b"",))[0]
    elif kind == "ssh":
        said = getattr(protocol, "otherVersionString", b"")
    elif kind == "http":
        requests = getattr(getattr(protocol, "_channel", protocol), "requests", ())
        said = requests[-1].getHeader(b"user-agent") if requests else b""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return printable(text) if isinstance(text, str) else ""


def transport_of(protocol: Any) -> Any:
    """Return the transport of a protocol, or None; twisted.web's is in an inner protocol."""
    return getattr(getattr(protocol, "_channel", protocol), "transport", None)


class Bindable(Protocol):
    """A portal for Twisted's protocols."""

    portal: PortalRef
    proxies: TrustedProxy | None

    def bound_to(self, connection: ProtocolConnection) -> object:
        """Return this portal for the clients of one connection."""


class ProtocolConnection:
    """One connection.

    Args:
        protocol: Twisted's protocol.
        client: where the client comes from.
        portal: the portal where its client logs in, also by a `CredPortal` that is not bound to it.
        proxies: the trusted proxies.
    """

    def __init__(
        self,
        protocol: Any,
        client: ClientInfo,
        portal: PortalRef | None = None,
        proxies: TrustedProxy | None = None,
    ) -> None:
        self._protocol = protocol
        self._client = client
        self._portal_ref = portal
        self._proxies = proxies
        self._reported = False
        self._seen: tuple[Any, bool] | None = None
        # Nearly always one at most.
        self._under_way: tuple[LoginFuture, ...] = ()
        self._sessions: tuple[Session, ...] = ()

    @classmethod
    def attach(cls, protocol: Any, portal: Bindable, address: Any) -> None:
        """Give a new protocol a portal that knows its connection."""
        while hasattr(protocol, "wrappedProtocol"):
            protocol = protocol.wrappedProtocol
        host = str(getattr(address, "host", None) or "")
        client = ClientInfo(
            address=host,
            port=int(getattr(address, "port", None) or 0),
            protocol=_name_of(protocol),
            transport="tcp" if host else "unix",
        )
        connection = cls(protocol, client, portal.portal, portal.proxies)
        if hasattr(protocol, "portal"):
            protocol.portal = portal.bound_to(connection)
        elif getattr(protocol, "factory", None) is not None:
            protocol.factory = _Factory(protocol.factory, portal.bound_to(connection))
        connection._watch()

    @property
    def client(self) -> ClientInfo:
        """Where the client comes from. Its connection can become encrypted later (STARTTLS)."""
        protocol, kind = self._protocol, self._client.protocol
        transport = transport_of(protocol)
        if transport is None:  # the connection is not made yet, or lost
            return self._client
        state = transport, ISSLTransport.providedBy(transport)
        if self._seen != state or is_wrapped(transport):  # else it has not changed
            self._seen = state
            found = client_of(transport, kind, proxies=self._proxies)
            encrypted = found.encrypted or kind == "ssh"
            self._client = replace(found, encrypted=encrypted, name=self._client.name)
            self._report_ignored()
        name = _said_by(protocol, kind)
        if name and name != self._client.name:
            self._client = replace(self._client, name=name)
        return self._client

    def _report_ignored(self) -> None:
        """Report once that a PROXY header was ignored."""
        client, proxies = self._client, self._proxies
        if self._reported or not client.untrusted_front or self._portal_ref is None:
            return
        if proxies is None or not proxies.includes(client.address):
            self._reported = True
            self._portal_ref.publish(ForwardingIgnored("PROXY", client))

    @property
    def source(self) -> str:
        """The client's address; "" if it has none."""
        return self.client.address

    @staticmethod
    def speaking_to(portal: PortalRef) -> ProtocolConnection | None:
        """Return the attached connection whose data is being handled, if it uses this portal.

        This is for twisted.web's guard and telnet, whose protocols have no `portal` attribute.
        """
        connection = _speaking.get()
        return connection if connection is not None and connection._portal_ref == portal else None

    def _watch(self) -> None:
        protocol = self._protocol
        received, lost = protocol.dataReceived, protocol.connectionLost

        def data_received(data: bytes) -> Any:
            for session in self._sessions:
                session.touch()
            outer = _speaking.set(self)
            try:
                return received(data)
            finally:
                _speaking.reset(outer)

        def connection_lost(*reason: Any) -> Any:
            del (
                protocol.dataReceived,
                protocol.connectionLost,
            )  # breaks the reference cycle of protocol and connection
            self.lost(on_purpose=bool(getattr(transport_of(protocol), "disconnecting", False)))
            return lost(*reason)

        protocol.dataReceived, protocol.connectionLost = data_received, connection_lost

    def begun(self, login: LoginFuture) -> None:
        """Called when the client has begun to log in."""
        if self._protocol is None:
            login.give_up()
            return
        self._under_way = (*self._under_way, login)
        login.add_done_callback(lambda done: on_reactor(self._ended, done))

    def _ended(self, login: LoginFuture) -> None:
        self._under_way = tuple(other for other in self._under_way if other is not login)

    def if_there(self, outcome: Any) -> Any:
        """Return the outcome of a login, or a Deferred that never fires if the connection is lost.

        No client is left to be answered, and protocols log what they cannot send.
        """
        return Deferred() if self._protocol is None else outcome

    def opened(self, login: Login) -> None:
        """Called when the client is logged in."""
        if self._protocol is None:
            login.session.end(LogoutCode.LOST)
        self._sessions = (*self._sessions, login.session)

    def closed(self, session: Session) -> None:
        """Called when a session has ended."""
        self._sessions = tuple(other for other in self._sessions if other is not session)

    def lost(self, *, on_purpose: bool) -> None:
        """End the logins and sessions of the connection, which is lost.

        Args:
            on_purpose: whether the server closed it.
        """
        self._protocol = None
        for login in self._under_way:
            login.give_up()
        for session in self._sessions:
            session.end(LogoutCode.LOGOUT if on_purpose else LogoutCode.LOST)

    def denied(self, error: LoginDenied) -> bool:
        """Prepare the answer to a login that was denied without being looked at.

        Returns:
            Whether the client has its answer, and the protocol must not send another one.
        """
        protocol = self._protocol
        if protocol is None:
            return False
        name = name_in(protocol, ANSWERS)
        if name:
            if ANSWERS[name](protocol, error):
                self._close_later(str(error) if name in _SAYS_BYE else "")
            return False
        if not name_in(protocol, FAREWELLS):
            return False
        self._close_with(str(error))
        return True

    def _close_later(self, why: str) -> None:
        """Close the connection when the protocol has answered, which it does in this turn."""
        from twisted.internet import reactor

        later: Any = reactor
        later.callLater(0, self._close_with, why)

    def _close_with(self, why: str) -> None:
        """Close the connection, after a farewell unless there is no text."""
        protocol = self._protocol
        transport = transport_of(protocol)
        if transport is None:
            return
        name = name_in(protocol, FAREWELLS)
        if why and name:
            FAREWELLS[name](protocol, why.encode("ascii", "replace"))
        transport.loseConnection()

    def farewell(self, reason: LogoutReason) -> None:
        """Send the client its protocol's farewell, and close the connection.

        A connection with another session, which is possible with PB, stays open.
        """
        if not self._sessions:
            self._close_with(printable(f"logged out: {reason}"))


class _Factory:
    """A protocol's factory with the portal of one connection, for protocols that use its portal."""

    def __init__(self, factory: Any, portal: object) -> None:
        vars(self).update(_factory=factory, portal=portal)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._factory, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._factory, name, value)
