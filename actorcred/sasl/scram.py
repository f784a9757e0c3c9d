"""SCRAM (RFC 5802, RFC 7677): both sides prove that they know the password, and neither sends it.

With SHA-256, with SHA-512 for checkers that name it, and with SHA-1 for old clients. The mechanisms
whose names end in -PLUS bind the exchange to the TLS connection (RFC 5929), so that it cannot be
relayed from one connection to another: by the server's certificate (tls-server-end-point), or on
TLS 1.2 also by the handshake (tls-unique), as the client chooses.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any, ClassVar

from actorcred.errors import MissingExtra, PasswordRejected, ProtocolError, UnauthorizedLogin
from actorcred.exchange import ExchangeEvent, ExchangeState, ScramVerifier, UsernameScram, step
from actorcred.identity import ClientInfo
from actorcred.names import prepare_password, prepare_username
from actorcred.sasl.gs2 import NO_BINDINGS, ClientFinal, ClientFirst
from actorcred.sasl.mechanism import (
    Challenge,
    ClientMechanism,
    Credentials,
    Secrets,
    ServerMechanism,
    Step,
    text_of,
)

__all__ = [
    "ITERATIONS",
    "SCRAM_CLIENTS",
    "SCRAM_SERVERS",
    "ScramExchange",
    "ScramSHA1",
    "ScramSHA256",
    "ScramSHA512",
    "constant_salt",
    "end_point_binding",
    "has_scram",
    "make_verifier",
    "require_scram",
    "scram_from_text",
    "scram_to_text",
]

ITERATIONS = 600_000
"""Iterations of PBKDF2 with SHA-256 for new verifiers, as OWASP's Password Storage Cheat Sheet
advises. The client computes them at each login."""

LEAST_ITERATIONS, MOST_ITERATIONS = 4096, 10_000_000
"""Bounds of iterations in stored verifiers. Clients refuse fewer (RFC 7677), and more would take
them a quarter of a minute."""

_KEY = r"([A-Za-z0-9+/]{43}=)"  # 32 bytes in base64
_VERIFIER = re.compile(rf"SCRAM-SHA-256\$([0-9]{{4,8}}):([A-Za-z0-9+/]+={{0,2}})\${_KEY}:{_KEY}")

LONGEST_NAME = 256
"""Characters of a user name in a client's message."""

LONGEST_MESSAGE = 2048
"""Characters of a client's message."""

_SECRET = os.urandom(32)


@cache
def _scramp() -> Any:
    try:
        import scramp  # an extra; not loaded unless it is used
    except ImportError:
        raise MissingExtra("SCRAM", "scram") from None
    return scramp


@cache
def has_scram() -> bool:
    """Return whether the extra "scram" is installed, without loading it."""
    return find_spec("scramp") is not None  # the search takes 0.1 ms


def require_scram() -> None:
    """Raise `MissingExtra` if the extra "scram" is not installed."""
    _scramp()


def constant_salt(username: str) -> bytes:
    """Return the salt of a name, constant in this process, for verifiers that are not stored."""
    return hmac.digest(_SECRET, username.encode(), "sha256")[:16]


def make_verifier(
    password: str,
    iterations: int = ITERATIONS,
    salt: bytes | None = None,
    algorithm: str = "SHA-256",
) -> ScramVerifier:
    """Return the verifier of a password. This takes about a third of a second.

    Args:
        password: the password, which is prepared by SASLprep (RFC 4013).
        iterations: of PBKDF2, at least 4096.
        salt: random bytes; by default new ones.
        algorithm: "SHA-256", "SHA-512" or "SHA-1".

    Raises:
        PasswordRejected: if SCRAM cannot carry the password, such as one with characters that are
            newer than RFC 4013.
        MissingExtra: without the extra "scram".
    """
    mechanism = _scramp().ScramMechanism(f"SCRAM-{algorithm}")
    try:
        return ScramVerifier(
            *mechanism.make_auth_info(password, iterations, salt or os.urandom(16))
        )
    except _scramp().ScramException:
        raise PasswordRejected(
            "the password has characters that SCRAM does not know (RFC 4013)"
        ) from None


def scram_to_text(verifier: ScramVerifier) -> str:
    """Return a verifier for SHA-256 as the string that RFC 5803 and PostgreSQL store."""
    salt, stored, server = (
        base64.b64encode(part).decode()
        for part in (verifier.salt, verifier.stored_key, verifier.server_key)
    )
    return f"SCRAM-SHA-256${verifier.iterations}:{salt}${stored}:{server}"


def scram_from_text(text: str) -> ScramVerifier:
    """Return the verifier that `scram_to_text` made a string of.

    Raises:
        ValueError: if the string is damaged.
    """
    match = _VERIFIER.fullmatch(text)
    if match is None:
        raise ValueError("a damaged SCRAM verifier")
    try:
        salt, stored_key, server_key = (
            base64.b64decode(part, validate=True) for part in match.group(2, 3, 4)
        )
    except binascii.Error:
        raise ValueError("a damaged SCRAM verifier") from None
    if not LEAST_ITERATIONS <= (iterations := int(match[1])) <= MOST_ITERATIONS:
        raise ValueError("a SCRAM verifier whose iterations are out of bounds")
    return ScramVerifier(salt, stored_key, server_key, iterations)


def end_point_binding(der: bytes) -> tuple[str, bytes] | None:
    """Return the channel binding by a server's certificate (RFC 5929, section 4).

    Args:
        der: the certificate.

    Returns:
        Its kind and bytes; None if the certificate's signature names no hash function, such as
        Ed25519.
    """
    from asn1crypto.x509 import Certificate  # installed with scramp

    try:
        name = Certificate.load(der).hash_algo
        digest = hashlib.new("sha256" if name in {"md5", "sha1"} else name, der).digest()
    except (ValueError, TypeError):
        return None
    return "tls-server-end-point", digest


class ScramExchange(UsernameScram):
    """The server's side of one exchange: the client's first message, a challenge, a response.

    Args:
        client_first: the client's first message.
        plus: whether the exchange must be bound to the TLS connection.
        bindings: the bindings of the connection, kind -> bytes. A client that claims the server
            has no bindings, although it does, is refused, since a third party may have told it so.
        source: the client's address, if the protocol knows it.

    Attributes:
        authorize_as: the user that the client wants to act as; "" for its own.

    Raises:
        ProtocolError: if the message is malformed.
        UnauthorizedLogin: if it has a name that no user can have.
    """

    def __init__(
        self,
        client_first: str,
        *,
        plus: bool = False,
        bindings: Mapping[str, bytes] = NO_BINDINGS,
        source: str = "",
    ) -> None:
        self.source = source
        self._decided: Callable[[bool], object] | None = None
        if len(client_first) > LONGEST_MESSAGE:
            raise ProtocolError(f"a SCRAM message has at most {LONGEST_MESSAGE} characters")
        self._first = ClientFirst.parse(client_first)
        self._bound_by = self._first.bound_by(bindings, plus=plus)
        self.authorize_as = self._first.authorize_as
        if len(self._first.username) > LONGEST_NAME:
            raise UnauthorizedLogin(f"the user name is longer than {LONGEST_NAME} characters")
        try:
            # Not by SASLprep, which removes invisible characters from a name.
            self.username = prepare_username(self._first.username)
        except ValueError as error:
            raise UnauthorizedLogin(str(error)) from None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(username={self.username!r})"

    def verify(self, verifier: ScramVerifier, decided: Callable[[bool], object]) -> None:
        """Send the client its challenge, and call `decided` when it has answered.

        Raises:
            UnauthorizedLogin: if the client was challenged before. An exchange is for one verifier.
        """
        if self.state is not ExchangeState.NEW:
            raise UnauthorizedLogin("the client was challenged before")
        self.state = step(self.state, ExchangeEvent.CHALLENGE)
        self._verifier = verifier
        self._nonce = self._first.nonce + secrets.token_urlsafe(24)
        salt = base64.b64encode(verifier.salt).decode()
        self._server_first = f"r={self._nonce},s={salt},i={verifier.iterations}"
        self._decided = decided
        if self.on_challenge is not None:
            self.on_challenge(self._server_first.encode())

    def pretend(self, decided: Callable[[bool], object]) -> None:
        """Challenge a client whose user does not exist; no answer will be right."""
        unmatched = os.urandom(self._hash().digest_size)  # no known key has this hash
        verifier = ScramVerifier(
            constant_salt(self.username), unmatched, unmatched, self.iterations or ITERATIONS
        )
        self.verify(verifier, decided)

    def respond(self, data: bytes) -> None:
        """Take the client's proof."""
        self.state = step(self.state, ExchangeEvent.ANSWER)
        right = False
        try:
            final = ClientFinal.parse(text_of(data[: LONGEST_MESSAGE + 1]))
        except ProtocolError:
            pass  # as wrong as any other answer
        else:
            right = self._is_right(final)
        if self._decided is not None:
            self._decided(right)

    def _is_right(self, final: ClientFinal) -> bool:
        """Return whether the proof is right, and made for this exchange (RFC 5802, section 3)."""
        signed = f"{self._first.bare},{self._server_first},{final.without_proof}".encode()
        signature = self._hmac(self._verifier.stored_key, signed)
        key = bytes(a ^ b for a, b in zip(final.proof, signature, strict=False))
        knows = hmac.compare_digest(self._hash(key).digest(), self._verifier.stored_key)
        bound = hmac.compare_digest(final.binding, self._first.header.encode() + self._bound_by)
        same = hmac.compare_digest(final.nonce.encode(), self._nonce.encode())
        if not (knows and bound and same and len(final.proof) == len(signature)):
            return False
        self.outcome = b"v=" + base64.b64encode(self._hmac(self._verifier.server_key, signed))
        return True

    def _hash(self, data: bytes = b"") -> Any:
        return hashlib.new(self.algorithm.replace("-", ""), data)

    def _hmac(self, key: bytes, data: bytes) -> bytes:
        return hmac.digest(key, data, self.algorithm.replace("-", ""))


class ScramSHA512(ScramExchange):
    """An exchange with SHA-512.

    A checker that keeps verifiers for it names this class among its `credential_interfaces`.
    """

    algorithm = "SHA-512"


class ScramSHA256(ScramExchange):
    """An exchange with SHA-256 (RFC 7677)."""

    algorithm = "SHA-256"


class ScramSHA1(ScramExchange):
    """An exchange with SHA-1 (RFC 5802), for old clients."""

    algorithm = "SHA-1"


class _ScramServer(ServerMechanism):
    """Takes the client's first message; a checker and the exchange do the rest."""

    credentials: ClassVar[type[ScramExchange]]

    @classmethod
    def possible(cls, client: ClientInfo) -> bool:
        """Return whether the extra is installed, and the exchange can be bound if it must be."""
        return has_scram() and (not cls.name.endswith("-PLUS") or bool(client.bindings()))

    @classmethod
    def served_by(cls, kinds: tuple[type, ...]) -> bool:
        """Return whether a checker keeps verifiers.

        `UsernameScram` stands for SHA-256 and SHA-1; for SHA-512 a checker names its class.
        """
        if cls.credentials is ScramSHA512:
            kinds = tuple(kind for kind in kinds if kind is not UsernameScram)
        return super().served_by(kinds)

    def take(self, data: bytes | None) -> Step:
        """Take the client's first message."""
        if not self.possible(self.client):
            raise ProtocolError(f"{self.name} needs what this connection does not have")
        if data is None:
            return Challenge(b"")
        plus = self.name.endswith("-PLUS")
        client = self.client
        exchange = self.credentials(
            text_of(data), plus=plus, bindings=client.bindings(), source=client.address
        )
        return Credentials(exchange, exchange.authorize_as)


class _ScramClient(ClientMechanism):
    """Proves that it knows the password, and checks the server's proof of the same."""

    def __init__(self, secrets: Secrets) -> None:
        super().__init__(secrets)
        if secrets.authorize_as:
            raise ProtocolError(
                f"{self.name} of this client cannot carry an authorization identity;"
                " use PLAIN over TLS"
            )
        try:
            name, password = (
                prepare_username(secrets.username),
                prepare_password(secrets.password or ""),
            )
            self._client = _scramp().ScramClient(
                [self.name], name, password, channel_binding=secrets.binding
            )
        except (_scramp().ScramException, ValueError):
            raise ProtocolError("SCRAM cannot carry this name or password (RFC 4013)") from None
        self._answered = False

    def start(self) -> bytes:
        """Return the first message."""
        return self._client.get_client_first().encode()  # type: ignore[no-any-return]

    def answer(self, challenge: bytes) -> bytes:
        """Return the proof."""
        if self._answered:
            return super().answer(challenge)
        self._answered = True
        try:
            self._client.set_server_first(text_of(challenge))
            return self._client.get_client_final().encode()  # type: ignore[no-any-return]
        except _scramp().ScramException as error:
            raise ProtocolError(f"the server's SCRAM message cannot be used: {error}") from None

    def finish(self, outcome: bytes | None) -> None:
        """Check the server's proof."""
        try:
            self._client.set_server_final(text_of(outcome or b""))
        except _scramp().ScramException:
            raise ProtocolError(
                "the server does not know the password: it is not the one it claims to be"
            ) from None


def _make(base: type[Any], side: str, algorithm: str, plus: str, **attributes: Any) -> Any:
    name = f"SCRAM-{algorithm}{plus}"
    title = f"Scram{algorithm.replace('-', '')}{plus.removeprefix('-').title()}{side}"
    return type(
        title,
        (base,),
        {
            "__doc__": base.__doc__,
            "__module__": __name__,
            "name": name,
            "legacy": algorithm == "SHA-1",
            **attributes,
        },
    )


_KINDS = (("SHA-512", ScramSHA512), ("SHA-256", ScramSHA256), ("SHA-1", ScramSHA1))

SCRAM_SERVERS: list[type[ServerMechanism]] = [
    _make(_ScramServer, "Server", algorithm, plus, credentials=kind)
    for plus in ("-PLUS", "")
    for algorithm, kind in _KINDS
]
"""The server's sides, in order of preference."""

SCRAM_CLIENTS: list[type[ClientMechanism]] = [
    _make(_ScramClient, "Client", algorithm, plus)
    for plus in ("-PLUS", "")
    for algorithm in ("SHA-256", "SHA-512", "SHA-1")
]
"""The client's sides, in order of preference. Servers keep verifiers for SHA-256, and SHA-512
proves no more."""
