"""The interface between a peer and the transport of its connection."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Transport"]


class Transport(Protocol):
    """What a peer needs of its transport. No method raises, even if the connection is lost."""

    def write(self, messages: list[bytes]) -> None:
        """Send messages."""

    def waiting(self) -> int:
        """Return the number of bytes that the client has not read yet, as far as that is known."""

    def hold(self, seconds: float) -> None:
        """Pause reading for `seconds`."""

    def go_on(self) -> None:
        """End a pause in reading."""

    def close(self) -> None:
        """Close the connection when everything is sent."""

    def abort(self) -> None:
        """Close the connection immediately."""
