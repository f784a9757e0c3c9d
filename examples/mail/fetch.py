"""FETCH (RFC 3501, section 6.4.5): its arguments and responses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from examples.mail.interface import Entry
from examples.mail.mime import Part
from examples.mail.structure import body_structure, envelope
from examples.mail.syntax import Arguments, Malformed, internal_date, literal, parenthesised, quoted

__all__ = ["FLAGS", "UID", "Item", "Message", "Section", "read_items"]

_NAME = re.compile(rb"[A-Z0-9.]+", re.IGNORECASE)
_PARTS = re.compile(rb"\d{1,9}(?:\.\d{1,9})*")
_PARTIAL = re.compile(rb"<(\d{1,10})\.(\d{1,10})>")

_FAST = (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE")
_MACROS = {b"ALL": (*_FAST, b"ENVELOPE"), b"FAST": _FAST, b"FULL": (*_FAST, b"ENVELOPE", b"BODY")}

MAX_ITEMS = 50
"""Maximum number of items in one FETCH. Each item can be as long as the message."""

WITHOUT_TEXT = frozenset((b"UID", b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE"))
WITH_STRUCTURE = frozenset((b"ENVELOPE", b"BODY", b"BODYSTRUCTURE"))


class Message:
    """A message of a mailbox, as a session sees it.

    Args:
        number: its sequence number.
        entry: what is known without its text.
        raw: its text.
    """

    def __init__(self, number: int, entry: Entry, raw: bytes = b"") -> None:
        self.number = number
        self.entry = entry
        self.raw = raw

    @cached_property
    def part(self) -> Part:
        """The message as a tree of parts."""
        return Part.parse(self.raw)


@dataclass(frozen=True, slots=True)
class Section:
    """The part of a message that a FETCH item names.

    Args:
        numbers: the part number.
        what: "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT", "MIME", or "" for all.
        names: the header fields.
        partial: the first byte and the number of bytes; None for all.
    """

    numbers: tuple[int, ...] = ()
    what: bytes = b""
    names: tuple[bytes, ...] = ()
    partial: tuple[int, int] | None = None

    @classmethod
    def read(cls, arguments: Arguments) -> Section:
        """Parse a section from a command's arguments."""
        arguments.skip(b"[")
        numbers: tuple[int, ...] = ()
        if not arguments.next_is(b"]", b"H", b"T", b"M"):
            numbers = tuple(
                map(int, arguments.match(_PARTS, "a part's number").group().split(b"."))
            )
            if not arguments.next_is(b"]"):
                arguments.skip(b".")
        what, names = (b"", ()) if arguments.next_is(b"]") else cls._read_what(arguments, numbers)
        arguments.skip(b"]")
        return cls(numbers, what, names, cls._read_partial(arguments))

    @staticmethod
    def _read_what(
        arguments: Arguments, numbers: tuple[int, ...]
    ) -> tuple[bytes, tuple[bytes, ...]]:
        what = arguments.match(_NAME, "a section").group().upper()
        if what in {b"HEADER.FIELDS", b"HEADER.FIELDS.NOT"}:
            arguments.space()
            return what, tuple(arguments.listed(arguments.astring))
        if what not in {b"HEADER", b"TEXT", b"MIME"} or (what == b"MIME" and not numbers):
            raise Malformed("there is no such section")
        return what, ()

    @staticmethod
    def _read_partial(arguments: Arguments) -> tuple[int, int] | None:
        if not arguments.next_is(b"<"):
            return None
        first, count = map(int, arguments.match(_PARTIAL, "a part of a section").groups())
        if not count:
            raise Malformed("a part of a section has at least one byte")
        return first, count

    def label(self) -> bytes:
        """Return its name in the response."""
        words = [b"%d" % number for number in self.numbers]
        names = b" " + parenthesised(map(_name, self.names)) if self.names else b""
        place = b".".join([*words, self.what] if self.what else words)
        start = b"" if self.partial is None else b"<%d>" % self.partial[0]
        return b"BODY[" + place + names + b"]" + start

    def of(self, message: Part) -> bytes | None:
        """Return its bytes from a message, or None if the message has no such part."""
        found = self._whole(message)
        if found is None or self.partial is None:
            return found
        first, count = self.partial
        return found[first : first + count]

    def _whole(self, message: Part) -> bytes | None:
        part = message.find(self.numbers)
        if part is None:
            return None
        if not self.what:
            return part.body if self.numbers else part.header + part.body
        if self.what == b"MIME":
            return part.header
        inner = part.message if self.numbers else part
        return None if inner is None else self._of_message(inner)

    def _of_message(self, message: Part) -> bytes:
        if self.what == b"TEXT":
            return message.body
        if self.what == b"HEADER":
            return message.header
        return message.chosen(self.names, self.what.endswith(b"NOT"))


def _name(name: bytes) -> bytes:
    return name if _NAME.fullmatch(name.replace(b"-", b"")) else quoted(name)


ALIASES = {
    b"RFC822": Section(),
    b"RFC822.HEADER": Section(what=b"HEADER"),
    b"RFC822.TEXT": Section(what=b"TEXT"),
}


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a FETCH.

    Args:
        name: such as "FLAGS".
        section: for a part of the text.
        peek: whether the message stays unread.
    """

    name: bytes
    section: Section | None = None
    peek: bool = False

    @property
    def needs_text(self) -> bool:
        """Whether the message's text is needed."""
        return self.name not in WITHOUT_TEXT

    @property
    def reads(self) -> bool:
        """Whether fetching it marks the message as read."""
        return self.section is not None and not self.peek

    def answer(self, message: Message) -> bytes:
        """Return its name and value for a message."""
        if self.section is not None:
            data = self.section.of(message.part)
            return self.name + b" " + (b"NIL" if data is None else literal(data))
        return self.name + b" " + _ANSWERS[self.name](message)


_ANSWERS = {
    b"UID": lambda message: b"%d" % message.entry.uid,
    b"FLAGS": lambda message: parenthesised(flag.encode() for flag in message.entry.flags),
    b"INTERNALDATE": lambda message: internal_date(message.entry.received),
    b"RFC822.SIZE": lambda message: b"%d" % message.entry.size,
    b"ENVELOPE": lambda message: envelope(message.part),
    b"BODY": lambda message: body_structure(message.part, extended=False),
    b"BODYSTRUCTURE": lambda message: body_structure(message.part, extended=True),
}

UID, FLAGS = Item(b"UID"), Item(b"FLAGS")


def read_items(arguments: Arguments) -> list[Item]:
    """Parse the items of a FETCH, each only once."""
    if arguments.next_is(b"("):
        items = arguments.listed(lambda: _read_item(arguments))
    elif arguments.next_is(*_MACROS):
        items = [Item(name) for name in _MACROS[arguments.atom()]]
    else:
        items = [_read_item(arguments)]
    arguments.end()
    if not items:
        raise Malformed("what to fetch is missing")
    if len(set(items)) > MAX_ITEMS:
        raise Malformed(f"a FETCH may ask for at most {MAX_ITEMS} things")
    return list(dict.fromkeys(items))


def _read_item(arguments: Arguments) -> Item:
    name = arguments.match(_NAME, "what to fetch").group().upper()
    if arguments.next_is(b"[") and name in {b"BODY", b"BODY.PEEK"}:
        section = Section.read(arguments)
        return Item(section.label(), section, name == b"BODY.PEEK")
    if name in ALIASES:
        return Item(name, ALIASES[name], name == b"RFC822.HEADER")
    if name not in _ANSWERS:
        raise Malformed("what to fetch is missing or wrong")
    return Item(name)
