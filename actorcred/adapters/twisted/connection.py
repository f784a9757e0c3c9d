"""The connections of Twisted's protocols: who is logged in over one, and how each protocol is told that it is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from actorcred.adapters.twisted.dispatcher import on_reactor
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.portal.events import printable
from actorcred.portal.login import Login, LoginFuture
from actorcred.sessions.session import Session

if TYPE_CHECKING:
    from actorcred.adapters.twisted.portal import CredPortal

__all__ = ["FAREWELLS", "Connection"]

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
    "twisted.words.service.IRCUser": lambda protocol, why: protocol.sendMessage("ERROR", ":" + why.decode()),
    "twisted.conch.ssh.transport.SSHServerTransport": lambda protocol, why: protocol.sendDisconnect(DISCONNECT_BY_APPLICATION, why),
}
"""By the name of a protocol's class: what is said before a connection is closed whose session is over. The text is ASCII."""


class Connection:
    """One connection.

    Args:
        protocol: Twisted's protocol.
        source: the client's address; "" if it has none.
    """

    def __init__(self, protocol: Any, source: str) -> None:
        self._protocol = protocol
        self.source = source
        # Nearly always one at most.
        self._under_way: tuple[LoginFuture, ...] = ()
        self._sessions: tuple[Session, ...] = ()

    @classmethod
    def attach(cls, protocol: Any, portal: CredPortal, address: Any) -> None:
        """Give a new protocol a portal that knows its connection."""
        while hasattr(protocol, "wrappedProtocol"):
            protocol = protocol.wrappedProtocol
        connection = cls(protocol, str(getattr(address, "host", None) or ""))
        bound = portal.bound_to(connection)
        if hasattr(protocol, "portal"):
            protocol.portal = bound
        else:
            protocol.factory = _Factory(protocol.factory, bound)
        connection._watch()

    def _watch(self) -> None:
        protocol = self._protocol
        received, lost = protocol.dataReceived, protocol.connectionLost

        def data_received(data: bytes) -> Any:
            for session in self._sessions:
                session.touch()
            return received(data)

        def connection_lost(*reason: Any) -> Any:
            del protocol.dataReceived, protocol.connectionLost  # or protocol and connection keep each other
            self.lost(on_purpose=bool(getattr(protocol.transport, "disconnecting", False)))
            return lost(*reason)

        protocol.dataReceived, protocol.connectionLost = data_received, connection_lost

    def begun(self, login: LoginFuture) -> None:
        """Learn that the client logs in."""
        if self._protocol is None:
            login.give_up()
            return
        self._under_way = (*self._under_way, login)
        login.add_done_callback(lambda done: on_reactor(self._ended, done))

    def _ended(self, login: LoginFuture) -> None:
        self._under_way = tuple(other for other in self._under_way if other is not login)

    def opened(self, login: Login) -> None:
        """Learn that the client is logged in."""
        if self._protocol is None:
            login.session.end(LogoutCode.LOST)
        self._sessions = (*self._sessions, login.session)

    def closed(self, session: Session) -> None:
        """Learn that a session is over."""
        self._sessions = tuple(other for other in self._sessions if other is not session)

    def lost(self, *, on_purpose: bool) -> None:
        """Log out whoever came by a connection that is gone.

        Args:
            on_purpose: whether the server closed it.
        """
        self._protocol = None
        for login in self._under_way:
            login.give_up()
        for session in self._sessions:
            session.end(LogoutCode.LOGOUT if on_purpose else LogoutCode.LOST)

    def farewell(self, reason: LogoutReason) -> None:
        """Tell the client that its session is over, in its protocol's way, and close the connection.

        One that carries another session, as PB's can, stays open.
        """
        protocol = self._protocol
        if protocol is None or protocol.transport is None or self._sessions:
            return
        why = printable(f"logged out: {reason}").encode("ascii", "replace")
        for cls in type(protocol).__mro__:
            say = FAREWELLS.get(f"{cls.__module__}.{cls.__qualname__}")
            if say is not None:
                say(protocol, why)
                break
        protocol.transport.loseConnection()


class _Factory:
    """A protocol's factory with the portal of one connection, for protocols that look for it there."""

    def __init__(self, factory: Any, portal: CredPortal) -> None:
        vars(self).update(_factory=factory, portal=portal)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._factory, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._factory, name, value)
