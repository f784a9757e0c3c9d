"""A message as bytes: header fields, body and parts, none of them rewritten.

Any sequence of bytes has a structure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

__all__ = ["Part", "disposition", "parameters"]

MAX_DEPTH = 16
"""Maximum depth of nested parts; deeper ones are shown as one.

Clients refuse deep lists, imapflow those of more than 25 levels.
"""

MAX_PARTS = 1000
"""Maximum number of parts of a multipart; the last part has the rest."""

_BLANK_LINE = re.compile(rb"(?:\A|(?<=\n))\r?\n")
_FIELD = re.compile(rb"[^\n]*(?:\n[ \t][^\n]*)*\n?")
_TYPE = re.compile(rb"\s*([^\s/;()\"]+)\s*/\s*([^\s/;()\"]+)")
_VALUE = re.compile(rb"\s*([^\s;()\"]+)")
_PARAMETER = re.compile(
    rb";\s*([^\s=;\"]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;()]*))", re.DOTALL
)

TEXT = (b"text", b"plain")
MESSAGE = (b"message", b"rfc822")


@dataclass(frozen=True)
class Part:
    """A message, or a part of one.

    Args:
        header: all fields, with the blank line that ends them if there is one.
        body: the rest.
        default: its type if it declares none.
        depth: how many parts enclose it.
    """

    header: bytes
    body: bytes
    default: tuple[bytes, bytes] = TEXT
    depth: int = 0

    @classmethod
    def parse(cls, raw: bytes, default: tuple[bytes, bytes] = TEXT, depth: int = 0) -> Part:
        """Parse a message or part. Its header and body together are the same bytes."""
        blank = _BLANK_LINE.search(raw)
        end = len(raw) if blank is None else blank.end()
        return cls(raw[:end], raw[end:], default, depth)

    # -- header ------------------------------------------------------------------------------------

    @cached_property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """Its fields in order: the name in lower case, and the bytes.

        A line that is not a field has an empty name.
        """
        found = []
        for field in _FIELD.findall(self.header[: len(self.header) - len(self.blank_line)]):
            name, colon, _ = field.partition(b":")
            if field:
                found.append((name.strip().lower() if colon else b"", field))
        return found

    @cached_property
    def blank_line(self) -> bytes:
        """The line that ends its header; empty if the message ends before it."""
        blank = _BLANK_LINE.search(self.header)
        return b"" if blank is None else blank.group()

    def chosen(self, names: tuple[bytes, ...], negate: bool) -> bytes:
        """Return the fields with these names, or all others, with the blank line."""
        wanted = {name.lower() for name in names}
        return (
            b"".join(field for name, field in self.fields if (name in wanted) != negate)
            + self.blank_line
        )

    def values(self, name: bytes) -> list[bytes]:
        """Return the unfolded values of all fields with a name."""
        return [_unfolded(field) for known, field in self.fields if known == name]

    def value(self, name: bytes) -> bytes | None:
        """Return the value of the first field with a name."""
        return next(iter(self.values(name)), None)

    # -- content -----------------------------------------------------------------------------------

    @cached_property
    def type(self) -> tuple[bytes, bytes]:
        """Its type and subtype, in lower case; text/plain if the declared type is invalid."""
        said = self._said_type
        if said[0] == b"multipart":
            return said if self.parts else TEXT
        if said == MESSAGE and self.depth >= MAX_DEPTH:
            return b"application", b"octet-stream"
        return said

    @cached_property
    def _said_type(self) -> tuple[bytes, bytes]:
        field = self.value(b"content-type")
        if field is None:
            return self.default
        match = _TYPE.match(field)
        return TEXT if match is None else (match[1].lower(), match[2].lower())

    @cached_property
    def parameters(self) -> dict[bytes, bytes]:
        """The parameters of its type."""
        if self.value(b"content-type") is None or self.type != self._said_type:
            return {b"charset": b"us-ascii"} if self.type == TEXT else {}
        return parameters(self.value(b"content-type") or b"")

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The parts of a multipart, or the one message in a message/rfc822 part."""
        if self.depth >= MAX_DEPTH:
            return ()
        if self._said_type == MESSAGE:
            return (Part.parse(self.body, depth=self.depth + 1),)
        boundary = parameters(self.value(b"content-type") or b"").get(b"boundary")
        if self._said_type[0] != b"multipart" or not boundary:
            return ()
        default = MESSAGE if self._said_type[1] == b"digest" else TEXT
        return tuple(
            Part.parse(raw, default, self.depth + 1) for raw in _split(self.body, boundary)
        )

    @property
    def is_multipart(self) -> bool:
        """Whether it is a multipart."""
        return self.type[0] == b"multipart"

    @property
    def message(self) -> Part | None:
        """The enclosed message, if it is of type message/rfc822."""
        return self.parts[0] if self.type == MESSAGE else None

    def find(self, numbers: tuple[int, ...]) -> Part | None:
        """Return a part by its numbers (RFC 3501, section 6.4.5), or None if there is none."""
        part, inside = self, self if numbers else None
        for number in numbers:
            siblings = () if inside is None else inside.parts if inside.is_multipart else (inside,)
            if not 1 <= number <= len(siblings):
                return None
            part = siblings[number - 1]
            inside = part if part.is_multipart else part.message
        return part

    def leaves(self) -> Iterator[Part]:
        """Yield the parts that have no parts."""
        if not self.is_multipart and self.message is None:
            yield self
            return
        for part in self.parts:
            yield from part.leaves()


def parameters(field: bytes) -> dict[bytes, bytes]:
    """Return the parameters of a field: the name in lower case -> the value without its quotes."""
    return {
        name.lower(): re.sub(rb"\\(.)", rb"\1", quoted, flags=re.DOTALL) if quoted else plain
        for name, quoted, plain in reversed(
            _PARAMETER.findall(field)
        )  # the first parameter of a name counts
    }


def disposition(part: Part) -> tuple[bytes, dict[bytes, bytes]] | None:
    """Return a part's disposition and its parameters."""
    field = part.value(b"content-disposition")
    match = None if field is None else _VALUE.match(field)
    return None if match is None or field is None else (match[1].lower(), parameters(field))


def _unfolded(field: bytes) -> bytes:
    return re.sub(rb"\r?\n(?=[ \t])", b"", field.partition(b":")[2]).strip()


def _split(body: bytes, boundary: bytes) -> list[bytes]:
    """Return the parts between the boundary lines; the last boundary can be missing."""
    line = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?:\r?\n|\Z)")
    found: list[bytes] = []
    match = line.search(body)
    while match is not None and match[1] is None:
        start = match.end()
        # The line end before a boundary belongs to it, even if it ends another boundary.
        match = line.search(body, start - 2) if len(found) < MAX_PARTS - 1 else None
        found.append(body[start:] if match is None else body[start : max(start, match.start())])
    return found
