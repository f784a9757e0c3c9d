"""SCRAM-SHA-256 (RFC 5802 and 7677): neither side shows the other the password, and both prove that they know it."""

from __future__ import annotations

import hmac
import os
import unicodedata
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

from actorcred.credentials import ScramVerifier, UsernameScram
from actorcred.errors import MissingExtra, ProtocolError
from actorcred.sasl.mechanism import ClientMechanism, Present, Secrets, ServerMechanism, Situation, Step, text_of

__all__ = ["ITERATIONS", "ScramClient", "ScramExchange", "ScramServer", "constant_salt", "make_verifier"]

ITERATIONS = 600_000
"""Of PBKDF2 with SHA-256 for new verifiers, as OWASP's Password Storage Cheat Sheet advises. It costs the client."""

_SECRET = os.urandom(32)

# What a user who does not exist is said to have; that of the last one who does.
_usual_iterations = ITERATIONS


@cache
def _scramp() -> Any:
    try:
        import scramp  # an extra, and not to be loaded by those who do not use it
    except ImportError:
        raise MissingExtra("SCRAM", "scram") from None
    return scramp


def constant_salt(username: str) -> bytes:
    """Return a salt for a name, the same at each call in this process, for verifiers that are not stored."""
    return hmac.digest(_SECRET, username.encode(), "sha256")[:16]


def make_verifier(password: str, iterations: int = ITERATIONS, salt: bytes | None = None) -> ScramVerifier:
    """Return what a server keeps of a password. Computes for a third of a second or so.

    Args:
        password: prepared with SASLprep (RFC 4013).
        iterations: of PBKDF2, at least 4096.
        salt: random bytes; by default new ones.

    Raises:
        MissingExtra: without the extra "scram".
    """
    mechanism = _scramp().ScramMechanism("SCRAM-SHA-256")
    return ScramVerifier(*mechanism.make_auth_info(password, iterations, salt or os.urandom(16)))


class ScramExchange(UsernameScram):
    """The server's side of one exchange. Its steps: the client's first message (made with it), a challenge, a response.

    Args:
        client_first: the client's first message.

    Raises:
        ProtocolError: if that is none.
    """

    algorithm = "SHA-256"

    def __init__(self, client_first: str) -> None:
        self._client_first = client_first
        self._decided: Callable[[bool], object] | None = None
        self._server: Any = None
        names: list[str] = []

        def look(name: str) -> tuple[bytes, bytes, bytes, int]:
            names.append(name)
            return bytes(16), bytes(32), bytes(32), 4096  # only the name is wanted

        self._step(self._make_server(look).set_client_first, client_first)
        self.username = unicodedata.normalize("NFC", names[0])

    def __repr__(self) -> str:
        return f"ScramExchange(username={self.username!r})"

    def _make_server(self, look_up: Callable[[str], tuple[bytes, bytes, bytes, int]]) -> Any:
        return _scramp().ScramMechanism("SCRAM-SHA-256").make_server(look_up)

    def _step(self, method: Callable[[str], None], message: str) -> None:
        try:
            method(message)
        except _scramp().ScramException as error:
            raise ProtocolError(f"this is no SCRAM message: {error.server_error or 'invalid-encoding'}") from None

    def verify(self, verifier: ScramVerifier, decided: Callable[[bool], object]) -> None:
        """Send the client its challenge, and call `decided` when it has answered."""
        global _usual_iterations
        _usual_iterations = verifier.iterations
        stored = (verifier.salt, verifier.stored_key, verifier.server_key, verifier.iterations)
        self._server = self._make_server(lambda name: stored)
        self._step(self._server.set_client_first, self._client_first)
        self._decided = decided
        self.challenged = True
        assert self.on_challenge is not None
        self.on_challenge(self._server.get_server_first().encode())

    def pretend(self, decided: Callable[[bool], object]) -> None:
        """Challenge a client whose user does not exist; no answer will be right."""
        unmatched = os.urandom(32)  # nobody has a key whose hash this is
        self.verify(ScramVerifier(constant_salt(self.username), unmatched, unmatched, _usual_iterations), decided)

    def respond(self, data: bytes) -> None:
        """Take the client's proof."""
        decided, self._decided = self._decided, None
        if decided is None:
            raise ProtocolError("no challenge of SCRAM waits for an answer")
        try:
            self._server.set_client_final(text_of(data))
            self.outcome = self._server.get_server_final().encode()
        except (_scramp().ScramException, ProtocolError):
            decided(False)
        else:
            decided(True)


class ScramServer(ServerMechanism):
    """Takes the client's first message; the rest is between `ScramExchange` and a checker."""

    name = "SCRAM-SHA-256"
    credentials = UsernameScram

    @classmethod
    def possible(cls, situation: Situation) -> bool:
        """Tell whether the extra is installed."""
        return find_spec("scramp") is not None

    def step(self, data: bytes | None) -> Step:
        """Take the client's first message."""
        message = text_of(data or b"")
        exchange = ScramExchange(message)
        # gs2-header: flag, then "a=" and the authorization identity (RFC 5802, section 7)
        authorize_as = message.split(",", 2)[1].removeprefix("a=").replace("=2C", ",").replace("=3D", "=")
        return Present(exchange, authorize_as)


class ScramClient(ClientMechanism):
    """Proves that it knows the password, and has the server prove the same."""

    name = "SCRAM-SHA-256"

    def __init__(self, secrets: Secrets) -> None:
        super().__init__(secrets)
        if secrets.authorize_as:
            raise ProtocolError("SCRAM-SHA-256 of this client cannot carry an authorization identity; use PLAIN over TLS")
        self._client = _scramp().ScramClient([self.name], secrets.username, secrets.password or "")
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
            raise ProtocolError("the server does not know the password: it is not the one it claims to be") from None
