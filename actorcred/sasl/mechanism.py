"""The base of mechanisms, for servers and clients."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from actorcred.credentials import LoginCredentials
from actorcred.errors import ProtocolError
from actorcred.exchange import ExchangeEvent, ExchangeState, step
from actorcred.identity import ClientInfo

__all__ = [
    "Challenge",
    "ClientMechanism",
    "Credentials",
    "Secrets",
    "ServerMechanism",
    "Step",
    "from_base64",
    "text_of",
]


# In Python 3.11, an attribute of an enum takes six times as long as a name.
_NEW = ExchangeState.NEW
_CHALLENGE, _PRESENT, _FAIL = ExchangeEvent.CHALLENGE, ExchangeEvent.PRESENT, ExchangeEvent.FAIL


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge to be sent to the client.

    Args:
        challenge: the bytes, which may be empty.
    """

    challenge: bytes


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials that the client has presented.

    Args:
        credentials: the credentials, for the portal.
        authorize_as: the user that the client wants to act as; "" for its own.
        mechanism: the name of the mechanism; `ServerMechanism.step` sets it if it is empty.
    """

    credentials: LoginCredentials
    authorize_as: str = ""
    mechanism: str = field(default="", compare=False)


Step: TypeAlias = Challenge | Credentials


class ServerMechanism(ABC):
    """The server's side of one exchange.

    Class attributes:
        name: the name registered with IANA.
        credentials: the kinds of credentials that it creates, one of which a checker must accept.
        exposes_password: whether a third party that reads along learns the password or token.
        legacy: whether it is for old clients, and off unless it is asked for by name.

    Args:
        client: where the client comes from.

    Attributes:
        client: where the client comes from.
        state: the state of the mechanism.
    """

    name: ClassVar[str]
    credentials: ClassVar[type | tuple[type, ...]]
    exposes_password: ClassVar[bool] = False
    legacy: ClassVar[bool] = False

    def __init__(self, client: ClientInfo) -> None:
        self.client = client
        self.state: ExchangeState = _NEW

    @classmethod
    def kinds(cls) -> tuple[type, ...]:
        """Return the kinds of credentials that it creates."""
        return cls.credentials if isinstance(cls.credentials, tuple) else (cls.credentials,)

    @classmethod
    def possible(cls, client: ClientInfo) -> bool:
        """Return whether it can be used on a connection, leaving aside who can read along."""
        return True

    @classmethod
    def served_by(cls, kinds: tuple[type, ...]) -> bool:
        """Return whether checkers of these kinds of credentials accept some of this mechanism."""
        return any(issubclass(made, kinds) for made in cls.kinds())

    def step(self, data: bytes | None) -> Step:
        """Take a message of the client.

        Args:
            data: the message; None at first if the client sent nothing with its request.

        Raises:
            ProtocolError: if it is malformed or out of order; then the exchange is over.
            UnauthorizedLogin: if it has a name that no user can have.
        """
        # The state is that of a failure until `take` has returned.
        before, self.state = self.state, step(self.state, _FAIL)
        taken = self.take(data)
        self.state = step(
            before,
            _CHALLENGE if isinstance(taken, Challenge) else _PRESENT,
        )
        if isinstance(taken, Credentials) and not taken.mechanism:
            taken = Credentials(taken.credentials, taken.authorize_as, self.name)
        return taken

    def refusal(self) -> bytes | None:
        """Return the mechanism's own error, to be sent as a challenge before the exchange fails.

        The client's answer to it is ignored. None if the mechanism defines no error.
        """
        return None

    @abstractmethod
    def take(self, data: bytes | None) -> Step:
        """Take a message of the client, like `step`; for implementors."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a client logs in with.

    Args:
        username: its name.
        password: its password; None without.
        token: a bearer token; None without.
        authorize_as: the user that it wants to act as; "" for its own.
        trace: what an anonymous client says of itself.
        binding: the channel binding, as in `TLSInfo.binding`; None without.
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
        name: the name registered with IANA.
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
        """Return the initial response, to be sent with the request; None without."""

    def answer(self, challenge: bytes) -> bytes:
        """Return the answer to a challenge.

        Raises:
            ProtocolError: if it is malformed, or the mechanism has no such challenge.
        """
        raise ProtocolError(f"{self.name} has no such challenge")

    def finish(self, outcome: bytes | None) -> None:
        """Check the data that the server sent with its consent.

        Raises:
            ProtocolError: if they do not prove that the server knows the password.
        """


def text_of(data: bytes) -> str:
    """Return UTF-8 bytes from a client as a string.

    Raises:
        ProtocolError: if they are not UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ProtocolError("a SASL message is not UTF-8") from None


def from_base64(text: str | bytes) -> bytes:
    """Decode base64 from a client.

    Raises:
        ProtocolError: if it is not base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ProtocolError("this is no base64") from None
