"""OAUTHBEARER (RFC 7628): a token that an OAuth 2.0 server issued to the client."""

from __future__ import annotations

import json
import re

from actorcred.credentials import BearerToken
from actorcred.errors import ProtocolError
from actorcred.sasl.mechanism import (
    Challenge,
    ClientMechanism,
    Credentials,
    ServerMechanism,
    Step,
    text_of,
)

__all__ = ["OAuthBearerClient", "OAuthBearerServer"]

# RFC 7628, section 3.1: the header of RFC 5801 without channel binding, then pairs that each end
# with control-A.
_MESSAGE = re.compile(
    r"[ny],(?:a=([^,\x01]+))?,\x01((?:[a-z]+=[^\x01]*\x01)+)\x01",
    re.IGNORECASE,
)
_BEARER = re.compile(r"Bearer +([A-Za-z0-9._~+/-]+=*)\s*", re.IGNORECASE)  # RFC 6750, section 2.1


class OAuthBearerServer(ServerMechanism):
    """Takes a token."""

    name = "OAUTHBEARER"
    credentials = BearerToken
    exposes_password = True

    def take(self, data: bytes | None) -> Step:
        """Take the client's only message."""
        if data is None:
            return Challenge(b"")
        message = _MESSAGE.fullmatch(text_of(data))
        pairs = (
            dict(pair.split("=", 1) for pair in message[2].split("\x01") if pair) if message else {}
        )
        bearer = _BEARER.fullmatch(pairs.get("auth", ""))
        if message is None or bearer is None:
            raise ProtocolError(
                "an OAUTHBEARER message is: n,a=NAME,^Aauth=Bearer TOKEN^A^A (RFC 7628)"
            )
        username = (message[1] or "").replace("=2C", ",").replace("=3D", "=")
        return Credentials(BearerToken(bearer[1], username, source=self.client.address), username)

    def refusal(self) -> bytes | None:
        """Return the error of RFC 7628, section 3.2.2: the client needs another token."""
        return json.dumps({"status": "invalid_token", "schemes": "bearer"}).encode()


class OAuthBearerClient(ClientMechanism):
    """Sends a token."""

    name = "OAUTHBEARER"

    def start(self) -> bytes:
        """Return the only message."""
        name = (
            (self.secrets.authorize_as or self.secrets.username)
            .replace("=", "=3D")
            .replace(",", "=2C")
        )
        who = f"a={name}" if name else ""
        return f"n,{who},\x01auth=Bearer {self.secrets.token}\x01\x01".encode()

    def answer(self, challenge: bytes) -> bytes:
        """Return the answer to the server's error, which ends the exchange (RFC 7628, 3.2.3)."""
        return b"\x01"
