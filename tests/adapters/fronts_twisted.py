"""POP3, IMAP4, Perspective Broker and Conch on `CredPortal`."""

from __future__ import annotations

import imaplib
import io
import poplib
import socket
from collections.abc import Callable
from typing import Any

from twisted.conch.avatar import ConchUser
from twisted.conch.interfaces import IConchUser, ISession
from twisted.conch.ssh import factory as ssh_factory
from twisted.conch.ssh import keys, session
from twisted.cred.credentials import UsernamePassword
from twisted.internet import error, protocol
from twisted.mail import imap4, pop3
from twisted.python import components, failure
from twisted.spread import pb
from zope.interface import implementer

from actorcred.adapters.twisted import CredPortal, Face, reactor_dispatcher
from actorcred.adapters.twisted.pb import Perspective
from tests.adapters.front import LOCALHOST, Client, Front, Guest, Refused, reset
from tests.adapters.fronts_asyncio import SSHGuest
from tests.adapters.loops import in_reactor, reactor


@implementer(pop3.IMailbox)
class PopFace(Face):
    """One message, with the guest's name."""

    def listMessages(self, index: int | None = None) -> Any:
        return [3] if index is None else 3

    def getMessage(self, index: int) -> Any:
        who = self.ask("who")
        return (
            io.BytesIO(who.encode())
            if isinstance(who, str)
            else who.addCallback(lambda name: io.BytesIO(name.encode()))
        )

    def getUidl(self, index: int) -> bytes:
        return b"one"

    def deleteMessage(self, index: int) -> None: ...
    def undeleteMessages(self) -> None: ...
    def sync(self) -> None: ...


class Box:
    """An empty mailbox."""

    def getFlags(self) -> tuple[str, ...]:
        return ()

    def getHierarchicalDelimiter(self) -> str:
        return "/"


def imap_account(avatar: Any) -> Any:
    """Return an account with a mailbox of the guest's name."""
    account = imap4.MemoryAccount(str(avatar.session.avatar_id))
    account.addMailbox(str(avatar.session.avatar_id), Box())
    return account


class ConchGuest(ConchUser):
    """A user of Conch who may run a command."""

    def __init__(self, avatar: Any) -> None:
        super().__init__()
        self.face = Face(avatar)
        self.channelLookup[b"session"] = session.SSHSession


@implementer(ISession)
class Commands:
    def __init__(self, guest: ConchGuest) -> None:
        self.guest = guest

    def execCommand(self, process: Any, command: bytes) -> None:
        from twisted.internet.defer import maybeDeferred

        def done(name: str) -> None:
            process.outReceived(name.encode())
            process.processEnded(failure.Failure(error.ProcessDone(0)))

        stand_in = protocol.Protocol()
        stand_in.makeConnection(process)
        process.makeConnection(
            session.wrapProtocol(stand_in)
        )  # Twisted 25.5 closes this when the command has ended
        maybeDeferred(self.guest.face.ask, "who").addCallback(done)

    def getPty(self, *_: Any) -> None: ...
    def openShell(self, *_: Any) -> None: ...
    def eofReceived(self) -> None: ...
    def closed(self) -> None: ...


components.registerAdapter(Commands, ConchGuest, ISession)


class TwistedFront(Front):
    def dispatcher(self) -> Any:
        reactor()
        return reactor_dispatcher()

    def cred(self) -> CredPortal:
        faces = {
            pop3.IMailbox: (Guest, PopFace),
            imap4.IAccount: (Guest, imap_account),
            pb.IPerspective: (Guest, Perspective),
            IConchUser: (Guest, ConchGuest),
        }
        return CredPortal(self.portal, faces=faces)

    def factory(self) -> Any:
        raise NotImplementedError

    def start(self) -> None:
        self.protocols: list[Any] = []
        made = self.factory()
        build = made.buildProtocol

        def build_protocol(address: Any) -> Any:
            built = build(address)
            self.protocols.append(built)
            return built

        made.buildProtocol = build_protocol
        self._listening = in_reactor(lambda: reactor().listenTCP(0, made, interface=LOCALHOST))
        self.port = self._listening.getHost().port

    def connections(self) -> int:
        return int(
            in_reactor(
                lambda: sum(
                    bool(one.transport and one.transport.connected) for one in self.protocols
                )
            )
        )

    def stop(self) -> None:
        in_reactor(self._listening.stopListening)
        in_reactor(
            lambda: [
                one.transport.abortConnection()
                for one in self.protocols
                if one.transport and one.transport.connected
            ]
        )

    def begin(self, name: str, password: str) -> Callable[[], object]:
        sock = socket.create_connection((LOCALHOST, self.port), 10)
        sock.recv(1000)
        sock.sendall(self.login_line(name, password))
        return lambda: reset(sock)

    def login_line(self, name: str, password: str) -> bytes:
        raise NotImplementedError


class PopClient(Client):
    def __init__(self, connection: poplib.POP3) -> None:
        self.connection = connection

    def who(self) -> str:
        return self.connection.retr(1)[1][0].decode()

    def goodbye(self) -> str:
        text = self.connection.file.read().decode()
        self.connection.close()
        return text

    def leave(self) -> None:
        self.connection.quit()

    def vanish(self) -> None:
        self.connection.file.close()
        reset(self.connection.sock)


class Pop(TwistedFront):
    nobodys_name = "n" * 1024  # blanks would end it

    def factory(self) -> Any:
        made = protocol.ServerFactory()
        made.protocol = pop3.POP3
        made.noisy = False
        return self.cred().attach(made)

    def log_in(self, name: str, password: str) -> Client:
        connection = poplib.POP3(LOCALHOST, self.port, 10)
        try:
            connection.user(name)
            connection.pass_(password)
        except poplib.error_proto as refused:
            connection.close()
            raise Refused(refused.args[0].decode()) from None
        return PopClient(connection)

    def login_line(self, name: str, password: str) -> bytes:
        return f"USER {name}\r\nPASS {password}\r\n".encode()


class ImapClient(Client):
    def __init__(self, connection: imaplib.IMAP4) -> None:
        self.connection = connection

    def who(self) -> str:
        return self.connection.list()[1][0].decode().split('"')[-2].lower()

    def goodbye(self) -> str:
        text = self.connection.file.read().decode()
        self.connection.shutdown()
        return text

    def leave(self) -> None:
        self.connection.logout()

    def vanish(self) -> None:
        self.connection.file.close()
        reset(self.connection.sock)


class Imap(TwistedFront):
    says_denied = False  # its server knows one kind of "no" only
    nobodys_name = Pop.nobodys_name

    def factory(self) -> Any:
        made = protocol.ServerFactory()
        made.protocol = imap4.IMAP4Server
        made.noisy = False
        return self.cred().attach(made)

    def log_in(self, name: str, password: str) -> Client:
        connection = imaplib.IMAP4(LOCALHOST, self.port, 10)
        try:
            connection.login(name, password)
        except imaplib.IMAP4.error as refused:
            connection.shutdown()
            raise Refused(str(refused)) from None
        return ImapClient(connection)

    def login_line(self, name: str, password: str) -> bytes:
        return f"a LOGIN {name} {password}\r\n".encode()


class PBMind(pb.Referenceable):
    def __init__(self) -> None:
        self.said: list[str] = []

    def remote_logged_out(self, code: str, detail: str) -> None:
        self.said.append(f"{code}: {detail}")


class PBClient(Client):
    def __init__(self, connector: Any, perspective: Any, mind: PBMind, lost: Any) -> None:
        self.connector, self.perspective, self.mind, self.lost = connector, perspective, mind, lost

    def who(self) -> str:
        return str(in_reactor(self.perspective.callRemote, "who"))

    def goodbye(self) -> str:
        in_reactor(lambda: self.lost)
        return " ".join(self.mind.said)

    def leave(self) -> None:
        in_reactor(self.connector.disconnect)

    def vanish(self) -> None:
        in_reactor(self.connector.transport.abortConnection)


class PB(TwistedFront):
    def factory(self) -> Any:
        return pb.PBServerFactory(self.cred())

    def log_in(self, name: str, password: str) -> Client:
        from twisted.internet.defer import Deferred

        mind, lost, factory = PBMind(), Deferred(), pb.PBClientFactory()
        factory.noisy = False
        factory.clientConnectionLost = lambda *_: lost.callback(None)
        connector = in_reactor(lambda: reactor().connectTCP(LOCALHOST, self.port, factory))
        presented = UsernamePassword(name.encode(), password.encode())
        perspective = in_reactor(
            lambda: factory.login(presented, mind).addErrback(lambda refused: str(refused.type))
        )
        if isinstance(perspective, str):
            in_reactor(connector.disconnect)
            in_reactor(lambda: lost)
            raise Refused(perspective)
        return PBClient(connector, perspective, mind, lost)

    def begin(self, name: str, password: str) -> Callable[[], object]:
        factory = pb.PBClientFactory()
        factory.noisy = False
        connector = in_reactor(lambda: reactor().connectTCP(LOCALHOST, self.port, factory))

        def start() -> None:
            factory.login(UsernamePassword(name.encode(), password.encode()), PBMind()).addErrback(
                lambda _: None
            )

        in_reactor(start)
        return lambda: in_reactor(lambda: connector.transport.abortConnection())  # noqa: PLW0108  # it comes with the connection


def conch_factory() -> Any:
    """Return a factory of Conch's with a key of its own."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    made = ssh_factory.SSHFactory()
    key = keys.Key(Ed25519PrivateKey.generate())
    made.privateKeys, made.publicKeys = {b"ssh-ed25519": key}, {b"ssh-ed25519": key.public()}
    made.noisy = False
    return made


class Conch(TwistedFront):
    says_why = says_denied = False

    def factory(self) -> Any:
        return self.cred().attach(conch_factory())

    def start(self) -> None:
        from twisted.conch.ssh.userauth import SSHUserAuthServer

        SSHUserAuthServer.passwordDelay = 0
        super().start()

    def log_in(self, name: str, password: str) -> Client:
        return SSHGuest.connect(self.port, name, password)

    def begin(self, name: str, password: str) -> Callable[[], object]:
        return SSHGuest.begin(self.port, name, password)
