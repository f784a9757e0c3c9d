"""Credentials: what a client presents to prove who it is.

Credentials are plain values. A protocol creates them; a checker states which kinds it accepts
(`credential_interfaces`) and turns them into an avatar id. Their repr never shows a secret.

Their attribute `proves` has the methods (RFC 8176) by which they prove who a client is, unless the
checker says more. Without it they prove a password.
"""

from __future__ import annotations

import copy
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias, TypeVar

from actorcred.errors import UnauthorizedLogin
from actorcred.exchange import PASSWORD
from actorcred.names import password_forms, prepare_username

__all__ = [
    "Anonymous",
    "BearerToken",
    "Certificate",
    "Combined",
    "ExternalIdentity",
    "HashTimes",
    "LoginCredentials",
    "OneTimePassword",
    "SSHKey",
    "UsernamePassword",
    "note_hashing",
    "with_source",
]


T = TypeVar("T")

_NOTHING: frozenset[str] = frozenset()


def _prepared(prepare: Callable[[Any], T], value: Any) -> T:
    """Prepare a value from a client; an invalid name or password is refused like a wrong one."""
    try:
        return prepare(value)
    except ValueError as error:
        raise UnauthorizedLogin(str(error)) from None


class Proof(Protocol):
    """Credentials whose class says what they prove."""

    proves: ClassVar[frozenset[str]]
    """The methods (RFC 8176) by which they prove who the client is."""


class OwnProof(Protocol):
    """Credentials of which each says what it proves."""

    @property
    def proves(self) -> frozenset[str]:
        """The methods (RFC 8176) by which they prove who the client is."""


LoginCredentials: TypeAlias = Proof | OwnProof
"""What type checkers accept as credentials, which is neither a bare name nor a bare token.

At run time they are any object whose class some checker takes.
"""


@dataclass(frozen=True, slots=True)
class Anonymous:
    """The client does not say who it is (SASL ANONYMOUS, RFC 4505).

    Args:
        trace: what the client says about itself, for the log only; often an e-mail address.
    """

    proves: ClassVar[frozenset[str]] = _NOTHING

    trace: str = ""


class HashTimes(NamedTuple):
    """How long the verification of a password took, in seconds.

    Args:
        waited: for a thread.
        took: hashing.
    """

    waited: float
    took: float


class _Hashed:
    """Credentials that are hashed: what the portal notes about them is not one of their fields.

    Attributes:
        familiar: whether the user has logged in from the same source recently; does not exist until
            it is noted.
        hashing: how long it took to verify them; None until it is noted. The constructor and
            `with_source` set it, since to look for what does not exist takes long; other copies
            have none at first.
    """

    __slots__ = ("familiar", "hashing")

    familiar: bool
    hashing: HashTimes | None


def note_familiar(credentials: object) -> None:
    """Note that the user has logged in from the same source recently; for `checker.turn_of`.

    Args:
        credentials: the credentials; those of kinds that are not hashed are left as they are.
    """
    for part in credentials.parts if isinstance(credentials, Combined) else (credentials,):
        if isinstance(part, _Hashed):
            object.__setattr__(part, "familiar", True)


def note_hashing(credentials: object, waited: float, took: float) -> None:
    """Note how long it took to verify a password, for events and metrics.

    Args:
        credentials: the credentials; those of other kinds are left as they are.
        waited: seconds until a thread was free.
        took: seconds of hashing.
    """
    if isinstance(credentials, _Hashed):
        before = getattr(credentials, "hashing", None)
        if before is not None:  # another checker has hashed it, too
            waited, took = waited + before.waited, took + before.took
        object.__setattr__(credentials, "hashing", HashTimes(waited, took))


@dataclass(frozen=True, slots=True, init=False)
class UsernamePassword(_Hashed):
    """A name and a plaintext password.

    Args:
        username: a string or UTF-8 bytes; prepared by RFC 8265.
        password: a string or UTF-8 bytes; prepared by RFC 8265 if possible. The repr does not show
            it.
        source: the client's address, if the protocol knows it, for checkers that depend on it.

    Attributes:
        sent: the password as it was sent, which is what other programs hash.

    Raises:
        UnauthorizedLogin: if one of them is invalid, such as a name with control characters.
    """

    proves: ClassVar[frozenset[str]] = PASSWORD

    username: str
    password: str = field(repr=False)
    source: str = field(default="", compare=False)
    sent: str = field(default="", repr=False, compare=False)

    def __init__(self, username: str | bytes, password: str | bytes, *, source: str = "") -> None:
        name, forms = _prepared(prepare_username, username), _prepared(password_forms, password)
        put = object.__setattr__
        put(self, "username", name)
        put(self, "password", forms[-1])
        put(self, "sent", forms[0])
        put(self, "source", source)
        put(self, "hashing", None)


def is_blank(sign: str) -> bool:
    """Return whether a character is invisible, such as a tab or a no-break space.

    So are format characters, which are often copied along with a code.
    """
    return sign.isspace() or unicodedata.category(sign) == "Cf"


@dataclass(frozen=True, slots=True, init=False)
class OneTimePassword:
    """A name and a one-time code, as shown by an authenticator app (RFC 6238).

    Args:
        username: a string or UTF-8 bytes; prepared by RFC 8265.
        code: digits; blanks of any kind are ignored. The repr does not show it.
        source: the client's address, if the protocol knows it.

    Raises:
        UnauthorizedLogin: if the name is invalid.
    """

    proves: ClassVar[frozenset[str]] = frozenset({"otp"})

    username: str
    code: str = field(repr=False)
    source: str = field(default="", compare=False)

    def __init__(self, username: str | bytes, code: str, *, source: str = "") -> None:
        object.__setattr__(self, "username", _prepared(prepare_username, username))
        object.__setattr__(self, "code", "".join(sign for sign in code if not is_blank(sign)))
        object.__setattr__(self, "source", source)


@dataclass(frozen=True, slots=True)
class BearerToken:
    """A token that another party issued to the client, as in OAuth 2.0 (RFC 6750).

    Args:
        token: the token. The repr does not show it.
        username: the name that the client claims, if any.
        source: the client's address, if the protocol knows it.
    """

    proves: ClassVar[frozenset[str]] = _NOTHING

    token: str = field(repr=False)
    username: str = ""
    source: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Certificate:
    """The client's certificate of a TLS connection, which the TLS library has verified.

    Args:
        der: the certificate, in DER form.
        subject: its subject: attribute -> value, named as in `ssl.SSLSocket.getpeercert`.
        names: its alternative names: pairs of kind ("DNS", "email", ...) and value.
    """

    proves: ClassVar[frozenset[str]] = frozenset({"swk"})

    der: bytes = field(repr=False)
    subject: dict[str, str]
    names: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, init=False)
class ExternalIdentity:
    """A client's identity as stated by a trusted front, such as a proxy that has logged it in.

    A protocol must create it only from what such a front sent, never from anything that a client
    could have sent itself.

    Args:
        username: a string or UTF-8 bytes; prepared by RFC 8265.
        front: the name of the front, for the log.

    Raises:
        UnauthorizedLogin: if the name is invalid.
    """

    proves: ClassVar[frozenset[str]] = _NOTHING

    username: str
    front: str = ""

    def __init__(self, username: str | bytes, front: str = "") -> None:
        object.__setattr__(self, "username", _prepared(prepare_username, username))
        object.__setattr__(self, "front", front)


@dataclass(frozen=True, slots=True, init=False)
class SSHKey:
    """A name, a public key, and data signed with the private key (RFC 4252, section 7).

    Args:
        username: a string or UTF-8 bytes; prepared by RFC 8265.
        blob: the public key or a certificate, in SSH's binary form.
        signed: the signed data: the session id and the request.
        signature: the signature in SSH's binary form: the name of the algorithm, and its bytes.
        source: the client's address, if the protocol knows it; for `from=` in lists of keys.

    Raises:
        UnauthorizedLogin: if the name is invalid.
    """

    proves: ClassVar[frozenset[str]] = frozenset({"swk"})

    username: str
    blob: bytes = field(repr=False)
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    source: str = field(default="", compare=False)

    def __init__(
        self,
        username: str | bytes,
        blob: bytes,
        signed: bytes,
        signature: bytes,
        *,
        source: str = "",
    ) -> None:
        object.__setattr__(self, "username", _prepared(prepare_username, username))
        object.__setattr__(self, "blob", blob)
        object.__setattr__(self, "signed", signed)
        object.__setattr__(self, "signature", signature)
        object.__setattr__(self, "source", source)


@dataclass(frozen=True, slots=True)
class Combined:
    """Several proofs of one user, such as a password and a code. `AllOf` requires them all.

    Args:
        parts: the credentials.
    """

    parts: tuple[object, ...]

    @property
    def proves(self) -> frozenset[str]:
        """The methods of all parts."""
        return frozenset().union(*(getattr(part, "proves", {"pwd"}) for part in self.parts))

    @property
    def username(self) -> str:
        """The name claimed by the first part that proves one; a token identifies its user."""
        parts = (part for part in self.parts if not isinstance(part, BearerToken))
        return next((name for part in parts if (name := getattr(part, "username", ""))), "")

    @property
    def hashing(self) -> HashTimes | None:
        """How long its passwords took; see `note_hashing`."""
        times = [time for part in self.parts if (time := getattr(part, "hashing", None))]
        return HashTimes(*map(sum, zip(*times, strict=True))) if times else None

    @property
    def source(self) -> str:
        """The client's address, from the first part that has it."""
        return next((source for part in self.parts if (source := getattr(part, "source", ""))), "")


_SOURCED = frozenset((UsernamePassword, OneTimePassword, BearerToken, SSHKey))


def with_source(credentials: object, address: str) -> object:
    """Return credentials with the client's address, if they have a place for it and none yet.

    Checkers share their threads among addresses, so credentials of a protocol or an application
    that has forgotten it must not count as those of another client.
    """
    if type(credentials) is Combined:
        return Combined(tuple(with_source(part, address) for part in credentials.parts))
    if type(credentials) not in _SOURCED or credentials.source:  # type: ignore[attr-defined]
        return credentials
    made = copy.copy(credentials)
    object.__setattr__(made, "source", address)
    if isinstance(made, _Hashed):
        object.__setattr__(made, "hashing", None)
    return made
