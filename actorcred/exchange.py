"""Credentials with a challenge: answers to one, and exchanges that continue during the check."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import ClassVar, Final

from actorcred.errors import ProtocolError, UnauthorizedLogin

__all__ = [
    "PASSWORD",
    "TRANSITIONS",
    "Exchange",
    "ExchangeEvent",
    "ExchangeState",
    "ScramVerifier",
    "UsernameDigestHash",
    "UsernameHashedPassword",
    "UsernameScram",
    "step",
]


class ExchangeState(StrEnum):
    """The state of an exchange."""

    NEW = "new"
    CHALLENGED = "challenged"
    """The client was sent a challenge, and has not answered yet."""

    OVER = "over"
    """Further messages from the client are not accepted."""


class ExchangeEvent(StrEnum):
    """What changes the state of an exchange."""

    CHALLENGE = "challenge"
    """The server sends a challenge."""

    ANSWER = "answer"
    """The client answers the challenge."""

    PRESENT = "present"
    """The client has sent everything."""

    FAIL = "fail"
    """The client sent something that cannot be understood."""


TRANSITIONS: dict[ExchangeState, dict[ExchangeEvent, ExchangeState]] = {
    ExchangeState.NEW: {
        ExchangeEvent.CHALLENGE: ExchangeState.CHALLENGED,
        ExchangeEvent.PRESENT: ExchangeState.OVER,
        ExchangeEvent.FAIL: ExchangeState.OVER,
    },
    ExchangeState.CHALLENGED: {
        ExchangeEvent.ANSWER: ExchangeState.OVER,
        ExchangeEvent.PRESENT: ExchangeState.OVER,
        ExchangeEvent.FAIL: ExchangeState.OVER,
    },
    ExchangeState.OVER: {},
}


def step(state: ExchangeState, event: ExchangeEvent) -> ExchangeState:
    """Return the state after `event`.

    Raises:
        ProtocolError: if the event is out of order.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise ProtocolError(f"out of order: {event} in an exchange that is {state}") from None


PASSWORD: Final = frozenset({"pwd"})
"""What a password proves (RFC 8176)."""


class UsernameHashedPassword(ABC):
    """A name and the client's answer to a challenge, which only the plaintext password can verify.

    The base class for challenge and response, such as CRAM-MD5. A checker that stores plaintext
    passwords looks up the one of `username` and calls `check_password`.

    Attributes:
        username: the name that the client claims.
        source: the client's address, if the protocol knows it.
    """

    proves: ClassVar[frozenset[str]] = PASSWORD

    username: str
    source: str

    @abstractmethod
    def check_password(self, password: bytes) -> bool:
        """Return, in constant time, whether the answer was made with this plaintext password."""


class UsernameDigestHash(UsernameHashedPassword):
    """A name and an answer that the digest of name, realm and password can verify.

    HTTP Digest (RFC 7616) works this way.

    Attributes:
        realm: the realm of the digest.
        algorithm: the hash function: "MD5", "SHA-256" or "SHA-512-256".
    """

    realm: str
    algorithm: str

    @abstractmethod
    def check_hash(self, digest: str) -> bool:
        """Return, in constant time, whether the answer was made with this digest.

        Args:
            digest: `H(username:realm:password)` in hexadecimal.
        """


class Exchange(ABC):
    """Credentials that need a challenge, which depends on what the checker knows about the user.

    A protocol passes it to the portal, sends the client each challenge and passes the answer to
    `respond`. The checker asks it for the result.

    Attributes:
        state: the current state.
        username: the name that the client claims.
        source: the client's address, if the protocol knows it.
        last: whether no other checker will be asked; set by the portal. The last checker goes
            through the exchange even if it does not know the user, so that neither text nor timing
            reveals that.
        on_challenge: called with each challenge for the client; set by the protocol.
        turn: called with a function that processes the client's answer, to call it when it is the
            login's turn; set by the portal. None is immediately.
        outcome: what to send to the client after a successful login, as proof of the server's
            identity.
    """

    proves: ClassVar[frozenset[str]] = PASSWORD

    state = ExchangeState.NEW
    username: str
    source: str = ""
    last: bool = False
    on_challenge: Callable[[bytes], object] | None = None
    turn: Callable[[Callable[[], object]], object] | None = None
    outcome: bytes | None = None

    @abstractmethod
    def pretend(self, decided: Callable[[bool], object]) -> None:
        """Go through the exchange for a user who does not exist, so that the client cannot tell.

        Args:
            decided: called with False at the end.
        """

    def answer(self, data: bytes) -> None:
        """Process the client's answer to a challenge, when it is the login's turn.

        Protocols call this, not `respond`, so that failures count before further guesses.

        Raises:
            ProtocolError: as `respond`, if that is immediate.
        """
        if self.turn is None:
            self.respond(data)
        else:
            self.turn(partial(self.respond, data))

    @abstractmethod
    def respond(self, data: bytes) -> None:
        """Process the client's answer to a challenge; for implementors.

        Raises:
            ProtocolError: if no challenge was sent, or it was already answered.
        """


@dataclass(frozen=True, slots=True)
class ScramVerifier:
    """What a server stores of a password for SCRAM (RFC 5802, section 3).

    It is not sufficient to log in.

    Args:
        salt: random bytes.
        stored_key: `H(HMAC(SaltedPassword, "Client Key"))`.
        server_key: `HMAC(SaltedPassword, "Server Key")`.
        iterations: the number of iterations of PBKDF2.
    """

    salt: bytes = field(repr=False)
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)
    iterations: int


class UsernameScram(Exchange):
    """A name and a SCRAM exchange (RFC 5802).

    Attributes:
        algorithm: the hash, "SHA-256" or "SHA-1".
        iterations: the usual number of iterations in the checkers asked so far, so that an unknown
            user looks like a known one.
    """

    algorithm: str
    iterations: int = 0

    @abstractmethod
    def verify(self, verifier: ScramVerifier, decided: Callable[[bool], object]) -> None:
        """Go through the exchange with the client.

        Args:
            verifier: what the checker stores of the user's password.
            decided: called with the result: whether the client knows the password.
        """

    def check(self, verifier: ScramVerifier | None, decided: Callable[[bool], object]) -> None:
        """Go through the exchange with the client, whether its user exists or not.

        Args:
            verifier: what the checker stores of the user's password; None if it does not know the
                user.
            decided: as in `verify`.

        Raises:
            UnauthorizedLogin: if the user is unknown and another checker will be asked.
        """
        if verifier is not None:
            self.verify(verifier, decided)
        elif self.last:
            self.pretend(decided)
        else:
            raise UnauthorizedLogin("no such user, or no SCRAM verifier")
