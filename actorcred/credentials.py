"""What a client presents, and who it turns out to be.

Credentials are plain values: a protocol makes them, a checker says which kinds it takes (`credential_interfaces`) and
turns them into an avatar id. Their text never shows a secret.
"""

from __future__ import annotations

import math
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Literal, TypeAlias, TypeVar

from actorcred.errors import UnauthorizedLogin
from actorcred.precis import password_forms, prepare_username
from actorcred.sasl.states import State

__all__ = [
    "ANONYMOUS",
    "Anonymous",
    "AvatarId",
    "BearerToken",
    "Certificate",
    "Combined",
    "Exchange",
    "ExternalIdentity",
    "OneTimePassword",
    "SSHKey",
    "ScramVerifier",
    "TemporaryId",
    "UsernameDigestHash",
    "UsernameHashedPassword",
    "UsernamePassword",
    "UsernameScram",
    "make_avatar_id",
    "temporary",
    "until_of",
]


T = TypeVar("T")


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
    return avatar_id if until == math.inf or avatar_id is ANONYMOUS else TemporaryId(avatar_id, until)


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
    if any(unicodedata.category(character) in {"Cc", "Cs"} or character in _BIDI for character in name):
        raise ValueError("an avatar id must not hold control characters")
    return unicodedata.normalize("NFC", name)


_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _prepared(prepare: Callable[[Any], T], value: Any) -> T:
    """Prepare what a client sent; what cannot be anybody's name or password is refused as any other wrong one."""
    try:
        return prepare(value)
    except ValueError as error:
        raise UnauthorizedLogin(str(error)) from None


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
        username: a text or UTF-8 bytes; prepared by RFC 8265.
        password: a text or UTF-8 bytes; prepared by RFC 8265 if it can be. It does not show in the text of this object.
        source: the client's address, where the protocol knows it, for checkers that go by it.

    Attributes:
        sent: the password as it was sent, of which other programs made their hashes.

    Raises:
        UnauthorizedLogin: if one of them cannot be anybody's, as a name with control characters.
    """

    username: str
    password: str = field(repr=False)
    source: str = field(default="", compare=False)
    sent: str = field(default="", repr=False, compare=False)

    def __init__(self, username: str | bytes, password: str | bytes, *, source: str = "") -> None:
        object.__setattr__(self, "username", _prepared(prepare_username, username))
        forms = _prepared(password_forms, password)
        object.__setattr__(self, "password", forms[-1])
        object.__setattr__(self, "sent", forms[0])
        object.__setattr__(self, "source", source)


def is_blank(sign: str) -> bool:
    """Returns whether a character shows nothing, such as a tab, a no-break space, or a mark that comes along with a copied code."""
    return sign.isspace() or unicodedata.category(sign) == "Cf"


@dataclass(frozen=True, slots=True, init=False)
class OneTimePassword:
    """A name and a code that is good once, as an authenticator app shows it (RFC 6238).

    Args:
        username: a text or UTF-8 bytes; prepared by RFC 8265.
        code: digits; blanks of any kind do not count. It does not show in the text of this object.
        source: the client's address, where the protocol knows it.

    Raises:
        UnauthorizedLogin: if the name cannot be anybody's.
    """

    username: str
    code: str = field(repr=False)
    source: str = field(default="", compare=False)

    def __init__(self, username: str | bytes, code: str, *, source: str = "") -> None:
        object.__setattr__(self, "username", _prepared(prepare_username, username))
        object.__setattr__(self, "code", "".join(sign for sign in code if not is_blank(sign)))
        object.__setattr__(self, "source", source)


class UsernameHashedPassword(ABC):
    """A name and the client's answer to a challenge, which only the plaintext password can confirm.

    The base for challenge and response, as CRAM-MD5. A checker that keeps plaintext passwords looks the one of
    `username` up and asks the credentials.

    Attributes:
        username: whom the client claims to be.
        source: the client's address, where the protocol knows it.
    """

    username: str
    source: str

    @abstractmethod
    def check_password(self, password: bytes) -> bool:
        """Tell, in constant time, whether the answer was made with this plaintext password."""


class UsernameDigestHash(UsernameHashedPassword):
    """A name and an answer that the digest of name, realm and password can confirm, as in HTTP Digest (RFC 7616).

    Attributes:
        realm: the realm of the digest.
        algorithm: the hash function: "MD5", "SHA-256" or "SHA-512-256".
    """

    realm: str
    algorithm: str

    @abstractmethod
    def check_hash(self, digest: str) -> bool:
        """Tell, in constant time, whether the answer was made with this `H(username:realm:password)` in hexadecimal."""


@dataclass(frozen=True, slots=True)
class BearerToken:
    """A token that somebody else gave the client, as OAuth 2.0 does (RFC 6750).

    Args:
        token: the token. It does not show in the text of this object.
        username: whom the client claims to be, if it says so.
        source: the client's address, where the protocol knows it.
    """

    token: str = field(repr=False)
    username: str = ""
    source: str = field(default="", compare=False)


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


@dataclass(frozen=True, slots=True, init=False)
class ExternalIdentity:
    """Who the client is by the word of a front that is trusted, as a proxy which has logged it in.

    A protocol makes it only of what such a front sent, never of what a client could have sent itself.

    Args:
        username: a text or UTF-8 bytes; prepared by RFC 8265.
        front: which front says so, for the log.

    Raises:
        UnauthorizedLogin: if the name cannot be anybody's.
    """

    username: str
    front: str = ""

    def __init__(self, username: str | bytes, front: str = "") -> None:
        object.__setattr__(self, "username", _prepared(prepare_username, username))
        object.__setattr__(self, "front", front)


@dataclass(frozen=True, slots=True, init=False)
class SSHKey:
    """A name, a public key, and what was signed with the private one (RFC 4252, section 7).

    Args:
        username: a text or UTF-8 bytes; prepared by RFC 8265.
        blob: the public key in SSH's binary form, or a certificate in that form.
        signed: what was signed: the session's id and the request.
        signature: the signature in SSH's binary form: the name of the algorithm, and its bytes.
        source: the client's address, where the protocol knows it; for `from=` in lists of keys.

    Raises:
        UnauthorizedLogin: if the name cannot be anybody's.
    """

    username: str
    blob: bytes = field(repr=False)
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    source: str = field(default="", compare=False)

    def __init__(self, username: str | bytes, blob: bytes, signed: bytes, signature: bytes, *, source: str = "") -> None:
        object.__setattr__(self, "username", _prepared(prepare_username, username))
        object.__setattr__(self, "blob", blob)
        object.__setattr__(self, "signed", signed)
        object.__setattr__(self, "signature", signature)
        object.__setattr__(self, "source", source)


@dataclass(frozen=True, slots=True)
class Combined:
    """Several proofs of one user at once, as a password and a code. `AllOf` wants them all.

    Args:
        parts: the credentials.
    """

    parts: tuple[object, ...]

    @property
    def username(self) -> str:
        """Whom the first part claims that has a name."""
        return next((name for part in self.parts if (name := getattr(part, "username", ""))), "")

    @property
    def source(self) -> str:
        """The client's address, by the first part that knows it."""
        return next((source for part in self.parts if (source := getattr(part, "source", ""))), "")


# -- exchanges, which go on while they are checked ------------------------------------------------------------------------


class Exchange(ABC):
    """Credentials that need a question to the client, which depends on what the checker knows of the user.

    A protocol gives it to the portal, sends the client each `challenge` and hands its answer to `respond`. The checker
    asks it for its verdict.

    Attributes:
        state: where it stands.
        username: whom the client claims to be.
        source: the client's address, where the protocol knows it.
        last: whether no other checker will be asked. That one goes through the exchange also if it does not know the user,
            so that neither words nor time tell; the portal sets it.
        on_challenge: called with each challenge for the client; the protocol sets it.
        outcome: what the client is to be sent when the login has succeeded, to prove that the server is the right one.
    """

    state = State.NEW
    username: str
    source: str = ""
    last: bool = False
    on_challenge: Callable[[bytes], object] | None = None
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
        algorithm: the hash, "SHA-256" or "SHA-1".
        iterations: what a user has whom a checker that was asked knows, so that one whom none knows looks the same.
    """

    algorithm: str
    iterations: int = 0

    @abstractmethod
    def verify(self, verifier: ScramVerifier, decided: Callable[[bool], object]) -> None:
        """Go through the exchange with the client.

        Args:
            verifier: what the checker keeps of the user's password.
            decided: called with whether the client knows the password, once that is known.
        """

    def check(self, verifier: ScramVerifier | None, decided: Callable[[bool], object]) -> None:
        """Go through the exchange with the client, whether its user exists or not.

        Args:
            verifier: what the checker keeps of the user's password; None if it does not know the user.
            decided: as with `verify`.

        Raises:
            UnauthorizedLogin: if the user is unknown, and another checker will be asked.
        """
        if verifier is not None:
            self.verify(verifier, decided)
        elif self.last:
            self.pretend(decided)
        else:
            raise UnauthorizedLogin("no such user, or nothing for SCRAM")
