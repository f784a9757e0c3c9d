"""Twisted: what is immediate fires at once, all parts mix, errors and plugins cross over, and the reactor keeps time."""

from __future__ import annotations

import hmac
import io
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("twisted", reason="Twisted is not installed: pip install 'actorcred[twisted]'")

from pykka.messages import ProxyCall
from twisted.cred import checkers as their_checkers
from twisted.cred import credentials as their_credentials
from twisted.cred import error as their_errors
from twisted.cred import portal as their_portal
from twisted.cred._digest import calcHA1, calcHA2, calcResponse
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.protocol import ServerFactory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.mail import pop3
from twisted.python import threadable
from zope.interface import Interface, implementer

from actorcred import (
    ANONYMOUS,
    Anonymous,
    Avatar,
    Checker,
    CheckerUnavailable,
    Future,
    LoginDenied,
    NoInterface,
    Portal,
    PortalOptions,
    Realm,
    UnauthorizedLogin,
    UsernamePassword,
    actors,
)
from actorcred.actors import Actor
from actorcred.adapters.twisted import (
    CredChecker,
    CredPortal,
    Face,
    ReactorDispatcher,
    TwistedChecker,
    TwistedRealm,
    reactor_dispatcher,
)
from actorcred.adapters.twisted.interfaces import class_of
from actorcred.adapters.twisted.plugins import factories_for_twisted
from actorcred.auth_options import describe_type, list_types
from actorcred.checkers.anonymous import AnonymousChecker
from actorcred.checkers.htdigest import HtdigestChecker
from actorcred.checkers.memory import MemoryChecker
from actorcred.checkers.sqlite import SQLiteChecker
from actorcred.descriptors import DescriptorError
from actorcred.events import LoggedOut
from actorcred.http_digest import digest_of
from actorcred.plugins import from_string
from actorcred.sasl.cram_md5 import CramMD5, CramMD5Client
from actorcred.sasl.mechanism import Secrets
from tests.adapters.loops import in_reactor, reactor
from tests.backends.servers import eventually
from tests.helpers import Player, Stage
from tests.test_third_party_plugin import ROOT, pip


class IGreeter(Interface):
    def greet(name):
        """Say hello."""


@implementer(IGreeter)
class Greeter:
    def __init__(self, avatar_id: Any) -> None:
        self.avatar_id = avatar_id

    def greet(self, name: str) -> str:
        return f"{name}, this is {self.avatar_id!r}"


@implementer(their_portal.IRealm)
class GreeterRealm:
    """`answer` is returned instead, if it is set."""

    def __init__(self) -> None:
        self.logged_out: list[Any] = []
        self.minds: list[Any] = []
        self.answer: Any = None

    def requestAvatar(self, avatar_id: Any, mind: Any, *interfaces: Any) -> Any:
        if IGreeter not in interfaces:
            raise NotImplementedError("no such interface")
        self.minds.append(mind)
        made = IGreeter, Greeter(avatar_id), lambda: self.logged_out.append(avatar_id)
        if isinstance(self.answer, Deferred):
            return self.answer.addCallback(lambda _: made)
        return made


class GreeterAvatar(Avatar):
    def greet(self, name: str) -> str:
        return f"{name}, this is {self.avatar_id}"

    def greet_later(self, name: str) -> Future[str]:
        return self.mind.call("name?")


class OurGreeter:
    """An interface of ours."""


class Hall(Realm):
    def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        kind = (
            type("Ours", (GreeterAvatar, interfaces[0]), {})
            if interfaces[0] is OurGreeter
            else implementer(IGreeter)(type("Zopes", (GreeterAvatar,), {}))
        )
        avatar = kind.start(avatar_id, mind)
        return interfaces[0], avatar, avatar.stop


def password(name: str | bytes = b"ann", secret: str | bytes = b"s3cret") -> Any:
    return their_credentials.UsernamePassword(name, secret)


@pytest.fixture
def real_reactor() -> None:
    """The reactor runs, in a thread of its own."""
    reactor()


@pytest.fixture(autouse=True)
def on_this_thread(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's thread counts as the reactor's, unless the test wants it to run."""
    if "real_reactor" not in request.fixturenames:
        monkeypatch.setattr(threadable, "ioThread", threading.get_ident())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cred(clock: Clock) -> Any:
    """Make portals whose actors are on the reactor, with a clock that the test moves; the reactor itself does not run."""
    dispatcher = ReactorDispatcher(clock=clock)

    class Made(CredPortal):
        @staticmethod
        def _dispatcher() -> Any:
            return dispatcher

    return Made


def ours(**users: str) -> Any:
    return MemoryChecker.start(users or {"ann": "s3cret"}, plaintext=True, dispatcher=reactor_dispatcher())


def theirs() -> Any:
    return their_checkers.InMemoryUsernamePasswordDatabaseDontUse(ann=b"s3cret")


def result(deferred: Any) -> Any:
    """Return what a Deferred has fired with; fail if it has not."""
    assert deferred.called
    results: list[Any] = []
    deferred.addBoth(results.append)
    return results[0]


def error(deferred: Any) -> Any:
    return result(deferred).value


# -- the interface of Twisted's portal ------------------------------------------------------------------------------------


@pytest.mark.parametrize("checker", [ours, theirs])
@pytest.mark.parametrize("realm", [GreeterRealm, lambda: Hall.start(dispatcher=reactor_dispatcher())])
def test_a_login_of_parts_that_are_all_immediate_fires_at_once(cred, checker, realm):
    portal = cred(realm(), [checker()])
    interface, avatar, log_out = result(portal.login(password(), None, IGreeter))

    assert interface is IGreeter
    assert IGreeter.providedBy(avatar)
    assert avatar.greet("hi") in {"hi, this is b'ann'", "hi, this is ann"}
    assert portal.portal.count().get(timeout=5) == 1
    assert log_out() is None
    assert portal.portal.count().get(timeout=5) == 0


def test_the_realms_logout_is_called_once_before_logout_returns(cred):
    realm = GreeterRealm()
    _, _, log_out = result(cred(realm, [theirs()]).login(password(), "a mind", IGreeter))
    log_out()
    log_out()

    assert realm.logged_out == [b"ann"]
    assert realm.minds == ["a mind"]


def test_parts_that_answer_later_make_the_deferred_wait(cred):
    realm = GreeterRealm()
    realm.answer = later = Deferred()
    login = cred(realm, [theirs()]).login(password(), None, IGreeter)

    assert not login.called
    later.callback(None)
    assert result(login)[1].greet("hi") == "hi, this is b'ann'"


def test_cancelling_the_deferred_gives_the_login_up(cred):
    realm = GreeterRealm()
    realm.answer = later = Deferred()
    portal = cred(realm, [theirs()])
    login = portal.login(password(), None, IGreeter)
    login.cancel()
    login.addErrback(lambda _: None)
    later.callback(None)

    assert portal.portal.count().get(timeout=5) == 0
    assert realm.logged_out == [b"ann"]


def test_errors_are_those_of_twisted_cred(cred):
    portal = cred(GreeterRealm(), [theirs()])

    assert type(error(portal.login(password(b"ann", b"x"), None, IGreeter))) is their_errors.UnauthorizedLogin
    assert type(error(portal.login(password(b"nobody", b"x"), None, IGreeter))) is their_errors.UnauthorizedLogin
    assert type(error(portal.login(their_credentials.Anonymous(), None, IGreeter))) is their_errors.UnhandledCredentials
    assert type(error(portal.login(password(), None, Interface))) is NotImplementedError
    assert isinstance(error(portal.login(password(b"\0", b"x"), None, IGreeter)), their_errors.UnauthorizedLogin)


def test_a_denial_says_when_to_come_again_and_is_unauthorized_for_who_asks_only_that(cred):
    class Full(Checker):
        credential_interfaces = (UsernamePassword,)

        def request_avatar_id(self, credentials: Any) -> str:
            raise LoginDenied("full", retry_after=7)

    denied = error(cred(GreeterRealm(), [Full.start(dispatcher=reactor_dispatcher())]).login(password(), None, IGreeter))
    assert isinstance(denied, their_errors.LoginDenied)
    assert isinstance(denied, their_errors.UnauthorizedLogin)
    assert denied.retry_after == 7
    assert "7 s" in str(denied)


def test_what_a_part_of_twisteds_raises_reaches_a_protocol_of_twisteds_as_it_is(cred, caplog):
    class Broken:
        credentialInterfaces = (their_credentials.IUsernamePassword,)

        def requestAvatarId(self, credentials: Any) -> Any:
            return fail(ZeroDivisionError("a bug"))

    portal = cred(GreeterRealm(), [Broken()])
    for _ in range(5):  # an error is no crash: the checker stays
        assert type(error(portal.login(password(), None, IGreeter))) is ZeroDivisionError
    assert "Broken failed" in caplog.text


def test_which_credentials_can_be_used_is_said_in_twisteds_terms(cred):
    portal = cred(GreeterRealm(), [theirs()])
    portal.registerChecker(AnonymousChecker.start(dispatcher=reactor_dispatcher()))

    assert portal.listCredentialsInterfaces() == [
        their_credentials.IUsernamePassword,
        their_credentials.IUsernameHashedPassword,
        their_credentials.IAnonymous,
    ]


def test_options_are_for_a_portal_that_is_made_here():
    stage = Stage()
    with pytest.raises(TypeError, match="options"):
        CredPortal(stage.portal, options=PortalOptions())


def test_a_portal_on_other_threads_serves_as_well(real_reactor):
    stage = Stage()

    class OurFace(Face):
        """Says where somebody is."""

    class IWhere(Interface):
        pass

    cred = CredPortal(stage.portal, faces={IWhere: (Player, OurFace)})
    interface, face, log_out = in_reactor(cred.login, password(b"ann", b"right"), None, IWhere)
    assert interface is IWhere
    assert in_reactor(face.ask, "move", 2.0) == 2.0
    in_reactor(log_out)
    stage.named(LoggedOut, 1)
    assert stage.count() == 0


def test_a_face_may_take_its_time(cred):
    ready: Deferred[str] = Deferred()
    portal = cred(Hall.start(dispatcher=reactor_dispatcher()), [ours()], {IGreeter: (OurGreeter, lambda avatar: ready)})
    granted: list[Any] = []
    portal.login(password(), None, IGreeter).addCallback(granted.extend)

    assert granted == []
    ready.callback("a face")
    assert granted[:2] == [IGreeter, "a face"]


def test_a_face_that_fails_leaves_nobody_logged_in(cred):
    portal = cred(Hall.start(dispatcher=reactor_dispatcher()), [ours()], {IGreeter: (OurGreeter, lambda avatar: fail(OSError()))})

    assert isinstance(error(portal.login(password(), None, IGreeter)), OSError)
    assert portal.portal.count().get(timeout=5) == 0


def test_notifications_go_to_the_mind_or_to_the_face(cred):
    told: list[Any] = []

    class Ear(Face):
        def news(self, what: str) -> None:
            told.append(("face", what))

    class Mind:
        def news(self, what: str) -> None:
            told.append(("mind", what))

    portal = cred(Hall.start(dispatcher=reactor_dispatcher()), [ours()], {IGreeter: (OurGreeter, Ear)})
    for mind in (None, Mind()):
        result(portal.login(password(), mind, IGreeter))
    for session in portal.portal.sessions().get(timeout=5):
        session.mind.notify("news", "rain")
        session.mind.notify("nothing that they know")
    assert told == [("face", "rain"), ("mind", "rain")]


def test_an_avatars_answer_that_comes_from_its_client_is_followed(cred):
    class Mind:
        def callRemote(self, name: str, *args: Any) -> Any:
            return succeed("the client's word")

    portal = cred(Hall.start(dispatcher=reactor_dispatcher()), [ours()], {IGreeter: (OurGreeter, Face)})
    _, face, _ = result(portal.login(password(), Mind(), IGreeter))
    assert face.ask("greet_later", "x") == "the client's word"


# -- parts that cross over ------------------------------------------------------------------------------------------------


def test_our_checker_serves_twisteds_portal():
    portal = their_portal.Portal(GreeterRealm(), [CredChecker(ours(ann="s3cret"))])

    assert result(portal.login(password(), None, IGreeter))[1].avatar_id == b"ann"
    assert isinstance(error(portal.login(password(b"ann", b"x"), None, IGreeter)), their_errors.UnauthorizedLogin)
    digested = their_credentials.CramMD5Credentials(b"host")
    challenge = digested.getChallenge()
    digested.setResponse(b"ann " + hmac.new(b"s3cret", challenge, "md5").hexdigest().encode())
    assert result(portal.login(digested, None, IGreeter))[1].avatar_id == b"ann"


def test_our_anonymous_is_twisteds_and_back(cred):
    anonymous = AnonymousChecker.start(dispatcher=reactor_dispatcher())
    assert result(CredChecker(anonymous).requestAvatarId(their_credentials.Anonymous())) == ()
    portal = cred(GreeterRealm(), [their_checkers.AllowAnonymousAccess()])
    assert result(portal.login(their_credentials.Anonymous(), None, IGreeter))[1].avatar_id == ()
    assert portal.portal.sessions(ANONYMOUS).get(timeout=5)


def test_twisteds_checker_serves_our_protocols():
    checker = TwistedChecker.start(theirs())
    portal = Portal.start(Hall.start(), [checker])
    login = portal.login(UsernamePassword("ann", "s3cret"), None, OurGreeter).get(timeout=5)

    assert login.session.avatar_id == "ann"
    with pytest.raises(UnauthorizedLogin):
        portal.login(UsernamePassword("ann", "x"), None, OurGreeter).get(timeout=5)
    digest = CramMD5Client(Secrets("ann", "s3cret")).answer(b"<1@x>").decode().split()[1]
    answer = CramMD5("ann", b"<1@x>", digest)
    assert portal.login(answer, None, OurGreeter).get(timeout=5).session.avatar_id == "ann"


def test_a_realm_of_twisteds_serves_our_protocols_and_its_minds_can_be_asked():
    realm = GreeterRealm()
    portal = Portal.start(TwistedRealm.start(realm), [ours()], dispatcher=reactor_dispatcher())
    login = portal.login(UsernamePassword("ann", "s3cret"), lambda name, *args: f"{name} {args}", class_of(IGreeter))
    avatar = login.get(timeout=5).avatar

    assert avatar.proxy().call("greet", "hi").get(timeout=5) == "hi, this is b'ann'"
    assert result(realm.minds[0].callRemote("name?", 1)) == "name? (1,)"
    with pytest.raises(NoInterface):
        portal.login(UsernamePassword("ann", "s3cret"), None, OurGreeter).get(timeout=5)


def test_a_checker_of_a_kind_that_only_twisted_has_is_asked_about_it(cred):
    class ITicket(their_credentials.ICredentials):
        pass

    @implementer(ITicket)
    class Ticket:
        username = b"ann"

    class TicketChecker:
        credentialInterfaces = (ITicket,)

        def requestAvatarId(self, credentials: Any) -> bytes:
            assert isinstance(credentials, Ticket)
            return credentials.username

    portal = cred(GreeterRealm(), [theirs(), TicketChecker()])
    assert ITicket in portal.listCredentialsInterfaces()
    assert result(portal.login(Ticket(), None, IGreeter))[1].avatar_id == b"ann"


def test_a_realm_gets_the_avatar_id_as_its_checker_gave_it(cred):
    class Texts:
        credentialInterfaces = (their_credentials.IUsernamePassword,)

        def requestAvatarId(self, credentials: Any) -> str:
            return "ann"

    assert result(cred(GreeterRealm(), [Texts()]).login(password(), None, IGreeter))[1].avatar_id == "ann"


@pytest.mark.parametrize("answer", [None, b"", "", 7, b"\xff", "a\nb", ["ann"]])
def test_what_is_no_avatar_id_lets_nobody_in(cred, answer):
    class Odd:
        credentialInterfaces = (their_credentials.IUsernamePassword,)

        def requestAvatarId(self, credentials: Any) -> Any:
            return answer

    assert isinstance(error(cred(GreeterRealm(), [Odd()]).login(password(), None, IGreeter)), CheckerUnavailable)


def test_web_guards_digests_are_checked_by_our_checkers(cred, tmp_path):
    (tmp_path / "users").write_text(f"ann:here:{digest_of('MD5', 'ann', 'here', 's3cret')}\n")
    portal = cred(GreeterRealm(), [HtdigestChecker.start(tmp_path / "users", dispatcher=reactor_dispatcher())])
    factory = their_credentials.DigestCredentialFactory(b"md5", b"here")
    challenge = factory.getChallenge("127.0.0.1")

    def answer(secret: bytes) -> Any:
        nonce = challenge["nonce"]
        first, second = calcHA1(b"md5", b"ann", b"here", secret, nonce, b"c"), calcHA2(b"md5", b"GET", b"/", b"auth", None)
        response = calcResponse(first, second, b"md5", nonce, b"1", b"c", b"auth").decode()
        fields = {"username": "ann", "realm": "here", "nonce": nonce.decode(), "uri": "/", "response": response}
        fields |= {"opaque": challenge["opaque"].decode(), "nc": "1", "cnonce": "c", "qop": "auth", "algorithm": "md5"}
        header = ", ".join(f'{name}="{value}"' for name, value in fields.items())
        return portal.login(factory.decode(header.encode(), b"GET", "127.0.0.1"), None, IGreeter)

    assert isinstance(error(answer(b"wrong")), their_errors.UnauthorizedLogin)
    checked = answer(b"s3cret")
    assert result(checked)[1].avatar_id == b"ann"


# -- the reactor's dispatcher ---------------------------------------------------------------------------------------------


class Echo(Actor):
    def on_receive(self, message: Any) -> Any:
        if message == "slow":
            return succeed("never seen as such")
        return message

    async def wait_for(self, deferred: Any) -> Any:
        return await deferred

    async def wait_for_future(self, future: Any) -> Any:
        return await future

    def tell(self, other: Any, log: list[str]) -> None:
        log.append("begin")
        other.tell(lambda: log.append("other"))
        log.append("end")


class Runner(Actor):
    def on_receive(self, message: Any) -> Any:
        return message()


def test_actors_run_before_the_call_returns_and_never_inside_of_each_other(clock):
    dispatcher = ReactorDispatcher(clock=clock)
    echo, runner = Echo.start(dispatcher=dispatcher), Runner.start(dispatcher=dispatcher)

    assert echo.ask("x", block=False).done()
    log: list[str] = []
    echo.proxy().tell(runner, log)
    assert log == ["begin", "end", "other"]
    log.clear()
    echo.hand_over(ProxyCall(("tell",), (runner, log), {}), None)
    assert log == ["begin", "end", "other"]


def test_coroutines_may_await_deferreds_and_futures(clock):
    echo = Echo.start(dispatcher=ReactorDispatcher(clock=clock))
    deferred: Deferred[str] = Deferred()
    future: Future[str] = Future()
    first = echo.proxy().wait_for(deferred)
    assert not first.done()
    deferred.callback("one")
    assert first.get(timeout=5) == "one"
    second = echo.proxy().wait_for_future(future)
    future.set("two")
    assert second.get(timeout=5) == "two"
    with pytest.raises(ZeroDivisionError):
        echo.proxy().wait_for(fail(ZeroDivisionError())).get(timeout=5)
    with pytest.raises(TypeError, match="cannot await"):
        echo.proxy().wait_for(Never()).get(timeout=5)


class Never:
    def __await__(self) -> Any:
        yield 7


def test_timers_go_by_the_reactors_clock_and_leave_nothing_in_it(clock):
    dispatcher = ReactorDispatcher(clock=clock)
    log: list[Any] = []
    runner = Runner.start(dispatcher=dispatcher)
    runner.send_after(2, lambda: log.append("two"))
    runner.send_after(1, lambda: log.append("one"))
    gone = runner.send_after(1.5, lambda: log.append("never"))
    gone.cancel()
    every = runner.send_every(5, lambda: log.append("five"))
    assert len(clock.getDelayedCalls()) == 1
    clock.pump([1] * 11)
    assert log == ["one", "two", "five", "five"]
    every.cancel()
    assert clock.getDelayedCalls() == []


def test_sessions_of_a_protocol_that_nobody_knows_the_connection_of_do_not_idle_out(cred, clock):
    portal = cred(GreeterRealm(), [theirs()], options=PortalOptions(idle_timeout=10, lifetime=100))
    result(portal.login(password(), None, IGreeter))
    clock.pump([1] * 50)
    assert portal.portal.count().get(timeout=5) == 1
    clock.pump([1] * 60)
    assert portal.portal.count().get(timeout=5) == 0


def test_from_other_threads_actors_run_on_the_reactors(real_reactor):
    runner = Runner.start(dispatcher=reactor_dispatcher())
    assert runner.ask(threading.current_thread, timeout=5).name == "reactor"
    assert (
        runner.ask(lambda: reactor_dispatcher().offload(threading.current_thread), timeout=5)
        .get(timeout=5)
        .name.startswith("actorcred-background")
    )


# -- POP3 without a real socket: what is bound to a connection ---------------------------------------------------------------


def test_what_a_client_sends_keeps_its_session_and_idleness_ends_its_connection(cred, clock):
    @implementer(pop3.IMailbox)
    class Box(pop3.Mailbox):
        def getMessage(self, index: int) -> Any:
            return io.BytesIO()

    class Boxes:
        def requestAvatar(self, avatar_id: Any, mind: Any, *interfaces: Any) -> Any:
            return pop3.IMailbox, Box(), lambda: None

    class POP3(pop3.POP3):
        timeOut = None

    portal = cred(Boxes(), [theirs()], options=PortalOptions(idle_timeout=10))
    factory = portal.attach(ServerFactory.forProtocol(POP3))
    factory.noisy = False
    protocol = factory.buildProtocol(None)
    transport = StringTransport()
    protocol.makeConnection(transport)
    protocol.dataReceived(b"USER ann\r\nPASS s3cret\r\n")
    (session,) = portal.portal.sessions().get(timeout=5)
    for _ in range(5):
        clock.pump([1] * 8)
        protocol.dataReceived(b"NOOP\r\n")
    assert session.is_open
    clock.pump([1] * 14)
    assert not session.is_open
    assert transport.value().endswith(b"-ERR logged out: idle\r\n")
    assert transport.disconnecting


# -- plugins --------------------------------------------------------------------------------------------------------------


def test_twisteds_plugins_are_types_of_our_auth(tmp_path, real_reactor):
    (tmp_path / "users").write_text("ann:s3cret\n")
    listed = list_types((UsernamePassword,))
    assert "twisted-file:" in listed
    assert "twisted-anonymous" not in listed
    assert "FilePasswordDB" in describe_type("twisted-file")
    portal = Portal.start(Hall.start(), [from_string(f"twisted-file:{tmp_path / 'users'}"), from_string("twisted-anonymous")])

    assert portal.login(UsernamePassword("ann", "s3cret"), None, OurGreeter).get(timeout=10).session.avatar_id == "ann"
    with pytest.raises(UnauthorizedLogin):
        portal.login(UsernamePassword("ann", "x"), None, OurGreeter).get(timeout=10)
    assert portal.login(Anonymous(), None, OurGreeter).get(timeout=10).session.avatar_id is ANONYMOUS


def test_what_is_wrong_with_a_type_of_twisteds_is_said():
    with pytest.raises(DescriptorError, match="requires a filename"):
        from_string("twisted-file:")
    with pytest.raises(DescriptorError, match="unknown type"):
        from_string("twisted-nonsense:x")


def test_our_types_are_factories_of_twisteds(tmp_path):
    factories = factories_for_twisted()
    assert {"sqlite", "ldap", "actorcred_file", "actorcred_memory", "throttle"} <= set(factories)
    assert "otp" not in factories  # Twisted knows no such credentials
    checker = factories["actorcred_memory"].generateChecker("ann:s3cret")
    assert result(checker.requestAvatarId(password())) == b"ann"
    with pytest.raises(ValueError, match="PATH"):
        factories["sqlite"].generateChecker("")


def test_a_program_of_twisteds_takes_our_types(tmp_path):
    """`twistd words --auth sqlite:accounts.db`, installed as a user has it, and a client that logs in."""
    accounts = SQLiteChecker.start(tmp_path / "accounts.db")
    accounts.add_account("ann", "a long s3cret").get(timeout=30)
    accounts.stop()
    source = tmp_path / "source"
    shutil.copytree(ROOT / "actorcred", source / "actorcred", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    pip(sys.executable, "wheel", "--no-deps", "-w", tmp_path, source)
    pip(sys.executable, "install", "--no-deps", "--target", tmp_path / "site", *tmp_path.glob("*.whl"))
    environment = {"PYTHONPATH": str(tmp_path / "site"), "PATH": str(Path(sys.executable).parent), "HOME": str(tmp_path)}

    def twistd(*words: str) -> str:
        command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n", "words", *words]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout + done.stderr

    assert "sqlite" in twistd("--help-auth")
    assert "actorcred passwd" in twistd("--help-auth-type", "sqlite")
    assert "Unexpected error" in twistd("--auth", "sqlite:")
    port = tmp_path / "port"
    script = tmp_path / "serve.py"
    script.write_text(WORDS.format(port=port))
    server = subprocess.Popen([sys.executable, script, f"sqlite:{tmp_path / 'accounts.db'}"], env=environment, cwd=tmp_path)
    try:
        assert_irc_login(port, server)
    finally:
        server.terminate()
        server.wait(10)


WORDS = """
import sys
from twisted.internet import reactor
from twisted.words.tap import Options, makeService
options = Options()
options.parseOptions(["--irc-port", "tcp:0:interface=127.0.0.1", "--auth", sys.argv[1]])
service = makeService(options)
service.startService()
def tell():
    (port,) = [reader for reader in reactor.getReaders() if hasattr(reader, "factory")]
    open("{port}.new", "w").write(str(port.getHost().port))
    __import__("os").rename("{port}.new", "{port}")
reactor.callLater(0, tell)
reactor.run()
"""


def assert_irc_login(port: Path, server: Any) -> None:
    number = int(eventually(port.read_text, FileNotFoundError))
    assert server.poll() is None
    for secret, words in (("a long s3cret", b"376 ann"), ("wrong", b"Login failed")):
        with socket.create_connection(("127.0.0.1", number), 10) as sock:
            sock.settimeout(30)
            sock.sendall(f"PASS {secret}\r\nNICK ann\r\nUSER ann 0 * :ann\r\n".encode())
            said = b""
            while words not in said:
                data = sock.recv(4096)
                assert data, said
                said += data


# -- Twisted's own tests --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_twisteds_own_tests_pass_with_our_portal_but_for_those_with_a_reason():
    command = [sys.executable, "-m", "tests.adapters.twisteds_own_tests"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert int(done.stdout.splitlines()[-2].split()[0]) > 900, done.stdout[-2000:]


def test_without_twisted_the_adapter_says_what_to_install():
    code = "import sys; sys.modules['twisted'] = None\nimport actorcred.adapters.twisted"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'actorcred[twisted]'" in done.stderr


def test_nothing_is_left_of_many_logins(cred):
    realm = GreeterRealm()
    portal = cred(realm, [theirs()])
    before = actors.statistics().actors
    for _ in range(100):
        result(portal.login(password(), object(), IGreeter))[2]()
    assert actors.statistics().actors == before
    assert len(realm.logged_out) == 100
