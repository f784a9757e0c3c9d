r"""The texts with which a deployer chooses checkers, as `file:players.htpasswd` or `cache[seconds=60]:(ldap:ldaps://host/...)`.

The grammar: `TYPE[KEY=VALUE,...]:ARGUMENT`; the options in brackets may be left out, and so may the colon and an argument
that is empty. A checker that wraps others has them in parentheses as its argument. A backslash takes the meaning from one of
`\ : , = ( ) [ ] $` after it. `${env:NAME}` stands for a variable of the environment and `${file:PATH}` for the first line of a
file, so that no secret need be in the text itself.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from actorcred.errors import AccountError

__all__ = ["ArgString", "Descriptor", "DescriptorError", "parse_descriptor"]

_ESCAPABLE = frozenset("\\:,=()[]$")
_TYPE = re.compile(r"[a-z][a-z0-9-]*")
_SECRET = re.compile(r"\$\{(env|file):([^}]*)\}")
_URL_PASSWORD = re.compile(r"(://[^/:@()]*:)([^@()]*)(?=@)")
_WORDS = re.compile(r"(?<=memory:)[^()]*")
_OPTION = re.compile(r"(?<=password=)[^,\]]*")


class DescriptorError(AccountError):
    """A text that should choose a checker is wrong; the message shows where.

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
    """Hide what may be secret, sign by sign, so that positions stay."""
    for pattern in (_WORDS, _OPTION):
        text = pattern.sub(lambda match: "*" * len(match[0]), text)
    return _URL_PASSWORD.sub(lambda match: match[1] + "*" * len(match[2]), text)


@dataclass(frozen=True, slots=True)
class _Span:
    """A part of a descriptor, as it is written."""

    text: str
    start: int
    end: int

    @property
    def raw(self) -> str:
        return self.text[self.start : self.end]

    def error(self, message: str, offset: int = 0) -> DescriptorError:
        return DescriptorError(message, self.text, self.start + offset)

    def split(self, separator: str, most: int = -1) -> list[_Span]:
        """Return the parts between separators that are neither escaped nor inside of brackets or a `${...}`."""
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
        return self.text[index] == "\\" and index + 1 < self.end and self.text[index + 1] in _ESCAPABLE

    def closing(self, index: int) -> int:
        """Return where the bracket at `index` is closed."""
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
        """Return the text that is meant: without escapes, with the secrets put in."""
        made, index = [], self.start
        while index < self.end:
            if self._escapes(index):
                made.append(self.text[index + 1])
                index += 2
            elif self.text.startswith("${", index):
                secret, index = self._secret(index)
                made.append(secret)
            else:
                made.append(self.text[index])
                index += 1
        return "".join(made)

    def _secret(self, index: int) -> tuple[str, int]:
        match = _SECRET.match(self.text, index, self.end)
        if match is None:
            raise DescriptorError("a secret is ${env:NAME} or ${file:PATH}", self.text, index)
        kind, name = match.groups()
        if kind == "env":
            value = os.environ.get(name)
            if value is None:
                raise DescriptorError(f"the environment has no variable {name!r}", self.text, index)
            return value, match.end()
        try:
            return Path(name).read_text().split("\n", 1)[0].rstrip("\r"), match.end()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise DescriptorError(f"cannot read {name!r}: {why}", self.text, index) from None


class ArgString(str):
    """The argument of a descriptor: a text, and the ways to take it apart that heed escapes.

    Attributes:
        options: what stood in brackets before it.
    """

    __slots__ = ("_span", "options")

    options: dict[str, str]
    _span: _Span

    @classmethod
    def make(cls, span: _Span, options: dict[str, str]) -> ArgString:
        """Return the argument that a part of a descriptor means."""
        made = cls(span.value())
        made._span, made.options = span, options
        return made

    @classmethod
    def of(cls, text: str) -> ArgString:
        """Return any text as an argument without options; for plugins that are called by hand."""
        return text if isinstance(text, ArgString) else cls.make(_Span(text, 0, len(text)), {})

    def __repr__(self) -> str:
        return "ArgString(...)"  # it may be a secret

    def fields(self, separator: str = ":") -> list[str]:
        """Return the parts between separators."""
        return [part.value() for part in self._span.split(separator)]

    def groups(self) -> list[str]:
        """Return the descriptors in parentheses that the argument consists of.

        Raises:
            DescriptorError: if it has anything else, or none.
        """
        found, index = [], self._span.start
        while index < self._span.end:
            if self._span.text[index] != "(":
                raise self._span.error("here must be a descriptor in parentheses, as (file:players)", index - self._span.start)
            end = self._span.closing(index)
            found.append(self._span.text[index + 1 : end])
            index = end + 1
        if not found:
            raise self._span.error("here must be a descriptor in parentheses, as (file:players)")
        return found

    def error(self, message: str) -> DescriptorError:
        """Return an error that shows this argument."""
        return self._span.error(message)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a descriptor says.

    Args:
        kind: the type of checker.
        argument: the rest, with options.
        text: the whole.
    """

    kind: str
    argument: ArgString
    text: str

    def error(self, message: str) -> DescriptorError:
        """Return an error that shows the type."""
        return DescriptorError(message, self.text, 0)


def parse_descriptor(text: str) -> Descriptor:
    """Read a descriptor.

    Raises:
        DescriptorError: says what is wrong, and shows where.
    """
    whole = _Span(text, 0, len(text))
    match = _TYPE.match(text)
    if match is None:
        raise whole.error("a descriptor begins with a type of authentication, as file:players.htpasswd")
    index, options = match.end(), {}
    if text[index : index + 1] == "[":
        end = whole.closing(index)
        options = _options(_Span(text, index + 1, end))
        index = end + 1
    if text[index : index + 1] not in {":", ""}:
        raise whole.error("after the type comes a colon and its argument", index)
    return Descriptor(match[0], ArgString.make(_Span(text, min(index + 1, len(text)), len(text)), options), text)


def _options(span: _Span) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in span.split(",") if span.raw else []:
        key, *value = part.split("=", 1)
        if not value or not key.raw:
            raise part.error("an option has the form KEY=VALUE")
        if key.raw in options:
            raise part.error(f"the option {key.raw} is given twice")
        options[key.raw] = value[0].value()
    return options
