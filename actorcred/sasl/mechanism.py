"""What a mechanism is, on either side."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from actorcred.credentials import Certificate, ExternalIdentity
from actorcred.errors import ProtocolError
from actorcred.exchange import ExchangeEvent, ExchangeState, step

__all__ = [
    "Challenge",
    "ClientMechanism",
    "Credentials",
    "Secrets",
    "ServerMechanism",
    "Situation",
    "Step",
    "from_base64",
    "text_of",
]


@dataclass(frozen=True, slots=True)
class Challenge:
    """The client must be sent a challenge, perhaps an empty one."""

    challenge: bytes


@dataclass(frozen=True, slots=True)
class Credentials:
    """Here are the credentials.

    Args:
        credentials: for the portal.
        authorize_as: whom the client wants to act as; "" for whom it is.
    """

    credentials: object
    authorize_as: str = ""


Step: TypeAlias = Challenge | Credentials


@dataclass(frozen=True, slots=True)
class Situation:
    """What a server knows of the connection.

    Args:
        private: whether nobody else can read along: TLS, a Unix socket, or the same machine.
        certificate: the client's, if it showed one.
        host: the server's name, for challenges.
        source: the client's address, for checkers that go by it; "" if it has none.
        identity: who the client is by the word of a trusted front; None without one.
        binding: what channel binding of SCRAM goes by: its kind and bytes of the TLS connection; None without.
        tls_unique: what it may go by besides on TLS 1.2 (RFC 5929, section 3); None without.
    """

    private: bool = False
    certificate: Certificate | None = None
    host: str = "localhost"
    source: str = ""
    identity: ExternalIdentity | None = None
    binding: tuple[str, bytes] | None = None
    tls_unique: bytes | None = None

    def bindings(self) -> dict[str, bytes]:
        """Return all that channel binding may go by: kind -> bytes."""
        found = {} if self.tls_unique is None else {"tls-unique": self.tls_unique}
        return found if self.binding is None else {self.binding[0]: self.binding[1], **found}


class ServerMechanism(ABC):
    """The server's side of one exchange.

    Class attributes:
        name: as registered with IANA.
        credentials: the kinds of credentials that it makes, one of which a checker must take.
        exposes_password: whether somebody who reads along learns the password or token.
        legacy: whether it is for old clients, and off unless it is asked for by name.

    Args:
        situation: of the connection.

    Attributes:
        state: where the exchange stands.
    """

    name: ClassVar[str]
    credentials: ClassVar[type | tuple[type, ...]]
    exposes_password: ClassVar[bool] = False
    legacy: ClassVar[bool] = False

    def __init__(self, situation: Situation) -> None:
        self.situation = situation
        self.state = ExchangeState.NEW

    @classmethod
    def kinds(cls) -> tuple[type, ...]:
        """Return the kinds of credentials that it makes."""
        return cls.credentials if isinstance(cls.credentials, tuple) else (cls.credentials,)

    @classmethod
    def possible(cls, situation: Situation) -> bool:
        """Tell whether it can be used on a connection, apart from what may be read along."""
        return True

    @classmethod
    def served_by(cls, kinds: tuple[type, ...]) -> bool:
        """Tell whether checkers that take such kinds of credentials take some that this mechanism makes."""
        return any(issubclass(made, kinds) for made in cls.kinds())

    def step(self, data: bytes | None) -> Step:
        """Take what the client says.

        Args:
            data: None at first if the client sent nothing with its request.

        Raises:
            ProtocolError: if that cannot be understood, or comes out of order; then the exchange is over.
            UnauthorizedLogin: if it names who cannot be anybody.
        """
        before, self.state = (
            self.state,
            step(self.state, ExchangeEvent.FAIL),
        )  # until it has gone well
        taken = self.take(data)
        self.state = step(
            before,
            ExchangeEvent.CHALLENGE if isinstance(taken, Challenge) else ExchangeEvent.PRESENT,
        )
        return taken

    def refusal(self) -> bytes | None:
        """Return the challenge that tells a client why its credentials do not count, before the exchange fails; None for none.

        What the client answers has no meaning. Protocols whose errors tell it themselves need not send this.
        """
        return None

    @abstractmethod
    def take(self, data: bytes | None) -> Step:
        """Take what the client says, as `step`; for implementors."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a client has to log in with.

    Args:
        username: its name.
        password: its password; None if it has none.
        token: a bearer token; None if it has none.
        authorize_as: whom it wants to act as; "" for whom it is.
        trace: what an anonymous client says of itself.
        binding: what channel binding goes by, as `Situation.binding`; None if the connection has none.
    """

    username: str = ""
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    authorize_as: str = ""
    trace: str = ""
    binding: tuple[str, bytes] | None = None


class ClientMechanism(ABC):
    """The client's side of one exchange.

    Class attributes:
        name: as registered with IANA.
        legacy: whether it is for old servers, and off unless it is asked for by name.

    Args:
        secrets: what to log in with.
    """

    name: ClassVar[str]
    legacy: ClassVar[bool] = False

    def __init__(self, secrets: Secrets) -> None:
        self.secrets = secrets

    @abstractmethod
    def start(self) -> bytes | None:
        """Return what to send with the request for the login; None for nothing."""

    def answer(self, challenge: bytes) -> bytes:
        """Return the answer to a challenge.

        Raises:
            ProtocolError: if it cannot be understood, or there should be none.
        """
        raise ProtocolError(f"{self.name} has no such challenge")

    def finish(self, outcome: bytes | None) -> None:
        """Check what the server sent with its consent.

        Raises:
            ProtocolError: if it proves that the server is not the right one.
        """


def text_of(data: bytes) -> str:
    """Return UTF-8 bytes from a client as text.

    Raises:
        ProtocolError: if they are none.
    """
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ProtocolError("a SASL message is not UTF-8") from None


def from_base64(text: str | bytes) -> bytes:
    """Return what base64 from a client stands for.

    Raises:
        ProtocolError: if it is none.
    """
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ProtocolError("this is no base64") from None
