"""EXTERNAL (RFC 4422, appendix A): a TLS certificate or a trusted proxy identifies the client."""

from __future__ import annotations

from actorcred.credentials import Certificate, ExternalIdentity
from actorcred.errors import ProtocolError
from actorcred.identity import ClientInfo
from actorcred.sasl.mechanism import (
    Challenge,
    ClientMechanism,
    Credentials,
    ServerMechanism,
    Step,
    text_of,
)

__all__ = ["ExternalClient", "ExternalServer"]


class ExternalServer(ServerMechanism):
    """Takes the user that the client wants to act as; empty for its own."""

    name = "EXTERNAL"
    credentials = (Certificate, ExternalIdentity)

    @classmethod
    def possible(cls, client: ClientInfo) -> bool:
        """Return whether the connection has a certificate or a proxy's statement."""
        return (client.asserted or client.certificate) is not None

    def take(self, data: bytes | None) -> Step:
        """Take the client's only message."""
        # A proxy's own certificate is not that of the client behind it.
        shown = self.client.asserted or self.client.certificate
        if shown is None:
            raise ProtocolError(
                "EXTERNAL needs a TLS connection with a client certificate, or a trusted front"
            )
        if data is None:
            return Challenge(b"")
        return Credentials(shown, text_of(data))


class ExternalClient(ClientMechanism):
    """Relies on the certificate."""

    name = "EXTERNAL"

    def start(self) -> bytes:
        """Return the only message."""
        return self.secrets.authorize_as.encode()
