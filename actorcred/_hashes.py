"""Formats of hashes that databases bring and we do not make ourselves: Argon2, scrypt, PBKDF2, and those of libpass."""

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

__all__ = ["FORMATS", "HashFormat"]

_MOST_MEMORY = 256 * 1024 * 1024
"""Bytes that scrypt may take; Django's default takes 16 MB."""

_B64 = r"[A-Za-z0-9+/]+={0,2}"
_DJANGO_PBKDF2 = re.compile(rf"pbkdf2_(sha256|sha1)\$(\d{{1,8}})\$([^$]+)\$({_B64})")
_DJANGO_SCRYPT = re.compile(rf"scrypt\$(\d{{1,8}})\$([^$]+)\$(\d{{1,3}})\$(\d{{1,3}})\$({_B64})")
_ARGON2 = re.compile(r"\$argon2(?:id|i|d)\$v=\d+\$m=(\d{1,8}),t=(\d{1,5}),p=(\d{1,3})\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{22,}")


@dataclass(frozen=True, slots=True)
class HashFormat:
    """One format.

    Args:
        prefix: with which its hashes begin.
        check: raises a ValueError for a damaged hash, and `MissingExtra` without the package.
        verify: `verify(password, hash)`.
    """

    prefix: str
    check: Callable[[str], object]
    verify: Callable[[bytes, str], bool]


def _matcher(pattern: re.Pattern[str]) -> Callable[[str], re.Match[str]]:
    def match(text: str) -> re.Match[str]:
        found = pattern.fullmatch(text)
        if found is None:
            raise ValueError("a damaged hash")
        return found

    return match


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("a damaged hash") from None


def _pbkdf2(password: bytes, text: str) -> bool:
    algorithm, iterations, salt, digest = _matcher(_DJANGO_PBKDF2)(text).groups()
    made = hashlib.pbkdf2_hmac(algorithm, password, salt.encode(), int(iterations))
    return hmac.compare_digest(made, _decoded(digest))


def _scrypt(password: bytes, text: str) -> bool:
    cost, salt, block, parallel, digest = _matcher(_DJANGO_SCRYPT)(text).groups()
    n, r, p = int(cost), int(block), int(parallel)
    made = hashlib.scrypt(password, salt=salt.encode(), n=n, r=r, p=p, maxmem=_MOST_MEMORY, dklen=64)
    return hmac.compare_digest(made, _decoded(digest))


def _argon2_module() -> Any:
    try:
        import argon2
    except ImportError:
        raise MissingExtra("Argon2", "sql") from None
    return argon2


def _check_argon2(text: str) -> None:
    _matcher(_ARGON2)(text)
    _argon2_module()


def _argon2(password: bytes, text: str) -> bool:
    argon2 = _argon2_module()
    try:
        return bool(argon2.PasswordHasher().verify(text, password))
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def _of_libpass(name: str, prefix: str) -> HashFormat:
    def handler() -> Any:
        try:
            import passlib.hash
        except ImportError:
            raise MissingExtra(f"the password format {name}", "htpasswd") from None
        return getattr(passlib.hash, name)

    def check(text: str) -> object:
        return handler().from_string(text)

    def verify(password: bytes, text: str) -> bool:
        return bool(handler().verify(password, text))

    return HashFormat(prefix, check, verify)


FORMATS = (
    _of_libpass("apr_md5_crypt", "$apr1$"),
    _of_libpass("sha256_crypt", "$5$"),
    _of_libpass("sha512_crypt", "$6$"),
    _of_libpass("scrypt", "$scrypt$"),
    HashFormat("$argon2", _check_argon2, _argon2),
    HashFormat("pbkdf2_sha256$", _matcher(_DJANGO_PBKDF2), _pbkdf2),
    HashFormat("pbkdf2_sha1$", _matcher(_DJANGO_PBKDF2), _pbkdf2),
    HashFormat("scrypt$", _matcher(_DJANGO_SCRYPT), _scrypt),
)
"""All of them."""
