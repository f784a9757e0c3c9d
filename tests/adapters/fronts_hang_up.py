"""The logins of all Twisted protocols that have one: clients that hang up before the answer."""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable
from typing import Any

from twisted.conch.interfaces import IConchUser
from twisted.conch.telnet import AuthenticatingTelnetProtocol, ITelnetProtocol, TelnetTransport
from twisted.internet import protocol
from twisted.mail import imap4, pop3, smtp
from twisted.protocols import ftp
from twisted.spread import pb
from twisted.web import guard, resource, server
from twisted.words import iwords, service

from tests.adapters.front import LOCALHOST, reset
from tests.adapters.fronts_twisted import PB, Conch, conch_factory

PLAIN = base64.b64encode(b"\0ann\0s3cret")
BASIC = base64.b64encode(b"ann:s3cret")
DO_ECHO, DONT_ECHO = b"\xff\xfd\x01", b"\xff\xfe\x01"

INTERFACES = (
    pop3.IMailbox,
    imap4.IAccount,
    smtp.IMessageDeliveryFactory,
    ftp.IFTPShell,
    ITelnetProtocol,
    resource.IResource,
    iwords.IUser,
    pb.IPerspective,
    IConchUser,
)
"""What they log in for."""


def with_portal(make: Callable[[], Any], portal: Any) -> Any:
    """Return a factory of protocols that are given the portal."""

    def made() -> Any:
        built = make()
        built.portal = portal
        return built

    return protocol.Factory.forProtocol(made)


def smtp_factory(portal: Any) -> Any:
    made = smtp.SMTPFactory(portal)
    made.protocol = lambda: smtp.ESMTP({b"PLAIN": imap4.PLAINCredentials})
    return made


def conch(portal: Any) -> Any:
    made = conch_factory()
    made.portal = portal
    return made


FACTORIES: dict[str, Callable[[Any], Any]] = {
    "pop3": lambda portal: with_portal(pop3.POP3, portal),
    "imap4": lambda portal: with_portal(imap4.IMAP4Server, portal),
    "imap4-challenge": lambda portal: with_portal(
        lambda: imap4.IMAP4Server({b"PLAIN": imap4.PLAINCredentials}), portal
    ),
    "smtp": smtp_factory,
    "ftp": ftp.FTPFactory,
    "telnet": lambda portal: protocol.Factory.forProtocol(
        lambda: TelnetTransport(AuthenticatingTelnetProtocol, portal)
    ),
    "web": lambda portal: server.Site(
        guard.HTTPAuthSessionWrapper(portal, [guard.BasicCredentialFactory(b"here")])
    ),
    "irc": lambda portal: service.IRCFactory(service.InMemoryWordsRealm("here"), portal),
    "pb": pb.PBServerFactory,
    "conch": conch,
}
"""Name -> what makes a factory on a portal."""

LOGINS = {
    "pop3": b"USER ann\r\nPASS s3cret\r\n",
    "imap4": b"a LOGIN ann s3cret\r\n",
    "imap4-challenge": b"a AUTHENTICATE PLAIN\r\n" + PLAIN + b"\r\n",
    "smtp": b"EHLO me\r\nAUTH PLAIN " + PLAIN + b"\r\n",
    "ftp": b"USER ann\r\nPASS s3cret\r\n",
    "telnet": b"ann\r\n" + DO_ECHO + b"s3cret\r\n" + DONT_ECHO,
    "web": b"GET / HTTP/1.1\r\nHost: here\r\nAuthorization: Basic " + BASIC + b"\r\n\r\n",
    "irc": b"PASS s3cret\r\nNICK ann\r\nUSER ann 0 * :ann\r\n",
}
"""What a client sends; those of the others are libraries."""


def connect(name: str, port: int) -> socket.socket:
    """Send a login over a socket."""
    sock = socket.create_connection((LOCALHOST, port), 10)
    if name not in {"web", "irc"}:
        sock.recv(1000)  # the greeting
    sock.sendall(LOGINS[name])
    return sock


def begin(name: str, port: int) -> Callable[[], object]:
    """Send a login; return what hangs up without a word."""
    if name in LOGINS:
        sock = connect(name, port)
        return lambda: reset(sock)
    front = {"pb": PB, "conch": Conch}[name]()
    front.port = port
    return front.begin("ann", "s3cret")
