"""AUTH LOGIN for SMTP."""

from __future__ import annotations

from actorcred.credentials import UsernamePassword
from actorcred.exchange import ExchangeState
from actorcred.identity import ClientInfo
from actorcred.sasl.mechanism import Challenge, Credentials, ServerMechanism, Step, text_of

__all__ = ["LoginServer"]


class LoginServer(ServerMechanism):
    """AUTH LOGIN, which has no RFC: asks for name and password, for old mail clients."""

    name = "LOGIN"
    credentials = UsernamePassword
    exposes_password = True

    def __init__(self, client: ClientInfo) -> None:
        super().__init__(client)
        self._username: str | None = None

    def step(self, data: bytes | None) -> Step:
        """Take a message of the client. This is the only mechanism that challenges twice."""
        if self.state is ExchangeState.CHALLENGED and self._username is None:
            self.state = ExchangeState.NEW
        return super().step(data)

    def take(self, data: bytes | None) -> Step:
        """Take the name, which may be sent with the request, then the password."""
        if data is None:
            return Challenge(b"Username:")
        if self._username is None:
            self._username = text_of(data)
            return Challenge(b"Password:")
        return Credentials(UsernamePassword(self._username, data, source=self.client.address))
