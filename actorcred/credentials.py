"""What a client presents, and who it turns out to be.

Credentials are plain values: a protocol makes them, a checker says which kinds it takes (`credential_interfaces`) and
turns them into an avatar id. Their text never shows a secret.
"""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal, TypeAlias

__all__ = [
    "ANONYMOUS",
    "Anonymous",
    "AvatarId",
    "UsernameHashedPassword",
    "UsernamePassword",
    "make_avatar_id",
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


def make_avatar_id(name: str | bytes) -> str:
    """Return a name in the form of an avatar id: Unicode NFC, so that one name typed on two machines is one user.

    Args:
        name: a text, or its UTF-8 bytes.

    Raises:
        TypeError: if it is neither.
        ValueError: if it is empty, is not UTF-8, or has control characters or lone surrogates.
    """
    if isinstance(name, bytes):
        try:
            name = name.decode()
        except UnicodeDecodeError:
            raise ValueError("an avatar id must be UTF-8") from None
    if not isinstance(name, str):
        raise TypeError(f"an avatar id must be a text, not {type(name).__name__}")
    if not name:
        raise ValueError("an avatar id must not be empty; for anonymous access return ANONYMOUS")
    if name.isascii() and name.isprintable():
        return name
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in name):
        raise ValueError("an avatar id must not hold control characters")
    return unicodedata.normalize("NFC", name)


def _text(value: str | bytes, what: str) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise ValueError(f"the {what} must be UTF-8") from None
    if not isinstance(value, str):
        raise TypeError(f"the {what} must be str or bytes, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"the {what} must not hold lone surrogates") from None
    return value


@dataclass(frozen=True, slots=True)
class Anonymous:
    """The client does not say who it is (SASL ANONYMOUS, RFC 4505).

    Args:
        trace: what the client says of itself, for the log only; often an e-mail address.
    """

    trace: str = ""


@dataclass(frozen=True, slots=True, init=False)
class UsernamePassword:
    """A name and a password in the clear.

    Args:
        username: a text or UTF-8 bytes; brought to Unicode NFC.
        password: a text or UTF-8 bytes. It does not show in the text of this object.

    Raises:
        ValueError: if one of them is not UTF-8.
    """

    username: str
    password: str = field(repr=False)

    def __init__(self, username: str | bytes, password: str | bytes) -> None:
        object.__setattr__(self, "username", unicodedata.normalize("NFC", _text(username, "user name")))
        object.__setattr__(self, "password", _text(password, "password"))


class UsernameHashedPassword(ABC):
    """A name and the client's answer to a challenge, which only the plaintext password can confirm.

    The base for challenge and response, as CRAM-MD5. A checker that keeps plaintext passwords looks the one of
    `username` up and asks the credentials.
    """

    username: str

    @abstractmethod
    def check_password(self, password: bytes) -> bool:
        """Tell, in constant time, whether the answer was made with this plaintext password."""
