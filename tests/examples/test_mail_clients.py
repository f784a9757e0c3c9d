"""The mail example with common mail programs, and mails of all kinds.

Some clients change or skip mails that they cannot handle; these mails are named with each client.
They must not affect the others, and must be unchanged on the server afterwards.
"""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.backends.servers import program
from tests.examples.mails import MAILS
from tests.examples.raw_imap import RawIMAP
from tests.examples.test_imap import opened
from tests.examples.test_mail import Mail, with_mail

NO_HEADER = {"header only", "header, no end of line", "no header", "mbox line", "empty"}
"""Mails with an unterminated header, or with none."""

BARE_CR = {"bare CR", "binary"}


def with_mails(
    test: Callable[[Mail, RawIMAP], None], folder: Path, *, old: bytes | None = None
) -> None:
    """Run a function of a mail example in which ann has all the mails, and of her IMAP client."""

    def body(post: Mail) -> None:
        client = opened(post)
        client.command(b"STORE 1 +FLAGS.SILENT \\Deleted")
        client.command(b"EXPUNGE")
        if old is not None:
            client.command(b'APPEND INBOX "01-Jan-2020 00:00:00 +0000" ', old)
        for raw in MAILS.values():
            client.command(b"APPEND INBOX ", raw)
        test(post, client)
        client.command(b"SELECT INBOX")

    with_mail(body)(folder)


def run(command: list[Any], folder: Path, *, code: int = 0) -> str:
    """Run a client to its end; return what it printed."""
    environment = {
        **os.environ,
        "HOME": str(folder),
        "FETCHMAILHOME": str(folder),
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=folder,
        env=environment,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(0o600)
    return path


def in_maildir(folder: Path) -> dict[Path, bytes]:
    return {
        path: path.read_bytes() for place in ("new", "cur") for path in (folder / place).iterdir()
    }


def check_mails(found: Iterable[bytes], added: bytes, without: Collection[str]) -> None:
    """Compare mails byte for byte, except for line ends and for fields that the client adds.

    Args:
        found: the client's mails.
        added: a pattern of what it adds.
        without: the names of mails that it cannot handle.
    """
    texts = {re.sub(added, b"", text.replace(b"\r\n", b"\n")) for text in found}
    missing = {name for name, raw in MAILS.items() if raw.replace(b"\r\n", b"\n") not in texts}
    assert missing == set(without)


def check_kept(client: RawIMAP, first: int = 1) -> None:
    """Check that the server still has all mails unchanged."""
    client.command(b"SELECT INBOX")
    for number, raw in enumerate(MAILS.values(), first):
        assert client.fetch(number, "BODY.PEEK[]") == {"BODY[]": raw}


def number_of(name: str, first: int = 1) -> int:
    return list(MAILS).index(name) + first


def file_of(folder: Path, text: bytes) -> Path:
    return next(path for path, found in in_maildir(folder).items() if text in found)


def flag_file(path: Path, flags: str) -> None:
    path.rename(path.parents[1] / "cur" / f"{path.name.partition(':')[0]}:2,{flags}")


def test_mbsync(tmp_path):
    mbsync = program("mbsync", "isync")

    def body(post: Mail, client: RawIMAP) -> None:
        near = tmp_path / "near"
        near.mkdir()
        configuration = write(
            tmp_path,
            "mbsyncrc",
            f"IMAPAccount a\nHost 127.0.0.1\nPort {post.imap_port}\nUser ann\nPass a1\n"
            f"SSLType None\n\nIMAPStore far\nAccount a\n\n"
            f"MaildirStore near\nPath {near}/\nInbox {near}/INBOX\n\n"
            "Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\n"
            "SyncState *\n",
        )
        sync = [mbsync, "-c", configuration, "all"]
        run(sync, tmp_path)
        # It cannot put its own field into an unterminated header.
        without = {"header only", "header, no end of line", "empty", *BARE_CR}
        check_mails(in_maildir(near / "INBOX").values(), rb"X-TUID: [^\n]*\n", without)
        check_kept(client)
        flag_file(file_of(near / "INBOX", b"Subject: no from"), "FS")
        flag_file(file_of(near / "INBOX", b"Subject: dots"), "T")
        client.command(b"STORE %d +FLAGS.SILENT (\\Answered)" % number_of("folded"))
        (near / "INBOX" / "new" / "1.own.x").write_bytes(b"Subject: own\n\nwritten here\n")
        run(sync, tmp_path)
        told = client.command(b"NOOP")
        assert b"* %d EXPUNGE\r\n" % number_of("dots") in told
        assert client.fetch(number_of("no from"), "FLAGS") == {"FLAGS": [b"\\Flagged", b"\\Seen"]}
        assert file_of(near / "INBOX", b"X-Empty-Fold").name.endswith(":2,R")
        assert b"Subject: own\r\n" in client.fetch("*", "BODY.PEEK[]")["BODY[]"]
        count = len(in_maildir(near / "INBOX"))
        run(sync, tmp_path)
        assert (len(in_maildir(near / "INBOX")), client.command(b"NOOP")) == (count, [])
        assert {path.name for path in near.iterdir()} == {"INBOX", "Trash"}

    with_mails(body, tmp_path)


def test_offlineimap_with_maxage(tmp_path):
    offlineimap = program("offlineimap", "offlineimap3")

    def body(post: Mail, client: RawIMAP) -> None:
        near = tmp_path / "near"
        configuration = write(
            tmp_path,
            "offlineimaprc",
            f"[general]\naccounts = a\nmetadata = {tmp_path}/metadata\nui = basic\n"
            "[Account a]\nlocalrepository = near\nremoterepository = far\nmaxage = 3\n"
            f"[Repository near]\ntype = Maildir\nlocalfolders = {near}\n"
            f"[Repository far]\ntype = IMAP\nremotehost = 127.0.0.1\n"
            f"remoteport = {post.imap_port}\nssl = no\nstarttls = no\n"
            "remoteuser = ann\nremotepass = a1\n",
        )
        sync = [offlineimap, "-c", configuration]
        run(sync, tmp_path)
        # It lets Python's email package parse and write each mail.
        without = {
            *NO_HEADER,
            *BARE_CR,
            "multipart",
            "latin1",
            "empty values",
            "open boundary",
            "deep",
        }
        check_mails(in_maildir(near / "INBOX").values(), rb"(?!)", without)
        assert len(in_maildir(near / "INBOX")) == len(MAILS)
        check_kept(client, 2)
        flag_file(file_of(near / "INBOX", b"Subject: no from"), "FS")
        client.command(b"STORE %d +FLAGS.SILENT (\\Answered)" % number_of("folded", 2))
        run(sync, tmp_path)
        client.command(b"NOOP")
        assert client.fetch(number_of("no from", 2), "FLAGS") == {
            "FLAGS": [b"\\Flagged", b"\\Seen"]
        }
        assert file_of(near / "INBOX", b"X-Empty-Fold").name.endswith(":2,R")
        assert {path.name for path in near.iterdir()} == {"INBOX", "Trash"}

    with_mails(body, tmp_path, old=b"Subject: too old\r\n\r\nx\r\n")


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_fetchmail_takes_no_damaged_copies(tmp_path, protocol):
    fetchmail = program("fetchmail", "fetchmail")

    def body(post: Mail, client: RawIMAP) -> None:
        taken = tmp_path / "taken"
        taken.mkdir()
        deliver = write(tmp_path, "deliver", f'#!/bin/sh\nexec cat >"$(mktemp {taken}/XXXXXXXX)"\n')
        deliver.chmod(0o700)
        port = post.imap_port if protocol == "imap" else post.pop_port
        server = f"poll 127.0.0.1 protocol {protocol} port {port} auth password"
        user = f'user "ann" password "a1" fetchall nokeep no rewrite sslproto "" mda "{deliver}"'
        run(
            [
                fetchmail,
                "--nosyslog",
                "--nodetach",
                "-f",
                write(tmp_path, "fetchmailrc", f"{server} {user}\n"),
            ],
            tmp_path,
        )
        # It ends each mail with a line end and each header with a blank line, and breaks long
        # lines.
        ends = {"dots", "open boundary", "no line end", "header only", "header, no end of line"}
        without = {*NO_HEADER, *BARE_CR, *ends, "blank line first", "long line", "NUL"}
        received = rb"\AReceived: from 127\.0\.0\.1[^\n]*\n(?:[ \t][^\n]*\n)*"
        check_mails((path.read_bytes() for path in taken.iterdir()), received, without)
        # It skips mails that it considers invalid.
        client.command(b"NOOP")
        left = [
            client.fetch(number, "BODY[]")["BODY[]"]
            for number in range(1, len(client.command(b"UID FETCH 1:* UID")) + 1)
        ]
        assert left == [MAILS["no header"]]

    with_mails(body, tmp_path)


def test_neomutt(tmp_path):
    neomutt = program("neomutt", "neomutt")

    def body(post: Mail, client: RawIMAP) -> None:
        copies = tmp_path / "copies"
        for place in ("cur", "new", "tmp"):
            (copies / place).mkdir(parents=True)
        keys = [
            (
                f"<tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>{copies}<enter>"
                "<untag-pattern>~A<enter>"
            ),
            (
                f"<jump>{number_of('no from')}<enter><flag-message>"
                f"<jump>{number_of('dots')}<enter><delete-message>"
            ),
            "<sync-mailbox><exit>",
        ]
        box = f"imap://ann@127.0.0.1:{post.imap_port}/"
        settings = [
            f'folder="{box}"', f'spoolfile="{box}INBOX"', "imap_user=ann", "imap_pass=a1",
            "ssl_starttls=no", "ssl_force_tls=no", "mbox_type=Maildir",
            "confirmappend=no", "delete=yes", "quit=yes", "wait_key=no", "sleep_time=0",
            "sort=mailbox-order", "mark_old=no",
        ]  # fmt: skip
        configuration = write(
            tmp_path,
            "muttrc",
            "".join(f"set {one}\n" for one in settings) + f'push "{"".join(keys)}"\n',
        )
        in_terminal([neomutt, "-n", "-F", str(configuration)], tmp_path)
        found = in_maildir(copies).values()
        check_mails(
            found,
            rb"(?m)^(?:Status: [RO]*|Content-Length: \d+|Lines: \d+)\n",
            {*NO_HEADER, "bare CR", "NUL"},
        )
        assert len(found) == len(MAILS) - 1  # without the empty one
        assert b"* %d EXPUNGE\r\n" % number_of("dots") in client.command(b"NOOP")
        assert b"\\Flagged" in client.fetch(number_of("no from"), "FLAGS")["FLAGS"]

    with_mails(body, tmp_path)


def in_terminal(command: list[str], folder: Path) -> None:
    """Run a program in a terminal to its end, and ignore its screen."""
    ours, its = pty.openpty()
    environment = {**os.environ, "HOME": str(folder), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(
        command,
        stdin=its,
        stdout=its,
        stderr=its,
        env=environment,
        cwd=folder,
        start_new_session=True,
    )
    os.close(its)
    screen = subprocess.Popen(
        ["cat"], stdin=ours, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        screen.wait(10)


def check_report(report: dict[str, Any], client: RawIMAP) -> None:
    """Check a client's report on the mails, and the changes that it made."""
    assert [base64.b64decode(text) for text in report["texts"]] == list(MAILS.values())
    assert report["sizes"] == [len(raw) for raw in MAILS.values()]
    assert report["subjects"][number_of("no from") - 1] == "no from"
    assert report["inner"] == "inner"
    assert report["found"] == [number_of("utf8"), number_of("latin1")]
    assert report["since"] == len(MAILS)
    assert b"* 1 EXPUNGE\r\n" in client.command(b"NOOP")
    assert client.fetch(number_of("no from") - 1, "FLAGS") == {"FLAGS": [b"\\Flagged"]}
    client.command(b"SELECT Kept/here")
    assert client.fetch(1, "BODY[]")["BODY[]"] == MAILS["multipart"]


RUBY = """
require "net/imap"
require "json"
require "base64"
imap = Net::IMAP.new("127.0.0.1", port: ARGV[0].to_i)
imap.authenticate("PLAIN", "ann", "a1")
imap.select("INBOX")
mails = imap.fetch(
  1..-1,
  ["UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODYSTRUCTURE", "BODY.PEEK[]"],
)
report = {
  texts: mails.map { |mail| Base64.strict_encode64(mail.attr["BODY[]"] || "") },
  sizes: mails.map { |mail| mail.attr["RFC822.SIZE"] },
  subjects: mails.map { |mail|
    (mail.attr["ENVELOPE"].subject || "").dup.force_encoding("UTF-8").scrub
  },
  inner: mails[0].attr["BODYSTRUCTURE"].parts[1].envelope.subject,
  found: imap.search(["SUBJECT", "Gr\\u00fc\\u00dfe".b], "UTF-8"),
  since: imap.search(["SINCE", "1-Jan-2026"]).size,
}
without_from = mails.index { |mail| mail.attr["ENVELOPE"].subject == "no from" } + 1
imap.store(without_from, "+FLAGS", [:Flagged])
imap.create("Kept/here")
imap.move(1, "Kept/here")
imap.logout
puts JSON.generate(report)
"""


def test_rubys_net_imap(tmp_path):
    ruby = program("ruby", "ruby")

    def body(post: Mail, client: RawIMAP) -> None:
        printed = run([ruby, write(tmp_path, "read.rb", RUBY), post.imap_port], tmp_path)
        check_report(json.loads(printed), client)

    with_mails(body, tmp_path)


IMAPFLOW = """
import { ImapFlow } from "imapflow";
const client = new ImapFlow({
    host: "127.0.0.1", port: +process.argv[2], secure: false, doSTARTTLS: false,
    auth: { user: "ann", pass: "a1" }, logger: false,
});
await client.connect();
const lock = await client.getMailboxLock("INBOX");
const mails = [];
const wanted = { uid: true, flags: true, envelope: true, bodyStructure: true, source: true,
    size: true,
    internalDate: true, headers: true };
for await (const mail of client.fetch("1:*", wanted)) mails.push(mail);
const report = {
    texts: mails.map((mail) => (mail.source || Buffer.from("")).toString("base64")),
    sizes: mails.map((mail) => mail.size),
    subjects: mails.map((mail) => mail.envelope.subject || ""),
    inner: mails[0].bodyStructure.childNodes[1].envelope.subject,
    found: await client.search({ subject: "Gr\\u00fc\\u00dfe" }),
    since: (await client.search({ since: new Date("2026-01-01") })).length,
};
await client.messageFlagsAdd(String(report.subjects.indexOf("no from") + 1), ["\\\\Flagged"]);
await client.mailboxCreate("Kept/here");
const moved = await client.messageMove("1", "Kept/here");
if (moved.uidMap.get(2) !== 1) throw new Error("it has another number");
lock.release();
await client.logout();
console.log(JSON.stringify(report));
"""


@pytest.fixture(scope="session")
def imapflow(pytestconfig, tmp_path_factory):
    """Return a folder where imapflow is installed."""
    cache = getattr(pytestconfig, "cache", None)  # None with `-p no:cacheprovider`
    folder = (
        Path(cache.mkdir("imapflow")) if cache is not None else tmp_path_factory.mktemp("imapflow")
    )
    program("node", "nodejs")
    if not (folder / "node_modules" / "imapflow").is_dir():
        install = [
            program("npm", "npm"),
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--prefix",
            str(folder),
            "imapflow@1",
        ]
        try:
            subprocess.run(install, capture_output=True, check=True, timeout=120)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            shutil.rmtree(folder / "node_modules", ignore_errors=True)
            pytest.skip(f"npm cannot install imapflow: {type(error).__name__}")
    return folder


def test_imapflow(tmp_path, imapflow):
    def body(post: Mail, client: RawIMAP) -> None:
        script = write(imapflow, "read.mjs", IMAPFLOW)
        check_report(
            json.loads(run([program("node", "nodejs"), script, post.imap_port], tmp_path)), client
        )

    with_mails(body, tmp_path)
