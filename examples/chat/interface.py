"""What people can do in the chat, whatever protocol they came by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from actorcred.adapters.asyncssh import Shell

__all__ = ["Chatter", "Line", "Moderator", "TextChatter"]


@dataclass(frozen=True, slots=True)
class Line:
    """Something that was said in a room.

    Args:
        number: counts the lines of all rooms.
        at: when, in seconds since the epoch.
        name: who said it.
        text: what.
    """

    number: int
    at: float
    name: str
    text: str


class Chatter(ABC):
    """Anybody. The client is told `said(room, line)`, `came(room, name)`, `went(room, name)` and `whispered(name, to, text)`."""

    @abstractmethod
    async def join(self, room: str) -> list[Line]:
        """Enter a room; return what was said there before, the oldest first. What comes next, is told."""

    @abstractmethod
    async def leave(self, room: str) -> None:
        """Leave a room."""

    @abstractmethod
    async def say(self, room: str, text: str) -> int:
        """Say something in a room; return the line's number."""

    @abstractmethod
    async def whisper(self, name: str, text: str) -> None:
        """Tell one person something."""

    @abstractmethod
    async def who(self, room: str) -> list[str]:
        """Return who is in a room."""


class Moderator(Chatter):
    """An administrator."""

    @abstractmethod
    async def kick(self, name: str, why: str = "") -> int:
        """Throw somebody out; return how many sessions ended."""

    @abstractmethod
    async def ban(self, name: str, minutes: float, why: str = "") -> int:
        """Throw somebody out, and let them not come back for some time; 0 minutes lifts a ban."""

    @abstractmethod
    async def mute(self, name: str, minutes: float) -> None:
        """Let somebody say nothing for some time; 0 minutes gives the word back."""


class TextChatter(Chatter, Shell, ABC):
    """Anybody with a terminal."""

    @abstractmethod
    async def shell_opened(self, terminal: Any) -> None: ...
