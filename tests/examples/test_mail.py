"""The mail example with Python's poplib, imaplib and smtplib, and with curl."""

from __future__ import annotations

import asyncio
import contextlib
import imaplib
import poplib
import re
import smtplib
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.backends.directory import running_directory
from tests.backends.servers import mariadb, program, running
from tests.backends.system import System
from tests.examples.started import Started, run, started

USERS = {"ann": "a1", "bob": "b2"}
AUTH = "memory:ann:a1:bob:b2"


class Mail:
    """A running mail example and its clients."""

    def __init__(self, process: Started) -> None:
        self.process = process
        self.open: list[Any] = []
        self.going_down = False

    async def find_ports(self) -> None:
        match = await self.process.read_until(
            r"POP3: 127.0.0.1:(\d+)  IMAP4: 127.0.0.1:(\d+)  SMTP: 127.0.0.1:(\d+)\n"
        )
        self.pop_port, self.imap_port, self.smtp_port = map(int, match.groups())

    def pop(self, name: str = "ann", password: str | None = None) -> poplib.POP3:
        made = poplib.POP3("127.0.0.1", self.pop_port, timeout=20)
        self.open.append(made.close)
        made.user(name)
        made.pass_(USERS[name] if password is None else password)
        return made

    def imap(self, name: str = "ann", password: str | None = None) -> imaplib.IMAP4:
        made = imaplib.IMAP4("127.0.0.1", self.imap_port, timeout=20)
        self.open.append(made.shutdown)
        made.login(name, USERS[name] if password is None else password)
        made.select()
        return made

    def smtp(self, name: str = "bob", password: str | None = None) -> smtplib.SMTP:
        made = smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=20)
        self.open.append(made.close)
        made.login(name, USERS[name] if password is None else password)
        return made

    def send(self, *subjects: str, sender: str = "bob", to: str = "ann") -> None:
        client = self.smtp(sender)
        for subject in subjects:
            client.sendmail(
                f"{sender}@example.org",
                [f"{to}@example.org"],
                f"Subject: {subject}\r\n\r\nHello.\r\n",
            )
        client.quit()

    def curl(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [program("curl", "curl"), "-s", "-S", "--max-time", "20", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@contextlib.asynccontextmanager
async def mail(
    folder: Path, *words: str, auth: str = AUTH, before: tuple[str, ...] = ()
) -> AsyncIterator[Mail]:
    ports = [word for door in ("pop3", "imap", "smtp") for word in (f"--{door}", "0")]
    async with started(
        "examples.mail", *ports, "--data", folder / "data", "--auth", auth, *words, before=before
    ) as process:
        made = Mail(process)
        await made.find_ports()
        try:
            yield made
        finally:
            for close in made.open:
                with contextlib.suppress(OSError):
                    close()


def with_mail(test: Callable[[Mail], object]) -> Callable[..., None]:
    """Run a function of a mail example as a test."""

    def body(tmp_path: Path) -> None:
        async def limited() -> None:
            async with asyncio.timeout(120), mail(tmp_path) as made:
                await asyncio.to_thread(test, made)
                assert await (made.process.ended() if made.going_down else made.process.end()) == 0
                assert "Traceback" not in made.process.text

        asyncio.run(limited())

    body.__name__, body.__doc__ = test.__name__, test.__doc__
    return body


def subjects(client: imaplib.IMAP4) -> list[str]:
    lines = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
    return [
        re.findall(r"(?i)subject: (\S+)", part[1].decode())[0]
        for part in lines
        if isinstance(part, tuple)
    ]


def read_lines(client: imaplib.IMAP4, count: int) -> list[bytes]:
    return [client.readline().rstrip() for _ in range(count)]


@with_mail
def test_a_new_account_gets_its_mailbox_at_its_first_login_and_all_protocols_see_the_same_mail(
    post,
):
    pop, imap = post.pop(), post.imap()
    assert pop.stat()[0] == 1
    assert subjects(imap) == ["Welcome"]
    with pytest.raises(smtplib.SMTPRecipientsRefused, match="no mailbox bob"):
        post.send("early", sender="ann", to="bob")
    post.imap("bob").logout()
    post.send("one", "two")
    imap.noop()
    assert subjects(imap) == ["Welcome", "one", "two"]
    assert pop.stat()[0] == 1  # the messages that existed when the session began
    again = post.pop()
    assert [line.split()[0] for line in again.list()[1]] == [b"1", b"2", b"3"]
    text = b"\n".join(again.retr(2)[1])
    assert b"Subject: one" in text
    assert b"Return-Path: <bob@example.org>" in text
    assert [line.split()[1] for line in again.uidl()[1]] == [b"1", b"2", b"3"]
    assert b"Subject: two" in again.top(3, 0)[1][1]


@with_mail
def test_what_pop3_deletes_an_idling_imap_session_is_told_and_what_comes_too(post):
    post.imap("bob").logout()
    post.imap().logout()
    post.send("one", "two", "three")
    idle = post.imap()
    idle.send(b"i IDLE\r\n")
    assert idle.readline().startswith(b"+")
    pop = post.pop()
    pop.dele(2)
    pop.dele(4)
    pop.rset()
    pop.dele(1)
    pop.dele(3)
    post.send("four")
    assert read_lines(idle, 1) == [b"* 5 EXISTS"]
    assert pop.quit() == b"+OK Bye"
    assert read_lines(idle, 2) == [b"* 3 EXPUNGE", b"* 1 EXPUNGE"]
    idle.send(b"DONE\r\n")
    assert read_lines(idle, 1) == [b"i OK IDLE terminated"]
    assert subjects(idle) == ["one", "three", "four"]
    assert post.pop().stat()[0] == 3


@with_mail
def test_deleting_by_pop3_is_undone_when_the_line_is_lost(post):
    pop = post.pop()
    pop.dele(1)
    pop.close()
    assert post.pop().stat()[0] == 1


@with_mail
def test_numbers_stay_while_a_command_goes_by_them(post):
    post.imap("bob").logout()
    first, second = post.imap(), post.imap()
    post.send("one", "two", "three")
    first.noop()
    second.noop()
    second.store("2", "+FLAGS", "\\Deleted")
    assert second.expunge()[1] == [b"2"]
    first.send(b"f FETCH 1:4 (UID)\r\n")
    assert [line for line in read_lines(first, 4) if b"EXPUNGE" in line] == []
    first.send(b"n NOOP\r\n")
    told = read_lines(first, 2)
    while b"NOOP" not in told[-1]:
        told += read_lines(first, 1)
    assert b"* 2 EXPUNGE" in told
    assert subjects(first) == ["Welcome", "two", "three"]


@with_mail
def test_flags_searches_parts_and_new_messages(post):
    first, second = post.imap(), post.imap()
    multipart = (
        b"Subject: parts\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
        b"--x\r\nContent-Type: text/plain\r\n\r\nfirst part\r\n--x\r\nContent-Type: text/html\r\n"
        b"\r\n<b>second</b>\r\n--x--\r\n"
    )
    assert (
        first.append("INBOX", "(\\Flagged)", '"05-Nov-2026 12:00:00 +0000"', multipart)[0] == "OK"
    )
    assert first.append("INBOX", None, None, b"Subject: plain\r\n\r\nx\r\n")[0] == "OK"
    second.noop()
    assert subjects(second) == ["Welcome", "parts", "plain"]
    assert second.fetch("2", "(BODY[1])")[1][0][1].strip() == b"first part"
    assert b"05-Nov-2026 12:00:00" in second.fetch("2", "(INTERNALDATE FLAGS)")[1][0]
    for words, found in (
        (("SUBJECT", "PART"), b"2"), (("FLAGGED",), b"2"), (("UNSEEN",), b"1 3"),
        (("FROM", "postmaster"), b"1"), (("TEXT", "second"), b"2"),
        (("HEADER", "Subject", "pla"), b"3"), (("SUBJECT", "nothing"), b""),
        (("BODY", "<b>"), b"2"),
    ):  # fmt: skip
        assert second.search(None, *words)[1] == [found], words
    assert second.store("3", "+FLAGS", "\\Seen \\Nonsense")[1] == [b"3 (FLAGS (\\Seen))"]
    first.noop()
    assert b"FLAGS (\\Seen)" in first.fetch("3", "(FLAGS)")[1][-1]
    assert first.status("INBOX", "(MESSAGES UNSEEN UIDNEXT)")[1] == [
        b'"INBOX" (MESSAGES 3 UNSEEN 1 UIDNEXT 4)'
    ]
    assert first.list()[1] == [b'() "/" "INBOX"', b'(\\Trash) "/" "Trash"']
    assert first.select("Other")[0] == "NO"
    readonly = post.imap()
    readonly.select("INBOX", readonly=True)
    assert readonly.store("1", "+FLAGS", "\\Deleted") == ("NO", [b"the mailbox is read-only"])


@with_mail
def test_nobody_gets_in_without_the_password_and_nobody_sends_as_another(post):
    for name, password in (("ann", "wrong"), ("nobody", "a1")):
        with pytest.raises(poplib.error_proto):
            post.pop(name, password)
        with pytest.raises(imaplib.IMAP4.error):
            post.imap(name, password)
        with pytest.raises(smtplib.SMTPAuthenticationError):
            post.smtp(name, password)
    post.imap("bob").logout()
    client = post.smtp("ann")
    for sender, to in (
        ("bob", "bob"),
        ("", "bob"),
        ("ann", "nobody"),
        ("ann", "bob@elsewhere.org"),
    ):
        with pytest.raises((smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused)):
            client.sendmail(
                sender and f"{sender}@example.org", [to if "@" in to else f"{to}@example.org"], "x"
            )
    assert subjects(post.imap("bob")) == ["Welcome"]


@with_mail
def test_curl_reads_and_sends(post):
    post.imap("bob").logout()
    user = ("-u", "ann:a1")
    assert "Subject: Welcome" in post.curl(*user, f"pop3://127.0.0.1:{post.pop_port}/1").stdout
    assert (
        "* 1 FETCH (FLAGS ())"
        in post.curl(
            *user, f"imap://127.0.0.1:{post.imap_port}/INBOX", "-X", "FETCH 1:* FLAGS"
        ).stdout
    )
    url = f"smtp://127.0.0.1:{post.smtp_port}"
    sent = post.curl(
        *user,
        url,
        "--mail-from",
        "ann@example.org",
        "--mail-rcpt",
        "bob@example.org",
        "-F",
        "=hello",
        "-H",
        "Subject: curled",
    )
    assert (sent.returncode, sent.stderr) == (0, "")
    assert subjects(post.imap("bob")) == ["Welcome", "curled"]
    refused = post.curl("-u", "ann:wrong", f"pop3://127.0.0.1:{post.pop_port}/1")
    assert refused.returncode == 67


@with_mail
def test_the_end_of_the_server_is_told_in_each_protocols_way(post):
    pop, imap, smtp = post.pop(), post.imap(), post.smtp("ann")
    post.process.process.terminate()
    post.going_down = True
    assert pop.file.read() == b"-ERR logged out: drained\r\n"
    assert imap.readline() == b"* BYE logged out: drained\r\n"
    assert smtp.getreply() == (421, b"4.3.2 logged out: drained")


def test_the_classic_deployment_mail_in_mariadb_and_the_systems_users(tmp_path):
    system = System(tmp_path)
    with running(mariadb) as database:
        inside = ("unshare", "-rm", "sh", "-c", f'{system._script} exec "$@"', "sh")
        words = ("--database", database.url.replace("/mysql?", "/test_mail?"))
        import sqlalchemy as sa

        engine = sa.create_engine(database.url)
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE DATABASE test_mail CHARACTER SET latin1"))
        engine.dispose()

        async def twice() -> None:
            for count in (1, 2):
                async with (
                    asyncio.timeout(120),
                    mail(tmp_path, *words, auth="unix:game", before=inside) as post,
                ):
                    await asyncio.to_thread(visit, post, count)
                    assert await post.process.end() == 0

        asyncio.run(twice())


def visit(post: Mail, count: int) -> None:
    """Log in as a user of the system, twice by different protocols, and send oneself a mail."""
    assert len(subjects(post.imap("ann", "right"))) == count
    for name, password in (
        ("ann", "wrong"),
        ("locked", "right"),
        ("expired", "right"),
        ("root", ""),
    ):
        with pytest.raises(poplib.error_proto):
            post.pop(name, password)
    client = post.smtp("ann", "right")
    large = "\r\n".join(["x" * 70] * 1000)
    client.sendmail("ann@example.org", ["ann@example.org"], f"Subject: large\r\n\r\n{large}\r\n")
    assert post.pop("ann", "right").list()[1][-1].split()[0] == b"%d" % (count + 1)
    assert b"".join(post.pop("ann", "right").retr(count + 1)[1]).count(b"x" * 70) == 1000


def test_ldap_and_htpasswd_and_accounts_let_in(tmp_path):
    from actorcred.passwords.hashing import hash_password

    (tmp_path / "users").write_text(f"ann:{hash_password(password='a1', rounds=4)}\n")
    asyncio.run(log_in_once(tmp_path, f"file:{tmp_path / 'users'}", "ann", "a1"))
    asyncio.run(log_in_with_the_demo_account(tmp_path / "demo"))
    pytest.importorskip(
        "ldap", reason="python-ldap is not installed: pip install 'actorcred[ldap]'"
    )
    (tmp_path / "ldap").mkdir()
    with running_directory(tmp_path / "ldap") as ldap:
        asyncio.run(
            log_in_once(tmp_path, f"ldap:{ldap.url}/ou=people,dc=example?uid", "ann", "right")
        )


async def log_in_once(folder: Path, auth: str, name: str, password: str) -> None:
    async with asyncio.timeout(120), mail(folder, auth=auth) as post:
        pop = await asyncio.to_thread(post.pop, name, password)
        assert pop.stat()[0] == 1


async def log_in_with_the_demo_account(folder: Path) -> None:
    ports = [word for door in ("pop3", "imap", "smtp") for word in (f"--{door}", "0")]
    async with asyncio.timeout(120), started("examples.mail", *ports, "--data", folder) as process:
        post = Mail(process)
        password = (await process.read_until(r"account: ann with (\S+)\n"))[1]
        await post.find_ports()
        imap = await asyncio.to_thread(post.imap, "ann", password)
        assert len(subjects(imap)) == 3
        await asyncio.to_thread(write_to_who_has_never_logged_in, post, folder)
        for close in post.open:
            close()


def write_to_who_has_never_logged_in(post: Mail, folder: Path) -> None:
    client = post.smtp("ann", (folder / "ann.txt").read_text().strip())
    assert client.mail("ann@example.org")[0] == 250
    assert client.rcpt("nobody@example.org") == (
        550,
        b"5.1.1 there is no mailbox nobody@example.org",
    )
    assert client.rcpt("bob@example.org")[0] == 250
    assert client.data("Subject: hello\r\n\r\nx\r\n")[0] == 250
    assert "hello" in subjects(post.imap("bob", (folder / "bob.txt").read_text().strip()))


def test_the_command_says_what_is_wrong(tmp_path):
    async def tries() -> None:
        code, text = await run("examples.mail", "--help")
        assert (code, "--database URL" in text) == (0, True)
        code, text = await run(
            "examples.mail",
            "--data",
            tmp_path,
            "--auth",
            AUTH,
            "--database",
            "mysql+pymysql://u:s3cret@127.0.0.1:1/x",
        )
        assert code == 2
        assert "cannot be used" in text
        assert "s3cret" not in text
        code, text = await run(
            "examples.mail", "--data", tmp_path, "--auth", AUTH, "--database", "nonsense"
        )
        assert code == 2
        async with mail(tmp_path) as post:
            code, text = await run(
                "examples.mail",
                "--data",
                tmp_path / "other",
                "--auth",
                AUTH,
                "--pop3",
                post.pop_port,
            )
            assert code == 2
            assert "The post office cannot open" in text

    asyncio.run(tries())


def test_mail_outlives_a_crash_of_the_server(tmp_path):
    async def crash() -> None:
        async with asyncio.timeout(120), mail(tmp_path) as post:
            await asyncio.to_thread(post.imap, "bob")
            await asyncio.to_thread(post.imap, "ann")
            await asyncio.to_thread(post.send, "kept")
            post.process.process.kill()
            await post.process.ended()
        async with asyncio.timeout(120), mail(tmp_path) as post:
            assert subjects(await asyncio.to_thread(post.imap)) == ["Welcome", "kept"]

    asyncio.run(crash())
