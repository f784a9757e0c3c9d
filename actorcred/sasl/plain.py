"""PLAIN (RFC 4616): name and password in the clear."""

from __future__ import annotations

from actorcred.credentials import UsernamePassword
from actorcred.errors import ProtocolError
from actorcred.sasl.mechanism import (
    Challenge,
    ClientMechanism,
    Credentials,
    ServerMechanism,
    Step,
    text_of,
)

__all__ = ["PlainClient", "PlainServer"]


class PlainServer(ServerMechanism):
    """Takes `authorize-as NUL name NUL password`."""

    name = "PLAIN"
    credentials = UsernamePassword
    exposes_password = True

    def take(self, data: bytes | None) -> Step:
        """Take the client's only message."""
        if data is None:
            return Challenge(b"")
        parts = text_of(data).split("\0")
        if len(parts) != 3 or not parts[1]:
            raise ProtocolError(
                "a PLAIN message is: authorization identity, NUL, name, NUL, password"
            )
        authorize_as, username, password = parts
        return Credentials(
            UsernamePassword(username, password, source=self.client.address),
            authorize_as,
            self.name,
        )


class PlainClient(ClientMechanism):
    """Sends name and password."""

    name = "PLAIN"

    def start(self) -> bytes:
        """Return the only message."""
        secrets = self.secrets
        message = f"{secrets.authorize_as}\0{secrets.username}\0{secrets.password or ''}"
        if message.count("\0") != 2:
            raise ProtocolError("PLAIN cannot carry names and passwords with NUL")
        return message.encode()
