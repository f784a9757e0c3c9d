"""The chat: a realm, and an avatar per user, who can be connected by several protocols at once."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from actorcred import (
    Avatar,
    CallError,
    CheckerUnavailable,
    Identity,
    LoginDenied,
    LogoutCode,
    LogoutReason,
    MindRef,
    NoInterface,
    PortalRef,
    Realm,
)
from examples.chat.archive import Archive
from examples.chat.interface import (
    MODERATOR,
    Chatter,
    Line,
    Listed,
    Membership,
    TextChatter,
    Welcome,
)
from examples.chat.rooms import (
    LOBBY,
    Rooms,
    clean_name,
    clean_text,
    partner_of,
    seen_as,
    stored_as,
)
from examples.chat.text import TextShell

__all__ = ["Chat"]

HISTORY = 50
"""How many lines a user gets at once."""

MOST_ROOMS, MOST_WATCHED = 50, 500
LONGEST_USER, LONGEST_KEY = 100, 64

PACE, SPAN = 10, 5.0
"""Lines that one user may say within so many seconds."""

LONGEST_BAN = 366 * 24 * 60.0
"""In minutes."""


@dataclass(frozen=True, slots=True)
class Place:
    """What the chat needs to run.

    Args:
        portal: its portal.
        archive: the storage.
        rooms: all rooms.
    """

    portal: PortalRef
    archive: Archive
    rooms: Rooms


class Chat(Realm):
    """The realm. Users with the group "moderator" keep order.

    Args:
        archive: the storage, which all servers of a cluster share.
    """

    interfaces = (Chatter,)  # TextChatter needs a terminal, so it is not served by RPC

    def __init__(self, archive: Archive) -> None:
        super().__init__()
        self._archive = archive
        self._place: Place | None = None

    def open_at(self, portal: PortalRef) -> None:
        """Set the portal. Until then, there is no login."""
        self._place = Place(portal, self._archive, Rooms(portal, self._archive))

    def request_avatar(self, avatar_id: Any, mind: MindRef, *interfaces: type) -> Any:
        """Give the user's avatar, unless the user is banned."""
        if self._place is None:
            raise CheckerUnavailable("the chat is not open yet")
        name = str(avatar_id)
        if left := self._archive.seconds_left("bans", name):
            raise LoginDenied("banned", retry_after=math.ceil(left))
        if len(name) > LONGEST_USER:
            raise LoginDenied(f"names here have at most {LONGEST_USER} characters")
        interface = next((wanted for wanted in interfaces if issubclass(Person, wanted)), None)
        if interface is None:
            raise NoInterface(interfaces)
        avatar = Person.start(avatar_id, mind, self._place)
        return interface, avatar, avatar.stop


class Person(TextShell, Avatar, TextChatter):
    """A user, with any number of connections."""

    def __init__(self, avatar_id: Any, mind: MindRef, place: Place) -> None:
        Avatar.__init__(self, avatar_id, mind)
        TextShell.__init__(self)
        self.name = str(avatar_id)
        self._portal, self._archive, self._all = place.portal, place.archive, place.rooms
        self._joined: set[str] = set()
        self._spoken: deque[float] = deque(maxlen=PACE)

    async def on_login(self) -> None:
        """Enter the rooms of the last time."""
        self._archive.note_user(self.name)
        self._watch = self._portal.presence.watch(self.mind)
        heard = [self._all.user(self.name).add(self.mind)]
        known = self._archive.memberships(self.name, 2 * MOST_ROOMS)
        rooms = [one.room for one in known if partner_of(one.room) is None]
        heard.extend(self._hear(room)[1] for room in rooms[:MOST_ROOMS] or [LOBBY])
        for future in heard:
            await future

    def on_logout(self, reason: LogoutReason) -> None:
        """Tell the rooms. A user who has only moved to another server is still there."""
        if reason.code is LogoutCode.REPLACED:
            return
        why = reason.detail if reason.code is LogoutCode.KICKED else ""
        for room in self._joined:
            self._all.group(room).notify("went", room, self.name, why)

    def on_identity_changed(self, identity: Identity) -> None:
        """Tell the clients what the user may do now."""
        self.mind.notify("moderator", MODERATOR in identity.groups)

    def hear_room(self, room: str) -> tuple[str, int, Any]:
        """Enter a room; return its name, the last line's number, and when it is heard."""
        room = clean_name(room)
        if room not in self._joined and len(self._joined) >= MOST_ROOMS:
            raise CallError(f"you are in {MOST_ROOMS} rooms; leave one first", "too-many")
        newest, heard = self._hear(room)
        self.mind.notify("joined", room)
        return room, newest, heard

    def _hear(self, room: str) -> tuple[int, Any]:
        newest, heard = self._all.enter(room, self.name, self.mind)
        if room not in self._joined:
            self._joined.add(room)
            self._all.group(room).notify("came", room, self.name, but=self.mind)
        return newest, heard

    # -- what clients call -------------------------------------------------------------------------

    async def welcome(self) -> Welcome:
        """Return where the user is."""
        known = [
            Membership(seen_as(one.room, self.name), one.read, one.unread)
            for one in self._archive.memberships(self.name, 2 * MOST_ROOMS)
        ]
        self._follow([name for one in known if (name := partner_of(one.room))])
        self._watch.tell_again()
        return Welcome(self.name, self.is_moderator, known)

    async def rooms(self) -> list[Listed]:
        """Return the rooms that anyone may join."""
        return await self._all.listed()

    async def join(self, room: str) -> str:
        """Enter a room; return its name."""
        room, _, heard = self.hear_room(room)
        await heard
        return room

    async def leave(self, room: str) -> None:
        """Leave a room."""
        self._archive.leave(self.name, stored_as(room, self.name))
        if room in self._joined:
            self._joined.discard(room)
            group = self._all.group(room)
            group.notify("went", room, self.name, "", but=self.mind)
            await group.discard(self.mind)
        self.mind.notify("left", room)

    async def lines(self, room: str, before: int = 0) -> list[Line]:
        """Return lines of a room where the user is, or of a conversation."""
        return self._archive.latest(self._stored(room), HISTORY, before)

    async def say(self, room: str, text: str, key: str = "") -> int:
        """Say something."""
        stored = self._stored(room)
        if len(key) > LONGEST_KEY:
            raise CallError(f"a key has at most {LONGEST_KEY} characters", "bad-text")
        if (known := self._archive.find(self.name, key)) is not None:
            return known.number
        text = clean_text(text)
        self._may_speak()
        line = self._all.say(stored, self.name, text, key)
        self._archive.mark(self.name, stored, line.number)
        return line.number

    async def read(self, room: str, number: int) -> None:
        """Note what the user has read."""
        stored = stored_as(room, self.name)
        number = min(number, self._archive.newest(stored))
        if self._archive.mark(self.name, stored, number):
            self.mind.notify("read", room, number)

    async def who(self, room: str) -> list[str]:
        """Return who is in a room."""
        names = await self._all.who(clean_name(room))
        self._follow(names)
        return names

    async def follow(self, name: str) -> None:
        """Have the client told whether a user is online."""
        if self._archive.knows_user(name):
            self._follow([name])

    async def kick(self, name: str, why: str = "") -> int:
        """End all sessions of a user."""
        return int(await self._portal.kick(avatar_id=name, reason=why or "by a moderator"))

    async def ban(self, name: str, minutes: float, why: str = "") -> int:
        """End all sessions of a user and refuse new logins for a time."""
        self._restrict("bans", name, minutes)
        return await self.kick(name, why or f"banned for {minutes:g} minutes") if minutes else 0

    async def mute(self, name: str, minutes: float) -> None:
        """Forbid a user to speak for a time."""
        self._restrict("mutes", name, minutes)
        self._all.user(name).notify("muted", minutes * 60)

    # -- rules -------------------------------------------------------------------------------------

    @property
    def is_moderator(self) -> bool:
        """Whether the user may keep order."""
        return MODERATOR in self.identity.groups

    def _restrict(self, table: Any, name: str, minutes: float) -> None:
        if not 0 <= minutes <= LONGEST_BAN:
            raise CallError(f"minutes must be from 0 to {LONGEST_BAN:g}", "bad-time")
        if not self._archive.knows_user(name):
            raise CallError(f"{name!r} has never been here", "not-there")
        self._archive.restrict(table, name, time.time() + minutes * 60)

    def _stored(self, room: str) -> str:
        """Return under which name a room is stored, if the user is there."""
        partner = partner_of(room)
        if partner is None and room not in self._joined:
            raise CallError(f"you are not in {room!r}; join it first", "not-there")
        if partner == self.name:
            raise CallError("that is you", "not-there")
        if partner is not None and not self._archive.knows_user(partner):
            raise CallError(f"{partner!r} has never been here", "not-there")
        if partner is not None:
            self._follow([partner])
        return stored_as(room, self.name)

    def _may_speak(self) -> None:
        if left := self._archive.seconds_left("mutes", self.name):
            raise CallError("you have been muted", "muted", retry_after=math.ceil(left))
        now = time.monotonic()
        if len(self._spoken) == PACE and (left := SPAN - now + self._spoken[0]) > 0:
            raise CallError("you are talking too fast", "too-fast", retry_after=round(left, 1))
        self._spoken.append(now)

    def _follow(self, names: list[str]) -> None:
        """Have the clients told whether users are online, as long as these are not too many."""
        free = MOST_WATCHED - len(self._watch.avatar_ids)
        self._watch.add(*names[:free])
