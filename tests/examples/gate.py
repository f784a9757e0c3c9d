"""A checker that takes as long as a test wants."""

from __future__ import annotations

from typing import Any

from actorcred import Checker, Future, LoginFailed, UsernamePassword


class Gate(Checker):
    """Lets everybody in, or refuses all, when it is told to."""

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
        """Answer all who wait and all who come."""
        self._opened = refusal or True
        self._go_on()

    def waiting(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def _go_on(self) -> None:
        while self._opened and self._waiting:
            name, decision = self._waiting.pop()
            if isinstance(self._opened, LoginFailed):
                decision.settle_error(self._opened)
            else:
                decision.settle(name)
