"""ANONYMOUS (RFC 4505): the client does not identify itself."""

from __future__ import annotations

from actorcred.credentials import Anonymous
from actorcred.errors import ProtocolError
from actorcred.sasl.mechanism import (
    Challenge,
    ClientMechanism,
    Credentials,
    ServerMechanism,
    Step,
    text_of,
)

__all__ = ["AnonymousClient", "AnonymousServer"]

LONGEST_TRACE = 255
"""Characters, by RFC 4505."""


class AnonymousServer(ServerMechanism):
    """Takes the client's trace, which may be empty."""

    name = "ANONYMOUS"
    credentials = Anonymous

    def take(self, data: bytes | None) -> Step:
        """Take the client's only message."""
        if data is None:
            return Challenge(b"")
        trace = text_of(data)
        if len(trace) > LONGEST_TRACE:
            raise ProtocolError(
                f"the trace of an anonymous client is longer than {LONGEST_TRACE} characters"
            )
        return Credentials(Anonymous(trace))


class AnonymousClient(ClientMechanism):
    """Sends a trace."""

    name = "ANONYMOUS"

    def start(self) -> bytes:
        """Return the only message."""
        return self.secrets.trace.encode()
