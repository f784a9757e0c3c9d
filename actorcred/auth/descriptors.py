r"""Descriptors: strings with which a deployer chooses checkers.

Examples are `file:players.htpasswd` and `cache[seconds=60]:(ldap:ldaps://host/...)`.

The grammar is `TYPE[KEY=VALUE,...]:ARGUMENT`. The options in brackets can be omitted, and so can
the colon if the argument is empty. A checker that wraps others has their descriptors in parentheses
as its argument. A backslash escapes one of `\ : , = ( ) [ ] $`. `${env:NAME}` stands for an
environment variable and `${file:PATH}` for the first line of a file, so that the string itself need
not contain a secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from actorcred.errors import AccountError

__all__ = ["ArgString", "Descriptor", "DescriptorError", "parse_descriptor"]


_ESCAPABLE = frozenset("\\:,=()[]$")

_TYPE = re.compile(r"[a-z][a-z0-9-]*")

_SECRET = re.compile(r"\$\{(env|file):([^}]*)\}")

# What might be secret: the argument of memory:, options with such names, and passwords in URLs.
_HIDDEN = (
    re.compile(r"(\bmemory(?:\[[^\]]*\])?:)((?:\\.|[^()\\])*)"),
    re.compile(r"((?:password|secret)=)((?:\\.|[^,\]\\])*)"),
    re.compile(r"(://[^/:@()\s]*:)([^()\s]*)(?=@)"),
)


class DescriptorError(AccountError):
    """A descriptor is invalid; the message shows where.

    Args:
        message: what is wrong.
        text: the whole descriptor.
        position: where in it, from 0.
    """

    def __init__(self, message: str, text: str, position: int) -> None:
        super().__init__(f"{message}\n  {_masked(text)}\n  {' ' * position}^")
        self.message = message
        self.position = position


def _masked(text: str) -> str:
    """Mask what might be secret character by character, so that positions stay the same."""
    for pattern in _HIDDEN:
        text = pattern.sub(lambda match: match[1] + "*" * len(match[2]), text)
    return text


@dataclass(frozen=True, slots=True)
class _Span:
    """A part of a descriptor, as written."""

    text: str
    start: int
    end: int

    @property
    def raw(self) -> str:
        return self.text[self.start : self.end]

    def error(self, message: str, offset: int = 0) -> DescriptorError:
        return DescriptorError(message, self.text, self.start + offset)

    def split(self, separator: str, most: int = -1) -> list[_Span]:
        """Return the parts between separators that are not escaped, in brackets or in `${...}`."""
        parts: list[_Span] = []
        start, depth, index = self.start, 0, self.start
        while index < self.end:
            sign = self.text[index]
            if self._escapes(index):
                index += 1
            elif sign in "([{":
                depth += 1
            elif sign in ")]}":
                depth -= 1
            elif sign == separator and not depth and len(parts) != most:
                parts.append(_Span(self.text, start, index))
                start = index + 1
            index += 1
        return [*parts, _Span(self.text, start, self.end)]

    def _escapes(self, index: int) -> bool:
        return (
            self.text[index] == "\\" and index + 1 < self.end and self.text[index + 1] in _ESCAPABLE
        )

    def closing(self, index: int) -> int:
        """Return the position of the bracket that closes the one at `index`."""
        pairs, expected, position = {"(": ")", "[": "]"}, [], index
        while position < self.end:
            sign = self.text[position]
            if self._escapes(position):
                position += 1
            elif sign in pairs:
                expected.append(pairs[sign])
            elif expected and sign == expected[-1]:
                expected.pop()
                if not expected:
                    return position
            position += 1
        raise DescriptorError(f"the {self.text[index]!r} is never closed", self.text, index)

    def value(self) -> str:
        """Return the value, with escapes resolved and secrets inserted."""
        return "".join(text for text, _ in self._pieces())

    def place(self, position: int) -> int:
        """Return where in the whole string a position of the value is."""
        for text, place in self._pieces():
            if position < len(text):
                return place
            position -= len(text)
        return self.end

    def _pieces(self) -> Iterator[tuple[str, int]]:
        index = self.start
        while index < self.end:
            at = index
            if self._escapes(index):
                piece, index = self.text[index + 1], index + 2
            elif self.text.startswith("${", index):
                piece, index = self._secret(index)
            else:
                piece, index = self.text[index], index + 1
            yield piece, at

    def _secret(self, index: int) -> tuple[str, int]:
        match = _SECRET.match(self.text, index, self.end)
        if match is None:
            raise DescriptorError("a secret must be ${env:NAME} or ${file:PATH}", self.text, index)
        kind, name = match.groups()
        if kind == "env":
            value = os.environ.get(name)
            if value is None:
                raise DescriptorError(f"the environment has no variable {name!r}", self.text, index)
            return value, match.end()
        try:
            return Path(name).read_bytes().split(b"\n", 1)[0].rstrip(b"\r").decode(
                "utf-8-sig"
            ), match.end()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise DescriptorError(f"cannot read {name!r}: {why}", self.text, index) from None


class ArgString(str):
    """The argument of a descriptor: a string with methods to split it that respect escapes.

    Attributes:
        options: the options in brackets before it.
    """

    __slots__ = ("_places", "_span", "options")

    options: dict[str, str]
    _span: _Span
    _places: dict[str, _Span]

    @classmethod
    def make(cls, span: _Span, places: dict[str, _Span]) -> ArgString:
        """Return the argument for a part of a descriptor, and the places of its options."""
        made = cls(span.value())
        made._span, made._places = span, places
        made.options = {name: place.value() for name, place in places.items()}
        return made

    @classmethod
    def of(cls, text: str) -> ArgString:
        """Return a string as an argument without options, for plugins that are called directly."""
        return text if isinstance(text, ArgString) else cls.make(_Span(text, 0, len(text)), {})

    def __repr__(self) -> str:
        return "ArgString(...)"  # it might be a secret

    def fields(self, separator: str = ":") -> list[str]:
        """Return the parts between separators."""
        return [part.value() for part in self._span.split(separator)]

    def groups(self) -> list[Descriptor]:
        """Return the descriptors in parentheses that the argument consists of.

        Raises:
            DescriptorError: if it contains anything else or nothing, or one of them is invalid.
        """
        found: list[Descriptor] = []
        index = self._span.start
        while not found or index < self._span.end:
            if self._span.text[index : index + 1] != "(" or index >= self._span.end:
                raise self._span.error(
                    "expected a descriptor in parentheses, such as (file:players)",
                    index - self._span.start,
                )
            end = self._span.closing(index)
            found.append(_parse(_Span(self._span.text, index + 1, end)))
            index = end + 1
        return found

    def error(self, message: str) -> DescriptorError:
        """Return an error that points to this argument."""
        return self._span.error(message)

    def option_error(self, name: str, message: str, position: int = 0) -> DescriptorError:
        """Return an error that points into the value of an option.

        Args:
            name: the option.
            message: what is wrong.
            position: where in the value, from 0.
        """
        place = self._places[name]
        return place.error(message, place.place(position) - place.start)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A parsed descriptor.

    Args:
        kind: the type of checker.
        argument: the rest, with options.
        text: the whole string, of which this descriptor can be a part.
        start: where in it this descriptor begins.
    """

    kind: str
    argument: ArgString
    text: str = field(repr=False)
    start: int = 0

    def error(self, message: str, offset: int = 0) -> DescriptorError:
        """Return an error that points into the descriptor, by default to its type."""
        return DescriptorError(message, self.text, self.start + offset)


def parse_descriptor(text: str) -> Descriptor:
    """Parse a descriptor.

    Raises:
        DescriptorError: if it is invalid; the text says why and shows where.
    """
    return _parse(_Span(text, 0, len(text)))


def _parse(span: _Span) -> Descriptor:
    text, end = span.text, span.end
    match = _TYPE.match(text, span.start, end)
    if match is None:
        raise span.error(
            "a descriptor begins with a type of authentication, such as file:players.htpasswd"
        )
    index, options = match.end(), dict[str, _Span]()
    if text[index:end].startswith("["):
        closed = span.closing(index)
        options = _options(_Span(text, index + 1, closed))
        index = closed + 1
    if index < end and text[index] != ":":
        raise DescriptorError("expected a colon and an argument after the type", text, index)
    argument = ArgString.make(_Span(text, min(index + 1, end), end), options)
    return Descriptor(match[0], argument, text, span.start)


def _options(span: _Span) -> dict[str, _Span]:
    options: dict[str, _Span] = {}
    for part in span.split(",") if span.raw else []:
        key, *value = part.split("=", 1)
        if not value or not key.raw:
            raise part.error("an option has the form KEY=VALUE")
        if key.raw in options:
            raise part.error(f"the option {key.raw} is given twice")
        options[key.raw] = value[0]
    return options
