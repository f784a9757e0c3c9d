"""Twisted: clients that hang up during a login, over each protocol and at each step.

They leave nothing behind, and nothing is logged.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import pytest

pytest.importorskip(
    "twisted.cred", reason="Twisted is not installed: pip install 'actorcred[twisted]'"
)

from twisted.cred import credentials
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from zope.interface import directlyProvides

from actorcred.adapters.twisted import CredPortal
from actorcred.adapters.twisted.connection import transport_of
from actorcred.portal.events import LoginRefused
from tests.adapters import fronts_hang_up
from tests.adapters.front import LOCALHOST
from tests.adapters.greeters import Hall, OurGreeter
from tests.adapters.loops import in_reactor, reactor
from tests.helpers import until


class Page(Resource):
    """The avatar; for web's guard it has to be a page."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        return b"hello"


class Parts:
    """Checker, realm and faces, one of which answers only when the test wants it to.

    Attributes:
        asked: the parts that were asked.
        logged_out: how often the realm's logout was called.
    """

    credentialInterfaces = (credentials.IUsernamePassword, credentials.IUsernameHashedPassword)

    def __init__(self, slow: str) -> None:
        self._slow = slow
        self._later: Deferred[None] = Deferred()
        self.asked: list[str] = []
        self.logged_out = 0

    def answer_now(self) -> None:
        """Have the slow part answer, if it still waits."""
        if not self._later.called:
            self._later.callback(None)

    def _answer(self, part: str, answer: Any) -> Any:
        self.asked.append(part)
        return self._later.addCallback(lambda _: answer) if part == self._slow else answer

    def requestAvatarId(self, presented: Any) -> Any:
        return self._answer("checker", b"ann")

    def requestAvatar(self, avatar_id: Any, mind: Any, *interfaces: Any) -> Any:
        avatar = Page()
        directlyProvides(avatar, interfaces[0])
        return self._answer("realm", (interfaces[0], avatar, self._log_out))

    def _log_out(self) -> None:
        self.logged_out += 1

    def face(self, avatar: Any) -> Any:
        return self._answer("face", avatar)

    def portal(self) -> CredPortal:
        """Return a portal of them."""
        if self._slow != "face":
            return CredPortal(self, [self])
        return CredPortal(
            Hall.start(), [self], dict.fromkeys(fronts_hang_up.INTERFACES, (OurGreeter, self.face))
        )


class Server:
    """A protocol that listens on a portal."""

    def __init__(self, name: str, portal: CredPortal) -> None:
        self.name = name
        self.protocols: list[Any] = []
        made = portal.attach(fronts_hang_up.FACTORIES[name](portal))
        made.noisy = False
        build = made.buildProtocol
        made.buildProtocol = lambda address: (
            self.protocols.append(build(address)) or self.protocols[-1]
        )
        self._listening = reactor().listenTCP(0, made, interface=LOCALHOST)
        self.port = self._listening.getHost().port

    def connections(self) -> int:
        """Return how many are open."""
        return sum(
            bool((transport := transport_of(one)) and transport.connected) for one in self.protocols
        )

    def stop(self) -> Any:
        return self._listening.stopListening()


@pytest.fixture
def serve(real_reactor: None) -> Iterator[Callable[..., Server]]:
    made: list[Server] = []

    def start(name: str, portal: CredPortal) -> Server:
        made.append(in_reactor(Server, name, portal))
        return made[-1]

    yield start
    for server in made:
        in_reactor(server.stop)


MOMENTS = [
    (name, slow) for name in fronts_hang_up.FACTORIES for slow in ("checker", "realm", "face")
]
MOMENTS.remove(("pb", "face"))  # its faces are there at once


@pytest.mark.parametrize(("name", "slow"), MOMENTS, ids=map("-".join, MOMENTS))
def test_a_client_that_hangs_up_during_its_login_logs_nothing_and_leaves_nothing(
    name, slow, serve, errors_of_twisted, caplog
):
    parts = Parts(slow)
    portal = in_reactor(parts.portal)
    server = serve(name, portal)
    hang_up = fronts_hang_up.begin(name, server.port)
    until(lambda: slow in parts.asked)
    hang_up()
    if name != "ftp":  # which does not read on while a client logs in
        until(lambda: in_reactor(server.connections) == 0)
    in_reactor(parts.answer_now)
    until(lambda: in_reactor(server.connections) == 0)
    until(lambda: portal.portal.count().get(timeout=10) == 0)
    in_reactor(gc.collect)  # so that Deferreds which failed and that nobody handles are told

    assert parts.logged_out == parts.asked.count("realm")
    assert errors_of_twisted == []
    assert [
        record
        for record in caplog.records
        if record.name.startswith("actorcred") and record.levelname == "ERROR"
    ] == []


@pytest.mark.parametrize("name", ["telnet", "web"])
def test_protocols_that_hold_no_portal_have_their_connection_too(name, serve):
    """The client's address comes with its credentials, and a lost connection gives the login up."""
    parts = Parts("checker")
    portal = in_reactor(parts.portal)
    events: list[Any] = []
    portal.portal.subscribe(events.append).get(timeout=10)
    server = serve(name, portal)
    hang_up = fronts_hang_up.begin(name, server.port)
    until(lambda: "checker" in parts.asked)
    hang_up()

    until(lambda: any(isinstance(event, LoginRefused) for event in events))
    refused = [event for event in events if isinstance(event, LoginRefused)]
    assert [event.client.address for event in refused] == [LOCALHOST]


def test_a_session_of_web_guards_ends_with_its_request_and_leaves_the_connection_open(serve):
    parts = Parts("nothing")
    portal = in_reactor(parts.portal)
    server = serve("web", portal)
    with closing(HTTPConnection(LOCALHOST, server.port, timeout=10)) as connection:
        for done in (1, 2):
            connection.request(
                "GET", "/", headers={"Authorization": f"Basic {fronts_hang_up.BASIC.decode()}"}
            )
            response = connection.getresponse()
            assert (response.status, response.read()) == (200, b"hello")
            until(lambda done=done: parts.logged_out == done)
        until(lambda: portal.portal.count().get(timeout=10) == 0)
        assert (len(server.protocols), in_reactor(server.connections)) == (1, 1)


def test_a_kick_closes_a_telnet_connection_and_tells_why(serve):
    parts = Parts("nothing")
    portal = in_reactor(parts.portal)
    server = serve("telnet", portal)
    with fronts_hang_up.connect("telnet", server.port) as sock:
        until(lambda: portal.portal.count().get(timeout=10) == 1)
        assert portal.portal.kick(avatar_id="ann", reason="no shouting").get(timeout=10) == 1
        said = sock.makefile("rb").read()

    assert said.endswith(b"logged out: kicked: no shouting\r\n")
    until(lambda: in_reactor(server.connections) == 0)
    assert parts.logged_out == 1
