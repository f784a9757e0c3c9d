"""What each door knows of its client, with and without a proxy in front; with real clients."""

from __future__ import annotations

import base64
import contextlib
import http.client
import imaplib
import poplib
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import asyncssh
import pytest
import trustme
from twisted.cred.credentials import UsernamePassword
from twisted.internet import protocol
from twisted.mail import imap4, pop3
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory
from twisted.spread import pb
from twisted.web import guard, resource, server

from actorcred import Portal
from actorcred.actors import Dispatcher
from actorcred.adapters.aiosmtpd import SMTPServer
from actorcred.adapters.asgi import AuthMiddleware
from actorcred.adapters.asyncssh import SSHServer
from actorcred.adapters.twisted import CredPortal
from actorcred.adapters.twisted.pb import Perspective
from actorcred.checkers.memory import MemoryChecker
from actorcred.fronts.trusted import TrustedProxy
from actorcred.identity import ClientInfo
from actorcred.portal.events import ForwardingIgnored, LoggedIn
from actorcred.rpc.server.events import ConnectionBroken, ConnectionRefused
from tests.adapters.front import LOCALHOST, Guest, House
from tests.adapters.fronts_asyncio import _dispatcher
from tests.adapters.fronts_twisted import PopFace, conch_factory, imap_account
from tests.adapters.loops import HttpServer, in_loop, in_reactor, reactor
from tests.fronts.headers import ssl_field, v1, v2
from tests.helpers import until

LISTED = ("127.0.0.1",)


class Door:
    """A server, its portal and what it reports."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.events: list[Any] = []
        self.stops: list[Callable[[], object]] = []
        self.portal = Portal.start(
            House.start([], dispatcher=dispatcher),
            [MemoryChecker.start({"ann": "s3cret"}, plaintext=True, dispatcher=dispatcher)],
            dispatcher=dispatcher,
        )
        self.portal.subscribe(self.events.append).get(timeout=10)

    def seen(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def until_seen(self, kind: type) -> Any:
        until(lambda: self.seen(kind))
        return self.seen(kind)[0]

    def client(self) -> ClientInfo:
        """Return who has logged in."""
        found = self.until_seen(LoggedIn).client
        self.events.clear()
        assert isinstance(found, ClientInfo)
        return found

    def smtp(self, *, proxy: str = "", trusted: Any = LISTED, **options: Any) -> int:
        context = options.pop("ssl", None)
        made = SMTPServer(
            self.portal, Guest, hostname="mail.example.org", trusted_proxies=trusted, **options
        )
        listening = in_loop(made.listen(LOCALHOST, 0, proxy=proxy, ssl=context))

        async def end() -> None:
            listening.close()
            await made.close()

        self.stops.append(lambda: in_loop(end()))
        return int(listening.sockets[0].getsockname()[1])

    def ssh(self, *, proxy: str = "", trusted: Any = LISTED) -> int:
        made = SSHServer(self.portal, Guest, trusted_proxies=trusted)
        keys = [asyncssh.generate_private_key("ssh-ed25519")]
        listening = in_loop(made.listen(LOCALHOST, 0, proxy=proxy, server_host_keys=keys))

        async def end() -> None:
            listening.close()
            await listening.wait_closed()
            await made.close()

        self.stops.append(lambda: in_loop(end()))
        return int(listening.get_port())

    def http(self, **options: Any) -> int:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            headers = [(b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b""})

        made = HttpServer(AuthMiddleware(app, self.portal, Guest, **options), proxy_headers=False)
        self.stops.append(made.stop)
        return made.port

    def twisted(self, kind: str, *, wrapped: bool = False, trusted: Any = LISTED) -> int:
        faces: Any = {
            pop3.IMailbox: (Guest, PopFace),
            imap4.IAccount: (Guest, imap_account),
            pb.IPerspective: (Guest, Perspective),
            resource.IResource: (Guest, lambda avatar: resource.Resource()),
        }
        cred = CredPortal(self.portal, faces=faces, trusted_proxies=trusted)
        made: Any
        if kind == "pb":
            made = pb.PBServerFactory(cred)
        elif kind == "http":
            basic = guard.HTTPAuthSessionWrapper(cred, [guard.BasicCredentialFactory(b"x")])
            made = cred.attach(server.Site(basic))
        elif kind == "ssh":
            from twisted.conch.interfaces import IConchUser

            from tests.adapters.fronts_twisted import ConchGuest

            cred._faces[IConchUser] = (Guest, ConchGuest)
            made = cred.attach(conch_factory())
        else:
            made = protocol.ServerFactory()
            made.protocol = {"pop3": pop3.POP3, "imap": imap4.IMAP4Server}[kind]
            made = cred.attach(made)
        made.noisy = False
        outer = HAProxyWrappingFactory(made) if wrapped else made
        outer.noisy = False
        listening = in_reactor(lambda: reactor().listenTCP(0, outer, interface=LOCALHOST))
        self.stops.append(lambda: in_reactor(listening.stopListening))
        return int(listening.getHost().port)


@pytest.fixture
def door() -> Iterator[Door]:
    made = Door(_dispatcher())
    yield made
    for stop in made.stops:
        stop()


@pytest.fixture
def twisted_door() -> Iterator[Door]:
    from actorcred.adapters.twisted import reactor_dispatcher

    reactor()
    made = Door(reactor_dispatcher())
    yield made
    for stop in made.stops:
        stop()


def through(port: int, header: bytes = b"") -> socket.socket:
    """Return a connection through a proxy, which sends a header."""
    sock = socket.create_connection((LOCALHOST, port), 10)
    sock.sendall(header)
    return sock


def by_smtp(
    port: int, header: bytes = b"", context: ssl.SSLContext | None = None, mechanism: str = "PLAIN"
) -> str:
    """Log in by SMTP; return which mechanisms are offered."""

    class Client(smtplib.SMTP):
        def _get_socket(self, host: str, port: int, timeout: Any) -> socket.socket:
            sock = through(port, header)
            return sock if context is None else context.wrap_socket(sock, server_hostname=host)

    connection = Client(LOCALHOST, port, local_hostname="laptop.example", timeout=10)
    connection.ehlo()
    offers = connection.esmtp_features.get("auth", "")
    if mechanism in offers.split():
        connection.user, connection.password = "ann", "s3cret"  # type: ignore[attr-defined]
        connection.auth(mechanism, connection.auth_plain)
    connection.quit()
    return offers


def by_ssh(port: int, header: bytes = b"") -> None:
    async def log_in() -> None:
        options: Any = {"known_hosts": None, "config": None, "client_keys": None}
        sock = through(port, header)
        async with asyncssh.connect(
            sock=sock, username="ann", password="s3cret", client_version="mine_1", **options
        ):
            pass

    in_loop(log_in())


def by_http(port: int, *headers: tuple[str, str], first: bytes = b"") -> int:
    connection = http.client.HTTPConnection(LOCALHOST, port, timeout=10)
    connection.sock = through(port, first)
    connection.putrequest("GET", "/")
    token = base64.b64encode(b"ann:s3cret").decode()
    own = [("Authorization", f"Basic {token}"), ("User-Agent", "browser/1")]
    for name, value in [*own, *headers]:
        connection.putheader(name, value)
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


def by_pop(port: int, header: bytes = b"") -> None:
    class Client(poplib.POP3):
        def _create_socket(self, timeout: Any) -> socket.socket:
            return through(self.port, header)

    connection = Client(LOCALHOST, port, 10)
    connection.user("ann")
    connection.pass_("s3cret")
    connection.quit()


def by_imap(port: int, header: bytes = b"") -> None:
    class Client(imaplib.IMAP4):
        def _create_socket(self, timeout: Any) -> socket.socket:
            return through(self.port, header)

    connection = Client(LOCALHOST, port, 10)
    connection.login("ann", "s3cret")
    connection.logout()


def by_pb(port: int, header: bytes = b"") -> None:
    factory = pb.PBClientFactory()
    factory.noisy = False
    build = factory.buildProtocol

    def build_protocol(address: Any) -> Any:
        broker = build(address)
        made = broker.connectionMade

        def connection_made() -> None:
            broker.transport.write(header)
            made()

        broker.connectionMade = connection_made
        return broker

    factory.buildProtocol = build_protocol
    connector = in_reactor(lambda: reactor().connectTCP(LOCALHOST, port, factory))
    in_reactor(lambda: factory.login(UsernamePassword(b"ann", b"s3cret"), None))
    in_reactor(connector.disconnect)


# -- without a proxy -----------------------------------------------------------------------------


def check_own(client: ClientInfo, port: int, protocol: str, transport: str = "tcp") -> None:
    assert client.address == LOCALHOST
    assert client.port
    assert client.local == f"{LOCALHOST}:{port}"
    assert client.protocol == protocol
    assert client.transport == transport
    assert client.via == ()
    assert not client.untrusted_front


def test_smtp_knows_its_client(door: Door) -> None:
    port = door.smtp()
    by_smtp(port)
    client = door.client()
    check_own(client, port, "smtp")
    assert client.name == "laptop.example"
    assert client.private
    assert not client.encrypted


def test_ssh_knows_its_client(door: Door) -> None:
    port = door.ssh()
    by_ssh(port)
    client = door.client()
    check_own(client, port, "ssh")
    assert "mine_1" in client.name
    assert client.encrypted


def test_http_knows_its_client(door: Door) -> None:
    port = door.http()
    assert by_http(port) == 200
    client = door.client()
    check_own(client, port, "http")
    assert client.name == "browser/1"


@pytest.mark.parametrize(
    ("kind", "log_in", "name"),
    [
        ("pop3", by_pop, ""),
        ("imap", by_imap, ""),
        ("pb", by_pb, ""),
        ("http", by_http, "browser/1"),
        ("ssh", by_ssh, "mine_1"),
    ],
)
def test_twisteds_protocols_know_their_client(
    twisted_door: Door, kind: str, log_in: Any, name: str
) -> None:
    port = twisted_door.twisted(kind)
    log_in(port)
    client = twisted_door.client()
    check_own(client, port, kind)
    assert name in client.name
    assert client.encrypted is (kind == "ssh")


# -- behind a proxy ------------------------------------------------------------------------------


def check_reported(client: ClientInfo) -> None:
    assert client.endpoint == "198.51.100.7:5000"
    assert client.local == "192.0.2.1:25"
    assert client.via == (LOCALHOST,)


@pytest.mark.parametrize("own", [False, True])
def test_smtp_behind_a_proxy(door: Door, own: bool) -> None:
    port = door.smtp(proxy="any") if own else door.smtp(proxy_protocol_timeout=5)
    assert "PLAIN" not in by_smtp(port, v1()).split()  # near, and yet not private
    assert "PLAIN" not in by_smtp(port, v2("127.0.0.1")).split()
    assert "PLAIN" in by_smtp(port, v2(fields=ssl_field())).split()
    client = door.client()
    check_reported(client)
    assert (client.protocol, client.name) == ("smtp", "laptop.example")
    assert client.private


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def contexts(authority: trustme.CA) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    own, theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert(LOCALHOST).configure_cert(own)
    authority.configure_trust(theirs)
    return own, theirs


def test_smtp_with_tls_behind_a_proxy_reads_the_header_first(
    door: Door, authority: trustme.CA
) -> None:
    own, theirs = contexts(authority)
    by_smtp(door.smtp(proxy="v2", ssl=own), v2(), theirs)
    client = door.client()
    check_reported(client)
    assert client.tls is not None
    assert client.transport == "tls"


def test_the_client_is_the_same_after_starttls(door: Door, authority: trustme.CA) -> None:
    own, theirs = contexts(authority)
    port = door.smtp(proxy_protocol_timeout=5, tls_context=own)

    class Client(smtplib.SMTP):
        def _get_socket(self, host: str, port: int, timeout: Any) -> socket.socket:
            return through(port, v1())

    connection = Client(LOCALHOST, port, timeout=10)
    connection.starttls(context=theirs)
    connection.login("ann", "s3cret")
    connection.quit()
    client = door.client()
    check_reported(client)
    assert client.private


@pytest.mark.parametrize("header", [b"", b"EHLO x\r\n"])
def test_smtp_behind_a_proxy_refuses_connections_without_a_header(
    door: Door, header: bytes
) -> None:
    sock = through(door.smtp(proxy="v2"), header)
    if not header:
        sock.shutdown(socket.SHUT_WR)
    with contextlib.suppress(ConnectionResetError):  # of what was not read
        assert sock.recv(100) == b""
    sock.close()
    assert "PROXY header" in door.until_seen(ConnectionBroken).detail


@pytest.mark.parametrize("own", [False, True])
def test_smtp_believes_no_stranger(door: Door, own: bool) -> None:
    strangers = ("10.0.0.1",)
    port = (
        door.smtp(proxy="v2", trusted=strangers)
        if own
        else door.smtp(proxy_protocol_timeout=5, trusted=strangers)
    )
    sock = through(port, v2())
    with contextlib.suppress(ConnectionResetError):  # of what was not read
        assert sock.recv(100) == b""
    sock.close()
    event = door.until_seen(ConnectionRefused if own else ForwardingIgnored)
    assert event.client.address == LOCALHOST


def test_a_header_needs_a_proxy_that_is_trusted(door: Door) -> None:
    with pytest.raises(ValueError, match="needs trusted_proxies"):
        SMTPServer(door.portal, Guest, proxy_protocol_timeout=5)
    with pytest.raises(ValueError, match="needs trusted_proxies"):
        door.smtp(proxy="v2", trusted=())
    with pytest.raises(ValueError, match="one of v1, v2, any"):
        door.ssh(proxy="v3")


def test_ssh_behind_a_proxy(door: Door) -> None:
    by_ssh(door.ssh(proxy="any"), v2())
    client = door.client()
    check_reported(client)
    assert "mine_1" in client.name
    assert client.encrypted


def test_http_behind_a_proxy(door: Door) -> None:
    port = door.http(trusted_proxies=LISTED)
    address = ("X-Forwarded-For", "9.9.9.9, 198.51.100.7:5000")
    assert by_http(port, address) == 401  # near, and yet not private
    assert by_http(port, ("X-Forwarded-For", "127.0.0.1")) == 401
    assert by_http(port) == 401
    assert by_http(port, address, ("X-Forwarded-Proto", "https")) == 200
    client = door.client()
    assert client.endpoint == "198.51.100.7:5000"
    assert client.via == (LOCALHOST,)
    assert client.private


def test_http_behind_a_proxy_that_writes_forwarded(door: Door) -> None:
    port = door.http(trusted_proxies=TrustedProxy(LISTED, header="forwarded"))  # type: ignore[arg-type]
    assert by_http(port, ("Forwarded", 'for="[2001:db8::7]:80";proto=https')) == 200
    assert door.client().endpoint == "[2001:db8::7]:80"


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded"])
def test_http_ignores_and_counts_what_strangers_say(door: Door, name: str) -> None:
    port = door.http(trusted_proxies=("10.0.0.1",), passwords_in_clear=True)
    for _ in range(3):
        assert by_http(port, (name, "for=10.0.0.9;proto=https")) == 200
    assert door.until_seen(LoggedIn).client.untrusted_front
    assert not door.seen(LoggedIn)[0].client.private
    assert door.seen(LoggedIn)[0].client.address == LOCALHOST
    door.portal.stop()
    until(lambda: sum(event.count for event in door.seen(ForwardingIgnored)) == 3)


@pytest.mark.parametrize(
    ("kind", "log_in"), [("pop3", by_pop), ("imap", by_imap), ("pb", by_pb), ("ssh", by_ssh)]
)
@pytest.mark.parametrize(("header", "encrypted"), [(v1(), False), (v2(fields=ssl_field()), True)])
def test_twisteds_protocols_behind_a_proxy(
    twisted_door: Door, kind: str, log_in: Any, header: bytes, encrypted: bool
) -> None:
    log_in(twisted_door.twisted(kind, wrapped=True), header)
    client = twisted_door.client()
    check_reported(client)
    assert client.protocol == kind
    assert client.private is (encrypted or kind == "ssh")


def test_twisteds_web_behind_a_proxy(twisted_door: Door) -> None:
    by_http(twisted_door.twisted("http", wrapped=True), first=v1())
    client = twisted_door.client()
    check_reported(client)
    assert (client.name, client.private) == ("browser/1", False)


@pytest.mark.parametrize("trusted", [(), ("10.0.0.1",)])
def test_twisteds_protocols_believe_no_stranger(twisted_door: Door, trusted: Any) -> None:
    by_pop(twisted_door.twisted("pop3", wrapped=True, trusted=trusted), v2("127.0.0.2"))
    client = twisted_door.until_seen(LoggedIn).client
    assert client.address == LOCALHOST
    assert client.untrusted_front
    assert not client.private
    assert twisted_door.until_seen(ForwardingIgnored).header == "PROXY"
