"""Hash and verify passwords: bcrypt, and the formats found in password files.

bcrypt reads at most 72 bytes. A longer password is never truncated: it is hashed as `bcrypt-sha256`
(bcrypt of a keyed SHA-256, passlib's format version 2), and it never matches a plain bcrypt hash.

Passwords and hashes are keyword arguments only, since both are strings and easily swapped.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import re
from functools import cache

import bcrypt

from actorcred.names import password_forms
from actorcred.passwords import formats as _hashes
from actorcred.passwords import web_formats as _web_hashes
from actorcred.passwords.formats import HashFormat, OutOfBounds, bounded
from actorcred.passwords.named import by_name
from actorcred.passwords.policy import prepare_new_password

__all__ = [
    "DEFAULT_ROUNDS",
    "UnsupportedHash",
    "check_format",
    "check_rounds",
    "dummy_hash",
    "hash_password",
    "needs_rehash",
    "password_bytes",
    "verify_password",
]


DEFAULT_ROUNDS = 12
"""The cost of new hashes: 2 ** 12 iterations, about a quarter of a second."""

MOST_ROUNDS = 16
"""The highest cost of a hash that is verified, which takes about four seconds.

bcrypt allows costs up to 31, which would occupy a thread for a day.
"""

LONGEST_HASH = 1024
"""Maximum length of a hash, in characters."""

BCRYPT_LIMIT = 72
"""Number of bytes of a password that bcrypt reads."""

_SALT = r"[./A-Za-z0-9]{21}[.Oeu]"  # 128 bits in 22 characters: the last one has two of them

_BCRYPT = re.compile(rf"\$2[aby]\$([0-9]{{2}})\$({_SALT})([./A-Za-z0-9]{{31}})")

_BCRYPT_SHA256 = re.compile(
    rf"\$bcrypt-sha256\$v=2,t=2b,r=([0-9]{{1,2}})\$({_SALT})\$([./A-Za-z0-9]{{31}})"
)

FORMATS = (*_hashes.FORMATS, *_web_hashes.FORMATS)


class UnsupportedHash(ValueError):
    """A hash cannot be verified, or not safely; the text names the format, never the hash.

    What to do about it depends on where the hash is stored, so the caller must explain that.
    """


@by_name
def hash_password(*, password: str | bytes, rounds: int = DEFAULT_ROUNDS) -> str:
    """Hash a password for storage. This takes a considerable part of a second: use a thread pool.

    Args:
        password: a string or its UTF-8 bytes; it is prepared by RFC 8265 first.
        rounds: the base-2 logarithm of the number of iterations, 4 to 16.

    Returns:
        A bcrypt hash ("$2b$..."), or a bcrypt-sha256 hash ("$bcrypt-sha256$...") if the password
        has more than 72 bytes.

    Raises:
        PasswordRejected: if the password is empty, contains control characters or is not UTF-8.
        ValueError: if `rounds` is out of range.
    """
    check_rounds(rounds)
    raw = prepare_new_password(password=password).encode()
    salt = bcrypt.gensalt(rounds)
    if len(raw) <= BCRYPT_LIMIT:
        return bcrypt.hashpw(raw, salt).decode()
    digest = bcrypt.hashpw(_shorten(raw, salt[-22:]), salt)[-31:]
    return f"$bcrypt-sha256$v=2,t=2b,r={rounds}${salt[-22:].decode()}${digest.decode()}"


def check_rounds(rounds: int) -> None:
    """Check that bcrypt accepts a cost for new hashes, and that such hashes can be verified.

    Raises:
        ValueError: if not; the text says why.
    """
    if not 4 <= rounds <= 31:
        raise ValueError(f"bcrypt takes 4 to 31 rounds, not {rounds}")
    if rounds > MOST_ROUNDS:
        raise ValueError(
            f"verifying a hash of {rounds} rounds would take minutes; use {MOST_ROUNDS} at most"
        )


def _shorten(raw: bytes, salt: bytes) -> bytes:
    return base64.b64encode(hmac.digest(salt, raw, "sha256"))


@by_name
def verify_password(*, password: str | bytes, hash: str, encoding: str = "utf-8") -> bool:  # noqa: A002
    """Return whether a hash was made from a password. This is as slow as hashing it.

    Use a thread pool.

    Other programs hash a password as it was sent, this package hashes its prepared form (RFC 8265).
    If they differ, both are tried; this multiplies the cost, but equally for all users.

    Args:
        password: a string or bytes, as it was sent; one that cannot have been hashed is wrong, and
            costs the same.
        hash: bcrypt, also in the forms of passlib, Django and WordPress; PBKDF2 and scrypt in those
            of passlib, Django and Werkzeug; phpass; "{SHA}"; with the extra `htpasswd` apr1,
            sha256-crypt and sha512-crypt; with the extra `sql` Argon2.
        encoding: another encoding in which the password might have been hashed.

    Raises:
        UnsupportedHash: if the hash is in another format, damaged, or too expensive.
        MissingExtra: if the format needs an extra.
    """
    check_format(hash=hash)
    tried = password_bytes(password, encoding)
    try:
        fits = [_fits(raw, hash) for raw in tried or (b"?",)]  # all of them, even if the first fits
        return any(fits) and bool(tried)
    except Exception as error:
        # From a library, despite the checks before; its text might show the hash.
        raise UnsupportedHash(
            f"a hash whose verification failed with {type(error).__name__}"
        ) from None


def password_bytes(password: str | bytes, encoding: str = "utf-8") -> list[bytes]:
    """Return the bytes that might have been hashed for a password from a client; none if invalid.

    Args:
        password: a string or bytes, as it was sent.
        encoding: an encoding other than UTF-8 that might have been used.
    """
    try:
        forms = [form for form in password_forms(password) if form]
    except ValueError:
        return []
    raw = [form.encode() for form in forms]
    for form in forms:
        with contextlib.suppress(UnicodeEncodeError):
            raw.append(form.encode(encoding))
    return list(dict.fromkeys(raw))


def _fits(raw: bytes, hash: str) -> bool:  # noqa: A002
    """Return whether a hash, which has been checked, was made from these bytes."""
    for wrapping in _web_hashes.WRAPPINGS:
        if (inner := wrapping.unwrap(hash)) is not None:
            return _fits(wrapping.key(raw), inner)
    if match := _BCRYPT_SHA256.fullmatch(hash):
        rounds, salt, digest = match.groups()
        made = bcrypt.hashpw(_shorten(raw, salt.encode()), f"$2b${int(rounds):02}${salt}".encode())
        return hmac.compare_digest(made[-31:], digest.encode())
    if _BCRYPT.fullmatch(hash):
        return bcrypt.checkpw(raw[:BCRYPT_LIMIT], hash.encode()) and len(raw) <= BCRYPT_LIMIT
    if hash.startswith("{SHA}"):
        made = base64.b64encode(hashlib.sha1(raw, usedforsecurity=False).digest())
        return hmac.compare_digest(made, hash[5:].encode())
    made_by = _format_of(hash)
    return made_by is not None and made_by.verify(raw, hash)


@by_name
def check_format(*, hash: str) -> None:  # noqa: A002
    """Check that `verify_password` can verify a hash.

    Raises:
        UnsupportedHash: if it is in another format, damaged, too expensive, or not a string, which
            a database can contain; the text names the format and the reason.
        MissingExtra: if the format needs an extra.
    """
    if not isinstance(hash, str):
        raise UnsupportedHash(f"not a string, but {type(hash).__name__}")
    if len(hash) > LONGEST_HASH:
        raise UnsupportedHash(f"a hash of more than {LONGEST_HASH} characters")
    try:
        _check(hash)
    except OutOfBounds as error:
        raise UnsupportedHash(str(error)) from None
    except ValueError:
        raise UnsupportedHash(_name_format(hash)) from None


def _check(hash: str) -> None:  # noqa: A002
    inner = next(
        (
            inner
            for wrapping in _web_hashes.WRAPPINGS
            if (inner := wrapping.unwrap(hash)) is not None
        ),
        hash,
    )
    if inner is not hash and not inner.startswith(("$2", "$argon2")):
        raise ValueError("a damaged hash")
    _check_inner(inner)


def _check_inner(hash: str) -> None:  # noqa: A002
    if match := _BCRYPT.fullmatch(hash) or _BCRYPT_SHA256.fullmatch(hash):
        bounded("cost", int(match[1]), MOST_ROUNDS, 4)
    elif re.fullmatch(r"\{SHA\}[A-Za-z0-9+/]{27}=", hash) is None:
        made_by = _format_of(hash)
        if made_by is None:
            raise ValueError("an unknown format")
        made_by.check(hash)


_NAMES = (
    (r"\$2|\$bcrypt-sha256\$|\{SHA\}", "a damaged bcrypt or SHA-1 hash"),
    (r"bcrypt(_sha256)?\$|argon2\$|\$wp\$", "a damaged hash"),
    (r"\$1\$", "an MD5-crypt hash ($1$), which is too weak"),
    (
        r"(md5|sha1|sha224|sha256|sha384|sha512|unsalted_md5|unsalted_sha1)\$",
        "a plain digest of the password, which is too weak",
    ),
    (r"[0-9a-fA-F]{32}\Z", "a plain MD5 of the password, which is too weak"),
    (
        r"(?:[0-9a-fA-F]{40}|[0-9a-fA-F]{64}|[0-9a-fA-F]{128})\Z",
        "a plain digest of the password, which is too weak",
    ),
    (r"\*[0-9A-F]{40}\Z", "a hash in MySQL's own format, which is too weak"),
    (r"[!*]", "an account without a password, or disabled"),
    (
        r"[./A-Za-z0-9]{13}\Z",
        "a hash of the traditional DES crypt, which reads 8 characters of a password",
    ),
)
"""Patterns and descriptions of hashes that cannot be verified; nothing else of them is shown."""


def _name_format(hash: str) -> str:  # noqa: A002
    if _format_of(hash) is not None:
        return "a damaged hash"
    if name := next((name for pattern, name in _NAMES if re.match(pattern, hash)), None):
        return name
    if match := re.match(r"\$([a-z0-9-]{1,16})\$|\{([A-Z0-9-]{1,16})\}", hash):
        return f"a hash in the unsupported format {match[0]}"
    return "plain text, or an unknown format"


def _format_of(hash: str) -> HashFormat | None:  # noqa: A002
    return next((known for known in FORMATS if hash.startswith(known.prefix)), None)


@by_name
def needs_rehash(*, hash: str, rounds: int = DEFAULT_ROUNDS) -> bool:  # noqa: A002
    """Return whether a hash is weaker than a new one with `rounds`, and should be replaced."""
    match = _BCRYPT.fullmatch(hash) or _BCRYPT_SHA256.fullmatch(hash)
    return match is None or int(match[1]) < rounds


@cache
def dummy_hash(rounds: int = DEFAULT_ROUNDS) -> str:
    """Return a hash that no password matches, so that refusing an unknown user costs the same.

    Raises:
        ValueError: if `rounds` is out of range.
    """
    check_rounds(rounds)
    return bcrypt.gensalt(rounds).decode() + "." * 31
