"""What a client presents: exchanges, which go on while they are checked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from actorcred.errors import ProtocolError, UnauthorizedLogin

__all__ = [
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
    """Where an exchange stands."""

    NEW = "new"
    CHALLENGED = "challenged"
    """The client has been asked, and has not answered yet."""

    OVER = "over"
    """Nothing that the client says counts any more."""


class ExchangeEvent(StrEnum):
    """What moves an exchange on."""

    CHALLENGE = "challenge"
    """The server asks."""

    ANSWER = "answer"
    """The client answers what it was asked."""

    PRESENT = "present"
    """The client has said all."""

    FAIL = "fail"
    """The client said what cannot be understood."""


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

    state = ExchangeState.NEW
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
