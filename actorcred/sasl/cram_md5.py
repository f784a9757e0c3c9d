"""CRAM-MD5 (RFC 2195): challenge and response, for old clients.

The server must store the plaintext password.
"""

from __future__ import annotations

import hmac
import os
import re
import time

from actorcred.errors import ProtocolError, UnauthorizedLogin
from actorcred.exchange import UsernameHashedPassword
from actorcred.identity import ClientInfo
from actorcred.names import prepare_username
from actorcred.sasl.mechanism import (
    Challenge,
    ClientMechanism,
    Credentials,
    Secrets,
    ServerMechanism,
    Step,
    text_of,
)

__all__ = ["CramMD5", "CramMD5Client", "CramMD5Server"]

_RESPONSE = re.compile(r"(.+) ([0-9a-f]{32})", re.DOTALL | re.IGNORECASE)


class CramMD5(UsernameHashedPassword):
    """A name and the response to a challenge.

    Args:
        username: the name that the client claims.
        challenge: the server's challenge.
        digest: the response: `HMAC-MD5(password, challenge)` in hexadecimal.
        source: the client's address, if the protocol knows it.

    Raises:
        UnauthorizedLogin: if no user can have this name.
    """

    __slots__ = ("_challenge", "_digest", "source", "username")

    def __init__(self, username: str, challenge: bytes, digest: str, source: str = "") -> None:
        try:
            self.username = prepare_username(username)
        except ValueError as error:
            raise UnauthorizedLogin(str(error)) from None
        self._challenge = challenge
        self._digest = digest
        self.source = source

    def __repr__(self) -> str:
        return f"CramMD5(username={self.username!r})"

    def check_password(self, password: bytes) -> bool:
        """Return whether the response was made with this password."""
        return hmac.compare_digest(
            _digest(password, self._challenge).encode(), self._digest.lower().encode()
        )


def _digest(password: bytes, challenge: bytes) -> str:
    return hmac.new(password, challenge, "md5").hexdigest()


class CramMD5Server(ServerMechanism):
    """Sends a challenge that it has never sent before."""

    name = "CRAM-MD5"
    credentials = UsernameHashedPassword
    legacy = True

    def __init__(self, client: ClientInfo) -> None:
        super().__init__(client)
        self._challenge: bytes | None = None

    def take(self, data: bytes | None) -> Step:
        """Send the challenge, then take the response."""
        if self._challenge is None:
            if data:
                raise ProtocolError("a CRAM-MD5 client says nothing before it is asked")
            host = self.client.local or "localhost"
            self._challenge = f"<{os.urandom(16).hex()}.{int(time.time())}@{host}>".encode()
            return Challenge(self._challenge)
        response = _RESPONSE.fullmatch(text_of(data or b""))
        if response is None:
            raise ProtocolError("a CRAM-MD5 answer is: name, space, 32 hexadecimal digits")
        return Credentials(CramMD5(response[1], self._challenge, response[2], self.client.address))


class CramMD5Client(ClientMechanism):
    """Answers the challenge."""

    name = "CRAM-MD5"
    legacy = True

    def __init__(self, secrets: Secrets) -> None:
        super().__init__(secrets)
        self._answered = False

    def start(self) -> None:
        """Return None: the server sends the challenge first."""

    def answer(self, challenge: bytes) -> bytes:
        """Return the response."""
        if self._answered:
            return super().answer(challenge)
        self._answered = True
        digest = _digest((self.secrets.password or "").encode(), challenge)
        return f"{self.secrets.username} {digest}".encode()
