"""The mail example with excessive and with invalid requests."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from examples.mail import readable
from examples.mail.interface import Entry
from examples.mail.readable import Readable
from examples.mail.realm import Box
from examples.mail.search import Query, read_query
from examples.mail.store import Store
from examples.mail.syntax import Arguments, Malformed, date_time_of, internal_date, matches
from tests.examples.raw_imap import fetched
from tests.examples.test_imap import filled, opened
from tests.examples.test_mail import Mail, with_mail
from tests.examples.test_mail_login import POP3

pytestmark = pytest.mark.slow  # megabytes of mail, against a real server

LARGE = b"Subject: large\r\n\r\n" + b"hello world \r\n" * 300_000


def megabytes(post: Mail) -> int:
    """Return the server's memory in MB."""
    status = Path(f"/proc/{post.process.process.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) // 1024


@with_mail
def test_a_fetch_takes_no_more_memory_than_one_thing_that_it_asks_for(post):
    client = filled(post, LARGE)
    assert client.fetch(1, *["BODY.PEEK[]"] * 1000) == {"BODY[]": LARGE}
    parts = [f"BODY.PEEK[]<{start}.9999999>" for start in range(50)]
    assert client.refused(f"FETCH 1 ({' '.join(parts)} FLAGS)".encode()).startswith(b"BAD")
    assert client.refused(b"FETCH 1 ()").startswith(b"BAD")
    before = megabytes(post)
    tag = client.send(f"FETCH 1 ({' '.join(parts[:25])})".encode())
    opened(post).command(b"NOOP")
    start = client.file.peek(1)
    assert start.startswith(b"* 1 FETCH (BODY[]<0> {")
    assert megabytes(post) - before < 60
    said, told = client.wait(tag)
    assert said.startswith(b"OK")
    assert fetched(told[0]) == {f"BODY[]<{start}>": LARGE[start:] for start in range(25)}


@with_mail
def test_only_what_appends_a_message_may_be_long(post):
    client = filled(post, b"Subject: x\r\n\r\n")
    for start in (
        b'LIST "" {2000000}',
        b"SEARCH BODY {2000000}",
        b"UID SEARCH BODY {2000000}",
        b"x" * 65_520 + b" {9}",
    ):
        client.socket.sendall(b"long " + start + b"\r\n")
        assert client.read().startswith(b"long NO [TOOBIG]")
    assert client.refused(b"SEARCH BODY ", b"x", b" " + b"y" * 65_530).startswith(b"NO [TOOBIG]")
    assert client.refused(b"APPEND ", b"x" * 100_000, b" {1+}\r\nx").startswith(b"BAD")
    for pattern in (b"%*" * 601, b"x" * 1201):
        assert client.refused(b'LIST "" ' + pattern).startswith(b"BAD")
        assert client.refused(b'LSUB "' + pattern.replace(b"%*", b"xx") + b'" *').startswith(b"BAD")
    assert len(client.command(b'LIST "" ' + b"%*" * 600)) == 3
    assert client.command(b"SEARCH " + b"NOT BODY zz " * 49 + b"ALL ALL") == [b"* SEARCH 1\r\n"]
    assert client.refused(b"SEARCH " + b"NOT BODY zz " * 50 + b"ALL").startswith(b"BAD")
    client.socket.sendall(b"long LIST {70000+}\r\n")
    assert client.read().startswith(b"* BYE")


def test_patterns():
    words = ["", "a", "b", "/", "a/b", "aa/b", "a/", "ab/ab/b", "b//a"]
    for pattern in [
        first + second + third for first in "ab/*%" for second in "ab/*%" for third in ["", *"a/*%"]
    ]:
        expression = "".join({"*": ".*", "%": "[^/]*"}.get(char, char) for char in pattern)
        for word in words:
            assert matches(pattern, word) == bool(re.fullmatch(expression, word)), (pattern, word)


def test_patterns_take_no_time():
    start = time.process_time()
    assert matches("*" * 1_000_000, "a" * 200)
    assert not matches("%a" * 600 + "b", "a" * 200)
    assert not any(matches("%a" * 90 + "%b", "a" * 199) for _ in range(100))
    assert time.process_time() - start < 5


def query(text: bytes, rest: Callable[[], object] = lambda: None) -> Query:
    async def resting() -> None:
        rest()

    return read_query(Arguments(text), "utf-8", (1, 1), resting)


def test_a_search_decodes_a_message_once_and_lets_others_have_their_turn(monkeypatch):
    decoded: list[object] = []
    rests: list[object] = []
    original = readable._decoded
    monkeypatch.setattr(
        readable, "_decoded", lambda data, charset: decoded.append(data) or original(data, charset)
    )
    asked = query(
        b"NOT BODY zz NOT TEXT zz " * 10 + b"NOT SUBJECT zz NOT SUBJECT yy", lambda: rests.append(1)
    )
    message = Readable(1, Entry(1, 9, 0), b"Subject: large\r\n\r\nhello")
    assert asyncio.run(asked.test(message))
    assert len(decoded) == 3
    assert len(rests) == 22


@pytest.mark.parametrize(
    "date",
    [
        b"1 Jan 99999999999999999999 00:00:00",
        b"99999999999999999999 Jan 2026 00:00:00",
        b"9" * 5000,
        b"1 Jan " + b"9" * 5000,
        b"",
    ],
)
def test_a_mail_with_an_impossible_date_has_none(date):
    message = Readable(1, Entry(1, 9, 0), b"Date: " + date + b"\r\n\r\n")
    for key in (b"SENTSINCE", b"SENTON", b"SENTBEFORE"):
        assert not asyncio.run(query(key + b" 1-Jan-2026").test(message))


def test_times():
    assert date_time_of(b"31-Dec-9998 23:59:59 +0000") == 253370764799
    assert date_time_of(b" 1-Jan-1970 00:00:00 +0000") == 0
    for wrong in (
        b"31-Dec-9999 23:59:59 -2359", b" 1-Jan-0001 00:00:00 +2359", b" 1-Jan-0500 00:00:00 +0000",
        b" 1-Jan-2026 99:99:99 +9999", b" 1-Jan-2026 24:00:00 +0000", b" 1-Jan-2026 00:60:00 +0000",
        b" 1-Jan-2026 00:00:61 +0000", b" 1-Jan-2026 00:00:00 +2400", b" 1-Jan-2026 00:00:00 +0060",
        b" 1-Jan-1970 00:00:00 +0001", b"31-Dec-9998 23:59:59 -0001", b"29-Feb-2026 00:00:00 +0000",
    ):  # fmt: skip
        with pytest.raises(Malformed):
            date_time_of(wrong)


def test_whatever_time_a_database_has_can_be_told_and_searched():
    for seconds, told in (
        (-46388678400, b'"01-Jan-0500 00:00:00 +0000"'),
        (-(10**15), b'"01-Jan-0001 00:00:00 +0000"'),
        (10**15, b'"31-Dec-9998 23:59:59 +0000"'),
    ):
        assert internal_date(seconds) == told
        found = asyncio.run(query(b"SINCE 1-Jan-2026").test(Readable(1, Entry(1, 9, seconds))))
        assert found == (seconds > 0)


@with_mail
def test_inbox_has_no_case_of_its_own_also_where_folders_are_in_it(post):
    client = opened(post)
    client.command(b"CREATE inbox/x")
    for pattern in (b"inbox/*", b"INBOX/%", b"Inbox/x"):
        assert client.command(b'LIST "" ' + pattern) == [b'* LIST () "/" "INBOX/x"\r\n'], pattern
    client.command(b"CREATE inboxes")
    for pattern, names in (
        (b"inbox*", [b"INBOX", b"INBOX/x", b"inboxes"]),
        (b"inbox%", [b"INBOX", b"inboxes"]),
    ):
        assert [line.split(b'"')[3] for line in client.command(b'LIST "" ' + pattern)] == names, (
            pattern
        )
    for name in (b"INBOX/x", b"inbox/x", b"InBox/x"):
        client.command(b"SELECT " + name)
        client.command(b"STATUS " + name + b" (MESSAGES)")
        assert client.refused(b"CREATE " + name).startswith(b"NO")
    client.command(b"RENAME Inbox/x iNbox/y")
    client.command(b"UNSUBSCRIBE inbox/y")
    assert client.command(b'LIST inbox/ "*"') == [b'* LIST () "/" "INBOX/y"\r\n']
    client.command(b"COPY 1:* inbox/y")
    client.command(b"DELETE inbox/y")
    assert client.command(b'LIST "" inbox/*') == []


def test_a_folder_of_old_in_an_inbox_of_another_case_can_be_reached(tmp_path):
    store = Store(f"sqlite:///{tmp_path / 'mail.sqlite'}")
    store.open("ann")
    store.create("ann", ["inbox/x", "inbox/y", "INBOX/y"])
    assert sorted(folder.name for folder in Box(store, "ann").folders()) == [
        "INBOX",
        "INBOX/x",
        "INBOX/y",
        "Trash",
        "inbox/y",
    ]
    store.close()


def logged_in(post: Mail) -> POP3:
    pop = POP3(post)
    pop.say("USER ann")
    assert pop.say("PASS a1").startswith(b"+OK")
    return pop


@with_mail
def test_a_client_of_pop3_that_does_not_read_takes_no_memory_and_holds_up_nobody(post):
    imap, pop = filled(post), POP3(post)
    imap.command(b"APPEND INBOX ", LARGE)
    pop = logged_in(post)
    before = megabytes(post)
    pop.socket.sendall(b"RETR 2\r\n" * 30)
    other = logged_in(post)
    for _ in range(40):
        assert len(other.lines("TOP 2 0")) == 2
    assert megabytes(post) - before < 90  # all would be 130, and twice that with dot-stuffing
    for _ in range(30):
        assert pop.line() == b"+OK %d octets\r\n" % len(LARGE)
        assert pop.file.read(len(LARGE) + 3) == LARGE + b".\r\n"
    assert pop.say("NOOP").startswith(b"+OK")


@with_mail
def test_what_a_client_of_pop3_sends_ahead_is_not_read_while_it_does_not_read(post):
    filled(post).command(b"APPEND INBOX ", LARGE)
    pop = logged_in(post)
    pop.socket.setblocking(False)
    ahead = b"RETR 2\r\n" * 10_000
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while sent < 200_000_000:
            sent += pop.socket.send(ahead)
    assert sent < 200_000_000
    assert logged_in(post).say("STAT").startswith(b"+OK 2 ")


@with_mail
def test_nothing_is_done_for_a_client_of_pop3_that_went_away(post):
    filled(post).command(b"APPEND INBOX ", LARGE)
    for _ in range(3):
        pop = logged_in(post)
        pop.socket.sendall(b"RETR 2\r\n" * 400 + b"DELE 1\r\nQUIT\r\n")
        assert pop.line().startswith(b"+OK")
        pop.file.close()
        pop.socket.close()
    assert logged_in(post).say("STAT").startswith(b"+OK 2 ")  # and the log has no traceback


@with_mail
def test_what_is_sent_after_quit_is_not_done(post):
    pop = logged_in(post)
    pop.socket.sendall(b"NOOP\r\nQUIT\r\nSTAT\r\nDELE 1\r\n")
    assert pop.file.read() == b"+OK \r\n+OK Bye\r\n"
    pop = POP3(post)
    plain = b"AUTH PLAIN\r\n" + base64.b64encode(b"\0ann\0a1") + b"\r\nSTAT\r\n"
    pop.socket.sendall(plain)  # with the answer to a challenge not sent yet
    assert [pop.line()[:6] for _ in range(3)] == [b"+ \r\n", b"+OK Au", b"+OK 1 "]
