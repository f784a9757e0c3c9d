"""Conversion of Twisted Cred's credentials to ours and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, cast

from twisted.cred import credentials as theirs
from twisted.internet.defer import Deferred
from zope.interface import implementer, providedBy
from zope.interface.interface import InterfaceClass

from actorcred import credentials as ours
from actorcred.adapters.twisted.interfaces import class_of, interface_of
from actorcred.credentials import LoginCredentials
from actorcred.errors import CheckerUnavailable, UnauthorizedLogin
from actorcred.exchange import PASSWORD, UsernameDigestHash, UsernameHashedPassword
from actorcred.names import prepare_username

__all__ = ["KINDS", "from_twisted", "kinds_from_twisted", "kinds_to_twisted", "to_twisted"]

KINDS: dict[InterfaceClass, type] = {
    theirs.IUsernamePassword: ours.UsernamePassword,
    theirs.IUsernameDigestHash: UsernameDigestHash,
    theirs.IUsernameHashedPassword: UsernameHashedPassword,
    theirs.IAnonymous: ours.Anonymous,
    theirs.ISSHPrivateKey: ours.SSHKey,
}
"""The kinds that both sides have. For credentials of several kinds, the first one is used."""


# -- theirs as ours --------------------------------------------------------------------------------


class TwistedPassword(ours.UsernamePassword):
    """Twisted's name and password."""

    __slots__ = ("original",)

    def __init__(self, original: Any, source: str) -> None:
        super().__init__(original.username, original.password, source=source)
        object.__setattr__(self, "original", original)


class TwistedHashedPassword(UsernameHashedPassword):
    """Twisted's name and response to a challenge."""

    def __init__(self, original: Any, source: str) -> None:
        self.original = original
        self.source = source
        try:
            self.username = prepare_username(original.username)
        except ValueError as error:
            raise UnauthorizedLogin(str(error)) from None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(username={self.username!r})"

    def check_password(self, password: bytes) -> bool:
        """Return whether the response was made with this password."""
        return _checked(self.original.checkPassword, password)


class TwistedDigestHash(TwistedHashedPassword, UsernameDigestHash):
    """Twisted's response to an HTTP Digest challenge."""

    def __init__(self, original: Any, source: str) -> None:
        super().__init__(original, source)
        self.realm = _text(getattr(original, "realm", b""))
        algorithm = _text(getattr(original, "fields", {}).get("algorithm", b"md5"))
        self.algorithm = algorithm.upper().removesuffix("-SESS")

    def check_hash(self, digest: str) -> bool:
        """Return whether the response was made with this `H(username:realm:password)`."""
        return _checked(self.original.checkHash, digest.encode())


class TwistedSSHKey(ours.SSHKey):
    """Twisted's name, key and signature."""

    __slots__ = ("original",)

    def __init__(self, original: Any, source: str) -> None:
        signed, signature = original.sigData or b"", original.signature or b""
        super().__init__(original.username, original.blob, signed, signature, source=source)
        object.__setattr__(self, "original", original)


class TwistedCredentials:
    """Credentials of a kind that only Twisted has."""

    proves: ClassVar[frozenset[str]] = PASSWORD

    def __init__(self, original: Any, source: str) -> None:
        self.original = original
        self.source = source
        self.username = _text(getattr(original, "username", ""))

    def __repr__(self) -> str:
        return f"TwistedCredentials({type(self.original).__name__})"


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _checked(check: Callable[[bytes], Any], secret: bytes) -> bool:
    """Return whether Twisted's credentials accept a secret, by a value or a fired Deferred.

    Raises:
        UnauthorizedLogin: if they raise an exception. They parse what the client sent only now: in
            HTTP Digest, an unknown algorithm is a KeyError, and a missing URI a TypeError.
        CheckerUnavailable: if the Deferred has not fired.
    """
    try:
        answer = check(secret)
    except Exception as error:  # its text might contain the secret
        raise UnauthorizedLogin(
            f"these credentials cannot be checked: {type(error).__name__}"
        ) from None
    if not isinstance(answer, Deferred):
        return bool(answer)
    results: list[Any] = []
    answer.addCallbacks(results.append, lambda failure: results.append(False))
    if not results:
        raise CheckerUnavailable(
            "these credentials returned an unfired Deferred, which our checkers do not wait for"
        )
    return bool(results[0])


_FROM: dict[type, Callable[[Any, str], LoginCredentials]] = {
    ours.UsernamePassword: TwistedPassword,
    UsernameDigestHash: TwistedDigestHash,
    UsernameHashedPassword: TwistedHashedPassword,
    ours.Anonymous: lambda original, source: ours.Anonymous(),
    ours.SSHKey: TwistedSSHKey,
}


def from_twisted(credentials: Any, source: str = "") -> LoginCredentials:
    """Return Twisted's credentials as ours.

    Args:
        credentials: any provider of an interface of credentials; ours are returned as they are.
        source: the client's address, if it is known.

    Raises:
        UnauthorizedLogin: if no user can have them, as with control characters in the name.
    """
    for interface, kind in KINDS.items():
        if interface.providedBy(credentials):
            return _FROM[kind](credentials, source)
        if isinstance(credentials, kind):
            return cast("LoginCredentials", credentials)
    # Twisted's provide an interface; our SCRAM, tokens and certificates do not.
    foreign = bool(list(providedBy(credentials)))
    return TwistedCredentials(credentials, source) if foreign else credentials


# -- ours as theirs --------------------------------------------------------------------------------


@implementer(theirs.IUsernameHashedPassword)
class HashedPassword:
    """Our name and response to a challenge, for a Twisted checker."""

    def __init__(self, credentials: UsernameHashedPassword) -> None:
        self.username = credentials.username.encode()
        self.checkPassword = credentials.check_password


@implementer(theirs.IUsernameDigestHash)
class DigestHash(HashedPassword):
    """Our response to an HTTP Digest challenge, for a Twisted checker."""

    def __init__(self, credentials: UsernameDigestHash) -> None:
        super().__init__(credentials)
        self._credentials = credentials

    def checkHash(self, digest: bytes) -> bool:  # noqa: N802  # Twisted's name
        """Return whether the response was made with this digest."""
        return self._credentials.check_hash(_text(digest))


def to_twisted(credentials: Any) -> Any:
    """Return our credentials as Twisted's; converted ones are returned as the original."""
    original = getattr(credentials, "original", None)
    if original is not None:
        return original
    if isinstance(credentials, ours.UsernamePassword):
        return theirs.UsernamePassword(credentials.username.encode(), credentials.password.encode())
    if isinstance(credentials, UsernameDigestHash):
        return DigestHash(credentials)
    if isinstance(credentials, UsernameHashedPassword):
        return HashedPassword(credentials)
    if isinstance(credentials, ours.Anonymous):
        return theirs.Anonymous()
    if isinstance(credentials, ours.SSHKey):
        blob = credentials.blob
        algorithm = blob[4 : 4 + int.from_bytes(blob[:4], "big")]
        return theirs.SSHPrivateKey(
            credentials.username.encode(),
            algorithm,
            blob,
            credentials.signed,
            credentials.signature,
        )
    return credentials


# -- kinds -----------------------------------------------------------------------------------------


def kinds_from_twisted(interfaces: Iterable[InterfaceClass]) -> tuple[type, ...]:
    """Return our kinds of credentials for Twisted's; Twisted's own become classes of interfaces."""
    return tuple(KINDS.get(interface) or class_of(interface) for interface in interfaces)


def kinds_to_twisted(kinds: Iterable[type]) -> list[InterfaceClass]:
    """Return Twisted's kinds of credentials for ours, omitting those that Twisted does not have."""
    found: dict[InterfaceClass, None] = {}
    for kind in kinds:
        interface = interface_of(kind)
        if interface is not None:
            found[interface] = None
        else:
            exact = [theirs for theirs, mine in KINDS.items() if mine is kind]
            found.update(
                dict.fromkeys(
                    exact or [theirs for theirs, mine in KINDS.items() if issubclass(mine, kind)]
                )
            )
    return list(found)
