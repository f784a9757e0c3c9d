"""What a client presents, and who it turns out to be.

Credentials are plain values: a protocol makes them, a checker says which kinds it takes (`credential_interfaces`) and
turns them into an avatar id. Their text never shows a secret.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from actorcred.errors import UnauthorizedLogin
from actorcred.names import password_forms, prepare_username

__all__ = [
    "Anonymous",
    "BearerToken",
    "Certificate",
    "Combined",
    "ExternalIdentity",
    "OneTimePassword",
    "SSHKey",
    "UsernamePassword",
]


T = TypeVar("T")


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
