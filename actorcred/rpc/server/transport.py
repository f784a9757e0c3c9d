"""The interface between a peer and the transport of its connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from actorcred.sasl.mechanism import Situation

__all__ = ["Origin", "Transport"]


class Transport(Protocol):
    """What a peer needs of its transport. No method raises, even if the connection is lost."""

    def write(self, messages: list[bytes]) -> None:
        """Send messages."""

    def waiting(self) -> int:
        """Return the number of bytes that the client has not read yet, as far as that is known."""

    def hold(self, seconds: float) -> None:
        """Pause reading for `seconds`."""

    def close(self) -> None:
        """Close the connection when everything is sent."""

    def abort(self) -> None:
        """Close the connection immediately."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a connection comes from.

    Args:
        protocol: its name, such as "tcp".
        address: the client's address for display; "" if it has none.
        source: the source for limits and penalties; "" if there is none.
        situation: what SASL mechanisms may know about the connection.
    """

    protocol: str
    address: str
    source: str
    situation: Situation
