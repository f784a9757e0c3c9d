"""What a client presents, and who it turns out to be.

Credentials are plain values: a protocol makes them, a checker says which kinds it takes (`credential_interfaces`) and
turns them into an avatar id. Their text never shows a secret.
"""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal, TypeAlias

__all__ = [
    "ANONYMOUS",
    "Anonymous",
    "AvatarId",
    "BearerToken",
    "Certificate",
    "Exchange",
    "ScramVerifier",
    "UsernameHashedPassword",
    "UsernamePassword",
    "UsernameScram",
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


@dataclass(frozen=True, slots=True)
class BearerToken:
    """A token that somebody else gave the client, as OAuth 2.0 does (RFC 6750).

    Args:
        token: the token. It does not show in the text of this object.
        username: whom the client claims to be, if it says so.
    """

    token: str = field(repr=False)
    username: str = ""


@dataclass(frozen=True, slots=True)
class Certificate:
    """The certificate with which the client opened a TLS connection. The TLS library has verified it.

    Args:
        der: the certificate, in DER form.
        subject: its subject: name of the attribute -> value, as `ssl.SSLSocket.getpeercert` names them.
        names: its alternative names: pairs of kind ("DNS", "email", ...) and value.
    """

    der: bytes = field(repr=False)
    subject: dict[str, str]
    names: tuple[tuple[str, str], ...] = ()


# -- exchanges, which go on while they are checked ------------------------------------------------------------------------


class Exchange(ABC):
    """Credentials that need a question to the client, which depends on what the checker knows of the user.

    A protocol gives it to the portal, sends the client each `challenge` and hands its answer to `respond`. The checker
    asks it for its verdict.

    Attributes:
        username: whom the client claims to be.
        on_challenge: called with each challenge for the client; the protocol sets it.
        challenged: whether a challenge was made.
        outcome: what the client is to be sent when the login has succeeded, to prove that the server is the right one.
    """

    username: str
    on_challenge: Callable[[bytes], object] | None = None
    challenged = False
    outcome: bytes | None = None

    @abstractmethod
    def pretend(self, decided: Callable[[bool], object]) -> None:
        """Go through the exchange with a client whose user does not exist, so that it cannot tell.

        Args:
            decided: called with False at the end.
        """

    @abstractmethod
    def respond(self, data: bytes) -> None:
        """Take the client's answer to a challenge.

        Raises:
            ProtocolError: if no challenge was made, or it was answered before.
        """


@dataclass(frozen=True, slots=True)
class ScramVerifier:
    """What a server keeps of a password for SCRAM (RFC 5802, section 3). It does not suffice to log in with.

    Args:
        salt: random bytes.
        stored_key: `H(HMAC(SaltedPassword, "Client Key"))`.
        server_key: `HMAC(SaltedPassword, "Server Key")`.
        iterations: of PBKDF2.
    """

    salt: bytes = field(repr=False)
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)
    iterations: int


class UsernameScram(Exchange):
    """A name and a SCRAM exchange (RFC 5802).

    Attributes:
        algorithm: the hash, as "SHA-256".
    """

    algorithm: str

    @abstractmethod
    def verify(self, verifier: ScramVerifier, decided: Callable[[bool], object]) -> None:
        """Go through the exchange with the client.

        Args:
            verifier: what the checker keeps of the user's password.
            decided: called with whether the client knows the password, once that is known.
        """
