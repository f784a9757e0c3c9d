"""The operations of the chat, the same for every protocol."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from actorcred.adapters.asyncssh import Shell

__all__ = ["Chatter", "Line", "Moderator", "TextChatter"]


@dataclass(frozen=True, slots=True)
class Line:
    """A line that was said in a room.

    Args:
        number: counts the lines of all rooms.
        at: when, in seconds since the epoch.
        name: who said it.
        text: what was said.
    """

    number: int
    at: float
    name: str
    text: str


class Chatter(ABC):
    """Any user.

    The client is sent `said(room, line)`, `came(room, name)`, `went(room, name)` and
    `whispered(name, to, text)`.
    """

    @abstractmethod
    async def join(self, room: str) -> list[Line]:
        """Enter a room; return its earlier lines, the oldest first.

        Later lines are sent as notifications.
        """

    @abstractmethod
    async def leave(self, room: str) -> None:
        """Leave a room."""

    @abstractmethod
    async def say(self, room: str, text: str) -> int:
        """Say something in a room; return the line's number."""

    @abstractmethod
    async def whisper(self, name: str, text: str) -> None:
        """Send a private line to one user."""

    @abstractmethod
    async def who(self, room: str) -> list[str]:
        """Return who is in a room."""


class Moderator(Chatter):
    """An administrator."""

    @abstractmethod
    async def kick(self, name: str, why: str = "") -> int:
        """End all sessions of a user; return how many there were."""

    @abstractmethod
    async def ban(self, name: str, minutes: float, why: str = "") -> int:
        """End all sessions of a user and refuse new logins for a time; 0 minutes lifts a ban."""

    @abstractmethod
    async def mute(self, name: str, minutes: float) -> None:
        """Forbid a user to speak for a time; 0 minutes lifts it."""


class TextChatter(Chatter, Shell, ABC):
    """Any user with a terminal."""

    @abstractmethod
    async def shell_opened(self, terminal: Any) -> None: ...
