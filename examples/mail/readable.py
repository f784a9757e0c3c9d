"""A message as text for searches: decoded, and in lower case."""

from __future__ import annotations

import base64
import binascii
import codecs
import quopri
import re
from collections.abc import Sequence
from functools import cached_property

from examples.mail.fetch import Message
from examples.mail.mime import Part

__all__ = ["Readable"]

SLOW = frozenset(("punycode", "idna"))
"""Python's codecs that need time quadratic in the length of their input, and are no charsets."""

_ENCODED_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*)\?=")
_BETWEEN_WORDS = re.compile(r"(?<=\?=)\s+(?==\?)")


class Readable(Message):
    """A message, which caches what was decoded."""

    @cached_property
    def headers(self) -> Sequence[str]:
        """Its fields, with their names."""
        return [_decoded_field(field).casefold() for _, field in self.part.fields]

    @cached_property
    def texts(self) -> Sequence[str]:
        """Its text parts."""
        return [
            _decoded_part(leaf).casefold() for leaf in self.part.leaves() if leaf.type[0] == b"text"
        ]

    def values(self, name: bytes) -> Sequence[str]:
        """Return the values of all fields with a name."""
        if name not in self._values:
            self._values[name] = [
                _decoded_field(value).casefold() for value in self.part.values(name)
            ]
        return self._values[name]

    @cached_property
    def _values(self) -> dict[bytes, Sequence[str]]:
        return {}


def _decoded_part(part: Part) -> str:
    return _decoded(
        _without_encoding(part), part.parameters.get(b"charset", b"utf-8").decode("latin-1")
    )


def _decoded_field(value: bytes) -> str:
    """Return a field as text: RFC 2047 words decoded, and raw bytes as UTF-8 or Latin-1."""
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
    """Return text decoded by the declared charset, else as UTF-8, else as Latin-1."""
    for name in (charset, "utf-8"):
        try:
            if codecs.lookup(name).name not in SLOW:
                return data.decode(name)
        except (UnicodeError, LookupError, ValueError):  # try the next charset
            continue
    return data.decode("latin-1")
