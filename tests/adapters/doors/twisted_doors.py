"""POP3, IMAP4, SMTP, Perspective Broker, Conch, telnet and HTTP on `CredPortal`."""

from __future__ import annotations

import base64
from typing import Any

from twisted.conch.interfaces import IConchUser
from twisted.conch.telnet import AuthenticatingTelnetProtocol, ITelnetProtocol, TelnetTransport
from twisted.cred.credentials import UsernamePassword
from twisted.internet import protocol
from twisted.internet.defer import Deferred
from twisted.mail import imap4, pop3, smtp
from twisted.spread import pb
from twisted.web import guard, resource, server

from actorcred.adapters.twisted import CredPortal, Face
from actorcred.adapters.twisted.connection import transport_of
from actorcred.adapters.twisted.pb import Perspective
from examples.mail.imap import IMAPServer
from examples.mail.pop import POP3Server
from tests.adapters.doors.asyncio_doors import SSHClientDoor, scram
from tests.adapters.doors.door import Closed, Door, LineDoor
from tests.adapters.front import LOCALHOST, Guest
from tests.adapters.fronts_twisted import ConchGuest, PBMind, PopFace, conch_factory, imap_account
from tests.adapters.loops import in_reactor, reactor


class Delivery(Face):
    """Takes no mail."""


class Telnet(protocol.Protocol):
    """What is on the other side of a login by telnet."""

    def __init__(self, avatar: Any) -> None:
        super().__init__()

    def connectionMade(self) -> None:
        self.transport.write(b"IN\n")  # type: ignore[union-attr]

    def enableLocal(self, *_: Any) -> None: ...


class Page(resource.Resource):
    """A web page."""

    isLeaf = True

    def __init__(self, avatar: Any) -> None:
        super().__init__()

    def render_GET(self, request: Any) -> bytes:
        return b"IN"


def account(avatar: Any) -> Any:
    """Return an account for Twisted's server and for the example's."""
    made = imap_account(avatar)
    made.selected = None
    return made


FACES = {
    pop3.IMailbox: (Guest, PopFace),
    imap4.IAccount: (Guest, account),
    pb.IPerspective: (Guest, Perspective),
    IConchUser: (Guest, ConchGuest),
    smtp.IMessageDelivery: (Guest, Delivery),
    ITelnetProtocol: (Guest, Telnet),
    resource.IResource: (Guest, Page),
}


class TwistedDoor(Door):
    """A door on the reactor."""

    def start(self, portal: Any) -> None:
        reactor()
        self.cred = CredPortal(portal, faces=FACES)  # type: ignore[arg-type]
        self.protocols: list[Any] = []
        made = self.factory()
        made.noisy = False
        build = made.buildProtocol

        def build_protocol(address: Any) -> Any:
            built = build(address)
            if built is not None:
                self.protocols.append(built)
            return built

        made.buildProtocol = build_protocol
        self._listening = in_reactor(lambda: reactor().listenTCP(0, made, interface=LOCALHOST))
        self.port = self._listening.getHost().port

    def factory(self) -> Any:
        raise NotImplementedError

    def attached(self, kind: Any) -> Any:
        made = protocol.ServerFactory()
        made.protocol = kind
        return self.cred.attach(made)

    def stop(self) -> None:
        in_reactor(self._listening.stopListening)
        transports = [transport_of(one) for one in self.protocols]
        in_reactor(
            lambda: [
                one.abortConnection() for one in transports if getattr(one, "connected", False)
            ]
        )


class PopDoor(LineDoor, TwistedDoor):
    door = "POP3 (Twisted)"
    mechanism = "USER, PASS"

    def factory(self) -> Any:
        return self.attached(pop3.POP3)

    def guess(self, name: str, password: str) -> str:
        self.lines.ask(f"USER {name}")
        return self.lines.ask(f"PASS {password}").replace("+OK", "+OK IN")


class ImapDoor(LineDoor, TwistedDoor):
    door = "IMAP (Twisted)"
    mechanism = "LOGIN"

    def factory(self) -> Any:
        return self.attached(imap4.IMAP4Server)

    def guess(self, name: str, password: str) -> str:
        answer = self.lines.ask(f"a LOGIN {name} {password}")
        if answer.startswith("* BYE"):
            raise Closed(answer)
        return answer.replace("a OK", "IN")


class ImapPlainDoor(ImapDoor):
    mechanism = "AUTHENTICATE PLAIN"

    def factory(self) -> Any:
        class Server(imap4.IMAP4Server):
            def __init__(self) -> None:
                super().__init__()
                self.challengers[b"PLAIN"] = imap4.PLAINCredentials

        return self.attached(Server)

    def guess(self, name: str, password: str) -> str:
        first = self.lines.ask("a AUTHENTICATE PLAIN")
        if not first.startswith("+"):
            raise Closed(first)
        answer = self.lines.ask(base64.b64encode(f"\0{name}\0{password}".encode()).decode())
        return answer.replace("a OK", "IN")


class OwnPopDoor(PopDoor):
    """The POP3 server of the example, which logs in by SASL."""

    door = "POP3 (examples.mail)"
    mechanism = "AUTH PLAIN"

    def factory(self) -> Any:
        return self.attached(POP3Server)

    def guess(self, name: str, password: str) -> str:
        plain = base64.b64encode(f"\0{name}\0{password}".encode()).decode()
        return self.lines.ask(f"AUTH PLAIN {plain}").replace("+OK", "+OK IN")


class OwnImapDoor(ImapDoor):
    """The IMAP server of the example, which has commands of its own."""

    door = "IMAP (examples.mail)"
    mechanism = "SCRAM-SHA-256"

    def factory(self) -> Any:
        return self.attached(IMAPServer)

    def guess(self, name: str, password: str) -> str:
        client = scram(name, password)
        first = base64.b64encode(client.start()).decode()
        answer = self.lines.ask(f"a AUTHENTICATE SCRAM-SHA-256 {first}")
        while answer.startswith("+ "):
            challenge = base64.b64decode(answer[2:])
            proof = b"" if challenge.startswith(b"v=") else client.answer(challenge)
            answer = self.lines.ask(base64.b64encode(proof).decode())
        if answer.startswith("* BYE"):
            raise Closed(answer)
        return answer.replace("a OK", "IN")


class EsmtpDoor(LineDoor, TwistedDoor):
    door = "SMTP (Twisted)"
    mechanism = "LOGIN"

    def factory(self) -> Any:
        class Server(smtp.ESMTP):
            def __init__(self) -> None:
                super().__init__({b"LOGIN": imap4.LOGINCredentials})
                self.host = b"mail.example.org"

        return self.attached(Server)

    def greet(self) -> None:
        super().greet()
        self.lines.send(b"EHLO x\r\n")
        while self.lines.read()[3:4] == "-":
            pass

    def guess(self, name: str, password: str) -> str:
        self.lines.ask("AUTH LOGIN")
        self.lines.ask(base64.b64encode(name.encode()).decode())
        answer = self.lines.ask(base64.b64encode(password.encode()).decode())
        return answer.replace("235 ", "235 IN ")


class TelnetDoor(LineDoor, TwistedDoor):
    door = "telnet (Twisted)"
    mechanism = "password"

    def factory(self) -> Any:
        made = protocol.ServerFactory()
        made.protocol = lambda: TelnetTransport(AuthenticatingTelnetProtocol, self.cred)  # type: ignore[assignment]
        return self.cred.attach(made)

    def greet(self) -> None:
        self.lines.read_to(b"Username: ")

    def guess(self, name: str, password: str) -> str:
        self.lines.send(name.encode() + b"\r\n")
        self.lines.read_to(b"Password: ")
        # The client agrees that the server no longer echoes.
        self.lines.send(b"\xff\xfd\x01" + password.encode() + b"\r\n")
        self.lines.send(b"\xff\xfe\x01")
        answer = ""
        while not answer.strip():
            answer = self.lines.read_to(b"\n").decode("latin-1").split("\x01")[-1]
        if "failed" in answer:
            self.lines.read_to(b"Username: ")
        return answer.strip()


class GuardDoor(TwistedDoor):
    door = "HTTP (twisted.web)"
    mechanism = "Basic"

    def factory(self) -> Any:
        wrapper = guard.HTTPAuthSessionWrapper(
            self.cred,
            [guard.BasicCredentialFactory(b"login")],  # type: ignore[arg-type]
        )
        return self.cred.attach(server.Site(wrapper))

    # The same client as for ASGI.
    def connect(self, source: str) -> None:
        from tests.adapters.doors.asyncio_doors import HttpDoor

        self.client = HttpDoor()
        self.client.port = self.port
        try:
            self.client.connect(source)
        except OSError:
            raise Closed("") from None

    def guess(self, name: str, password: str) -> str:
        return self.client.guess(name, password)

    def hang_up(self) -> None:
        self.client.hang_up()


class PBDoor(TwistedDoor):
    door = "Perspective Broker"
    mechanism = "MD5 response"

    def factory(self) -> Any:
        return pb.PBServerFactory(self.cred)

    def connect(self, source: str) -> None:
        self.lost: Deferred[None] = Deferred()
        made, lost = pb.PBClientFactory(), self.lost
        made.noisy = False
        made.clientConnectionLost = lambda *_, **__: lost.callback(None)  # type: ignore[method-assign]
        self._client = made
        self._connector = in_reactor(
            lambda: reactor().connectTCP(LOCALHOST, self.port, made, bindAddress=(source, 0))
        )

    def guess(self, name: str, password: str) -> str:
        presented = UsernamePassword(name.encode(), password.encode())

        def told(failure: Any) -> str:
            if failure.check(pb.DeadReferenceError, pb.PBConnectionLost):
                return "lost"
            kind = failure.type.decode() if isinstance(failure.type, bytes) else str(failure.type)
            return f"{kind.rpartition('.')[2]}: {failure.getErrorMessage()}"

        def begin() -> Any:
            if self.lost.called:
                return "lost"
            return self._client.login(presented, PBMind()).addCallbacks(lambda _: "IN", told)

        answer = in_reactor(begin)
        if answer == "lost":
            raise Closed("")
        return str(answer)

    def hang_up(self) -> None:
        in_reactor(self._connector.disconnect)
        in_reactor(lambda: self.lost)


class ConchDoor(SSHClientDoor, TwistedDoor):
    door = "SSH (Conch)"
    mechanism = "password"

    def factory(self) -> Any:
        return self.cred.attach(conch_factory())

    def start(self, portal: Any) -> None:
        from twisted.conch.ssh.userauth import SSHUserAuthServer

        SSHUserAuthServer.passwordDelay = 0
        super().start(portal)


class ConchKeyDoor(ConchDoor):
    mechanism = "key, forged signature"
    method = "publickey"


DOORS: tuple[type[Door], ...] = (
    ConchDoor,
    ConchKeyDoor,
    PopDoor,
    ImapDoor,
    ImapPlainDoor,
    OwnPopDoor,
    OwnImapDoor,
    EsmtpDoor,
    PBDoor,
    TelnetDoor,
    GuardDoor,
)
