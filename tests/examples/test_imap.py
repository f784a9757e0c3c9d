"""The mail example by IMAP: mails of all kinds, byte for byte, and all standard commands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.examples.mails import BY_SMTP, MAILS
from tests.examples.raw_imap import RawIMAP, fetched
from tests.examples.test_mail import Mail, with_mail
from tests.helpers import until

pytestmark = pytest.mark.slow  # each starts a server

CRLF = b"\r\n"


def opened(post: Mail, name: str = "ann", box: str = "INBOX") -> RawIMAP:
    client = RawIMAP(post.imap_port)
    post.open.append(client.close)
    client.command(f"LOGIN {name} {'a1' if name == 'ann' else 'b2'}".encode())
    client.command(f"SELECT {box}".encode())
    return client


def filled(post: Mail, *mails: bytes) -> RawIMAP:
    """Return a client with a folder that has some mails."""
    client = opened(post)
    client.command(b"CREATE Test")
    for mail in mails:
        client.command(b"APPEND Test ", mail)
    client.command(b"SELECT Test")
    return client


def check_consistent(client: RawIMAP, number: int, raw: bytes) -> None:
    """Compare all properties of a mail with its bytes."""
    names = (
        "ENVELOPE",
        "BODYSTRUCTURE",
        "BODY",
        "RFC822.SIZE",
        "BODY[]",
        "BODY[HEADER]",
        "BODY[TEXT]",
        "RFC822",
        "RFC822.HEADER",
    )
    found = client.fetch(number, *names)
    assert found["BODY[]"] == found["RFC822"] == raw
    assert found["RFC822.SIZE"] == len(raw)
    assert found["BODY[HEADER]"] + found["BODY[TEXT]"] == raw
    assert found["BODY[HEADER]"] == found["RFC822.HEADER"]
    assert len(found["ENVELOPE"]) == 10
    for addresses in found["ENVELOPE"][2:8]:
        assert addresses is None or all(len(address) == 4 for address in addresses)
    fields = client.fetch(
        number,
        "BODY[HEADER.FIELDS (subject RECEIVED)]",
        "BODY.PEEK[HEADER.FIELDS.NOT (Subject Received)]",
    )
    chosen, others = fields.values()
    assert len(chosen) + len(others) == len(found["BODY[HEADER]"]) + len(
        blank_line(found["BODY[HEADER]"])
    )
    assert chosen.count(b"\n") + others.count(b"\n") >= found["BODY[HEADER]"].count(b"\n")
    check_structure(client, number, found["BODYSTRUCTURE"], found["BODY[TEXT]"])
    parts = client.fetch(
        number, "BODY[]<3.10>", "BODY.PEEK[TEXT]<0.7>", f"BODY[HEADER]<{len(raw) + 5}.1>"
    )
    assert parts == {
        "BODY[]<3>": raw[3:13],
        "BODY[TEXT]<0>": found["BODY[TEXT]"][:7],
        f"BODY[HEADER]<{len(raw) + 5}>": b"",
    }


def blank_line(header: bytes) -> bytes:
    return next(
        (end for end in (b"\r\n", b"\n") if header.endswith(b"\n" + end) or header == end), b""
    )


def check_structure(client: RawIMAP, number: int, structure: list[Any], text: bytes) -> None:
    """Fetch each part of a structure, and compare its size."""
    for place, leaf in leaves(structure, ()):
        name = ".".join(map(str, place))
        found = client.fetch(number, f"BODY.PEEK[{name}]", f"BODY.PEEK[{name}.MIME]")
        assert len(found[f"BODY[{name}]"]) == leaf[6]
        assert found[f"BODY[{name}]"] in text
        assert isinstance(found[f"BODY[{name}.MIME]"], bytes)


def leaves(
    structure: list[Any], place: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], list[Any]]]:
    if isinstance(structure[0], list):
        for number, part in enumerate(
            (part for part in structure if isinstance(part, list) and is_body(part)), 1
        ):
            yield from leaves(part, (*place, number))
        return
    yield place or (1,), structure
    if structure[:2] == [b"MESSAGE", b"RFC822"] and isinstance(structure[8][0], list):
        yield from leaves(structure[8], place or (1,))


def is_body(part: list[Any]) -> bool:
    return isinstance(part[0], list) or len(part) > 6


@with_mail
def test_every_mail_is_as_it_came_and_all_that_is_said_of_it_fits(post):
    client = filled(post, *MAILS.values())
    for number, (name, raw) in enumerate(MAILS.items(), 1):
        try:
            check_consistent(client, number, raw)
        except Exception as error:
            error.add_note(name)
            raise
    tag = client.send(b"UID FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE BODY.PEEK[])")
    said, told = client.wait(tag)
    assert said.startswith(b"OK")
    assert [fetched(line)["BODY[]"] for line in told] == list(MAILS.values())


@with_mail
def test_what_comes_by_smtp_has_but_one_line_more(post):
    client = opened(post)
    opened(post, "bob").close()
    smtp = post.smtp()
    for name in BY_SMTP:
        smtp.mail("bob@example.org", ["BODY=8BITMIME"])
        smtp.rcpt("ann@example.org")
        smtp.docmd("DATA")
        stuffed = (CRLF + MAILS[name]).replace(b"\r\n.", b"\r\n..")[2:]
        end = b".\r\n" if stuffed.endswith(CRLF) or not stuffed else b"\r\n.\r\n"
        smtp.send(stuffed + end)
        assert smtp.getreply()[0] == 250, name
    client.command(b"NOOP")
    pop = post.pop()
    for number, name in enumerate(BY_SMTP, 2):
        sent = b"Return-Path: <bob@example.org>\r\n" + MAILS[name]
        sent += b"" if not MAILS[name] or MAILS[name].endswith(CRLF) else CRLF
        assert client.fetch(number, "BODY.PEEK[]")["BODY[]"] == sent, name
        check_consistent(client, number, sent)
        assert sent_by(pop, f"RETR {number}") == sent, name


def sent_by(pop: Any, command: str) -> bytes:
    """Return what POP3 sends in lines, without dot-stuffing."""
    pop._putcmd(command)
    assert pop.file.readline().startswith(b"+OK")
    found = b""
    while (line := pop.file.readline()) != b".\r\n":
        found += line.removeprefix(b".")
    return found


@with_mail
def test_by_pop3_every_mail_is_as_it_came(post):
    client = opened(post)
    for raw in MAILS.values():
        client.command(b"APPEND INBOX ", raw)
    pop = post.pop()
    sizes = [int(line.split()[1]) for line in pop.list()[1]]
    for number, (name, raw) in enumerate(MAILS.items(), 2):
        end = b"" if not raw or raw.endswith(b"\n") else CRLF
        assert sent_by(pop, f"RETR {number}") == raw + end, name
        assert sizes[number - 1] == len(raw), name
        assert raw.startswith(sent_by(pop, f"TOP {number} 0").removesuffix(CRLF)), name


@with_mail
def test_fields_are_sent_byte_for_byte_and_in_their_order(post):
    client = filled(post, MAILS["multipart"])
    found = client.fetch(1, 'BODY[HEADER.FIELDS (received "Date" NoSuch)]')
    header = MAILS["multipart"].partition(b"DKIM")[0]
    date = b"DATE: Thu, 5 Nov 2026 12:00:00 +0100 (CET)\r\n"
    assert next(iter(found.values())) == header + date + CRLF
    assert next(iter(client.fetch(1, "BODY[HEADER.FIELDS (NoSuch)]").values())) == CRLF
    envelope = client.fetch(1, "ENVELOPE")["ENVELOPE"]
    john = [b'Doe, John "JD"', None, b"john", b"example.org"]
    assert envelope[1] == b"=?utf-8?q?Caf=C3=A9?="
    assert (
        envelope[2]
        == envelope[3]
        == envelope[4]
        == [john, [b"Jane", None, b"jane", b"example.org"]]
    )
    assert envelope[5][:4] == [
        [None, None, b"friends", None], [None, None, b"ann", b"example.org"],
        [b"Bob", None, b"bob", b"example.org"], [None] * 4
    ]  # fmt: skip
    assert envelope[6:] == [None, None, None, b"<multi@example.org>"]


@with_mail
def test_parts_of_parts(post):
    client = filled(post, MAILS["multipart"], MAILS["whole message"])
    client.command(b"EXAMINE Test")
    for place, text in (
        ("1.1", b"na=EFve"), ("1.2", b"<p>second</p>"), ("2.1", b"inner text"),
        ("2.2", b"AAECAw=="), ("3", None), ("1.1.2", None),
        (
            "2.HEADER",
            (
                b"From: inner@example.org\r\nSubject: inner\r\n"
                b"Content-Type: multipart/mixed; boundary=in\r\n\r\n"
            ),
        ),
        ("2.HEADER.FIELDS (SUBJECT)", b"Subject: inner\r\n\r\n"),
        ("1.2.MIME", b"Content-Type: text/html\r\n\r\n"), ("1.TEXT", None),
    ):  # fmt: skip
        assert client.fetch(1, f"BODY[{place}]") == {f"BODY[{place}]": text}
    assert client.fetch(2, "BODY[1]", "BODY[1.HEADER]", "BODY[1.1]") == {
        "BODY[1]": b"Subject: inner\r\n\r\ninner body\r\n",
        "BODY[1.HEADER]": b"Subject: inner\r\n\r\n",
        "BODY[1.1]": b"inner body\r\n"
    }  # fmt: skip


@with_mail
def test_reading_a_mail_marks_it_and_peeking_does_not(post):
    client, other = filled(post, *[MAILS["multipart"]] * 6), opened(post, box="Test")
    for peek in (
        "ENVELOPE",
        "BODYSTRUCTURE",
        "BODY",
        "RFC822.HEADER",
        "RFC822.SIZE",
        "BODY.PEEK[]",
        "BODY.PEEK[1]<0.3>",
    ):
        client.fetch(1, peek)
    for number, item in enumerate(
        ("BODY[]", "BODY[TEXT]", "BODY[HEADER]", "RFC822", "RFC822.TEXT"), 2
    ):
        assert client.fetch(number, item)["FLAGS"] == [b"\\Seen"], item
        assert "FLAGS" not in client.fetch(number, item)
    assert client.command(b"SEARCH UNSEEN") == [b"* SEARCH 1\r\n"]
    assert [fetched(line)["FLAGS"] for line in other.command(b"NOOP")] == [[b"\\Seen"]] * 5
    other.command(b"EXAMINE Test")
    assert "FLAGS" not in other.fetch(1, "BODY[]")
    assert client.fetch(1, "FLAGS") == {"FLAGS": []}


@with_mail
def test_what_a_client_learns_when_it_selects(post):
    client = filled(post, b"a: b\r\n\r\n", b"c: d\r\n\r\n")
    client.fetch(1, "BODY[]")
    told = b"".join(client.command(b"SELECT Test"))
    flags = rb"(\Answered \Flagged \Deleted \Seen \Draft)"
    for line in (
        b"FLAGS " + flags,
        b"2 EXISTS",
        b"0 RECENT",
        b"[UNSEEN 2]",
        b"[UIDNEXT 3]",
        b"[PERMANENTFLAGS " + flags + b"]",
    ):
        assert line in told
    assert b"[UIDVALIDITY " in told
    assert b"[PERMANENTFLAGS ()]" in b"".join(client.command(b"EXAMINE Test"))
    assert (
        b"UIDNEXT 3"
        in client.command(b"STATUS Test (MESSAGES UIDNEXT UIDVALIDITY UNSEEN RECENT)")[0]
    )


@with_mail
def test_commands_that_are_sent_ahead_are_done_in_order(post):
    client = filled(post, *[b"Subject: %d\r\n\r\n%d\r\n" % (n, n) for n in range(1, 8)])
    commands = [
        b"FETCH 1:3 (BODY.PEEK[])", b"FETCH 4 FLAGS", b"STORE 4 +FLAGS (\\Flagged)",
        b"FETCH 4 FLAGS", b"SEARCH FLAGGED", b"UID FETCH 5:* UID",
        b"STORE 4 -FLAGS.SILENT \\Flagged", b"SEARCH FLAGGED", b"NOOP", b"FETCH 1:* (FLAGS BODY[])",
        b"SEARCH UNSEEN", b"UID SEARCH ALL",
    ]  # fmt: skip
    client.socket.sendall(b"".join(b"p%d %b\r\n" % pair for pair in enumerate(commands)))
    answers = [client.wait(f"p{number}") for number in range(len(commands))]
    assert [said.partition(b" ")[0] for said, _ in answers] == [b"OK"] * len(commands)
    told = [b"".join(lines) for _, lines in answers]
    assert [len(lines) for _, lines in answers] == [3, 1, 1, 1, 1, 3, 0, 1, 0, 7, 1, 1]
    assert (told[1], told[2]) == (b"* 4 FETCH (FLAGS ())\r\n", b"* 4 FETCH (FLAGS (\\Flagged))\r\n")
    assert (told[4], told[7], told[10]) == (b"* SEARCH 4\r\n", b"* SEARCH\r\n", b"* SEARCH\r\n")


@with_mail
def test_searches(post):
    client = filled(
        post, MAILS["utf8"], MAILS["latin1"], MAILS["multipart"], MAILS["invalid date"], b"x" * 3000
    )
    for day, number in (
        (b"04-Nov-2026 23:59:59 +0000", 6),
        (b"05-Nov-2026 00:00:00 +0000", 7),
        (b"05-Nov-2026 23:00:00 -0500", 8),
    ):
        client.command(b'APPEND Test (\\Draft) "%b" ' % day, b"Subject: dated %d\r\n\r\n" % number)
    umlauts = "grüße".encode()
    for question, found in (
        ((b"BEFORE 5-Nov-2026",), [6]), ((b"ON 05-Nov-2026",), [7]),
        ((b"SINCE 5-nov-2026 BEFORE 6-Nov-2026",), [7]), ((b"ON 6-Nov-2026",), [8]),
        ((b"SENTON 5-Nov-2026",), [3]), ((b"SENTSINCE 1-Jan-2026 SENTBEFORE 6-Nov-2026",), [3]),
        ((b"DRAFT NOT ON 5-Nov-2026",), [6, 8]),
        ((b"CHARSET UTF-8 SUBJECT ", umlauts), [1, 2]),
        ((b"CHARSET utf-8 OR BODY ", umlauts, b" SUBJECT nothing"), [1]),
        ((b"CHARSET ISO-8859-1 TEXT ", b"gr\xfc\xdfe"), [1, 2]),
        ((b"CHARSET UTF-8 BODY ", "NAÏVE".encode()), [3]),
        ((b"CHARSET UTF-8 SUBJECT ", "café".encode()), [3]),
        ((b"OR (SUBJECT dated SEEN) (2:3 NOT 3)",), [2]), ((b"UID 8:*",), [8]), ((b"*",), [8]),
        ((b"LARGER 2999 SMALLER 3001",), [5]), ((b"HEADER Message-ID multi@",), [3]),
        ((b"HEADER Received \"\"",), [3]), ((b"KEYWORD x",), []), ((b"UNKEYWORD x 1",), [1]),
        ((b"TO bob",), [3]),
    ):  # fmt: skip
        line = b" ".join([b"* SEARCH", *(b"%d" % number for number in found)]) + CRLF
        assert client.command(b"SEARCH " + question[0], *question[1:]) == [line], question
    assert client.refused(b"SEARCH CHARSET KLINGON ALL").startswith(
        b"NO [BADCHARSET (US-ASCII UTF-8"
    )
    for wrong in (
        b"",
        b" ",
        b" NONSENSE",
        b" ON 31-Feb-2026",
        b" (ALL",
        b" ALL)",
        b" OR ALL",
        b" 0",
        b" HEADER x",
        b" " + b"(" * 3000 + b"ALL",
    ):
        assert client.refused(b"SEARCH" + wrong).startswith(b"BAD"), wrong


@with_mail
def test_wrong_commands_leave_the_session_as_it_is(post):
    client = filled(post, MAILS["multipart"])
    for wrong in (
        b"FETCH 1 BODY[", b"FETCH 1 BODY[1.]<0.0>", b"FETCH 1 BODY[]<0.0>", b"FETCH 0 FLAGS",
        b"FETCH x FLAGS", b"FETCH 1 (FLAGS", b"FETCH 1 BODY[MIME]",
        b"FETCH", b"STORE 1 FLAG \\Seen", b"STORE 1", b"NONSENSE", b"UID", b"UID NOOP",
        b"STATUS Test ()", b"APPEND Test x", b"LOGIN a b",
        b"FETCH 99999999999 FLAGS", b"COPY 1", b'SELECT "Test', b"SELECT Te&st",
        b"APPEND Test \"32-Foo-2026 00:00:00 +0000\" {1+}\r\nx", b"SELECT \xff",
    ):  # fmt: skip
        assert client.refused(wrong).startswith(b"BAD"), wrong
        if wrong.startswith(b"SELECT"):
            client.command(b"SELECT Test")
    client.socket.sendall(b"\r\n \r\nonly\r\n")
    assert [client.read()[:6] for _ in range(3)] == [b"* BAD "] * 3
    assert client.refused(b"SELECT Nowhere").startswith(b"NO")
    assert client.refused(b"APPEND Nowhere ", b"x").startswith(b"NO [TRYCREATE]")
    client.socket.sendall(b"big APPEND Test {999999999}\r\n")
    assert client.read().startswith(b"big NO [TOOBIG]")
    client.command(b"SELECT Test")
    assert client.fetch(1, "BODY[]")["BODY[]"] == MAILS["multipart"]


@with_mail
def test_what_another_session_removes_does_not_break_this_one(post):
    client = filled(post, b"one", b"two", b"three")
    other = opened(post, box="Test")
    client.command(b"STORE 2 +FLAGS.SILENT (\\Deleted)")
    assert client.command(b"EXPUNGE") == [b"* 2 EXPUNGE\r\n"]
    assert len(other.command(b"FETCH 1:3 (UID FLAGS)")) == 3
    said, told = other.wait(other.send(b"FETCH 1:3 (BODY.PEEK[])"))
    assert said.startswith(b"NO")
    assert [fetched(line)["BODY[]"] for line in told] == [b"one", b"three"]
    other.command(b"STORE 2 +FLAGS \\Seen")
    assert b"* 2 EXPUNGE\r\n" in other.command(b"NOOP")
    assert other.fetch(2, "BODY[]")["BODY[]"] == b"three"
    other.command(b"DELETE Test")
    until(lambda: b"* 2 EXPUNGE\r\n" in client.command(b"NOOP"))
    assert client.refused(b"APPEND Test ", b"x").startswith(b"NO [TRYCREATE]")


@with_mail
def test_copies_and_moves_and_what_numbers_they_have(post):
    client = filled(post, *[MAILS["latin1"]] * 4)
    assert client.refused(b"COPY 1 Nowhere").startswith(b"NO [TRYCREATE]")
    client.command(b"STORE 2 +FLAGS (\\Flagged)")
    said, _ = client.wait(client.send(b"COPY 1:2 Trash"))
    validity = said.split()[2]
    assert said == b"OK [COPYUID %b 1:2 1:2] COPY completed" % validity
    said, told = client.wait(client.send(b"UID MOVE 2,4 Trash"))
    assert told == [
        b"* OK [COPYUID %b 2,4 3:4] moved\r\n" % validity,
        b"* 4 EXPUNGE\r\n",
        b"* 2 EXPUNGE\r\n",
    ]
    assert client.wait(client.send(b"COPY 9 Trash"))[0] == b"OK COPY completed"
    said, _ = client.wait(client.send(b"APPEND Trash (\\Seen) ", b"new"))
    assert said == b"OK [APPENDUID %b 5] APPEND completed" % validity
    assert client.command(b"COPY 1 Test") == [b"* 3 EXISTS\r\n"]
    assert b"MESSAGES 3" in client.command(b"STATUS Test (MESSAGES)")[0]
    client.command(b"SELECT Trash")
    assert [client.fetch(number, "FLAGS")["FLAGS"] for number in (1, 2, 3, 5)] == [
        [],
        [b"\\Flagged"],
        [b"\\Flagged"],
        [b"\\Seen"],
    ]
    assert client.fetch(4, "BODY[]")["BODY[]"] == MAILS["latin1"]
    client.command(b"STORE 1,2,3 +FLAGS.SILENT (\\Deleted)")
    assert client.command(b"UID EXPUNGE 2:9") == [b"* 3 EXPUNGE\r\n", b"* 2 EXPUNGE\r\n"]
    client.command(b"CLOSE")
    assert b"MESSAGES 2" in client.command(b"STATUS Trash (MESSAGES)")[0]


@with_mail
def test_folders(post):
    client = opened(post)
    for name in (b"a/b/c", b'"with space"', b"Entw&APw-rfe", b"x"):
        client.command(b"CREATE " + name)
    for wrong in (b"a", b"Inbox", b'""', b"a//b", b"/", b'"a*"', b"a/b"):
        assert client.refused(b"CREATE " + wrong).startswith(b"NO"), wrong
    for pattern, names in (
        (
            b'"" "*"',
            [b"INBOX", b"Entw&APw-rfe", b"Trash", b"a", b"a/b", b"a/b/c", b"with space", b"x"],
        ),
        (b'"" a/%', [b"a/b"]),
        (b'"" inbox', [b"INBOX"]), (b'a/ "*"', [b"a/b", b"a/b/c"]), (b'"" T%', [b"Trash"]),
        (b'"" "%/%/c"', [b"a/b/c"]), (b'"" ""', [b""]),
    ):  # fmt: skip
        assert [line.split(b'"')[3] for line in client.command(b"LIST " + pattern)] == names, (
            pattern
        )
    client.command(b"APPEND a/b ", b"kept")
    client.command(b"RENAME a z")
    client.command(b"SELECT z/b")
    assert client.fetch(1, "BODY[]")["BODY[]"] == b"kept"
    for wrong in (b"z x", b"nothing y", b"INBOX y", b"z z/q", b"z INBOX"):
        assert client.refused(b"RENAME " + wrong).startswith(b"NO"), wrong
    assert client.refused(b"DELETE z/b").startswith(b"NO")
    assert client.refused(b"DELETE INBOX").startswith(b"NO")
    before = client.command(b"STATUS x (UIDVALIDITY)")
    client.command(b"DELETE x")
    client.command(b"CREATE x")
    assert client.command(b"STATUS x (UIDVALIDITY)") != before
    client.command(b"UNSUBSCRIBE x")
    assert client.command(b'LSUB "" x') == []
    client.command(b"SUBSCRIBE x")
    assert len(client.command(b'LSUB "" x')) == 1
    assert len(opened(post, "bob").command(b'LIST "" *')) == 2


@with_mail
def test_a_client_that_does_not_read_holds_up_nobody_else(post):
    client = filled(post, *[b"Subject: large\r\n\r\n" + b"x" * 4_000_000] * 4)
    other = opened(post, box="Test")
    tag = client.send(b"FETCH 1:* (BODY.PEEK[])")
    for _ in range(5):
        other.command(b"NOOP")
        assert other.fetch(1, "BODY.PEEK[]<0.8>") == {"BODY[]<0>": b"Subject:"}
    said, told = client.wait(tag)
    assert said.startswith(b"OK")
    assert [len(fetched(line)["BODY[]"]) for line in told] == [4_000_018] * 4
    client.send(b"FETCH 1:* (BODY.PEEK[])")
    client.read()
    client.close()
    other.command(b"NOOP")
