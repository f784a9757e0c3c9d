"""The chat itself: a realm, an actor per room, and an avatar per person, who may be there by several protocols at once."""

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
"""Lines that somebody gets to read who comes into a room."""

LONGEST_TEXT, LONGEST_ROOM = 1000, 40

PACE, SPAN = 10, 5.0
"""Lines that one person may say within so many seconds."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a room tells those who are in it."""

    event: str
    room: str
    what: Any


def clean(text: str, longest: int, what: str) -> str:
    """Return a text without control characters, which would play tricks on terminals.

    Raises:
        CallError: if nothing is left, or it is too long.
    """
    cleaned = "".join(character for character in text if character.isprintable()).strip()
    if not cleaned or len(cleaned) > longest:
        raise CallError(f"{what} needs 1 to {longest} characters", "bad-text")
    return cleaned


class Room(Actor):
    """A room: who is in it, and what is said, in one order for all."""

    registered = False

    def __init__(self, name: str, archive: Archive) -> None:
        super().__init__()
        self._name = name
        self._archive = archive
        self._people: dict[ActorRef[Any], str] = {}

    def enter(self, person: ActorRef[Any], name: str) -> list[Line]:
        """Take somebody in; return what was said before."""
        if person not in self._people:
            self._people[person] = name
            room = self.actor_ref.proxy()
            person.watch(lambda _: room.go(person))
            self._tell("came", name)
        return self._archive.latest(self._name, HISTORY)

    def go(self, person: ActorRef[Any]) -> None:
        """Let somebody go."""
        name = self._people.pop(person, None)
        if name is not None:
            self._tell("went", name)

    def say(self, name: str, text: str) -> Line:
        """Keep a line and tell everybody."""
        line = self._archive.add(self._name, name, text)
        self._tell("said", line)
        return line

    def who(self) -> list[str]:
        """Return the names."""
        return sorted(self._people.values())

    def _tell(self, event: str, what: Any) -> None:
        for person in list(self._people):
            if person.is_alive():
                person.tell(Heard(event, self._name, what))


class Chat(Realm):
    """The realm.

    Args:
        archive: what is kept.
        admins: the names of the administrators.
    """

    interfaces = (Chatter, Moderator)  # terminals are nothing for a wire

    def __init__(self, archive: Archive, admins: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._archive = archive
        self._admins = admins
        self._blocking = ThreadDispatcher("chat-rooms", 1)
        self._rooms: dict[str, Any] = {}
        self._people: dict[str, ActorRef[Person]] = {}
        self._portal: PortalRef | None = None

    def keep_order_at(self, portal: PortalRef) -> None:
        """Learn of the portal, at which sessions are ended."""
        self._portal = portal

    def on_stop(self) -> None:
        """Close the rooms."""
        for room in self._rooms.values():
            room.actor_ref.stop(block=False)

    def request_avatar(self, avatar_id: Any, mind: MindRef, *interfaces: type) -> Any:
        """Let somebody in who is not banned."""
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
        """Return somebody who is here, or None."""
        person = self._people.get(name)
        return person if person is not None and person.is_alive() else None

    def throw_out(self, name: str, why: str) -> Any:
        """End all sessions of somebody; return a future of how many."""
        if self._portal is None:
            raise CallError("nobody can be thrown out yet")
        return self._portal.kick(avatar_id=name, reason=why)


class Person(TextShell, Avatar, TextChatter):
    """Somebody, with as many connections as they like."""

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
        """Enter a room, or read again what was said there."""
        room = clean(room, LONGEST_ROOM, "a room's name").lower()
        new = room not in self._rooms
        if new:
            self._rooms[room] = await self.chat.room(room)
        lines: list[Line] = await self._rooms[room].enter(self.actor_ref, self.name)
        if new and lines:
            self._last[room] = lines[-1].number
        # What came since is told, in its turn: here it would be read twice.
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
        """Tell one person something."""
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
        """Hear what a room or a person says."""
        if message.event == "whispered":
            self._show("whispered", *message.what)
        elif message.room in self._rooms:
            if message.event == "said":
                self._last[message.room] = message.what.number
            self._show(message.event, message.room, message.what)

    def _show(self, event: str, *what: Any) -> None:
        """Tell all clients of this person."""
        self.mind.notify(event, *what)
        self.show_in_terminals(event, *what)


class Admin(Person, Moderator):
    """Somebody who keeps order."""

    async def kick(self, name: str, why: str = "") -> int:
        """Throw somebody out."""
        count: int = await (await self.chat.throw_out(name, why or "thrown out"))
        return count

    async def ban(self, name: str, minutes: float, why: str = "") -> int:
        """Throw somebody out for some time."""
        self.archive.set_until("bans", name, time.time() + minutes * 60, why)
        return await self.kick(name, why or f"banned for {minutes:g} minutes") if minutes > 0 else 0

    async def mute(self, name: str, minutes: float) -> None:
        """Let somebody say nothing for some time."""
        self.archive.set_until("mutes", name, time.time() + minutes * 60)
