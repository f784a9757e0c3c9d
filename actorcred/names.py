"""Preparing names and passwords, so that the same one typed on two machines is the same (RFC 8264, RFC 8265).

ASCII, which nearly every name and password is, passes without loading the library. Anybody may send the other ones, so they cost
no more than the time of their length: the library looks at each character anew, and for some of them at the whole text, which
takes 40 s for a password of 16 KB.
"""

from __future__ import annotations

import math
import re
import unicodedata
from enum import Enum
from functools import cache
from typing import Any, Final, Literal, TypeAlias

__all__ = [
    "ANONYMOUS",
    "LONGEST_NAME",
    "LONGEST_PASSWORD",
    "AvatarId",
    "TemporaryId",
    "make_avatar_id",
    "password_forms",
    "prepare_password",
    "prepare_username",
    "temporary",
    "until_of",
]


class _Anonymous(Enum):
    ANONYMOUS = "anonymous"

    def __repr__(self) -> str:
        return "ANONYMOUS"

    __str__ = __repr__


ANONYMOUS: Final = _Anonymous.ANONYMOUS
"""The avatar id of a client that did not say who it is.

It is an object of its own, neither None nor "", so that a checker which forgets to return something, or looks up an
empty name, grants nothing. Two anonymous clients are never the same user.
"""

AvatarId: TypeAlias = str | Literal[_Anonymous.ANONYMOUS]
"""Who a logged-in user is: a text that `make_avatar_id` accepts, or `ANONYMOUS`."""


class TemporaryId(str):
    """An avatar id as a checker answers it whose proof is good once, or until a time: it must not be remembered any longer.

    Args:
        avatar_id: the avatar id.
        until: seconds since the epoch; 0 if the proof is good once, as a code.
    """

    __slots__ = ("until",)

    until: float

    def __new__(cls, avatar_id: str, until: float = 0.0) -> TemporaryId:
        """Make an avatar id with a time."""
        made = super().__new__(cls, avatar_id)
        made.until = until
        return made


def until_of(answer: object) -> float:
    """Return until when a checker's answer may be remembered, in seconds since the epoch; infinity if the checker does not say."""
    return answer.until if isinstance(answer, TemporaryId) else math.inf


def temporary(avatar_id: AvatarId, until: float) -> AvatarId:
    """Return an avatar id for an answer that may be remembered until a time, which may be never over."""
    return (
        avatar_id if until == math.inf or avatar_id is ANONYMOUS else TemporaryId(avatar_id, until)
    )


def make_avatar_id(name: str | bytes) -> str:
    """Return a name in the form of an avatar id: Unicode NFC, so that one name typed on two machines is one user.

    Args:
        name: a text, or its UTF-8 bytes.

    Raises:
        TypeError: if it is neither.
        ValueError: if it is empty, is not UTF-8, or has lone surrogates, control characters or such that change the
            direction of writing, with which one id can be made to look like another.
    """
    if isinstance(name, bytes):
        try:
            name = name.decode()
        except UnicodeDecodeError:
            raise ValueError("an avatar id must be UTF-8") from None
    if not isinstance(name, str):
        raise TypeError(f"an avatar id must be a text, not {type(name).__name__}")
    if type(name) is not str:
        hash(name)  # it will be a key; a class of its own may be against that
    if not name:
        raise ValueError("an avatar id must not be empty; for anonymous access return ANONYMOUS")
    if type(name) is TemporaryId:
        name = str(name)
    if name.isascii() and name.isprintable():
        return name
    if any(
        unicodedata.category(character) in {"Cc", "Cs"} or character in _BIDI for character in name
    ):
        raise ValueError("an avatar id must not hold control characters")
    return unicodedata.normalize("NFC", name)


_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

LONGEST_NAME = 1023
"""Bytes of a user name in UTF-8, as in XMPP (RFC 7622, section 3.3.1)."""

LONGEST_PASSWORD = 16_384
"""Bytes of a password in UTF-8; nobody shall have megabytes hashed."""

_ASCII_NAME = re.compile(r"[!-~]+(?: [!-~]+)*")

_ASCII_PASSWORD = re.compile(r"[ -~]*")

MOST_MARKS = 64
"""Combining marks in a row: sorting them takes the square of their number, and no writing needs more than a few (UAX 15)."""

_AROUND = frozenset("\u00b7\u0375\u05f3\u05f4\u200c\u200d")
"""Characters that are allowed by what stands around them (RFC 5892, appendix A)."""

_BESIDE = frozenset(
    "\u30fb\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669"
) | frozenset("\u06f0\u06f1\u06f2\u06f3\u06f4\u06f5\u06f6\u06f7\u06f8\u06f9")
"""Characters that are allowed by what else is in the text, wherever it stands."""


class _Profile:
    """A profile of PRECIS, as the library has it.

    Args:
        name: the profile's name.
    """

    def __init__(self, name: str) -> None:
        from precis_i18n import get_profile  # 20 ms, and most programs never see such a name
        from precis_i18n.context import context_rule_error

        self._library: Any = get_profile(name)
        self._context_rule_error: Any = context_rule_error
        self._allowed = bytearray(0x110000)
        """By code point: 1 for those that were found to be allowed in any text."""

    def enforce(self, value: str) -> str:
        """Return a text as the profile has it.

        Raises:
            UnicodeEncodeError: as the library does.
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
        """Check each character once, however often it is in the text."""
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
        # The library's text shows the character, which may be one of a password.
        raise ValueError(
            f"the {what} has a character that is not allowed: {error.reason.removeprefix('DISALLOWED/')}"
        ) from None


def prepare_username(name: str | bytes) -> str:
    """Return a user name in the form in which it is compared.

    It is the profile UsernameCasePreserved (RFC 8265, section 3.4), for each part between single spaces (section 3.5):
    Unicode NFC, full-width letters as ordinary ones; control, formatting and compatibility characters and mixed
    directions are refused. "Ann" and "ann" stay two names.

    Args:
        name: a text, or its UTF-8 bytes.

    Raises:
        TypeError: if it is neither.
        ValueError: if it is no user name; says why not.
    """
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


def prepare_password(password: str | bytes) -> str:
    """Return a password in the form in which it is hashed.

    It is the profile OpaqueString (RFC 8265, section 4.2): Unicode NFC, any space is an ordinary one, control characters
    are refused. The empty password stays what it is; who checks it refuses it.

    Args:
        password: a text, or its UTF-8 bytes.

    Raises:
        TypeError: if it is neither.
        ValueError: if it is no password; says why not, without showing it.
    """
    text = _decoded(password, "password", LONGEST_PASSWORD)
    return text if _ASCII_PASSWORD.fullmatch(text) else _enforce("OpaqueString", text, "password")


def password_forms(password: str | bytes) -> tuple[str, ...]:
    """Return the forms of a password that a client sent, in which it may have been hashed.

    The first one is what was sent, of which other programs make their hashes. The second one is the prepared form, if there
    is one and it differs. So what `prepare_password` does not allow, such as a tab, is good for hashes of other programs.

    Args:
        password: a text, or its UTF-8 bytes.

    Raises:
        TypeError: if it is neither.
        ValueError: if it is no text, is too long, or has a NUL; says which.
    """
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
