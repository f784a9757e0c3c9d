"""What a peer knows of the transport by which its client came, and needs of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from actorcred.sasl.mechanism import Situation

__all__ = ["Origin", "Transport"]


class Transport(Protocol):
    """What a peer needs of its transport. None of its methods raises: a connection that is gone takes nothing."""

    def write(self, messages: list[bytes]) -> None:
        """Send messages."""

    def waiting(self) -> int:
        """Return the bytes that the client has not taken yet, as far as that is known."""

    def hold(self, seconds: float) -> None:
        """Read nothing for so long."""

    def close(self) -> None:
        """Close the connection when all is sent."""

    def abort(self) -> None:
        """Close the connection at once."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a connection comes from.

    Args:
        protocol: its name, as "tcp".
        address: of the client, to be shown; "" if it has none.
        source: what counts as one origin for limits and penalties; "" if nothing does.
        situation: what mechanisms may know of the connection.
    """

    protocol: str
    address: str
    source: str
    situation: Situation
