"""SEARCH: a client's question (RFC 3501, section 6.4.4), as a function of a message."""

from __future__ import annotations

import base64
import binascii
import codecs
import datetime
import email.utils
import quopri
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from examples.mail.fetch import Message
from examples.mail.mime import Part
from examples.mail.syntax import Arguments, Malformed, Numbers, date_of

__all__ = ["CHARSETS", "Query", "read_query"]

CHARSETS = {b"US-ASCII": "ascii", b"UTF-8": "utf-8", b"ISO-8859-1": "latin-1"}
"""The charsets of questions."""

MAX_DEPTH = 50
"""Questions within questions."""

SLOW = frozenset(("punycode", "idna"))
"""Codecs of Python's that take a text's length squared, and are no charsets."""

_ENCODED_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*)\?=")
_BETWEEN_WORDS = re.compile(r"(?<=\?=)\s+(?==\?)")

Test = Callable[[Message], bool]


@dataclass(frozen=True, slots=True)
class Query:
    """A question.

    Args:
        test: whether a message is one that is looked for.
        needs_text: whether the text has to be read for that.
    """

    test: Test
    needs_text: bool = False


def _flag(flag: str, wanted: bool = True) -> Query:
    return Query(lambda message: (flag in message.entry.flags) == wanted)


_EVERY, _NONE = Query(lambda message: True), Query(lambda message: False)
_SIMPLE = {b"ALL": _EVERY, b"OLD": _EVERY, b"RECENT": _NONE, b"NEW": _NONE}  # no message is recent here
for _name in ("Answered", "Deleted", "Draft", "Flagged", "Seen"):
    _SIMPLE[_name.upper().encode()] = _flag(f"\\{_name}")
    _SIMPLE[b"UN" + _name.upper().encode()] = _flag(f"\\{_name}", wanted=False)

_HEADERS = frozenset((b"BCC", b"CC", b"FROM", b"SUBJECT", b"TO"))
_DATES: dict[bytes, Callable[[datetime.date, datetime.date], bool]] = {
    b"BEFORE": lambda there, asked: there < asked,
    b"ON": lambda there, asked: there == asked,
    b"SINCE": lambda there, asked: there >= asked,
}


class _Reader:
    """Reads a question.

    Args:
        arguments: of the command.
        charset: of its strings.
        lasts: the last number and the last UID of the mailbox.
    """

    def __init__(self, arguments: Arguments, charset: str, lasts: tuple[int, int]) -> None:
        self._arguments = arguments
        self._charset = charset
        self._lasts = lasts
        self._depth = 0

    def all_of(self, end: bytes = b"") -> Query:
        """Take keys that have to hold together, up to a parenthesis or to the end."""
        found = [self.key()]
        while not (self._arguments.next_is(end) if end else self._arguments.done()):
            self._arguments.space()
            found.append(self.key())
        return Query(lambda message: all(query.test(message) for query in found), any(query.needs_text for query in found))

    def key(self) -> Query:
        """Take one key."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Malformed("the question is too deep")
        try:
            return self._key()
        finally:
            self._depth -= 1

    def _key(self) -> Query:
        arguments = self._arguments
        if arguments.next_is(b"("):
            arguments.skip(b"(")
            query = self.all_of(b")")
            arguments.skip(b")")
            return query
        if arguments.next_is(*b"0 1 2 3 4 5 6 7 8 9 *".split()):
            return self._numbers(arguments.numbers(), uid=False)
        name = arguments.atom()
        if name in _SIMPLE:
            return _SIMPLE[name]
        arguments.space()
        return self._with_argument(name)

    def _with_argument(self, name: bytes) -> Query:
        if name in {b"NOT", b"OR"}:
            return self._combined(name)
        if name == b"UID":
            return self._numbers(self._arguments.numbers(), uid=True)
        if name in {b"LARGER", b"SMALLER"}:
            return _size(self._arguments.number(), name == b"LARGER")
        if name in {b"KEYWORD", b"UNKEYWORD"}:
            return _flag(self._arguments.astring().decode("latin-1"), name == b"KEYWORD")
        if name.removeprefix(b"SENT") in _DATES:
            return _dated(name, date_of(self._arguments.astring()))
        return self._text(name)

    def _combined(self, name: bytes) -> Query:
        first = self.key()
        if name == b"NOT":
            return Query(lambda message: not first.test(message), first.needs_text)
        self._arguments.space()
        second = self.key()
        return Query(lambda message: first.test(message) or second.test(message), first.needs_text or second.needs_text)

    def _numbers(self, numbers: Numbers, uid: bool) -> Query:
        contains = numbers.up_to(self._lasts[uid])
        return Query(lambda message: contains(message.entry.uid if uid else message.number))

    def _text(self, name: bytes) -> Query:
        header = name.lower() if name in _HEADERS else None
        if name == b"HEADER":
            header = self._arguments.astring().lower()
            self._arguments.space()
        elif header is None and name not in {b"BODY", b"TEXT"}:
            raise Malformed("there is no such key")
        wanted = self._arguments.astring().decode(self._charset, "replace").casefold()
        if header is not None:
            return Query(lambda message: any(wanted in value for value in _header_values(message.part, header)), True)
        return Query(lambda message: any(wanted in text for text in _texts(message.part, name == b"TEXT")), True)


def _size(size: int, larger: bool) -> Query:
    return Query(lambda message: message.entry.size > size if larger else message.entry.size < size)


def _dated(name: bytes, asked: datetime.date) -> Query:
    compare = _DATES[name.removeprefix(b"SENT")]
    if name in _DATES:
        return Query(lambda message: compare(_received(message), asked))

    def sent(message: Message) -> bool:
        date = _sent(message)
        return date is not None and compare(date, asked)

    return Query(sent, True)


def _received(message: Message) -> datetime.date:
    return datetime.datetime.fromtimestamp(message.entry.received, datetime.UTC).date()


def _sent(message: Message) -> datetime.date | None:
    """Return the day of a Date field, as its sender's clock had it; None if it has none that can be understood."""
    parsed = email.utils.parsedate((message.part.value(b"date") or b"").decode("latin-1"))
    try:
        return None if parsed is None else datetime.date(*parsed[:3])
    except ValueError:
        return None


def _header_values(part: Part, name: bytes) -> Iterable[str]:
    return (_decoded_field(value).casefold() for value in part.values(name))


def _decoded_field(value: bytes) -> str:
    """Return a field as people read it, with what RFC 2047 has encoded, and what is UTF-8 or Latin-1 as it is."""
    return _ENCODED_WORD.sub(_decoded_word, _BETWEEN_WORDS.sub("", _decoded(value, "utf-8")))


def _decoded_word(word: re.Match[str]) -> str:
    charset, encoding, text = word.groups()
    data = text.encode("utf-8", "replace")
    if encoding in "qQ":
        return _decoded(binascii.a2b_qp(data, header=True), charset)
    try:
        return _decoded(base64.b64decode(data + b"=" * (-len(data) % 4)), charset)
    except ValueError:
        return text


def _texts(part: Part, with_header: bool) -> Iterable[str]:
    """Yield the texts of a message, and what stands in headers."""
    if with_header:
        yield from (_decoded_field(field).casefold() for _, field in part.fields)
    for leaf in part.leaves():
        if leaf.type[0] == b"text":
            charset = leaf.parameters.get(b"charset", b"utf-8").decode("latin-1")
            yield _decoded(_without_encoding(leaf), charset).casefold()


def _without_encoding(part: Part) -> bytes:
    encoding = (part.value(b"content-transfer-encoding") or b"").lower()
    if encoding == b"quoted-printable":
        return quopri.decodestring(part.body)
    if encoding == b"base64":
        try:
            return base64.b64decode(part.body)
        except (binascii.Error, ValueError):
            return part.body
    return part.body


def _decoded(data: bytes, charset: str) -> str:
    """Return text in the charset that a mail names, else in UTF-8, else in Latin-1, which all bytes are."""
    for name in (charset, "utf-8"):
        try:
            if codecs.lookup(name).name not in SLOW:
                return data.decode(name)
        except (UnicodeError, LookupError, ValueError):  # it is another one, then
            continue
    return data.decode("latin-1")


def read_query(arguments: Arguments, charset: str, lasts: tuple[int, int]) -> Query:
    """Take the question of a SEARCH.

    Args:
        arguments: of the command.
        charset: of its strings.
        lasts: the last number and the last UID of the mailbox.
    """
    return _Reader(arguments, charset, lasts).all_of()
