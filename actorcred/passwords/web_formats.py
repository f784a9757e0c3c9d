"""Formats of hashes in web applications: Werkzeug, Django, passlib, phpass and WordPress.

A format that contains a hash of another format, made of a value derived from the password, is a
`Wrapping`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass

from actorcred.passwords import formats as _hashes
from actorcred.passwords.formats import HashFormat, Pbkdf2, Scrypt, bounded, decoded, parts

__all__ = ["FORMATS", "WRAPPINGS", "Wrapping", "is_phpass"]


MOST_PHPASS_ROUNDS = 1 << 17
"""Rounds of MD5, about a second for a long password; WordPress: 8,192."""

PHPASS_LIMIT = 4096
"""Maximum length of a password that phpass hashes, in bytes."""

_HEX = r"[0-9a-f]+"

_WERKZEUG_SCRYPT = re.compile(
    rf"scrypt:([0-9]{{1,8}}):([0-9]{{1,3}}):([0-9]{{1,3}})\$([^$]+)\$({_HEX})"
)

_WERKZEUG_PBKDF2 = re.compile(
    rf"pbkdf2:(sha1|sha224|sha256|sha384|sha512):([0-9]{{1,8}})\$([^$]+)\$({_HEX})"
)

_PASSLIB_PBKDF2 = re.compile(
    r"\$pbkdf2(?:-(sha256|sha512))?\$([0-9]{1,8})\$([A-Za-z0-9./]*)\$([A-Za-z0-9./]+)"
)

_ITOA64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

_PHPASS = re.compile(
    rf"\$[PH]\$([{re.escape(_ITOA64)}])([!-9;-~]{{8}})([{re.escape(_ITOA64)}]{{22}})"
)


def _from_hex(text: str, size: int) -> bytes:
    if len(text) != 2 * size:
        raise ValueError("a damaged hash")
    return bytes.fromhex(text)


def _werkzeug_pbkdf2(text: str) -> Pbkdf2:
    algorithm, iterations, salt, digest = parts(_WERKZEUG_PBKDF2, text)
    number = bounded("iterations", int(iterations), _hashes.MOST_ITERATIONS)
    return Pbkdf2(
        algorithm, number, salt.encode(), _from_hex(digest, hashlib.new(algorithm).digest_size)
    )


def _passlib_pbkdf2(text: str) -> Pbkdf2:
    algorithm, iterations, salt, digest = parts(_PASSLIB_PBKDF2, text)
    algorithm = algorithm or "sha1"
    number = bounded("iterations", int(iterations), _hashes.MOST_ITERATIONS)
    size = hashlib.new(algorithm).digest_size
    return Pbkdf2(
        algorithm, number, decoded(salt.replace(".", "+")), decoded(digest.replace(".", "+"), size)
    )


def _werkzeug_scrypt(text: str) -> Scrypt:
    cost, block, parallel, salt, digest = parts(_WERKZEUG_SCRYPT, text)
    return Scrypt(salt.encode(), int(cost), int(block), int(parallel), _from_hex(digest, 64))


def is_phpass(hash: str) -> bool:  # noqa: A002
    """Return whether a hash is in phpass' own format: iterated MD5, which is too weak to keep."""
    return hash.startswith(("$P$", "$H$"))


def _read_phpass(text: str) -> tuple[int, bytes, str]:
    exponent, salt, digest = parts(_PHPASS, text)
    return (
        bounded("rounds", 1 << _ITOA64.index(exponent), MOST_PHPASS_ROUNDS, 1 << 7),
        salt.encode(),
        digest,
    )


def _phpass(password: bytes, text: str) -> bool:
    rounds, salt, digest = _read_phpass(text)
    if len(password) > PHPASS_LIMIT:
        return False
    made = hashlib.md5(salt + password, usedforsecurity=False).digest()
    for _ in range(rounds):
        made = hashlib.md5(made + password, usedforsecurity=False).digest()
    return hmac.compare_digest(_encode64(made), digest)


def _encode64(raw: bytes) -> str:
    """Encode bytes in the base64 of crypt(3), three at a time, lowest bits first."""
    signs: list[str] = []
    for start in range(0, len(raw), 3):
        chunk = raw[start : start + 3]
        number = int.from_bytes(chunk, "little")
        signs.extend(_ITOA64[number >> shift & 63] for shift in range(0, 6 * len(chunk) + 6, 6))
    return "".join(signs)


FORMATS = (
    HashFormat(
        "scrypt:", _werkzeug_scrypt, lambda password, text: _werkzeug_scrypt(text).fits(password)
    ),
    HashFormat(
        "pbkdf2:", _werkzeug_pbkdf2, lambda password, text: _werkzeug_pbkdf2(text).fits(password)
    ),
    HashFormat(
        "$pbkdf2", _passlib_pbkdf2, lambda password, text: _passlib_pbkdf2(text).fits(password)
    ),
    HashFormat("$P$", _read_phpass, _phpass),
    HashFormat("$H$", _read_phpass, _phpass),
)
"""All formats of this module that are not wrappings."""


@dataclass(frozen=True, slots=True)
class Wrapping:
    """A format that contains a hash of another format.

    Args:
        pattern: matches its hashes.
        key: returns what was hashed instead of the password.
        inner: returns the inner hash for the groups of the pattern.
    """

    pattern: re.Pattern[str]
    key: Callable[[bytes], bytes]
    inner: Callable[..., str] = "{}".format

    def unwrap(self, hash: str) -> str | None:  # noqa: A002
        """Return the inner hash, or None if the hash is not in this format."""
        match = self.pattern.fullmatch(hash)
        return None if match is None else self.inner(*match.groups())


def _as_it_is(password: bytes) -> bytes:
    return password


def _hex_sha256(password: bytes) -> bytes:
    return hashlib.sha256(password).hexdigest().encode()


def _base64_sha256(password: bytes) -> bytes:
    return base64.b64encode(hashlib.sha256(password).digest())


def _wordpress(password: bytes) -> bytes:
    return base64.b64encode(hmac.digest(b"wp-sha384", password, "sha384"))


WRAPPINGS = (
    Wrapping(re.compile(r"argon2(\$argon2.+)"), _as_it_is),  # Django
    Wrapping(re.compile(r"bcrypt\$(\$2.+)"), _as_it_is),  # Django
    Wrapping(re.compile(r"bcrypt_sha256\$(\$2.+)"), _hex_sha256),  # Django
    Wrapping(re.compile(r"\$wp(\$2.+)"), _wordpress),  # WordPress 6.8
    Wrapping(  # passlib before 1.7.3; its newer form has a key
        re.compile(r"\$bcrypt-sha256\$(2[aby]),([0-9]{1,2})\$([^$]+)\$([^$]+)"),
        _base64_sha256,
        "${}${:0>2}${}{}".format,
    ),
)
"""All wrappings."""
