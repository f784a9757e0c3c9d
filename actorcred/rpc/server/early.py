"""What a client sends together with its login, before it has the answer: it waits for that, in order and within bounds. Pure."""

from __future__ import annotations

from actorcred.errors import CallCode, CallError
from actorcred.rpc.protocol.codec import NotificationMessage, Request, weigh
from actorcred.rpc.server.guard import Backlog

__all__ = ["EARLY_MEMORY", "Early"]


EARLY_MEMORY = 32 * 1024
"""Bytes of memory that may wait for a login, whose client is anybody. One message may always wait."""


class Early:
    """The requests and notifications that wait for the answer to a login.

    Args:
        count: how many may wait.
    """

    __slots__ = ("_backlog", "messages")

    def __init__(self, count: int) -> None:
        self._backlog = Backlog(count, EARLY_MEMORY)
        self.messages: list[Request | NotificationMessage] = []
        """What waits, in the order in which it came."""

    def add(self, message: Request | NotificationMessage) -> None:
        """Let a message wait.

        Raises:
            CallError: if too much waits already.
        """
        if not self._backlog.enter(weigh(message.params)):
            raise CallError(
                "too much waits for the answer to the login", CallCode.TOO_MANY_REQUESTS
            )
        self.messages.append(message)
