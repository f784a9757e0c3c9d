"""Units of the mail example's IMAP server."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

pytest.importorskip("twisted", reason="Twisted is not installed: pip install 'actorcred[twisted]'")

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.testing import StringTransport

from examples.mail.account import Account
from examples.mail.interface import Entry, Folder
from examples.mail.mime import Part
from examples.mail.outlet import Outlet
from examples.mail.readable import Readable
from examples.mail.search import read_query
from examples.mail.structure import body_structure, envelope
from examples.mail.syntax import Arguments, Numbers
from examples.mail.wire import Wire

MB = 1_048_576


def test_answers_wait_until_the_client_reads():
    wire = Wire()
    wire.transport = StringTransport()
    with Outlet(wire) as outlet:
        wire.transport.producer.pauseProducing()
        waiting = Deferred.fromCoroutine(outlet.opened())
        assert not waiting.called
        wire.transport.producer.resumeProducing()
        assert waiting.called
        wire.transport.producer.pauseProducing()
        waiting = Deferred.fromCoroutine(outlet.opened())
        wire.transport.producer.stopProducing()
        waiting.addErrback(lambda failure: failure.trap(CancelledError))
        assert waiting.called
    assert wire.transport.producer is None


def test_what_happens_while_a_folder_is_opened_is_not_missed():
    class Asked(Account):
        def ask(self, name: str, *args: Any, **kwargs: Any) -> Any:
            return entries

    one, two, seen = Entry(1, 3, 0), Entry(2, 3, 0), Entry(1, 3, 0, ("\\Seen",))
    account, entries = Asked(None), Deferred()
    opening = Deferred.fromCoroutine(account.select(Folder(7, "Test", True, 1, 2), True))
    account.arrived(7, two)
    account.arrived(8, Entry(9, 3, 0))
    account.changed(7, seen)
    entries.callback([one])
    assert opening.called
    assert account.selected.entries == [seen, two]
    account.removed(7, [1])
    assert account.selected.news() == [b"1 EXPUNGE", b"1 EXISTS"]


async def at_once() -> None:
    pass


@pytest.mark.parametrize(
    "raw",
    [
        b"From: " + b'"\\' * (MB // 2),
        b"From: " + b"(a" * (MB // 2),
        b"From: " + b"a," * (MB // 2),
        b"Subject: " + b"=?x?q? " * (MB // 7),
        b"Subject: " + b"?= " * (MB // 3),
        b"Subject: " + b"\r\n " * (MB // 3),
        b"Content-Type: text/plain" + b';a="\\"' * (MB // 6),
        b"Content-Type: text/plain;" + b" " * MB,
        b"Content-Type: text/plain; charset=punycode\r\n\r\n" + b"a-" * (MB // 2),
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n" * (MB // 5),
        b"Date: " + b"(" * MB,
        b"a:b\r\n" * (MB // 5),
    ],
    ids=lambda raw: raw[:20].decode(),
)
def test_a_mail_that_is_made_to_cost_much_does_not(raw):
    query = read_query(
        Arguments(b"OR OR SUBJECT zz FROM zz OR TEXT zz SENTON 1-Jan-2020"),
        "utf-8",
        (1, 1),
        at_once,
    )
    begun = time.process_time()
    message = Readable(1, Entry(1, len(raw), 0), raw)
    envelope(message.part)
    body_structure(message.part, extended=True)
    assert not asyncio.run(query.test(message))
    assert time.process_time() - begun < 5  # quadratic time would take minutes


@pytest.mark.parametrize(
    "raw", [b"", b"\n", b"a: b", b"a: b\n\nc", b"a: b\r\n\r\n", b" x\r\ny\r\n\r\n\r\n", b"a\n\r\nb"]
)
def test_header_and_body_are_the_bytes_of_a_message(raw):
    part = Part.parse(raw)
    assert part.header + part.body == raw
    assert b"".join(field for _, field in part.fields) + part.blank_line == part.header


def test_sets_of_numbers():
    for text, last, found in (
        (b"1:3,5", 9, {1, 2, 3, 5}), (b"3:1", 9, {1, 2, 3}), (b"*", 4, {4}),
        (b"7:*", 4, {4, 5, 6, 7}), (b"*:2,9", 3, {2, 3, 9}), (b"1,1,2:4,3", 9, {1, 2, 3, 4}),
    ):  # fmt: skip
        contains = Numbers(text).up_to(last)
        assert {number for number in range(1, 12) if contains(number)} == found, text
