"""Messages that a client sends before it has the answer to its login. Pure.

They wait for the answer, in order and within limits.
"""

from __future__ import annotations

from actorcred.errors import CallCode, CallError
from actorcred.rpc.protocol.codec import NotificationMessage, Request, weigh
from actorcred.rpc.server.guard import Backlog

__all__ = ["EARLY_MEMORY", "Early"]


EARLY_MEMORY = 32 * 1024
"""Bytes of memory for messages from clients that are not logged in.

A single message may always wait, whatever its size.
"""


class Early:
    """The requests and notifications that wait for the answer to a login.

    Args:
        count: how many may wait.
        memory: bytes that they may take.
    """

    __slots__ = ("_backlog", "_bounds", "messages")

    def __init__(self, count: int, memory: int = EARLY_MEMORY) -> None:
        self._bounds = count, memory
        self._backlog: Backlog | None = None  # most clients send nothing meanwhile
        self.messages: list[Request | NotificationMessage] = []
        """The waiting messages, in order of arrival."""

    def add(self, message: Request | NotificationMessage) -> None:
        """Let a message wait.

        Raises:
            CallError: if too much waits already.
        """
        if self._backlog is None:
            self._backlog = Backlog(*self._bounds)
        if not self._backlog.enter(weigh(message.params)):
            raise CallError(
                "too many messages wait for the login or a move", CallCode.TOO_MANY_REQUESTS
            )
        self.messages.append(message)
