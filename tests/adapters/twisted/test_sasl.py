"""SASL for Twisted's protocols, without a connection."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("twisted", reason="Twisted is not installed: pip install 'actorcred[twisted]'")

from twisted.cred import error as their_errors
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport

from actorcred import Checker, UnauthorizedLogin, UsernamePassword
from actorcred.adapters.twisted import reactor_dispatcher
from actorcred.adapters.twisted.credentials import from_twisted
from actorcred.adapters.twisted.sasl import authenticate, client_of, mechanisms
from actorcred.checkers.memory import MemoryChecker
from actorcred.errors import ProtocolError
from actorcred.exchange import UsernameHashedPassword, UsernameScram
from actorcred.sasl.mechanism import Secrets
from actorcred.sasl.mechanisms import CLIENT_MECHANISMS, SERVER_MECHANISMS
from tests.adapters.greeters import GreeterRealm, IGreeter, error, result
from tests.settings import portal_options

pytestmark = pytest.mark.usefixtures("on_this_thread")


class Talk:
    """A client, and what it was asked."""

    def __init__(self, portal: Any, name: str, secrets: Secrets) -> None:
        self.portal = portal
        self.name = name
        self.client = CLIENT_MECHANISMS[name](secrets)
        self.asked: list[bytes] = []
        self.waiting: Deferred[bytes] | None = None
        self.breaks_off = False

    async def answer(self, challenge: bytes) -> bytes:
        self.asked.append(challenge)
        if self.breaks_off:
            raise ProtocolError("broken off")
        if self.waiting is not None:
            return await self.waiting
        return b"" if challenge.startswith(b"v=") else self.client.answer(challenge)

    def log_in(self) -> Deferred[Any]:
        mechanism = SERVER_MECHANISMS[self.name](client_of(StringTransport()))
        return Deferred.fromCoroutine(
            authenticate(self.portal, mechanism, self.client.start(), self.answer, IGreeter)
        )


@pytest.fixture
def talk(cred):
    def make(
        name: str = "SCRAM-SHA-256",
        password: str = "s3cret",
        username: str = "ann",
        **settings: Any,
    ) -> Talk:
        checker = MemoryChecker.start(
            {"ann": "s3cret"}, plaintext=True, dispatcher=reactor_dispatcher()
        )
        secrets = Secrets(username, password, authorize_as=settings.pop("authorize_as", ""))
        return Talk(
            cred(GreeterRealm(), [checker], options=portal_options(**settings)), name, secrets
        )

    return make


def count(made: Talk) -> int:
    return made.portal.portal.count().get(timeout=5)


@pytest.mark.parametrize(
    "name", ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN"]
)
def test_a_login(talk, name):
    made = talk(name)
    interface, avatar, log_out = result(made.log_in())
    assert interface is IGreeter
    assert avatar.greet("hi") == "hi, this is b'ann'"
    assert count(made) == 1
    log_out()
    assert count(made) == 0


@pytest.mark.parametrize("name", ["SCRAM-SHA-256", "CRAM-MD5"])
def test_a_user_that_does_not_exist_is_asked_like_one_whose_password_is_wrong(talk, name):
    wrong, nobody = talk(name, password="x"), talk(name, username="nobody")
    assert (
        type(error(wrong.log_in()))
        is type(error(nobody.log_in()))
        is their_errors.UnauthorizedLogin
    )
    assert len(wrong.asked) == len(nobody.asked) == 1
    assert len(wrong.asked[0]) == len(nobody.asked[0])


def test_a_user_that_no_checker_goes_on_with_is_asked_all_the_same(cred):
    class Stranger(Checker):
        credential_interfaces = (UsernameScram,)

        def request_avatar_id(self, credentials: Any) -> Any:
            raise UnauthorizedLogin("who?")

    made = Talk(
        cred(GreeterRealm(), [Stranger.start(dispatcher=reactor_dispatcher())]),
        "SCRAM-SHA-256",
        Secrets("ann", "x"),
    )
    assert type(error(made.log_in())) is their_errors.UnauthorizedLogin
    assert len(made.asked) == 1


def test_a_login_that_is_broken_off_is_given_up(talk):
    portal = talk(logins=1).portal
    for _ in range(2):  # the second would be denied if the first were still under way
        made = Talk(portal, "SCRAM-SHA-256", Secrets("ann", "s3cret"))
        made.breaks_off = True
        assert isinstance(error(made.log_in()), ProtocolError)
    made = talk()
    made.waiting = Deferred()
    login = made.log_in()
    login.cancel()
    assert login.called
    login.addErrback(lambda _: None)
    assert count(made) == 0


def test_a_client_that_does_not_take_the_servers_proof_is_logged_out(talk):
    made = talk()
    answer = made.client.answer

    def answer_and_leave(challenge: bytes) -> bytes:
        made.breaks_off = True
        return answer(challenge)

    made.client.answer = answer_and_leave
    assert isinstance(error(made.log_in()), ProtocolError)
    assert count(made) == 0


def test_to_act_as_another_is_for_the_portal_to_allow(talk):
    assert isinstance(
        error(talk("PLAIN", authorize_as="team").log_in()), their_errors.UnauthorizedLogin
    )
    allowed = talk("PLAIN", authorize_as="team", may_act_as=lambda who, whom: whom == "team")
    assert result(allowed.log_in())[1].greet("hi") == "hi, this is b'team'"


def test_passwords_are_offered_where_others_cannot_read_them(cred):
    checker = MemoryChecker.start({"ann": "s3cret"}, rounds=4, dispatcher=reactor_dispatcher())
    portal = cred(GreeterRealm(), [checker])
    here, far = (
        client_of(StringTransport(peerAddress=IPv4Address("TCP", host, 1)))
        for host in ("127.0.0.1", "192.0.2.1")
    )
    assert (here.address, far.address) == ("127.0.0.1", "192.0.2.1")
    assert list(result(Deferred.fromCoroutine(mechanisms(portal, here)))) == ["PLAIN"]
    assert list(result(Deferred.fromCoroutine(mechanisms(portal, far)))) == []
    assert list(
        result(Deferred.fromCoroutine(mechanisms(portal, far, passwords_in_clear=True)))
    ) == ["PLAIN"]


class OldStore(Checker):
    """Keeps passwords for CRAM-MD5 alone."""

    credential_interfaces = (UsernameHashedPassword,)

    def request_avatar_id(self, credentials: Any) -> Any:
        return "ann"


def test_legacy_mechanisms_are_offered_by_name_or_for_want_of_better_ones(cred):
    def names(checker: Any, **settings: Any) -> list[str]:
        portal = cred(GreeterRealm(), [checker])
        there = client_of(StringTransport(peerAddress=IPv4Address("TCP", "192.0.2.1", 1)))
        return list(result(Deferred.fromCoroutine(mechanisms(portal, there, **settings))))

    dispatcher = reactor_dispatcher()
    new = MemoryChecker.start({"ann": "s3cret"}, plaintext=True, dispatcher=dispatcher)
    old = OldStore.start(dispatcher=dispatcher)
    assert names(new) == ["SCRAM-SHA-512", "SCRAM-SHA-256"]
    assert names(new, legacy_mechanisms=("CRAM-MD5",)) == [*names(new), "CRAM-MD5"]
    assert names(old) == ["CRAM-MD5"]
    assert names(old, legacy_mechanisms=()) == []
    wrong = Deferred.fromCoroutine(
        mechanisms(
            cred(GreeterRealm(), [old]),
            client_of(StringTransport()),
            legacy_mechanisms=("PLAIN",),
        )
    )
    assert isinstance(error(wrong), ValueError)


def test_credentials_of_ours_stay_as_they_are():
    credentials = UsernamePassword("ann", "s3cret")
    assert from_twisted(credentials) is credentials
    exchange = SERVER_MECHANISMS["SCRAM-SHA-256"](client_of(StringTransport())).step(
        CLIENT_MECHANISMS["SCRAM-SHA-256"](Secrets("ann", "x")).start()
    )
    assert from_twisted(exchange.credentials) is exchange.credentials


def test_a_name_that_nobody_can_have_is_refused_as_a_wrong_password(talk, caplog):
    made = talk("CRAM-MD5", username="a\x01b")

    assert type(error(made.log_in())) is their_errors.UnauthorizedLogin
    assert "refused code=refused credentials=CRAM-MD5" in caplog.text
    assert count(made) == 0
