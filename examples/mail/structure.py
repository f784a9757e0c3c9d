"""ENVELOPE and BODYSTRUCTURE (RFC 3501, section 7.4.2) of any message, even a malformed one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from examples.mail.mime import Part, disposition
from examples.mail.syntax import parenthesised, quoted

__all__ = ["body_structure", "envelope"]

# An unterminated string runs to the end of the field; else each quote would start a new search.
_TOKEN = re.compile(
    rb'"((?:[^"\\]|\\.)*)(?:"|\\?\Z)|\(([^()]*)\)|<([^<>]*)>|([,:;])|([^\s"()<>,:;]+)|([()<>"])',
    re.DOTALL,
)

MAX_FIELD = 65_536
"""Maximum number of bytes of a field that are searched for addresses."""

Address = tuple[bytes | None, bytes | None, bytes | None, bytes | None]
"""Name, route, mailbox and host.

Without a host it begins a group, without a mailbox it ends one.
"""


def envelope(message: Part) -> bytes:
    """Return the envelope of a message."""
    senders = message.values(b"from")
    addresses = [senders]
    for name in (b"sender", b"reply-to"):
        own = message.values(name)
        addresses.append(own if any(own) else senders)
    addresses += [message.values(name) for name in (b"to", b"cc", b"bcc")]
    texts = [
        quoted(message.value(name)) for name in (b"date", b"subject", b"in-reply-to", b"message-id")
    ]
    return parenthesised([*texts[:2], *map(_address_list, addresses), *texts[2:]])


def _address_list(fields: list[bytes]) -> bytes:
    found = [
        parenthesised(map(quoted, address)) for field in fields for address in addresses_of(field)
    ]
    return b"(" + b"".join(found) + b")" if found else b"NIL"


class _Reader:
    """Collects the tokens between two commas."""

    def __init__(self) -> None:
        self.grouped = False
        self._clear()

    def _clear(self) -> None:
        self.words: list[bytes] = []
        self.comment: bytes | None = None
        self.angle: bytes | None = None

    def take(self, token: re.Match[bytes]) -> None:
        """Add a word, a comment, or the content of angle brackets."""
        string, comment, angle, _, word, stray = token.groups()
        if angle is not None:
            self.angle = angle
        elif comment is not None:
            self.comment = comment
        elif string is not None:
            self.words.append(re.sub(rb"\\(.)", rb"\1", string, flags=re.DOTALL))
        else:
            self.words.append(word or stray)

    def name(self) -> bytes:
        """Return the name of a group, and reset."""
        words = b" ".join(self.words)
        self._clear()
        return words

    def addresses(self) -> Iterator[Address]:
        """Yield the address that was read, if there is one, and reset."""
        words, comment, angle = self.words, self.comment, self.angle
        self._clear()
        if angle is not None:
            yield _address(b" ".join(words) or comment, angle)
        elif words:
            # An address can have spaces around its dots, and some senders write only a name.
            yield _address(
                comment,
                b"".join(words) if any(b"@" in word for word in words) else b" ".join(words),
            )


def addresses_of(field: bytes) -> Iterator[Address]:
    """Yield the addresses in a field."""
    reader = _Reader()
    for token in _TOKEN.finditer(field[:MAX_FIELD]):
        mark = token[4]
        if mark == b":" and reader.words and reader.angle is None and not reader.grouped:
            reader.grouped = True
            yield None, None, reader.name(), None
        elif mark is None:
            reader.take(token)
        else:
            yield from reader.addresses()
            if mark == b";" and reader.grouped:
                reader.grouped = False
                yield None, None, None, None
    yield from reader.addresses()
    if reader.grouped:
        yield None, None, None, None


def _address(name: bytes | None, text: bytes) -> Address:
    route = None
    if text.startswith(b"@") and b":" in text:
        route, _, text = text.partition(b":")
    mailbox, at, host = text.strip().rpartition(b"@")
    return (
        (name, route, mailbox, host) if at else (name, route, host, b"")
    )  # NIL as the host would begin a group


def body_structure(part: Part, extended: bool) -> bytes:
    """Return the structure of a message or part.

    Args:
        part: the message or part.
        extended: whether to add the fields that only BODYSTRUCTURE has.
    """
    if not part.is_multipart:
        return parenthesised([*_basic(part, extended), *(_extension(part) if extended else ())])
    parts = b"".join(body_structure(inner, extended) for inner in part.parts)
    more = [_pairs(part.parameters), *_extension(part)[1:]] if extended else []
    return parenthesised([parts, quoted(part.type[1].upper()), *more])


def _basic(part: Part, extended: bool) -> list[bytes]:
    encoding = part.value(b"content-transfer-encoding") or b"7bit"
    described = [part.value(name) for name in (b"content-id", b"content-description")]
    found = [
        *(quoted(word.upper()) for word in part.type),
        _pairs(part.parameters),
        *map(quoted, described),
        quoted(encoding.upper()),
        b"%d" % len(part.body),
    ]
    inner = part.message
    if inner is not None:
        found += [envelope(inner), body_structure(inner, extended)]
    if inner is not None or part.type[0] == b"text":
        found.append(b"%d" % _lines(part.body))
    return found


def _extension(part: Part) -> list[bytes]:
    shown = disposition(part)
    language = part.value(b"content-language")
    return [
        quoted(part.value(b"content-md5")),
        b"NIL" if shown is None else parenthesised([quoted(shown[0].upper()), _pairs(shown[1])]),
        quoted(language),
        quoted(part.value(b"content-location")),
    ]


def _pairs(parameters: dict[bytes, bytes]) -> bytes:
    if not parameters:
        return b"NIL"
    return parenthesised(
        quoted(word) for name, value in parameters.items() for word in (name.upper(), value)
    )


def _lines(body: bytes) -> int:
    return body.count(b"\n") + bool(body and not body.endswith(b"\n"))
