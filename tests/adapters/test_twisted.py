"""Twisted: what is immediate fires at once, all parts mix, errors and plugins cross over."""

from __future__ import annotations

import hmac
import io
from typing import Any

import pytest

pytest.importorskip(
    "twisted.cred", reason="Twisted is not installed: pip install 'actorcred[twisted]'"
)

from twisted.cred import checkers as their_checkers
from twisted.cred import credentials as their_credentials
from twisted.cred import error as their_errors
from twisted.cred import portal as their_portal
from twisted.cred._digest import calcHA1, calcHA2, calcResponse
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.protocol import ServerFactory
from twisted.internet.testing import StringTransport
from twisted.mail import pop3
from zope.interface import Interface, implementer

from actorcred import (
    ANONYMOUS,
    Checker,
    CheckerUnavailable,
    LoginDenied,
    NoInterface,
    Portal,
    PortalOptions,
    UnauthorizedLogin,
    UsernamePassword,
    actors,
)
from actorcred.adapters.twisted import (
    CredChecker,
    CredPortal,
    Face,
    TwistedChecker,
    TwistedRealm,
    reactor_dispatcher,
)
from actorcred.adapters.twisted.interfaces import class_of
from actorcred.checkers.anonymous import AnonymousChecker
from actorcred.checkers.htdigest import HtdigestChecker
from actorcred.checkers.memory import MemoryChecker
from actorcred.portal.events import LoggedOut
from actorcred.sasl.cram_md5 import CramMD5, CramMD5Client
from actorcred.sasl.http_digest import digest_of
from actorcred.sasl.mechanism import Secrets
from tests.adapters.greeters import (
    GreeterRealm,
    Hall,
    IGreeter,
    OurGreeter,
    error,
    ours,
    password,
    result,
    theirs,
)
from tests.adapters.loops import in_reactor
from tests.helpers import Player, Stage
from tests.settings import portal_options

pytestmark = pytest.mark.usefixtures("on_this_thread")


# -- the interface of Twisted's portal -----------------------------------------------------------


@pytest.mark.parametrize("checker", [ours, theirs])
@pytest.mark.parametrize(
    "realm", [GreeterRealm, lambda: Hall.start(dispatcher=reactor_dispatcher())]
)
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

    assert (
        type(error(portal.login(password(b"ann", b"x"), None, IGreeter)))
        is their_errors.UnauthorizedLogin
    )
    assert (
        type(error(portal.login(password(b"nobody", b"x"), None, IGreeter)))
        is their_errors.UnauthorizedLogin
    )
    assert (
        type(error(portal.login(their_credentials.Anonymous(), None, IGreeter)))
        is their_errors.UnhandledCredentials
    )
    assert type(error(portal.login(password(), None, Interface))) is NotImplementedError
    assert isinstance(
        error(portal.login(password(b"\0", b"x"), None, IGreeter)), their_errors.UnauthorizedLogin
    )


def test_a_denial_says_when_to_come_again_and_is_unauthorized_for_who_asks_only_that(cred):
    class Full(Checker):
        credential_interfaces = (UsernamePassword,)

        def request_avatar_id(self, credentials: Any) -> str:
            raise LoginDenied("full", retry_after=7)

    denied = error(
        cred(GreeterRealm(), [Full.start(dispatcher=reactor_dispatcher())]).login(
            password(), None, IGreeter
        )
    )
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


def test_realm_and_checkers_are_there_for_code_that_knows_twisteds_portal(cred):
    realm, first, last = GreeterRealm(), theirs(), theirs()
    portal = cred(realm, [first])
    portal.registerChecker(last, their_credentials.IUsernamePassword)
    anonymous = AnonymousChecker.start(dispatcher=reactor_dispatcher())
    portal.registerChecker(anonymous)

    assert portal.realm is realm
    assert list(portal.checkers) == portal.listCredentialsInterfaces()
    assert portal.checkers[their_credentials.IUsernamePassword] is last
    assert portal.checkers[their_credentials.IUsernameHashedPassword] is first
    assert portal.checkers[their_credentials.IAnonymous].checker is anonymous
    assert (
        result(portal.checkers[their_credentials.IUsernamePassword].requestAvatarId(password()))
        == b"ann"
    )
    with pytest.raises(TypeError):
        portal.checkers[their_credentials.IAnonymous] = first  # which would be asked by nobody


def test_the_checkers_of_a_portal_that_was_there_are_asked_by_it(cred):
    made = cred(Hall.start(dispatcher=reactor_dispatcher()), [ours()])
    portal = cred(made.portal)
    (checker, *others) = {id(checker): checker for checker in portal.checkers.values()}.values()

    assert portal.realm is None
    assert not others
    assert their_checkers.ICredentialsChecker.providedBy(checker)
    assert checker.credentialInterfaces == portal.listCredentialsInterfaces()
    assert result(checker.requestAvatarId(password())) == b"ann"
    assert isinstance(
        error(checker.requestAvatarId(password(b"ann", b"x"))), their_errors.UnauthorizedLogin
    )
    assert isinstance(
        error(checker.requestAvatarId(password(b"\0", b"x"))), their_errors.UnauthorizedLogin
    )
    assert portal.portal.count().get(timeout=5) == 0


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
    portal = cred(
        Hall.start(dispatcher=reactor_dispatcher()),
        [ours()],
        {IGreeter: (OurGreeter, lambda avatar: ready)},
    )
    granted: list[Any] = []
    portal.login(password(), None, IGreeter).addCallback(granted.extend)

    assert granted == []
    ready.callback("a face")
    assert granted[:2] == [IGreeter, "a face"]


def test_a_face_that_fails_leaves_nobody_logged_in(cred):
    portal = cred(
        Hall.start(dispatcher=reactor_dispatcher()),
        [ours()],
        {IGreeter: (OurGreeter, lambda avatar: fail(OSError()))},
    )

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

    portal = cred(
        Hall.start(dispatcher=reactor_dispatcher()), [ours()], {IGreeter: (OurGreeter, Ear)}
    )
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

    portal = cred(
        Hall.start(dispatcher=reactor_dispatcher()), [ours()], {IGreeter: (OurGreeter, Face)}
    )
    _, face, _ = result(portal.login(password(), Mind(), IGreeter))
    assert face.ask("greet_later", "x") == "the client's word"


# -- parts that cross over -----------------------------------------------------------------------


def test_our_checker_serves_twisteds_portal():
    portal = their_portal.Portal(GreeterRealm(), [CredChecker(ours(ann="s3cret"))])

    assert result(portal.login(password(), None, IGreeter))[1].avatar_id == b"ann"
    assert isinstance(
        error(portal.login(password(b"ann", b"x"), None, IGreeter)), their_errors.UnauthorizedLogin
    )
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
    login = portal.login(
        UsernamePassword("ann", "s3cret"), lambda name, *args: f"{name} {args}", class_of(IGreeter)
    )
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

    assert (
        result(cred(GreeterRealm(), [Texts()]).login(password(), None, IGreeter))[1].avatar_id
        == "ann"
    )


@pytest.mark.parametrize("answer", [None, b"", "", 7, b"\xff", "a\nb", ["ann"]])
def test_what_is_no_avatar_id_lets_nobody_in(cred, answer):
    class Odd:
        credentialInterfaces = (their_credentials.IUsernamePassword,)

        def requestAvatarId(self, credentials: Any) -> Any:
            return answer

    assert isinstance(
        error(cred(GreeterRealm(), [Odd()]).login(password(), None, IGreeter)), CheckerUnavailable
    )


def test_web_guards_digests_are_checked_by_our_checkers(cred, tmp_path):
    (tmp_path / "users").write_text(f"ann:here:{digest_of('MD5', 'ann', 'here', 's3cret')}\n")
    portal = cred(
        GreeterRealm(), [HtdigestChecker.start(tmp_path / "users", dispatcher=reactor_dispatcher())]
    )
    factory = their_credentials.DigestCredentialFactory(b"md5", b"here")
    challenge = factory.getChallenge("127.0.0.1")

    def answer(secret: bytes) -> Any:
        nonce = challenge["nonce"]
        first, second = (
            calcHA1(b"md5", b"ann", b"here", secret, nonce, b"c"),
            calcHA2(b"md5", b"GET", b"/", b"auth", None),
        )
        response = calcResponse(first, second, b"md5", nonce, b"1", b"c", b"auth").decode()
        fields = {
            "username": "ann",
            "realm": "here",
            "nonce": nonce.decode(),
            "uri": "/",
            "response": response,
        }
        fields |= {
            "opaque": challenge["opaque"].decode(),
            "nc": "1",
            "cnonce": "c",
            "qop": "auth",
            "algorithm": "md5",
        }
        header = ", ".join(f'{name}="{value}"' for name, value in fields.items())
        return portal.login(factory.decode(header.encode(), b"GET", "127.0.0.1"), None, IGreeter)

    assert isinstance(error(answer(b"wrong")), their_errors.UnauthorizedLogin)
    checked = answer(b"s3cret")
    assert result(checked)[1].avatar_id == b"ann"


@pytest.mark.parametrize(
    "changes",
    [{"algorithm": "foo"}, {"uri": None}, {"qop": "auth-int"}, {"nc": None}, {"cnonce": None},
     {"response": None}, {"qop": "x"}, {"algorithm": ""}, {"algorithm": "md5-sess"},
     {"realm": None}, {"realm": "\u00e9"}, {"username": "\u202e"}],
    ids=str,
)  # fmt: skip
def test_web_guards_digests_that_cannot_be_checked_are_refused(cred, tmp_path, changes):
    """Twisted looks only when it checks them what they are, and raises KeyError and TypeError."""
    (tmp_path / "users").write_text(f"ann:here:{digest_of('MD5', 'ann', 'here', 's3cret')}\n")
    digests = HtdigestChecker.start(tmp_path / "users", dispatcher=reactor_dispatcher())
    plain = MemoryChecker.start({"ann": "s3cret"}, plaintext=True, dispatcher=reactor_dispatcher())
    portal = cred(GreeterRealm(), [digests, plain], options=portal_options(step=0.0))
    factory = their_credentials.DigestCredentialFactory(b"md5", b"here")
    challenge = factory.getChallenge("127.0.0.1")
    fields = {
        "username": "ann",
        "realm": "here",
        "nonce": challenge["nonce"].decode(),
        "uri": "/",
        "response": "x",
        "nc": "1",
    }
    fields |= {
        "opaque": challenge["opaque"].decode(),
        "cnonce": "c",
        "qop": "auth",
        "algorithm": "md5",
        **changes,
    }
    header = ", ".join(
        f'{name}="{value}"' for name, value in fields.items() if value is not None
    ).encode()
    for _ in range(6):
        failed = error(portal.login(factory.decode(header, b"GET", "127.0.0.1"), None, IGreeter))
        assert isinstance(failed, their_errors.UnauthorizedLogin)
    assert result(portal.login(password(), None, IGreeter))[1].avatar_id == b"ann"


# -- POP3 without a real socket: what is bound to a connection -----------------------------------


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


def test_nothing_is_left_of_many_logins(cred):
    realm = GreeterRealm()
    portal = cred(realm, [theirs()])
    before = actors.statistics().actors
    for _ in range(100):
        result(portal.login(password(), object(), IGreeter))[2]()
    assert actors.statistics().actors == before
    assert len(realm.logged_out) == 100
