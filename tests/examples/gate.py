"""A checker that answers when the test says so."""

from __future__ import annotations

from typing import Any

from actorcred import Checker, Future, LoginFailed, UsernamePassword


class Gate(Checker):
    """Accepts or refuses all logins once it is opened."""

    credential_interfaces = (UsernamePassword,)

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[tuple[str, Future[Any]]] = []
        self._opened: LoginFailed | bool = False

    def request_avatar_id(self, credentials: UsernamePassword) -> Future[Any]:
        """Wait."""
        decision: Future[Any] = Future()
        self._waiting.append((credentials.username, decision))
        self._go_on()
        return decision

    def open(self, refusal: LoginFailed | None = None) -> None:
        """Answer all pending and future logins."""
        self._opened = refusal or True
        self._go_on()

    def waiting(self) -> int:
        """Return the number of pending logins."""
        return len(self._waiting)

    def _go_on(self) -> None:
        while self._opened and self._waiting:
            name, decision = self._waiting.pop()
            if isinstance(self._opened, LoginFailed):
                decision.settle_error(self._opened)
            else:
                decision.settle(name)
