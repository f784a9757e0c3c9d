"""SEARCH (RFC 3501, section 6.4.4): a query, compiled to a function of a message."""

from __future__ import annotations

import datetime
import email.utils
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from examples.mail.readable import Readable
from examples.mail.syntax import Arguments, Malformed, Numbers, date_of, moment_of

__all__ = ["CHARSETS", "Query", "read_query"]

CHARSETS = {b"US-ASCII": "ascii", b"UTF-8": "utf-8", b"ISO-8859-1": "latin-1"}
"""Supported charsets of queries."""

MAX_DEPTH = 50
"""Maximum depth of nested queries."""

MAX_DATE = 200
"""Maximum length of a Date field in bytes."""

MAX_KEYS = 100
"""Maximum number of keys in one SEARCH."""

Rest = Callable[[], Awaitable[None]]
Test = Callable[[Readable], Coroutine[Any, Any, bool]]


@dataclass(frozen=True, slots=True)
class Query:
    """A query.

    Args:
        test: returns whether a message matches.
        needs_text: whether the test needs the message's text.
    """

    test: Test
    needs_text: bool = False


def _query(holds: Callable[[Readable], bool], needs_text: bool = False) -> Query:
    async def test(message: Readable) -> bool:
        return holds(message)

    return Query(test, needs_text)


def _flag(flag: str, wanted: bool = True) -> Query:
    return _query(lambda message: (flag in message.entry.flags) == wanted)


_EVERY, _NONE = _query(lambda message: True), _query(lambda message: False)
_SIMPLE = {
    b"ALL": _EVERY,
    b"OLD": _EVERY,
    b"RECENT": _NONE,
    b"NEW": _NONE,
}  # no message is \Recent here
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
    """Parses a query.

    Args:
        arguments: those of the command.
        charset: of its strings.
        lasts: the last number and the last UID of the mailbox.
        rest: yields to other connections.
    """

    def __init__(
        self, arguments: Arguments, charset: str, lasts: tuple[int, int], rest: Rest
    ) -> None:
        self._arguments = arguments
        self._charset = charset
        self._lasts = lasts
        self._rest = rest
        self._depth = self._count = 0

    def all_of(self, end: bytes = b"") -> Query:
        """Parse keys that must all match, up to a parenthesis or to the end."""
        found = [self.key()]
        while not (self._arguments.next_is(end) if end else self._arguments.done()):
            self._arguments.space()
            found.append(self.key())

        async def test(message: Readable) -> bool:
            for query in found:
                if not await query.test(message):
                    return False
            return True

        return Query(test, any(query.needs_text for query in found))

    def key(self) -> Query:
        """Parse one key."""
        self._depth += 1
        self._count += 1
        if self._depth > MAX_DEPTH or self._count > MAX_KEYS:
            raise Malformed("the search is nested too deeply or too long")
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
            return _negated(first)
        self._arguments.space()
        second = self.key()

        async def test(message: Readable) -> bool:
            return await first.test(message) or await second.test(message)

        return Query(test, first.needs_text or second.needs_text)

    def _numbers(self, numbers: Numbers, uid: bool) -> Query:
        contains = numbers.up_to(self._lasts[uid])
        return _query(lambda message: contains(message.entry.uid if uid else message.number))

    def _text(self, name: bytes) -> Query:
        header = name.lower() if name in _HEADERS else None
        if name == b"HEADER":
            header = self._arguments.astring().lower()
            self._arguments.space()
        elif header is None and name not in {b"BODY", b"TEXT"}:
            raise Malformed("there is no such key")
        wanted = self._arguments.astring().decode(self._charset, "replace").casefold()
        if header is not None:
            return self._containing(wanted, lambda message: message.values(header))
        if name == b"TEXT":
            return self._containing(wanted, lambda message: [*message.headers, *message.texts])
        return self._containing(wanted, lambda message: message.texts)

    def _containing(self, wanted: str, texts: Callable[[Readable], Sequence[str]]) -> Query:
        async def test(message: Readable) -> bool:
            await self._rest()
            return any(wanted in text for text in texts(message))

        return Query(test, True)


def _negated(query: Query) -> Query:
    async def test(message: Readable) -> bool:
        return not await query.test(message)

    return Query(test, query.needs_text)


def _size(size: int, larger: bool) -> Query:
    return _query(
        lambda message: message.entry.size > size if larger else message.entry.size < size
    )


def _dated(name: bytes, asked: datetime.date) -> Query:
    compare = _DATES[name.removeprefix(b"SENT")]
    if name in _DATES:
        return _query(lambda message: compare(_received(message), asked))

    def sent(message: Readable) -> bool:
        date = _sent(message)
        return date is not None and compare(date, asked)

    return _query(sent, needs_text=True)


def _received(message: Readable) -> datetime.date:
    return moment_of(message.entry.received).date()


def _sent(message: Readable) -> datetime.date | None:
    """Return the day of a Date field in its sender's time zone, or None if it has no valid one."""
    field = (message.part.value(b"date") or b"")[:MAX_DATE].decode("latin-1")
    try:
        parsed = email.utils.parsedate(field)
        return None if parsed is None else datetime.date(*parsed[:3])
    except (ValueError, OverflowError, IndexError):  # Python's parser raises them for bad dates
        return None


def read_query(arguments: Arguments, charset: str, lasts: tuple[int, int], rest: Rest) -> Query:
    """Parse the query of a SEARCH.

    Args:
        arguments: those of the command.
        charset: of its strings.
        lasts: the last number and the last UID of the mailbox.
        rest: yields to other connections.
    """
    return _Reader(arguments, charset, lasts, rest).all_of()
