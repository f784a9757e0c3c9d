"""SMTP submission with Python's own client: each mechanism, TLS, and what becomes of a message."""

from __future__ import annotations

import base64
import contextlib
import logging
import smtplib
import ssl
import time
from abc import ABC
from typing import Any

import jwt
import pytest
import scramp
import trustme

from actorcred import (
    Avatar,
    CallError,
    Checker,
    Portal,
    PortalOptions,
    Realm,
    UnauthorizedLogin,
    UsernameHashedPassword,
    UsernamePassword,
    actors,
)
from actorcred.actors import AsyncioDispatcher
from actorcred.adapters.aiosmtpd import (
    MAX_TRIES,
    MOST_RECIPIENTS,
    Screening,
    SMTPConnection,
    SMTPServer,
    Submission,
)
from actorcred.checkers.memory import MemoryChecker
from actorcred.checkers.sqlite import SQLiteChecker
from actorcred.checkers.token import TokenChecker, TokenRules
from actorcred.sasl.mechanisms import LEGACY
from tests.adapters.front import LOCALHOST
from tests.adapters.loops import in_loop, loop
from tests.backends.servers import eventually
from tests.helpers import until


class Outgoing(Submission, ABC):
    """What is asked for."""


class Sender(Avatar, Outgoing):
    def __init__(self, avatar_id: Any, mind: Any, log: list[Any]) -> None:
        super().__init__(avatar_id, mind)
        self.log = log

    def on_logout(self, reason: Any) -> None:
        self.log.append(("logout", self.avatar_id, str(reason.code)))

    async def submit(self, sender: str, recipients: list[str], data: bytes) -> Any:
        if sender == "bad@example.org":
            raise CallError("you may not\r\nsend so")
        if sender == "full@example.org":
            raise CallError("the queue is full", retry_after=60)
        if sender == "bug@example.org":
            raise ZeroDivisionError("a secret of the server")
        self.log.append((self.avatar_id, sender, recipients, data))
        return "queued as 7"


class Screened(Screening, ABC):
    """What is asked for where addresses are looked at."""


class ScreeningSender(Sender, Screened):
    def check_sender(self, sender: str) -> None:
        if not sender.startswith(str(self.avatar_id)):
            raise CallError(f"you are not {sender}")

    def check_recipient(self, sender: str, recipient: str) -> None:
        assert sender == "ann@example.org"
        if recipient.startswith("nobody"):
            raise CallError(f"there is no {recipient}")
        if recipient.startswith("full"):
            raise CallError("try again later", retry_after=60)
        if recipient.startswith("bug"):
            raise ZeroDivisionError("a secret of the server")


class Post(Realm):
    interfaces = (Outgoing, Screened)

    def __init__(self, log: list[Any]) -> None:
        super().__init__()
        self.log = log

    def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        kind = ScreeningSender if interfaces[0] is Screened else Sender
        avatar = kind.start(avatar_id, mind, self.log)
        return interfaces[0], avatar, avatar.stop


class Stage:
    def __init__(
        self,
        checker: Any = None,
        *,
        implicit: Any = None,
        options: Any = None,
        screening: bool = False,
        **settings: Any,
    ) -> None:
        self.log: list[Any] = []
        dispatcher = AsyncioDispatcher(loop(), "smtp")
        checker = checker or MemoryChecker.start(
            {"ann": "s3cret"}, plaintext=True, scram_iterations=4096
        )
        self.portal = Portal.start(
            Post.start(self.log, dispatcher=dispatcher), [checker], options, dispatcher=dispatcher
        )
        self.server = SMTPServer(
            self.portal,
            Screened if screening else Outgoing,
            hostname="mail.example.org",
            **settings,
        )
        self.listening = in_loop(self.server.listen(LOCALHOST, 0, ssl=implicit))
        self.port = self.listening.sockets[0].getsockname()[1]
        self.clients: list[smtplib.SMTP] = []

    def client(self, kind: Any = smtplib.SMTP, **settings: Any) -> smtplib.SMTP:
        made = kind(LOCALHOST, self.port, timeout=10, **settings)
        made.ehlo()
        self.clients.append(made)
        return made

    def wait_for(self, count: int) -> None:
        """Wait until the log has so many entries."""
        eventually(lambda: self.log[count - 1], IndexError)

    def stop(self) -> None:
        async def end() -> None:
            self.listening.close()
            await self.server.close()

        in_loop(end())
        for client in self.clients:
            client.close()


def offered(client: smtplib.SMTP) -> set[str]:
    return set(client.esmtp_features.get("auth", "").split())


def log_in(
    client: smtplib.SMTP,
    mechanism: str,
    name: str = "ann",
    password: str = "s3cret",
    **settings: Any,
) -> int:
    client.user, client.password = name, password
    method = getattr(client, f"auth_{mechanism.lower().replace('-', '_')}")
    try:
        return client.auth(mechanism, method, **settings)[0]
    except smtplib.SMTPAuthenticationError as error:
        return error.smtp_code


def scram(
    client: smtplib.SMTP, mechanism: str, name: str, password: str, *, initial: bool = True
) -> tuple[int, bool]:
    """Go through SCRAM; return the code, and whether the server proved itself."""
    other = scramp.ScramClient([mechanism], name, password)
    first = base64.b64encode(other.get_client_first().encode()).decode()
    if initial:
        code, message = client.docmd("AUTH", f"{mechanism} {first}")
    else:
        assert client.docmd("AUTH", mechanism) == (334, b"")
        code, message = client.docmd(first)
    assert code == 334, message
    other.set_server_first(base64.b64decode(message).decode())
    code, message = client.docmd(base64.b64encode(other.get_client_final().encode()).decode())
    if code != 334:
        return code, False
    other.set_server_final(base64.b64decode(message).decode())
    return client.docmd("")[0], True


def test_each_mechanism_lets_in_who_is_right_and_nobody_else(stages):
    stage = stages(legacy_mechanisms=LEGACY)
    assert offered(stage.client()) == {
        "PLAIN",
        "LOGIN",
        "CRAM-MD5",
        "SCRAM-SHA-1",
        "SCRAM-SHA-256",
        "SCRAM-SHA-512",
    }
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5"):
        for initial in (True, False):
            assert log_in(stage.client(), mechanism, initial_response_ok=initial) == 235, mechanism
        assert log_in(stage.client(), mechanism, password="wrong") == 535
        assert log_in(stage.client(), mechanism, name="nobody") == 535
    for mechanism in ("SCRAM-SHA-1", "SCRAM-SHA-256"):
        for initial in (True, False):
            assert scram(stage.client(), mechanism, "ann", "s3cret", initial=initial) == (235, True)
        assert scram(stage.client(), mechanism, "ann", "wrong") == (535, False)
        assert scram(stage.client(), mechanism, "nobody", "s3cret") == (535, False)


def test_scram_goes_by_the_verifiers_of_an_account_store(stages, tmp_path):
    accounts = SQLiteChecker.start(tmp_path / "accounts.db", scram=True)
    accounts.add_account("ann", "a long s3cret").get(timeout=30)
    stage = stages(accounts)
    assert scram(stage.client(), "SCRAM-SHA-256", "ann", "a long s3cret") == (235, True)
    assert scram(stage.client(), "SCRAM-SHA-256", "ann", "wrong") == (535, False)


def test_a_message_goes_to_the_avatar_with_its_envelope(stages):
    stage = stages()
    client = stage.client()
    client.login("ann", "s3cret")
    message = "Subject: x\r\n\r\n.one\r\nt\xe4o\r\n".encode()
    client.sendmail(
        "ann@example.org", ["bob@example.org", "eve@example.org"], message, ["BODY=8BITMIME"]
    )
    client.mail("")
    client.rcpt("bob@example.org")
    assert client.data(b"bounce\r\n") == (250, b"2.0.0 queued as 7")
    client.quit()

    stage.wait_for(3)
    first, second, _ = stage.log
    assert first == ("ann", "ann@example.org", ["bob@example.org", "eve@example.org"], message)
    assert second == ("ann", "", ["bob@example.org"], b"bounce\r\n")


def test_what_the_avatar_refuses_the_client_reads(stages):
    client = stages().client()
    client.login("ann", "s3cret")
    for sender, code, text in (
        ("bad@example.org", 550, b"5.7.1 you may not??send so"),
        ("full@example.org", 451, b"4.3.0 the queue is full"),
        ("bug@example.org", 451, b"4.3.0 something went wrong in the server"),
    ):
        client.mail(sender)
        client.rcpt("bob@example.org")
        assert client.data("x") == (code, text)


def test_without_a_login_nothing_is_taken(stages):
    stage = stages()
    client = stage.client()
    assert client.mail("ann@example.org")[0] == 530
    assert client.docmd("RCPT TO:<bob@example.org>")[0] in {503, 530}
    assert client.docmd("DATA")[0] in {503, 530}
    assert stage.log == []


def test_what_cannot_be_understood_is_refused_and_the_connection_goes_on(stages):
    client = stages().client()
    for words, code in (
        ("", 504), ("NONSENSE", 504), ("PLAIN one two", 504), ("PLAIN !!!", 501),
        ("PLAIN", 334), ("LOGIN =", 334),
        ("SCRAM-SHA-256 bm9uc2Vuc2U=", 501), ("PLAIN " + base64.b64encode(b"no nul").decode(), 501),
    ):  # fmt: skip
        got, _ = client.docmd(f"AUTH {words}")
        assert got == code, words
        if got == 334:
            assert client.docmd("*")[0] == 501
    assert log_in(client, "PLAIN") == 235
    assert client.docmd("AUTH PLAIN")[0] == 503


def test_an_answer_that_is_too_long_for_a_line_is_refused_and_the_connection_goes_on(stages):
    client = stages().client()
    assert client.docmd("AUTH PLAIN")[0] == 334
    assert client.docmd("x" * 13_000) == (501, b"5.5.2 the line is too long")
    assert log_in(client, "PLAIN") == 235


@pytest.fixture(scope="module")
def large_token() -> tuple[Any, str]:
    """Return how to start a checker, and a token for it as long as a line of AUTH allows."""
    key = "k" * 32
    claims = {
        "sub": "ann",
        "iss": "us",
        "aud": "mail",
        "exp": time.time() + 3600,
        "groups": "g" * 6500,
    }
    rules = TokenRules(algorithms=("HS256",), issuer="us", audience="mail")
    return lambda: TokenChecker.start(rules=rules, secret=key), jwt.encode(claims, key, "HS256")


@pytest.mark.parametrize("initial", [True, False])
def test_a_line_of_auth_may_be_as_long_as_the_standard_says(stages, large_token, initial):
    start, token = large_token
    client = stages(start()).client()
    words = base64.b64encode(f"n,,\1auth=Bearer {token}\1\1".encode()).decode()
    assert 11_500 < len(f"AUTH OAUTHBEARER {words}") <= 12_288
    if initial:
        assert client.docmd(f"AUTH OAUTHBEARER {words}")[0] == 235
    else:
        assert client.docmd("AUTH OAUTHBEARER") == (334, b"")
        assert client.docmd(words)[0] == 235
    assert client.docmd("NOOP " + "x" * 600)[0] == 500  # other lines are no longer than before
    client.mail("ann@example.org")
    client.rcpt("bob@example.org")
    assert client.data("x" * 1500) == (500, b"Line too long (see RFC5321 4.5.3.1.6)")


def test_a_line_of_auth_that_is_longer_is_refused_and_the_connection_goes_on(stages):
    client = stages().client()
    assert client.docmd("AUTH PLAIN " + "x" * 12_288)[0] == 500
    assert client.docmd("AUTH PLAIN " + "x" * 1_000_000)[0] == 500
    assert log_in(client, "PLAIN") == 235


def test_an_address_is_refused_where_it_is_named(stages):
    stage = stages(screening=True)
    client = stage.client()
    client.login("ann", "s3cret")
    assert client.mail("eve@example.org") == (550, b"5.7.1 you are not eve@example.org")
    assert client.mail("ann@example.org")[0] == 250
    assert client.rcpt("nobody@example.org") == (550, b"5.1.1 there is no nobody@example.org")
    assert client.rcpt("full@example.org") == (451, b"4.3.0 try again later")
    assert client.rcpt("bug@example.org") == (451, b"4.3.0 something went wrong in the server")
    assert client.rcpt("bob@example.org")[0] == 250
    assert client.data("x")[0] == 250
    assert [entry[:3] for entry in stage.log] == [("ann", "ann@example.org", ["bob@example.org"])]


def test_addresses_that_would_spoil_a_header_are_refused(stages):
    stage = stages()
    client = stage.client()
    client.login("ann", "s3cret")
    for address in (b"a\xff@x", b"a\rBcc: b@x", b"a\x00b@x"):
        client.send(b"MAIL FROM:<" + address + b">\r\n")
        assert client.getreply()[0] in {501, 553}
    assert client.mail("ann@example.org")[0] == 250
    client.send(b"RCPT TO:<a\xff@x>\r\n")
    assert client.getreply() == (553, b"5.1.3 Error: malformed address")
    assert [client.rcpt(f"b{number}@x")[0] for number in range(MOST_RECIPIENTS)] == [
        250
    ] * MOST_RECIPIENTS
    assert client.rcpt("one@x") == (452, b"4.5.3 Too many recipients")


def test_what_nobody_foresaw_is_answered_and_logged_once(stages, monkeypatch, caplog):
    client = stages().client()

    def fail(*_: Any) -> None:
        raise ZeroDivisionError("a secret of the server")

    monkeypatch.setattr(SMTPConnection, "mechanisms", fail)
    assert client.ehlo() == (451, b"4.3.0 something went wrong in the server")
    monkeypatch.undo()
    assert client.ehlo()[0] == 250
    assert log_in(client, "PLAIN") == 235
    assert [record.name for record in caplog.records if record.levelno >= logging.WARNING] == [
        "actorcred.adapters.aiosmtpd"
    ]


def test_noise_in_the_place_of_tls_is_logged_once(stages, contexts, caplog):
    stage = stages(tls_context=contexts[0])
    for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 500):
        caplog.clear()
        client = stage.client()
        assert client.docmd("STARTTLS")[0] == 220
        client.send(noise)
        with contextlib.suppress(OSError):
            assert client.sock.recv(1000)[:1] in {b"", b"\x15"}  # the end, or TLS's own alert
        until(lambda: [record for record in caplog.records if record.levelno >= logging.WARNING])
        client.close()
        assert log_in(stage.client(), "PLAIN") == 235
        (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert "The TLS handshake with ('127.0.0.1'" in record.getMessage()
        assert record.exc_info is None


@pytest.mark.parametrize(
    "words", ["AUTH {}", "AUTH=PLAIN {}", "AUTH XOAUTH2 {}", "{}", "AUTH PLAIN {}", "EHLO\t{}"]
)
def test_what_clients_send_is_in_no_log(stages, caplog, words):
    caplog.set_level(logging.DEBUG)
    secret = base64.b64encode(b"\0ann\0s3cret").decode()
    client = stages().client()
    client.docmd(words.format(secret))
    client.docmd(secret)
    client.noop()
    assert "NOOP" in caplog.text
    for text in (secret, secret.upper(), "s3cret"):
        assert text not in caplog.text


def test_an_avatar_that_exits_does_not_end_the_connection(stages, monkeypatch):
    def leave(*_: Any) -> None:
        raise SystemExit

    client = stages(screening=True).client()
    client.login("ann", "s3cret")
    client.mail("ann@example.org")
    monkeypatch.setattr(ScreeningSender, "check_recipient", leave)
    assert client.rcpt("bob@example.org") == (451, b"4.3.0 something went wrong in the server")
    assert client.noop()[0] == 250


def test_who_acts_as_somebody_else_needs_the_policys_word(stages):
    def plain(stage: Stage, authorize_as: str) -> int:
        words = base64.b64encode(f"{authorize_as}\0ann\0s3cret".encode()).decode()
        return stage.client().docmd(f"AUTH PLAIN {words}")[0]

    strict, lenient = (
        stages(),
        stages(options=PortalOptions(may_act_as=lambda who, whom: whom == "team")),
    )
    assert [plain(strict, name) for name in ("", "ann", "team")] == [235, 235, 535]
    assert [plain(lenient, name) for name in ("team", "boss")] == [235, 535]


def test_a_client_that_tries_too_often_is_hung_up_on(stages):
    client = stages().client()
    for number in range(MAX_TRIES):  # at so many accounts that none has a penalty
        assert log_in(client, "PLAIN", f"user{number}", "wrong") == 535
    assert client.getreply() == (421, b"4.3.2 too many failed logins")
    with pytest.raises(smtplib.SMTPServerDisconnected):
        client.noop()


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return those of a server and of a client that trusts it."""
    authority = trustme.CA()
    server, client = (
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH),
        ssl.create_default_context(),
    )
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    return server, client


def test_a_login_from_before_starttls_does_not_count_after_it(stages, contexts):
    server, trusting = contexts
    stage = stages(tls_context=server)
    client = stage.client()
    client.login("ann", "s3cret")
    assert client.mail("ann@example.org")[0] == 250
    client.starttls(context=trusting)
    client.ehlo()
    assert client.mail("ann@example.org")[0] == 530
    client.login("ann", "s3cret")
    assert client.mail("ann@example.org")[0] == 250
    assert stage.log == [("logout", "ann", "logout")]


def test_tls_from_the_first_byte(stages, contexts):
    server, trusting = contexts
    client = stages(implicit=server).client(smtplib.SMTP_SSL, context=trusting)
    assert log_in(client, "PLAIN") == 235


def test_where_others_may_read_along_no_password_is_taken(stages, monkeypatch):
    monkeypatch.setattr("actorcred.identity.is_loopback", lambda host: False)
    client = stages(legacy_mechanisms=LEGACY).client()
    assert offered(client) == {"CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"}
    assert log_in(client, "PLAIN") == 504
    assert scram(client, "SCRAM-SHA-256", "ann", "s3cret") == (235, True)
    assert offered(stages(passwords_in_clear=True).client()) >= {"PLAIN", "LOGIN"}


class OldStore(Checker):
    """Keeps passwords for CRAM-MD5 alone, as the databases of some old mail servers do."""

    credential_interfaces = (UsernamePassword, UsernameHashedPassword)

    def request_avatar_id(self, credentials: Any) -> Any:
        if not credentials.check_password(b"s3cret"):
            raise UnauthorizedLogin
        return credentials.username


def test_cram_md5_is_offered_only_for_a_store_that_has_nothing_better(stages):
    new, old = stages().client(), stages(OldStore.start()).client()
    assert offered(new) == {"PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}
    for mechanism in LEGACY:
        assert new.docmd(f"AUTH {mechanism}") == (504, b"5.5.4 Unrecognized authentication type")
    assert offered(old) == {"PLAIN", "LOGIN", "CRAM-MD5"}
    assert log_in(old, "CRAM-MD5") == 235
    assert offered(stages(OldStore.start(), legacy_mechanisms=()).client()) == {"PLAIN", "LOGIN"}


def test_only_legacy_mechanisms_can_be_named_as_such(stages):
    with pytest.raises(ValueError, match="'PLAIN' is not a legacy mechanism"):
        SMTPServer(stages().portal, Outgoing, legacy_mechanisms=("PLAIN",))


def test_no_mechanism_is_offered_where_no_checker_takes_one(stages):
    from actorcred.checkers.anonymous import AnonymousChecker

    client = stages(AnonymousChecker.start()).client()
    assert offered(client) == {"ANONYMOUS"}


def test_quit_is_a_logout_and_a_lost_line_is_not(stages):
    stage = stages()
    polite, rude = stage.client(), stage.client()
    polite.login("ann", "s3cret")
    polite.quit()
    rude.login("ann", "s3cret")
    rude.close()
    stage.wait_for(2)
    assert stage.log == [("logout", "ann", "logout"), ("logout", "ann", "lost")]


def test_at_the_end_of_the_server_clients_are_told(stages):
    stage = stages()
    inside, outside = stage.client(), stage.client()
    inside.login("ann", "s3cret")
    assert in_loop(stage.server.close()) == 1
    assert inside.getreply() == (421, b"4.3.2 logged out: drained")
    assert outside.getreply() == (421, b"4.3.2 the server is going down")
    assert actors.statistics().actors == 3


def test_without_an_interface_there_is_no_server():
    with pytest.raises(TypeError, match="interface"):
        SMTPServer(None)  # type: ignore[arg-type]
    assert issubclass(SMTPConnection, object)
