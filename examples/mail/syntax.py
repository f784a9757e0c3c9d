"""The grammar of IMAP's commands and responses (RFC 3501, section 9), without I/O."""

from __future__ import annotations

import datetime
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import TypeVar

__all__ = [
    "Arguments",
    "Malformed",
    "Numbers",
    "date_of",
    "date_time_of",
    "internal_date",
    "literal",
    "matches",
    "moment_of",
    "parenthesised",
    "quoted",
]

T = TypeVar("T")

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_ATOM = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\]+")
_ASTRING = re.compile(
    rb"[^\x00-\x20\x7f(){%*\"\\]+"
)  # 8-bit names are not atoms, but some clients send them
_PATTERN = re.compile(rb"[^\x00-\x20\x7f(){\"\\]+")
_FLAG = re.compile(rb"\\?[^\x00-\x20\x7f-\xff(){%*\"\\]+")
_QUOTED = re.compile(rb'"((?:[^"\\\r\n]|\\["\\])*)"')
_LITERAL = re.compile(rb"\{(\d{1,10})\+?\}\r\n")
_NUMBERS = re.compile(
    rb"(?:\d{1,10}|\*)(?::(?:\d{1,10}|\*))?(?:,(?:\d{1,10}|\*)(?::(?:\d{1,10}|\*))?)*(?![^\s)])"
)
_PLAIN = re.compile(rb"[\x20-\x7e]{0,900}\Z")
_WILDCARDS = re.compile(r"[*%]{2,}")
_DATE = re.compile(r"([ \d]?\d)-(\w{3})-(\d{4})")
_DATE_TIME = re.compile(_DATE.pattern + r" (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)")

_FIRST = int(datetime.datetime(1, 1, 1, tzinfo=datetime.UTC).timestamp())
_END = int(datetime.datetime(9999, 1, 1, tzinfo=datetime.UTC).timestamp())


class Malformed(ValueError):
    """A command that violates the standard."""


class Numbers:
    """A set of messages, by their numbers or UIDs, such as `1:3,7,9:*`."""

    def __init__(self, text: bytes) -> None:
        self._ranges: list[tuple[int | None, int | None]] = []
        for part in text.split(b","):
            first, _, last = part.partition(b":")
            low, high = (None if end == b"*" else int(end) for end in (first, last or first))
            if 0 in {low, high}:
                raise Malformed("numbers begin with 1")
            self._ranges.append((low, high))

    def up_to(self, last: int) -> Callable[[int], bool]:
        """Return a test whether a number is in the set, if `*` stands for `last`."""
        merged: list[list[int]] = []
        for low, high in sorted(
            sorted((first or last, end or last)) for first, end in self._ranges
        ):
            if merged and low <= merged[-1][1] + 1:
                merged[-1][1] = max(merged[-1][1], high)
            else:
                merged.append([low, high])
        starts = [low for low, _ in merged]

        def contains(number: int) -> bool:
            index = bisect_right(starts, number) - 1
            return index >= 0 and number <= merged[index][1]

        return contains


class Arguments:
    """Parses the arguments of a command.

    Args:
        data: the command with its literals, as `{3}`, CRLF and three bytes.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def next_is(self, *starts: bytes) -> bool:
        """Return whether one of these strings is next, in any case."""
        longest = max(map(len, starts))
        rest = self._data[self._at : self._at + longest].upper()
        return any(rest.startswith(start) for start in starts)

    def done(self) -> bool:
        """Return whether nothing is left."""
        return self._at >= len(self._data)

    def end(self) -> None:
        """Require that nothing is left."""
        if self._data[self._at :].strip():
            raise Malformed("there are too many arguments")

    def skip(self, text: bytes) -> None:
        """Require a string, in any case."""
        if not self.next_is(text):
            raise Malformed(f"{text.decode()!r} is missing")
        self._at += len(text)

    def space(self) -> None:
        """Require a space; more than one is accepted, as some clients send more."""
        self.skip(b" ")
        while self.next_is(b" "):
            self._at += 1

    def match(self, pattern: re.Pattern[bytes], what: str) -> re.Match[bytes]:
        """Parse what matches a pattern."""
        match = pattern.match(self._data, self._at)
        if match is None:
            raise Malformed(f"{what} is missing or wrong")
        self._at = match.end()
        return match

    def atom(self) -> bytes:
        """Parse a word, in upper case."""
        return self.match(_ATOM, "a word").group().upper()

    def string(self) -> bytes:
        """Parse a quoted string or a literal."""
        if self.next_is(b'"'):
            return re.sub(rb"\\(.)", rb"\1", self.match(_QUOTED, "a quoted string")[1])
        size = int(self.match(_LITERAL, "a string")[1])
        start, self._at = self._at, self._at + size
        if self._at > len(self._data):
            raise Malformed("a literal is too short")
        return self._data[start : self._at]

    def astring(self) -> bytes:
        """Parse a word or a string."""
        return (
            self.string() if self.next_is(b'"', b"{") else self.match(_ASTRING, "a string").group()
        )

    def pattern(self) -> bytes:
        """Parse a mailbox name with wildcards."""
        return self.string() if self.next_is(b'"', b"{") else self.match(_PATTERN, "a name").group()

    def number(self) -> int:
        """Parse a number."""
        return int(self.match(re.compile(rb"\d{1,10}"), "a number").group())

    def numbers(self) -> Numbers:
        """Parse a set of numbers."""
        return Numbers(self.match(_NUMBERS, "a set of numbers").group())

    def flags(self) -> list[str]:
        """Parse flags, with or without parentheses."""
        if not self.next_is(b"("):
            found = [self._flag()]
            while not self.done():
                self.space()
                found.append(self._flag())
            return found
        return self.listed(self._flag)

    def _flag(self) -> str:
        return self.match(_FLAG, "a flag").group().decode()

    def listed(self, take: Callable[[], T]) -> list[T]:
        """Parse a parenthesized list."""
        found: list[T] = []
        self.skip(b"(")
        while not self.next_is(b")"):
            if found:
                self.space()
            found.append(take())
        self.skip(b")")
        return found


def quoted(value: bytes | None) -> bytes:
    """Return a string as IMAP writes it: quoted if possible, else a literal; NIL for None."""
    if value is None:
        return b"NIL"
    if _PLAIN.match(value):
        return b'"' + re.sub(rb'(["\\])', rb"\\\1", value) + b'"'
    return literal(value)


def literal(value: bytes) -> bytes:
    """Return a string as a literal, which can contain any bytes."""
    return b"{%d}\r\n%b" % (len(value), value)


def parenthesised(items: Iterable[bytes]) -> bytes:
    """Return a parenthesized list."""
    return b"(" + b" ".join(items) + b")"


def date_of(text: bytes) -> datetime.date:
    """Return the date of a string such as `5-Nov-2026`."""
    match = _DATE.fullmatch(text.decode("ascii", "replace"))
    if match is None:
        raise Malformed("a date is missing or wrong")
    return _date(match).date()


def date_time_of(text: bytes) -> int:
    """Return the seconds since the epoch of a time such as ` 5-Nov-2026 12:00:00 +0100`.

    The years 1970 to 9998 are accepted.
    """
    match = _DATE_TIME.fullmatch(text.decode("ascii", "replace"))
    if match is None:
        raise Malformed("a time is missing or wrong")
    hours, minutes, seconds, zone_hours, zone_minutes = map(int, match.group(4, 5, 6, 8, 9))
    if (
        hours > 23 or minutes > 59 or seconds > 60 or zone_hours > 23 or zone_minutes > 59
    ):  # 60 is a leap second
        raise Malformed("there is no such time")
    ahead = (zone_hours * 60 + zone_minutes) * (60 if match[7] == "+" else -60)
    found = int(_date(match).timestamp()) + hours * 3600 + minutes * 60 + seconds - ahead
    if not 0 <= found < _END:
        raise Malformed("the time is out of range")
    return found


def _date(match: re.Match[str]) -> datetime.datetime:
    try:
        month = MONTHS.index(match[2].lower()) + 1
        return datetime.datetime(int(match[3]), month, int(match[1]), tzinfo=datetime.UTC)
    except ValueError:
        raise Malformed("there is no such day") from None


def moment_of(seconds: int) -> datetime.datetime:
    """Return a time, moved into the supported range if a database has one outside."""
    return datetime.datetime.fromtimestamp(min(max(seconds, _FIRST), _END - 1), datetime.UTC)


def internal_date(seconds: int) -> bytes:
    """Return a time as IMAP writes it."""
    moment = moment_of(seconds)
    return (
        f'"{moment.day:02}-{MONTHS[moment.month - 1].title()}-{moment.year:04} '
        f'{moment:%H:%M:%S} +0000"'
    ).encode()


def matches(pattern: str, name: str) -> bool:
    """Return whether a name matches a pattern.

    `*` stands for anything, `%` for anything without "/".
    """
    places = {0}  # ends of the prefixes of the name that match the pattern read so far
    for char in _WILDCARDS.sub(lambda run: "*" if "*" in run[0] else "%", pattern):
        if char == "*":
            places = set(range(min(places, default=len(name) + 1), len(name) + 1))
        elif char == "%":
            places = _within_level(places, name + "/")
        else:
            places = {place + 1 for place in places if name[place : place + 1] == char}
    return len(name) in places


def _within_level(places: set[int], name: str) -> set[int]:
    """Return these places, and all after them up to the next "/"."""
    found: set[int] = set()
    for place in sorted(places):
        if place not in found:
            found.update(range(place, name.index("/", place) + 1))
    return found
