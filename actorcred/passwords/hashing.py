"""Hashing and verifying passwords: bcrypt, and the formats that password files bring.

bcrypt reads at most 72 bytes. A longer password is never cut short: it is hashed as `bcrypt-sha256` (bcrypt of a keyed
SHA-256, passlib's format version 2), and compared with a plain bcrypt hash it is simply wrong.

All functions take keyword arguments only, since a password and a hash are both texts and easily swapped.
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
"""The highest cost of a hash that is verified: four seconds or so. One of 31, as bcrypt allows, would hold a thread for a day."""

LONGEST_HASH = 1024
"""Characters of a hash."""

BCRYPT_LIMIT = 72
"""bcrypt reads no more bytes of a password."""

_SALT = r"[./A-Za-z0-9]{21}[.Oeu]"  # 128 bits in 22 characters: the last one has two of them

_BCRYPT = re.compile(rf"\$2[aby]\$([0-9]{{2}})\$({_SALT})([./A-Za-z0-9]{{31}})")

_BCRYPT_SHA256 = re.compile(
    rf"\$bcrypt-sha256\$v=2,t=2b,r=([0-9]{{1,2}})\$({_SALT})\$([./A-Za-z0-9]{{31}})"
)

FORMATS = (*_hashes.FORMATS, *_web_hashes.FORMATS)


class UnsupportedHash(ValueError):
    """A hash is in a format that cannot be verified, or not safely; the text names the format, never the hash.

    What is to be done about it depends on where the hash is kept, so whoever has asked says it.
    """


def hash_password(*, password: str | bytes, rounds: int = DEFAULT_ROUNDS) -> str:
    """Hash a password for storage. It takes a good part of a second: use a pool of threads.

    Args:
        password: a text or its UTF-8 bytes; it is prepared by RFC 8265 first.
        rounds: the base-2 logarithm of the number of iterations, 4 to 16.

    Returns:
        A bcrypt hash ("$2b$..."), or for more than 72 bytes a bcrypt-sha256 hash ("$bcrypt-sha256$...").

    Raises:
        PasswordRejected: if the password is empty, holds control characters or is not UTF-8.
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
    """Refuse a cost of new hashes that bcrypt does not take, or at which none could be verified.

    Raises:
        ValueError: says why.
    """
    if not 4 <= rounds <= 31:
        raise ValueError(f"bcrypt takes 4 to 31 rounds, not {rounds}")
    if rounds > MOST_ROUNDS:
        raise ValueError(
            f"verifying a hash of {rounds} rounds would take minutes; take {MOST_ROUNDS} at most"
        )


def _shorten(raw: bytes, salt: bytes) -> bytes:
    return base64.b64encode(hmac.digest(salt, raw, "sha256"))


def verify_password(*, password: str | bytes, hash: str, encoding: str = "utf-8") -> bool:  # noqa: A002 - the field's term
    """Tell whether a hash was made of a password. It takes as long as hashing: use a pool of threads.

    Other programs hash what they are given, and we what RFC 8265 makes of it. So both are tried where they differ, which
    costs as often as much, whoever the user is.

    Args:
        password: a text or its bytes, as it was sent; one that could never have been hashed is wrong, and costs the same.
        hash: bcrypt, also in the forms of passlib, Django and WordPress; PBKDF2 and scrypt in those of passlib, Django and
            Werkzeug; phpass; "{SHA}"; with the extra `htpasswd` apr1, sha256-crypt and sha512-crypt; with the extra `sql` Argon2.
        encoding: another one in which the password may have been when it was hashed.

    Raises:
        UnsupportedHash: if the format is none of these.
        MissingExtra: if the format needs the extra.
    """
    check_format(hash=hash)
    tried = password_bytes(password, encoding)
    try:
        fits = [_fits(raw, hash) for raw in tried or (b"?",)]  # all of them, however soon one does
        return any(fits) and bool(tried)
    except (
        Exception
    ) as error:  # of a library, about what it should have been spared; its text may show the hash
        raise UnsupportedHash(
            f"a hash whose verification failed with {type(error).__name__}"
        ) from None


def password_bytes(password: str | bytes, encoding: str = "utf-8") -> list[bytes]:
    """Return what may have been hashed of a password that a client sent; nothing if that is not possible.

    Args:
        password: a text or its bytes, as it was sent.
        encoding: another one than UTF-8 in which it may have been.
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
    """Tell whether a hash was made of these bytes. It has been checked."""
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


def check_format(*, hash: str) -> None:  # noqa: A002
    """Refuse a hash that `verify_password` could not verify: in another format, damaged, or at a cost that is too high.

    Raises:
        UnsupportedHash: names the format, and why not. So is what is no text at all, as a database may have it.
        MissingExtra: if the format needs an extra.
    """
    if not isinstance(hash, str):
        raise UnsupportedHash(f"no text, but {type(hash).__name__}")
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
    (r"\*[0-9A-F]{40}\Z", "a hash of MySQL's own, which is too weak"),
    (r"[!*]", "an account without a password, or disabled"),
    (
        r"[./A-Za-z0-9]{13}\Z",
        "a hash of the traditional DES crypt, which reads 8 characters of a password",
    ),
)
"""How what cannot be verified begins, and what it is; no part of it is shown but the name of a format."""


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


def needs_rehash(*, hash: str, rounds: int = DEFAULT_ROUNDS) -> bool:  # noqa: A002
    """Tell whether a hash is weaker than a new one with `rounds` would be, so that it should be replaced at a login."""
    match = _BCRYPT.fullmatch(hash) or _BCRYPT_SHA256.fullmatch(hash)
    return match is None or int(match[1]) < rounds


@cache
def dummy_hash(rounds: int = DEFAULT_ROUNDS) -> str:
    """Return a hash that no password has, for users who do not exist: refusing them then costs the same.

    Raises:
        ValueError: if `rounds` is out of range.
    """
    check_rounds(rounds)
    return bcrypt.gensalt(rounds).decode() + "." * 31
