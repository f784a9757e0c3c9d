"""Hash formats that are only verified, never created: Argon2, scrypt, PBKDF2, those of libpass.

Each format checks whether it can verify a hash. Verifying a hash that has passed the check does not
raise an error, and takes at most some seconds and `MOST_MEMORY`. Without these limits, a hash with
a damaged number could occupy a thread for hours at each login attempt of its user.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from actorcred.errors import MissingExtra

__all__ = [
    "FORMATS",
    "HashFormat",
    "OutOfBounds",
    "Pbkdf2",
    "Scrypt",
    "bounded",
    "decoded",
    "parts",
]


MOST_MEMORY = 256 * 1024 * 1024
"""Maximum memory for verifying one hash, in bytes.

Django's defaults need 16 MB for scrypt and 100 MB for Argon2.
"""

# Maximum numbers of repetitions for one hash: about five seconds. Usual defaults are about a tenth.
MOST_ITERATIONS = 10_000_000  # of PBKDF2; Django 6.0: 1,200,000

MOST_CRYPT_ROUNDS = 5_000_000  # of sha256-crypt and sha512-crypt; libpass: 656,000

MOST_SCRYPT_BLOCKS = 1 << 23  # n * r * p; Django: 655,360

MOST_ARGON2_KIB = 1 << 23  # memory in KiB * passes; argon2-cffi: 196,608

MOST_LANES = 64  # of Argon2, each a thread

_B64 = r"[A-Za-z0-9+/]+={0,2}"

_CRYPT = r"[./A-Za-z0-9]"

_DJANGO_PBKDF2 = re.compile(rf"pbkdf2_(sha256|sha1)\$([0-9]{{1,8}})\$([^$]+)\$({_B64})")

_DJANGO_SCRYPT = re.compile(
    rf"scrypt\$([0-9]{{1,8}})\$([^$]+)\$([0-9]{{1,3}})\$([0-9]{{1,3}})\$({_B64})"
)

_PASSLIB_SCRYPT = re.compile(
    r"\$scrypt\$ln=([0-9]{1,2}),r=([0-9]{1,3}),p=([0-9]{1,3})"
    r"\$([A-Za-z0-9+/]*)\$([A-Za-z0-9+/]{43})",
)

_ARGON2 = re.compile(
    r"\$argon2(?:id|i|d)\$v=(?:16|19)\$m=([0-9]{1,8}),t=([0-9]{1,5}),p=([0-9]{1,3})"
    r"\$([A-Za-z0-9+/]{11,})\$([A-Za-z0-9+/]{22,})"
)

_APR1 = re.compile(rf"\$apr1\${_CRYPT}{{0,8}}\${_CRYPT}{{22}}")

_SHA_CRYPT = re.compile(
    rf"\$[56]\$(?:rounds=([1-9][0-9]{{3,8}})\$)?{_CRYPT}{{0,16}}\$(?:{_CRYPT}{{43}}|{_CRYPT}{{86}})"
)


class OutOfBounds(ValueError):
    """A parameter of a hash is impossible or too expensive; the text says which."""


@dataclass(frozen=True, slots=True)
class HashFormat:
    """A format of hashes.

    Args:
        prefix: what its hashes begin with.
        check: raises a ValueError for a hash that cannot be verified, and `MissingExtra` if the
            required package is not installed.
        verify: `verify(password, hash)`, for a hash that has passed the check.
    """

    prefix: str
    check: Callable[[str], object]
    verify: Callable[[bytes, str], bool]


def parts(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    """Return the groups of a pattern that a hash must match."""
    found = pattern.fullmatch(text)
    if found is None:
        raise ValueError("a damaged hash")
    return found.groups()


def decoded(text: str, size: int | None = None) -> bytes:
    """Decode base64, with or without padding, and check the size of the result if one is given."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise ValueError("a damaged hash") from None
    if size is not None and len(raw) != size:
        raise ValueError("a damaged hash")
    return raw


def bounded(what: str, number: int, most: int, least: int = 1) -> int:
    """Return a parameter of a hash.

    Raises:
        OutOfBounds: if a hash with this value cannot be verified.
    """
    if not least <= number <= most:
        raise OutOfBounds(f"a hash with {what} out of bounds ({least} to {most})")
    return number


@dataclass(frozen=True, slots=True)
class Pbkdf2:
    """The parts of a PBKDF2 hash (RFC 8018)."""

    algorithm: str
    iterations: int
    salt: bytes
    digest: bytes

    def fits(self, password: bytes) -> bool:
        """Return whether it was made of a password."""
        return hmac.compare_digest(
            hashlib.pbkdf2_hmac(self.algorithm, password, self.salt, self.iterations), self.digest
        )


def _django_pbkdf2(text: str) -> Pbkdf2:
    algorithm, iterations, salt, digest = parts(_DJANGO_PBKDF2, text)
    number = bounded("iterations", int(iterations), MOST_ITERATIONS)
    return Pbkdf2(
        algorithm, number, salt.encode(), decoded(digest, hashlib.new(algorithm).digest_size)
    )


@dataclass(frozen=True, slots=True)
class Scrypt:
    """The parts of a scrypt hash (RFC 7914)."""

    salt: bytes
    n: int
    r: int
    p: int
    digest: bytes

    def __post_init__(self) -> None:
        if self.n < 2 or self.n & (self.n - 1):
            raise ValueError("a damaged hash")  # a power of 2
        bounded("block size", self.r, 255)
        bounded("parallelism", self.p, 255)
        if self.n >= 1 << 16 * self.r:
            raise ValueError("a damaged hash")  # RFC 7914, section 2
        bounded("memory", 128 * self.r * (self.n + self.p + 2), MOST_MEMORY)  # as OpenSSL counts it
        bounded("cost", self.n * self.r * self.p, MOST_SCRYPT_BLOCKS)

    def fits(self, password: bytes) -> bool:
        """Return whether it was made of a password."""
        size = len(self.digest)
        made = hashlib.scrypt(
            password, salt=self.salt, n=self.n, r=self.r, p=self.p, maxmem=MOST_MEMORY, dklen=size
        )
        return hmac.compare_digest(made, self.digest)


def _django_scrypt(text: str) -> Scrypt:
    cost, salt, block, parallel, digest = parts(_DJANGO_SCRYPT, text)
    return Scrypt(salt.encode(), int(cost), int(block), int(parallel), decoded(digest, 64))


def _passlib_scrypt(text: str) -> Scrypt:
    exponent, block, parallel, salt, digest = parts(_PASSLIB_SCRYPT, text)
    return Scrypt(decoded(salt), 1 << int(exponent), int(block), int(parallel), decoded(digest, 32))


def _argon2_module() -> Any:
    try:
        import argon2
    except ImportError:
        raise MissingExtra("Argon2", "sql") from None
    return argon2


def _check_argon2(text: str) -> None:
    memory, passes, lanes, salt, digest = parts(_ARGON2, text)
    p = bounded("parallelism", int(lanes), MOST_LANES)
    m = bounded("memory", int(memory), MOST_MEMORY // 1024, 8 * p)  # RFC 9106, section 3.1
    bounded("cost", m * bounded("passes", int(passes), MOST_ARGON2_KIB), MOST_ARGON2_KIB)
    decoded(salt)
    decoded(digest)
    _argon2_module()


def _argon2(password: bytes, text: str) -> bool:
    argon2 = _argon2_module()
    try:
        return bool(argon2.PasswordHasher().verify(text, password))
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def _of_libpass(name: str, prefix: str, pattern: re.Pattern[str]) -> HashFormat:
    def handler() -> Any:
        try:
            import passlib.hash
        except ImportError:
            raise MissingExtra(f"the password format {name}", "htpasswd") from None
        return getattr(passlib.hash, name)

    def check(text: str) -> None:
        for rounds in parts(pattern, text):
            bounded("rounds", int(rounds or 5000), MOST_CRYPT_ROUNDS, 1000)
        handler().from_string(text)

    def verify(password: bytes, text: str) -> bool:
        return bool(handler().verify(password, text))

    return HashFormat(prefix, check, verify)


FORMATS = (
    _of_libpass("apr_md5_crypt", "$apr1$", _APR1),
    _of_libpass("sha256_crypt", "$5$", _SHA_CRYPT),
    _of_libpass("sha512_crypt", "$6$", _SHA_CRYPT),
    HashFormat(
        "$scrypt$", _passlib_scrypt, lambda password, text: _passlib_scrypt(text).fits(password)
    ),
    HashFormat("$argon2", _check_argon2, _argon2),
    HashFormat(
        "pbkdf2_sha256$", _django_pbkdf2, lambda password, text: _django_pbkdf2(text).fits(password)
    ),
    HashFormat(
        "pbkdf2_sha1$", _django_pbkdf2, lambda password, text: _django_pbkdf2(text).fits(password)
    ),
    HashFormat(
        "scrypt$", _django_scrypt, lambda password, text: _django_scrypt(text).fits(password)
    ),
)
"""All formats of this module."""
