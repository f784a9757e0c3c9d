"""Lines of authorized_keys files, as sshd(8) reads them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import NamedTuple

from actorcred.checkers.bases.facts import shown

__all__ = ["KEYS", "LONGEST_COMMENT", "SECURITY_KEYS", "KeyLine", "entries"]

SECURITY_KEYS = frozenset((b"sk-ssh-ed25519@openssh.com", b"sk-ecdsa-sha2-nistp256@openssh.com"))
"""Kinds of keys held by FIDO authenticators (OpenSSH's PROTOCOL.u2f)."""

KEYS = SECURITY_KEYS | {
    b"ssh-ed25519",
    b"ssh-rsa",
    b"ecdsa-sha2-nistp256",
    b"ecdsa-sha2-nistp384",
    b"ecdsa-sha2-nistp521",
}
"""Kinds of keys that are accepted."""

LONGEST_COMMENT = 256
"""Characters of a key's comment that are kept."""

_BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t"

# In quotes only \" is an escape. sshd accepts no value without quotes; here it is read, so that the
# restriction that was meant is enforced.
_OPTION = re.compile(rb'([^\s",=]+)(?:=(?:"((?:\\"|[^"])*+)"|([^\s",]*)))?(?:,|(?=[ \t]))')


class KeyLine(NamedTuple):
    """A key in a file.

    Args:
        number: its line, from 1.
        options: lower-case names, each with its value or None, in their order.
        kind: the kind of the key, such as `ssh-ed25519`.
        blob: the public key (RFC 4253, section 6.6).
        comment: what stands after the key: `LONGEST_COMMENT` characters of it, without control
            characters.
    """

    number: int
    options: tuple[tuple[str, str | None], ...]
    kind: bytes
    blob: bytes
    comment: str = ""


def entries(raw: bytes) -> Iterator[KeyLine]:
    """Iterate over the keys in a file. Lines without a key are skipped.

    Only a newline ends a line: the comment of a key is written by its owner, and must not add
    another key. It can be in any encoding.
    """
    for number, line in enumerate(raw.removeprefix(_BOM).split(b"\n"), 1):
        entry = _entry_in(line.removesuffix(b"\r").lstrip(_BLANKS), number)
        if entry is not None:
            yield entry


def _entry_in(line: bytes, number: int) -> KeyLine | None:
    if not line or line.startswith(b"#"):
        return None
    key = _key_in(line)
    if key is not None:
        return KeyLine(number, (), *key)
    options, rest = _options_in(line)
    key = _key_in(rest.lstrip(_BLANKS)) if options else None
    return None if key is None else KeyLine(number, options, *key)


def _key_in(text: bytes) -> tuple[bytes, bytes, str] | None:
    """Return kind, blob and comment of the key at the start of a line; None without a key."""
    kind, _, rest = text.replace(b"\t", b" ").partition(b" ")
    encoded, _, comment = rest.lstrip(b" ").partition(b" ")
    if kind not in KEYS:
        return None
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return None
    return kind, blob, shown(comment.decode("utf-8", "replace").strip(), LONGEST_COMMENT)


def _options_in(line: bytes) -> tuple[tuple[tuple[str, str | None], ...], bytes]:
    """Return the options at the start of a line, and the rest; no options if they are malformed."""
    options, position, separator = [], 0, b","
    while separator == b",":
        found = _OPTION.match(line, position)
        if found is None:
            return (), b""
        name, quoted, plain = found.groups()
        value = quoted.replace(b'\\"', b'"') if quoted is not None else plain
        options.append(
            (
                name.decode("utf-8", "replace").lower(),
                None if value is None else value.decode("utf-8", "replace"),
            )
        )
        position, separator = found.end(), line[found.end() - 1 : found.end()]
    return tuple(options), line[position:]
