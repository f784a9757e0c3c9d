"""Prepare names and passwords, so that equal ones typed on two machines compare equal.

The rules are those of RFC 8264 and RFC 8265. ASCII, as in nearly all names and passwords, is
handled without loading the library. Any client can send other text, so its cost must be linear in
its length. The library alone would examine every character again, and for some characters the
whole text each time, which takes 40 s for a password of 16 KB.
"""

from __future__ import annotations

import re
import unicodedata
from enum import Enum
from functools import cache
from typing import Any, Final, Literal, TypeAlias, TypeGuard

__all__ = [
    "ANONYMOUS",
    "LONGEST_NAME",
    "LONGEST_PASSWORD",
    "AvatarId",
    "is_utf8",
    "make_avatar_id",
    "password_forms",
    "prepare_password",
    "prepare_username",
    "without_surrogates",
]


class _Anonymous(Enum):
    ANONYMOUS = "anonymous"

    def __repr__(self) -> str:
        return "ANONYMOUS"

    __str__ = __repr__


ANONYMOUS: Final = _Anonymous.ANONYMOUS
"""The avatar id of a client that did not say who it is.

It is a separate object, neither None nor "", so that a checker that forgets to return something, or
looks up an empty name, grants nothing. Two anonymous clients are never the same user.
"""

AvatarId: TypeAlias = str | Literal[_Anonymous.ANONYMOUS]
"""The identity of a logged-in user: a string that `make_avatar_id` accepts, or `ANONYMOUS`."""


def make_avatar_id(name: str | bytes) -> str:
    """Return a name as an avatar id: in Unicode NFC, so that equal names are the same user.

    Args:
        name: a string, or its UTF-8 bytes.

    Raises:
        TypeError: if it is neither.
        ValueError: if it is empty, is not UTF-8, or contains lone surrogates, control characters or
            characters that change the writing direction, which can make one id look like another.
    """
    if type(name) is str and name and name.isascii() and name.isprintable():
        return name  # by far the most frequent case
    if isinstance(name, bytes):
        try:
            name = name.decode()
        except UnicodeDecodeError:
            raise ValueError("an avatar id must be UTF-8") from None
    if not isinstance(name, str):
        raise TypeError(f"an avatar id must be a string, not {type(name).__name__}")
    if type(name) is not str:
        hash(name)  # it is used as a key, and a subclass might not be hashable
    if not name:
        raise ValueError("an avatar id must not be empty; for anonymous access return ANONYMOUS")
    if name.isascii() and name.isprintable():
        return name
    if any(
        unicodedata.category(character) in {"Cc", "Cs"} or character in _BIDI for character in name
    ):
        raise ValueError("an avatar id must not hold control characters")
    return unicodedata.normalize("NFC", name)


def is_utf8(text: str) -> bool:
    """Return whether a string can be encoded as UTF-8: it has no lone surrogates."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def without_surrogates(text: str) -> str:
    """Return a string that every encoding of Unicode accepts.

    Surrogates are joined to characters if they are pairs, and replaced by U+FFFD if they are not.
    """
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

LONGEST_NAME = 1023
"""Maximum length of a user name in bytes of UTF-8, as in XMPP (RFC 7622, section 3.3.1)."""

LONGEST_PASSWORD = 16_384
"""Maximum length of a password in bytes of UTF-8, so that no client can have megabytes hashed."""

_ASCII_NAME = re.compile(r"[!-~]+(?: [!-~]+)*")

_ASCII_PASSWORD = re.compile(r"[ -~]*")

MOST_MARKS = 64
"""Maximum number of combining marks in a row.

Sorting them takes quadratic time, and no writing system needs more than a few (UAX 15).
"""

_AROUND = frozenset("\u00b7\u0375\u05f3\u05f4\u200c\u200d")
"""Characters that are allowed or not depending on their neighbors (RFC 5892, appendix A)."""

_BESIDE = frozenset(
    "\u30fb\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669"
) | frozenset("\u06f0\u06f1\u06f2\u06f3\u06f4\u06f5\u06f6\u06f7\u06f8\u06f9")
"""Characters that are allowed or not depending on other characters anywhere in the string."""


class _Profile:
    """A PRECIS profile, as implemented by the library.

    Args:
        name: the profile's name.
    """

    def __init__(self, name: str) -> None:
        from precis_i18n import get_profile  # takes 20 ms, and few programs need it
        from precis_i18n.context import context_rule_error

        self._library: Any = get_profile(name)
        self._context_rule_error: Any = context_rule_error
        self._allowed = bytearray(0x110000)
        """By code point: 1 for characters that were found to be allowed in any string."""

    def enforce(self, value: str) -> str:
        """Return a string prepared by the profile.

        Raises:
            UnicodeEncodeError: if the string is not allowed, as in the library.
        """
        text: str = self._library.idempotence_check(self._library.apply_five_rules(value))
        if not text:
            raise UnicodeEncodeError(self._library.name, value, 0, len(value), "DISALLOWED/empty")
        self._check_characters(text)
        for index, character in enumerate(text) if not _AROUND.isdisjoint(text) else ():
            if character in _AROUND and (
                kind := self._context_rule_error(text, index, self._library.base.ucd)
            ):
                raise UnicodeEncodeError(
                    self._library.name, text, index, index + 1, f"DISALLOWED/{kind}"
                )
        return text

    def _check_characters(self, text: str) -> None:
        """Check each distinct character of a string once."""
        if all(map(self._allowed.__getitem__, map(ord, text))):
            return
        characters = set(text) - _AROUND
        self._library.base.enforce("".join(sorted(characters)), self._library.name)
        for character in characters - _BESIDE:
            self._allowed[ord(character)] = 1


_profile = cache(_Profile)


def _decoded(value: str | bytes, what: str, longest: int) -> str:
    if not isinstance(value, str | bytes):
        raise TypeError(f"the {what} must be str or bytes, not {type(value).__name__}")
    if len(value) > longest:
        raise ValueError(f"the {what} is longer than {longest} bytes")
    try:
        text = value if isinstance(value, str) else value.decode()
        length = len(text if text.isascii() else text.encode())
    except UnicodeError:
        raise ValueError(f"the {what} must be UTF-8") from None
    if length > longest:
        raise ValueError(f"the {what} is longer than {longest} bytes")
    return text


def _has_too_many_marks(text: str) -> bool:
    row = 0
    for character in text:
        row = row + 1 if unicodedata.category(character).startswith("M") else 0
        if row > MOST_MARKS:
            return True
    return False


def _enforce(profile: str, value: str, what: str) -> str:
    if _has_too_many_marks(value):
        raise ValueError(f"the {what} has more than {MOST_MARKS} combining marks in a row")
    try:
        return _profile(profile).enforce(value)
    except UnicodeEncodeError as error:
        # The library's message shows the character, which might be one of a password.
        raise ValueError(
            f"the {what} has a character that is not allowed: "
            f"{error.reason.removeprefix('DISALLOWED/')}"
        ) from None


def prepare_username(name: str | bytes) -> str:
    """Return a user name in the form in which it is compared.

    The profile is UsernameCasePreserved (RFC 8265, section 3.4), applied to each part between
    single spaces (section 3.5). The result is in Unicode NFC, with full-width letters mapped to
    ordinary ones; control, formatting and compatibility characters and mixed directions are
    refused. "Ann" and "ann" remain two names.

    Args:
        name: a string, or its UTF-8 bytes.

    Raises:
        TypeError: if it is neither.
        ValueError: if it is not a valid user name; the text says why.
    """
    # Nearly all names are such, and need not be taken apart.
    if type(name) is str and name.isalnum() and name.isascii() and len(name) <= LONGEST_NAME:
        return name
    text = _decoded(name, "user name", LONGEST_NAME)
    if _ASCII_NAME.fullmatch(text):
        return text
    if not text:
        raise ValueError("the user name must not be empty")
    return " ".join(
        part
        if _ASCII_NAME.fullmatch(part)
        else _enforce("UsernameCasePreserved", part, "user name")
        for part in text.split(" ")
    )


def _is_plain_password(password: object) -> TypeGuard[str]:
    """Return whether a password is printable ASCII, as nearly all are: it needs no preparation."""
    return (
        type(password) is str
        and password.isascii()
        and password.isprintable()
        and len(password) <= LONGEST_PASSWORD
    )


def prepare_password(password: str | bytes) -> str:
    """Return a password in the form in which it is hashed.

    The profile is OpaqueString (RFC 8265, section 4.2). The result is in Unicode NFC, with all
    spaces mapped to ordinary ones; control characters are refused. An empty password is returned
    as it is; the caller must refuse it.

    Args:
        password: a string, or its UTF-8 bytes.

    Raises:
        TypeError: if it is neither.
        ValueError: if it is not a valid password; the text says why, without showing it.
    """
    if _is_plain_password(password):
        return password
    text = _decoded(password, "password", LONGEST_PASSWORD)
    return text if _ASCII_PASSWORD.fullmatch(text) else _enforce("OpaqueString", text, "password")


def password_forms(password: str | bytes) -> tuple[str, ...]:
    """Return the forms in which a password that a client sent can have been hashed.

    The first is the password as sent, which is what other programs hash. The second is the prepared
    form, if there is one and it differs. So a password that `prepare_password` refuses, such as one
    with a tab, can still match hashes of other programs.

    Args:
        password: a string, or its UTF-8 bytes.

    Raises:
        TypeError: if it is neither.
        ValueError: if it is not UTF-8, is too long, or contains a NUL; the text says which.
    """
    if _is_plain_password(password):
        return (password,)
    sent = _decoded(password, "password", LONGEST_PASSWORD)
    if _ASCII_PASSWORD.fullmatch(sent):
        return (sent,)
    if "\0" in sent:
        raise ValueError("the password must not hold NUL characters")
    try:
        prepared = _enforce("OpaqueString", sent, "password")
    except ValueError:
        return (sent,)
    return (sent,) if prepared == sent else (sent, prepared)
