"""The faults' realm: avatars with everything that a fault needs, and a count of resources."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
from abc import ABC, abstractmethod
from collections import Counter
from pathlib import Path
from typing import Any

from actorcred import (
    Avatar,
    AvatarId,
    LogoutCode,
    LogoutReason,
    MindRef,
    NoInterface,
    Realm,
    actors,
)
from actorcred.actors.system import living
from actorcred.rpc.server.connection import ServerConnection
from actorcred.sessions.session import Session

__all__ = ["BROKEN", "COUNTER", "Faulty", "Probe", "count_everything"]

BROKEN = "broken-"
"""The prefix of a user whose hook of the following name raises."""

COUNTER = "counter"
"""The user that counts and gets no notifications: its session is not part of the fault."""

PACE = 0.1
"""Seconds that `pay` takes."""


class Probe(ABC):
    """The methods that a client can call."""

    @abstractmethod
    def echo(self, value: Any) -> Any: ...

    @abstractmethod
    def statistics(self) -> dict[str, int]: ...

    @abstractmethod
    def living(self) -> list[str]: ...

    @abstractmethod
    def spam(self, count: int, size: int) -> int: ...

    @abstractmethod
    def broadcast(self, number: int, size: int) -> int: ...

    @abstractmethod
    async def absorb(self, data: bytes) -> None: ...

    @abstractmethod
    async def pay(self, number: int) -> int: ...

    @abstractmethod
    def paid(self, who: str) -> int: ...

    @abstractmethod
    def kick(self, who: str) -> int: ...

    @abstractmethod
    def stop_slowly(self) -> None: ...

    @abstractmethod
    def ask_self(self) -> Any: ...

    @abstractmethod
    async def ask_self_later(self) -> Any: ...

    @abstractmethod
    async def ask_other(self, who: str, back: bool) -> Any: ...

    @abstractmethod
    def crash(self) -> None: ...

    @abstractmethod
    async def ask_client(self) -> str: ...


class Player(Avatar, Probe):
    """A user's avatar."""

    everybody: set[Player] = set()
    payments: Counter[str] = Counter()

    def __init__(self, avatar_id: AvatarId, mind: MindRef) -> None:
        super().__init__(avatar_id, mind)
        self.slow_end = False

    def _maybe_break(self, hook: str) -> None:
        if self.avatar_id == BROKEN + hook:
            raise RuntimeError(f"{hook} of the application is broken")

    def on_start(self) -> None:
        self._maybe_break("on-start")

    def on_login(self) -> None:
        if self.avatar_id != COUNTER:
            self.everybody.add(self)
        self._maybe_break("on-login")

    async def on_logout(self, reason: LogoutReason) -> None:
        self.everybody.discard(self)
        self._maybe_break("on-logout")
        if self.slow_end:
            await asyncio.sleep(3600)

    def on_stop(self) -> None:
        self._maybe_break("on-stop")

    def on_failure(self, *args: Any) -> None:
        self._maybe_break("on-failure")

    def on_attach(self, mind: MindRef) -> None:
        self._maybe_break("on-attach")

    def on_detach(self, mind: MindRef, reason: LogoutReason) -> None:
        self._maybe_break("on-detach")

    def echo(self, value: Any) -> Any:
        self._maybe_break("method")
        return value

    def statistics(self) -> dict[str, int]:
        return count_everything()

    def living(self) -> list[str]:
        """Return the names of all actors."""
        return [mailbox.label for mailbox in living()]

    def spam(self, count: int, size: int) -> int:
        """Notify this client, all in one turn of the loop."""
        text = "x" * size
        for number in range(count):
            self.mind.notify("spam", number, text)
        return count

    def broadcast(self, number: int, size: int) -> int:
        """Notify all clients."""
        text = "x" * size
        for player in list(self.everybody):
            player.mind.notify("cast", number, text)
        return len(self.everybody)

    async def absorb(self, data: bytes) -> None:
        await asyncio.sleep(5)

    async def pay(self, number: int) -> int:
        await asyncio.sleep(PACE)
        self.payments[str(self.avatar_id)] += 1
        return number

    def paid(self, who: str) -> int:
        return self.payments[who]

    def kick(self, who: str) -> int:
        """End all sessions of a user."""
        found = [player.session for player in self.everybody if player.avatar_id == who]
        for session in found:
            if session is not None:
                session.end(LogoutCode.KICKED, "by order")
        return len(found)

    def stop_slowly(self) -> None:
        """Have `on_logout` of this avatar never end."""
        self.slow_end = True

    def ask_self(self) -> Any:
        """Wait for itself in Pykka's style."""
        return self.actor_ref.proxy().echo("me").get()

    async def ask_self_later(self) -> Any:
        """Wait for itself by `await`."""
        return await self.actor_ref.proxy().echo("me")

    async def ask_other(self, who: str, back: bool) -> Any:
        """Wait for another avatar, which waits for this one if `back`."""
        other = next(player for player in self.everybody if player.avatar_id == who)
        if back:
            return await other.actor_ref.proxy().ask_other(self.avatar_id, False)
        return await other.actor_ref.proxy().echo("you")

    def crash(self) -> None:
        raise RuntimeError("a bug in the application")

    async def ask_client(self) -> str:
        try:
            return str(await self.mind.call("question", timeout=1.0))
        except Exception as error:
            return type(error).__name__


class Faulty(Realm):
    """A realm with two users that cannot have an avatar."""

    interfaces = (Probe,)

    def request_avatar(self, avatar_id: AvatarId, mind: MindRef, *interfaces: type) -> Any:
        """Start an avatar."""
        if avatar_id == BROKEN + "realm":
            raise RuntimeError("the realm of the application is broken")
        if avatar_id == BROKEN + "answer":
            return "no avatar"
        if Probe not in interfaces:
            raise NoInterface(interfaces)
        avatar = Player.start(avatar_id, mind)
        return Probe, avatar, self._broken if avatar_id == BROKEN + "logout" else avatar.stop

    def _broken(self) -> None:
        raise RuntimeError("logout of the application is broken")


def count_everything() -> dict[str, int]:
    """Count the process's resources after a garbage collection; memory in KB."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    objects = gc.get_objects()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "sessions": sum(type(one) is Session and one.is_open for one in objects),
        "connections": sum(type(one) is ServerConnection and not one.closed for one in objects),
        "actors": actors.statistics().actors,
        "tasks": len(asyncio.all_tasks()),
        "threads": int(status["Threads"]),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "memory": int(status["VmRSS"].split()[0]),
    }
