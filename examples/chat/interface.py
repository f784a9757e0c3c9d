"""The operations of the chat, the same for every protocol."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from actorcred import requires
from actorcred.adapters.asyncssh import Shell

__all__ = ["MODERATOR", "Chatter", "Line", "Listed", "Membership", "TextChatter", "Welcome"]

MODERATOR = "moderator"
"""The group of the users who may kick, ban and mute."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line that was said.

    Args:
        number: counts the lines of all rooms.
        at: when, in seconds since the epoch.
        name: who said it.
        text: what was said.
        key: what the speaker's client called it; "" without.
    """

    number: int
    at: float
    name: str
    text: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Membership:
    """A room in which a user is, or a private conversation.

    Args:
        room: its name; "@NAME" is the conversation with a user.
        read: the number of the last line that the user has read.
        unread: how many lines of others came after it; at most 100.
    """

    room: str
    read: int
    unread: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A room that anyone may join.

    Args:
        room: its name.
        members: how many users are in it now.
        at: when its last line was said, in seconds since the epoch.
    """

    room: str
    members: int
    at: float


@dataclass(frozen=True, slots=True)
class Welcome:
    """What a client needs at first.

    Args:
        name: the user's name.
        moderator: whether the user is a moderator.
        rooms: where the user is.
    """

    name: str
    moderator: bool
    rooms: list[Membership]


class Chatter(ABC):
    """What a user can do. A room is named by its name, a private conversation by "@NAME".

    The client is sent `said(room, line)`, `came(room, name)`, `went(room, name, why)`,
    `joined(room)`, `left(room)` and `read(room, number)` for what the user's other clients do,
    `muted(seconds)`, `moderator(is_one)`, and the portal's `presence` of users it has asked for.
    A line can arrive by `said` and in an answer: its number says that it is the same.
    """

    @abstractmethod
    async def welcome(self) -> Welcome:
        """Return where the user is. The rooms of earlier sessions are entered again by themselves.

        Whether the users of the conversations are online is sent as notifications.
        """

    @abstractmethod
    async def rooms(self) -> list[Listed]:
        """Return the rooms that anyone may join, those with the latest lines first."""

    @abstractmethod
    async def join(self, room: str) -> str:
        """Enter a room; return its name as it is used, such as in lower case."""

    @abstractmethod
    async def leave(self, room: str) -> None:
        """Leave a room, or take a conversation off the list. Its lines stay."""

    @abstractmethod
    async def lines(self, room: str, before: int = 0) -> list[Line]:
        """Return the last lines before one with this number, the oldest first; 0 is the end."""

    @abstractmethod
    async def say(self, room: str, text: str, key: str = "") -> int:
        """Say something; return the line's number.

        With a key of at most 64 characters a line is said once, however often it is sent.
        """

    @abstractmethod
    async def read(self, room: str, number: int) -> None:
        """Note that the user has read a room up to this line."""

    @abstractmethod
    async def who(self, room: str) -> list[str]:
        """Return who is in a room."""

    @abstractmethod
    async def follow(self, name: str) -> None:
        """Have the client told whether a user is online, as `who` does for those in a room."""

    @abstractmethod
    @requires(MODERATOR)
    async def kick(self, name: str, why: str = "") -> int:
        """End all sessions of a user; return how many there were."""

    @abstractmethod
    @requires(MODERATOR)
    async def ban(self, name: str, minutes: float, why: str = "") -> int:
        """End all sessions of a user and refuse new logins for a time; 0 minutes lifts a ban."""

    @abstractmethod
    @requires(MODERATOR)
    async def mute(self, name: str, minutes: float) -> None:
        """Forbid a user to speak for a time; 0 minutes lifts it."""


class TextChatter(Chatter, Shell, ABC):
    """Any user with a terminal."""

    @abstractmethod
    async def shell_opened(self, terminal: Any) -> None: ...
