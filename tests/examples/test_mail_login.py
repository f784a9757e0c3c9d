"""Logging in to the mail example by SASL, and POP3's commands."""

from __future__ import annotations

import base64
import imaplib
import smtplib
import socket
import subprocess
from typing import Any

import pytest

from actorcred.sasl.mechanism import ClientMechanism, Secrets
from actorcred.sasl.mechanisms import CLIENT_MECHANISMS, LEGACY
from tests.backends.servers import program
from tests.examples.raw_imap import RawIMAP
from tests.examples.test_mail import Mail, with_mail

MECHANISMS = ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"]


def coded(data: bytes | None) -> str:
    return base64.b64encode(data or b"").decode() or "="


class POP3:
    """A POP3 client that sends arbitrary lines."""

    def __init__(self, post: Mail) -> None:
        self.socket = socket.create_connection(("127.0.0.1", post.pop_port), timeout=20)
        self.file = self.socket.makefile("rb")
        post.open += [self.file.close, self.socket.close]
        self.line()

    def line(self) -> bytes:
        return self.file.readline()

    def say(self, line: str | bytes) -> bytes:
        self.socket.sendall((line.encode() if isinstance(line, str) else line) + b"\r\n")
        return self.line()

    def lines(self, line: str) -> list[bytes]:
        assert self.say(line).startswith(b"+OK")
        return [read.rstrip() for read in iter(self.line, b".\r\n")]


def authenticate(said: str, client: ClientMechanism, say: Any) -> bytes:
    """Log in by a mechanism; return the final answer."""
    answer: bytes = say(said)
    while answer.startswith(b"+ "):
        challenge = base64.b64decode(answer[2:])
        last = challenge.startswith((b"v=", b"e="))
        answer = say(base64.b64encode(b"" if last else client.answer(challenge)))
        if last:
            client.finish(challenge)
    return answer


def client_of(name: str, username: str, password: str, authorize_as: str = "") -> ClientMechanism:
    return CLIENT_MECHANISMS[name](Secrets(username, password, authorize_as=authorize_as))


@with_mail
def test_pop3_by_sasl(post):
    assert POP3(post).lines("AUTH") == [name.encode() for name in MECHANISMS]
    assert f"SASL {' '.join(MECHANISMS)}".encode() in POP3(post).lines("CAPA")
    for name in MECHANISMS:
        for username, password, right in (
            ("ann", "a1", True),
            ("ann", "wrong", False),
            ("nobody", "a1", False),
        ):
            pop, client = POP3(post), client_of(name, username, password)
            first = client.start()
            said = authenticate(
                f"AUTH {name} {coded(first)}" if first is not None else f"AUTH {name}",
                client,
                pop.say,
            )
            assert said.startswith(b"+OK") == right, (name, said)
            assert pop.say("STAT").startswith(b"+OK") == right
            assert pop.say("AUTH PLAIN").startswith(b"-ERR" if right else b"+ ")


@with_mail
def test_imap_by_sasl(post):
    for name in MECHANISMS:
        for username, password, right in (
            ("ann", "a1", True),
            ("ann", "wrong", False),
            ("nobody", "a1", False),
        ):
            imap = RawIMAP(post.imap_port)
            post.open.append(imap.close)
            assert f" AUTH={name}".encode() in imap.greeting
            client = client_of(name, username, password)
            first = client.start()

            def say(line: str | bytes, imap: RawIMAP = imap) -> bytes:
                imap.socket.sendall((line.encode() if isinstance(line, str) else line) + b"\r\n")
                return imap.read()

            said = authenticate(
                f"a AUTHENTICATE {name}" + (f" {coded(first)}" if first is not None else ""),
                client,
                say,
            )
            assert said.startswith(b"a OK" if right else b"a NO [AUTHENTICATIONFAILED]"), (
                name,
                said,
            )
            assert say("s SELECT INBOX").startswith(b"* FLAGS" if right else b"s BAD")


@with_mail
def test_what_is_no_exchange_ends_the_login_and_not_the_connection(post):
    imap, pop = RawIMAP(post.imap_port), POP3(post)
    post.open.append(imap.close)
    for name in MECHANISMS:
        for answer in (b"*", b"no base64!", b"AAAA", b"", b"\xff"):
            tag = imap.send(b"AUTHENTICATE " + name.encode())
            assert imap.read().startswith(b"+")
            imap.socket.sendall(answer + b"\r\n")
            assert imap.wait(tag)[0].startswith((b"BAD", b"NO")), (name, answer)
            assert pop.say(f"AUTH {name}").startswith(b"+ ")
            assert pop.say(answer).startswith(b"-ERR"), (name, answer)
    for name in ("NONSENSE", *LEGACY):
        assert imap.refused(b"AUTHENTICATE " + name.encode()).startswith(b"NO")
        assert pop.say(f"AUTH {name}").startswith(b"-ERR")
    unwanted = client_of("PLAIN", "ann", "a1", authorize_as="bob").start()
    assert imap.refused(f"AUTHENTICATE PLAIN {coded(unwanted)}".encode()).startswith(b"NO")
    imap.command(b"LOGIN ann a1")
    assert pop.say(f"AUTH PLAIN {coded(client_of('PLAIN', 'ann', 'a1').start())}").startswith(
        b"+OK"
    )


@with_mail
def test_a_client_that_goes_away_in_the_middle_of_a_login_leaves_no_session(post):
    for name in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
        pop, imap = POP3(post), RawIMAP(post.imap_port)
        client = client_of(name, "ann", "a1")
        first = client.start()
        initial = "" if first is None else f" {coded(first)}"
        assert pop.say(f"AUTH {name}{initial}").startswith(b"+ ")
        imap.send(f"AUTHENTICATE {name}{initial}".encode())
        assert imap.read().startswith(b"+ ")
        imap.close()
        pop.file.close()
        pop.socket.close()
    assert post.pop().stat()[0] == 1


@with_mail
def test_gsasl_reads_by_scram(post):
    gsasl = program("gsasl", "gsasl")
    for password, right in (("a1", True), ("wrong", False)):
        who = ["-a", "ann", "-p", password, "-m", "SCRAM-SHA-256", "--no-cb", "--no-starttls"]
        command = [gsasl, "--imap", f"--connect=127.0.0.1:{post.imap_port}", *who]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=30, input="", check=False
        )
        assert ("\n. OK [CAPABILITY" in done.stdout) == right, done.stdout + done.stderr


@with_mail
def test_passwords_with_all_kinds_of_characters(post):
    imap = imaplib.IMAP4("127.0.0.1", post.imap_port, timeout=20)
    post.open.append(imap.shutdown)
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        imap.login("ann", 'a "quoted\\" {1}')
    raw = RawIMAP(post.imap_port)
    post.open.append(raw.close)
    assert raw.refused(b"LOGIN ", b"ann", b" ", b"x\r\ny").startswith(b"NO")
    raw.command(b"LOGIN ", b"ann", b" ", b"a1")


@with_mail
def test_wrong_numbers_are_refused_and_the_session_goes_on(post):
    post.imap("bob").logout()
    post.imap().logout()
    post.send("one", "two")
    pop = POP3(post)
    assert pop.say("STAT").startswith(b"-ERR")
    pop.say("USER ann")
    assert pop.say("PASS a1").startswith(b"+OK")
    for command in ("RETR", "DELE", "LIST", "UIDL", "TOP"):
        for number in ("0", "4", "-1", "x", "", "1.5", "9" * 100, "٣"):
            assert pop.say(f"{command} {number}" + (" 1" if command == "TOP" else "")).startswith(
                b"-ERR"
            ), (command, number)
    for wrong in (
        "TOP 1 -1",
        "TOP 1 x",
        "TOP 1",
        "RETR",
        "DELE",
        "RETR 1 2",
        "NONSENSE",
        "",
        " ",
        "USER ann",
        "PASS a1",
        b"\xff\xfe",
    ):
        assert pop.say(wrong).startswith(b"-ERR"), wrong
    assert pop.say("STAT").startswith(b"+OK 3 ")
    assert pop.say("DELE 2").startswith(b"+OK")
    for command in ("DELE 2", "RETR 2", "LIST 2", "UIDL 2", "TOP 2 0"):
        assert pop.say(command).startswith(b"-ERR"), command
    assert [line.split()[0] for line in pop.lines("LIST")] == [b"1", b"3"]
    assert pop.lines("UIDL") == [b"1 1", b"3 3"]
    assert pop.say("STAT").startswith(b"+OK 2 ")
    pop.say("RSET")
    assert len(pop.lines("LIST")) == 3


@with_mail
def test_pop3_does_what_is_sent_ahead_in_order(post):
    pop = POP3(post)
    pop.socket.sendall(
        b"USER ann\r\nPASS a1\r\nSTAT\r\nLIST 9\r\nRETR 1\r\nDELE 1\r\nLIST\r\nQUIT\r\n"
    )
    said = pop.file.read()
    assert b"+OK 1 " in said
    assert b"-ERR no such message" in said
    assert b"Subject: Welcome\r\n" in said
    assert said.endswith(b"+OK \r\n.\r\n+OK Bye\r\n")
    assert post.pop().stat()[0] == 0


@with_mail
def test_what_another_session_removed_pop3_refuses(post):
    first, second = POP3(post), post.pop()
    first.say("USER ann")
    first.say("PASS a1")
    second.dele(1)
    second.quit()
    assert first.say("RETR 1").startswith(b"-ERR")
    assert first.say("NOOP").startswith(b"+OK")


@with_mail
def test_the_same_password_by_the_libraries_of_python(post):
    smtp = smtplib.SMTP("127.0.0.1", post.smtp_port, timeout=20)
    post.open.append(smtp.close)
    smtp.ehlo()
    assert smtp.esmtp_features["auth"].split()[: len(MECHANISMS)] == MECHANISMS
    imap = imaplib.IMAP4("127.0.0.1", post.imap_port, timeout=20)
    post.open.append(imap.shutdown)
    imap.login("ann", "a1")
    assert POP3(post).say("APOP ann x").startswith(b"-ERR no APOP")
