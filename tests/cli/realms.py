"""Misbehaving realms for the tests of the command."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pykka

from actorcred import Avatar, LogoutReason, MindRef, Portal, Realm
from actorcred.names import AvatarId


class Guest:
    """The methods that a client can call."""

    def greet(self) -> str: ...

    def where(self) -> int: ...

    def break_portal(self) -> None: ...


class Clinging(Avatar, Guest):
    """An avatar whose `on_logout` never ends."""

    def greet(self) -> str:
        return "hello"

    async def on_logout(self, reason: LogoutReason) -> None:
        await asyncio.Event().wait()


class Counting(Avatar, Guest):
    """An avatar that moves, and counts how often it has."""

    moves = 0

    def greet(self) -> str:
        return f"moved {self.moves} times"

    def snapshot(self) -> int:
        return self.moves

    def restore(self, snapshot: int) -> None:
        self.moves = snapshot + 1


class Blocking(Clinging):
    """One that also blocks the event loop."""

    def on_logout(self, reason: LogoutReason) -> None:  # type: ignore[override]
        threading.Event().wait()


class Saboteur(Clinging):
    """One that crashes the portal, as only a bug in the portal could."""

    def on_logout(self, reason: LogoutReason) -> None:  # type: ignore[override]
        pass

    def break_portal(self) -> None:
        (portal,) = pykka.ActorRegistry.get_by_class(Portal)
        portal.actor_inbox.fail(portal.actor_inbox.actor, RuntimeError("the floor gave way"))


class Located(Clinging):
    """One that says in which process it is."""

    async def on_logout(self, reason: LogoutReason) -> None:
        pass

    def where(self) -> int:
        return os.getpid()


class House(Realm):
    interfaces = (Guest,)
    avatar_class: type[Avatar] = Clinging

    def request_avatar(self, avatar_id: AvatarId, mind: MindRef, *interfaces: type) -> Any:
        avatar = self.avatar_class.start(avatar_id, mind)
        return Guest, avatar, avatar.stop


class CountingHouse(House):
    avatar_class = Counting


class BlockingHouse(House):
    avatar_class = Blocking


class LocatedHouse(House):
    avatar_class = Located


class SabotagedHouse(House):
    avatar_class = Saboteur


class Unspeakable:
    """An interface with a method that cannot be sent over the wire."""

    def take(self, what: threading.Thread) -> None: ...


class UnspeakableHouse(House):
    interfaces = (Unspeakable,)


class SlowHouse(House):
    """Takes longer than any client waits."""

    async def request_avatar(self, avatar_id: AvatarId, mind: MindRef, *interfaces: type) -> Any:
        await asyncio.Event().wait()
