"""The chat: a realm, an actor per room, and an avatar per user.

A user can be connected by several protocols at the same time.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from actorcred import (
    Avatar,
    CallError,
    LoginDenied,
    LogoutReason,
    MindRef,
    NoInterface,
    PortalRef,
    Realm,
)
from actorcred.actors import Actor, ActorRef, ThreadDispatcher
from examples.chat.archive import Archive
from examples.chat.interface import Chatter, Line, Moderator, TextChatter
from examples.chat.text import TextShell

__all__ = ["LOBBY", "Chat"]

LOBBY = "lobby"
HISTORY = 50
"""How many earlier lines a user gets when entering a room."""

LONGEST_TEXT, LONGEST_ROOM = 1000, 40

PACE, SPAN = 10, 5.0
"""Lines that one user may say within so many seconds."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An event that a room or a user sends to its members."""

    event: str
    room: str
    what: Any


def clean(text: str, longest: int, what: str) -> str:
    """Return a string without control characters, which could manipulate terminals.

    Raises:
        CallError: if nothing is left, or it is too long.
    """
    cleaned = "".join(character for character in text if character.isprintable()).strip()
    if not cleaned or len(cleaned) > longest:
        raise CallError(f"{what} needs 1 to {longest} characters", "bad-text")
    return cleaned


class Room(Actor):
    """A room: its members, and its lines in one order for all."""

    registered = False

    def __init__(self, name: str, archive: Archive) -> None:
        super().__init__()
        self._name = name
        self._archive = archive
        self._people: dict[ActorRef[Any], str] = {}

    def enter(self, person: ActorRef[Any], name: str) -> list[Line]:
        """Add a member; return the earlier lines."""
        if person not in self._people:
            self._people[person] = name
            room = self.actor_ref.proxy()
            person.watch(lambda _: room.go(person))
            self._tell("came", name)
        return self._archive.latest(self._name, HISTORY)

    def go(self, person: ActorRef[Any]) -> None:
        """Remove a member."""
        name = self._people.pop(person, None)
        if name is not None:
            self._tell("went", name)

    def say(self, name: str, text: str) -> Line:
        """Store a line and send it to all members."""
        line = self._archive.add(self._name, name, text)
        self._tell("said", line)
        return line

    def who(self) -> list[str]:
        """Return the members' names."""
        return sorted(self._people.values())

    def _tell(self, event: str, what: Any) -> None:
        for person in list(self._people):
            if person.is_alive():
                person.tell(Heard(event, self._name, what))


class Chat(Realm):
    """The realm.

    Args:
        archive: the storage.
        admins: the names of the administrators.
    """

    interfaces = (Chatter, Moderator)  # TextChatter needs a terminal, so it is not served by RPC

    def __init__(self, archive: Archive, admins: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._archive = archive
        self._admins = admins
        self._blocking = ThreadDispatcher("chat-rooms", 1)
        self._rooms: dict[str, Any] = {}
        self._people: dict[str, ActorRef[Person]] = {}
        self._portal: PortalRef | None = None

    def keep_order_at(self, portal: PortalRef) -> None:
        """Set the portal whose sessions are ended by kicks and bans."""
        self._portal = portal

    def on_stop(self) -> None:
        """Close the rooms."""
        for room in self._rooms.values():
            room.actor_ref.stop(block=False)

    def request_avatar(self, avatar_id: Any, mind: MindRef, *interfaces: type) -> Any:
        """Give the user's avatar, unless the user is banned."""
        name = str(avatar_id)
        if left := self._archive.seconds_left("bans", name):
            raise LoginDenied("banned", retry_after=round(left) or 1)
        kind = Admin if name in self._admins else Person
        interface = next((wanted for wanted in interfaces if issubclass(kind, wanted)), None)
        if interface is None:
            raise NoInterface(interfaces)
        avatar = kind.start(avatar_id, mind, self.actor_ref.proxy(), self._archive)
        self._people[name] = avatar
        return interface, avatar, lambda: self._people.pop(name, None)

    def room(self, name: str) -> Any:
        """Return a room, as a proxy."""
        if name not in self._rooms:
            self._rooms[name] = Room.start(name, self._archive, dispatcher=self._blocking).proxy()
        return self._rooms[name]

    def person(self, name: str) -> ActorRef[Person] | None:
        """Return the avatar of a user who is logged in, or None."""
        person = self._people.get(name)
        return person if person is not None and person.is_alive() else None

    def throw_out(self, name: str, why: str) -> Any:
        """End all sessions of a user; return a future of how many there were."""
        if self._portal is None:
            raise CallError("nobody can be thrown out yet")
        return self._portal.kick(avatar_id=name, reason=why)


class Person(TextShell, Avatar, TextChatter):
    """A user, with any number of connections."""

    def __init__(self, avatar_id: Any, mind: MindRef, chat: Any, archive: Archive) -> None:
        Avatar.__init__(self, avatar_id, mind)
        TextShell.__init__(self)
        self.name = str(avatar_id)
        self.chat = chat
        self.archive = archive
        self._rooms: dict[str, Any] = {}
        self._last: dict[str, int] = {}
        self._spoken: deque[float] = deque(maxlen=PACE)

    def on_logout(self, reason: LogoutReason) -> None:
        """Leave all rooms."""
        for room in self._rooms.values():
            room.go(self.actor_ref)

    async def join(self, room: str) -> list[Line]:
        """Enter a room, or return its earlier lines again."""
        room = clean(room, LONGEST_ROOM, "a room's name").lower()
        new = room not in self._rooms
        if new:
            self._rooms[room] = await self.chat.room(room)
        lines: list[Line] = await self._rooms[room].enter(self.actor_ref, self.name)
        if new and lines:
            self._last[room] = lines[-1].number
        # Newer lines arrive as notifications; here they would be read twice.
        return [line for line in lines if line.number <= self._last.get(room, 0)]

    async def leave(self, room: str) -> None:
        """Leave a room."""
        proxy = self._rooms.pop(room, None)
        self._last.pop(room, None)
        if proxy is not None:
            await proxy.go(self.actor_ref)
            self._show("went", room, self.name)

    async def say(self, room: str, text: str) -> int:
        """Say something."""
        if room not in self._rooms:
            raise CallError(f"you are not in {room!r}; join it first", "not-there")
        self._may_speak()
        line: Line = await self._rooms[room].say(self.name, clean(text, LONGEST_TEXT, "a line"))
        return line.number

    async def whisper(self, name: str, text: str) -> None:
        """Send a private line to one user."""
        self._may_speak()
        text = clean(text, LONGEST_TEXT, "a line")
        person = await self.chat.person(name)
        if person is None:
            raise CallError(f"{name!r} is not here", "not-there")
        person.tell(Heard("whispered", "", (self.name, name, text)))
        if name != self.name:
            self._show("whispered", self.name, name, text)

    async def who(self, room: str) -> list[str]:
        """Return who is in a room."""
        names: list[str] = await (await self.chat.room(room)).who()
        return names

    def _may_speak(self) -> None:
        if left := self.archive.seconds_left("mutes", self.name):
            raise CallError("you have been muted", "muted", retry_after=round(left) or 1)
        now = time.monotonic()
        if len(self._spoken) == PACE and now - self._spoken[0] < SPAN:
            raise CallError("you are talking too fast", "too-fast", retry_after=SPAN)
        self._spoken.append(now)

    def on_receive(self, message: Any) -> None:
        """Handle an event from a room or another user."""
        if message.event == "whispered":
            self._show("whispered", *message.what)
        elif message.room in self._rooms:
            if message.event == "said":
                self._last[message.room] = message.what.number
            self._show(message.event, message.room, message.what)

    def _show(self, event: str, *what: Any) -> None:
        """Notify all clients of this user."""
        self.mind.notify(event, *what)
        self.show_in_terminals(event, *what)


class Admin(Person, Moderator):
    """An administrator."""

    async def kick(self, name: str, why: str = "") -> int:
        """End all sessions of a user."""
        count: int = await (await self.chat.throw_out(name, why or "thrown out"))
        return count

    async def ban(self, name: str, minutes: float, why: str = "") -> int:
        """End all sessions of a user and refuse new logins for a time."""
        self.archive.set_until("bans", name, time.time() + minutes * 60, why)
        return await self.kick(name, why or f"banned for {minutes:g} minutes") if minutes > 0 else 0

    async def mute(self, name: str, minutes: float) -> None:
        """Forbid a user to speak for a time."""
        self.archive.set_until("mutes", name, time.time() + minutes * 60)
