"""The arena as a realm: it gives each user who logs in a body in the world. It knows nothing of passwords or sockets."""

from __future__ import annotations

import sqlite3
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actorcred import ActorRef, Avatar, Group, LogoutReason, MindRef, NoInterface, Realm
from actorcred.credentials import AvatarId
from examples.arena.world import Body, World

TICK = 0.1
"""Seconds between two steps of the world."""


class Player(ABC):
    """What a client may do with its avatar."""

    @abstractmethod
    def move(self, dx: float, dy: float) -> None:
        """Go a step."""

    @abstractmethod
    def say(self, text: str) -> None:
        """Say something to everybody near."""

    @abstractmethod
    def stumble(self) -> None:
        """Find a bug in the game: the avatar crashes."""


class ArenaPlayer(Avatar, Player):
    """One player. It forwards what the client wants to the arena, which decides."""

    def __init__(self, avatar_id: AvatarId, mind: MindRef, arena: ActorRef[Arena]) -> None:
        super().__init__(avatar_id, mind)
        self._arena = arena

    def on_login(self) -> None:
        """Enter the world."""
        self._arena.tell(Enter(str(self.avatar_id), self.mind))

    def on_logout(self, reason: LogoutReason) -> None:
        """Leave the world."""
        self._arena.tell(Leave(str(self.avatar_id)))

    def move(self, dx: float, dy: float) -> None:
        """Go a step."""
        self._arena.tell(Move(str(self.avatar_id), float(dx), float(dy)))

    def say(self, text: str) -> None:
        """Say something to everybody near."""
        self._arena.tell(Say(str(self.avatar_id), text[:200]))

    def stumble(self) -> None:
        """Crash."""
        raise RuntimeError("the floor gave way")


class _Message:
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Enter(_Message):
    """A player comes in."""

    __slots__ = ("mind",)

    def __init__(self, name: str, mind: MindRef) -> None:
        super().__init__(name)
        self.mind = mind


class Leave(_Message):
    """A player goes."""

    __slots__ = ()


class Move(_Message):
    """A player wants to move."""

    __slots__ = ("dx", "dy")

    def __init__(self, name: str, dx: float, dy: float) -> None:
        super().__init__(name)
        self.dx = dx
        self.dy = dy


class Say(_Message):
    """A player speaks."""

    __slots__ = ("text",)

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name)
        self.text = text


class Tick:
    """The world takes a step."""


class Arena(Realm):
    """The realm and the world's clock.

    Args:
        size: the length of each side of the world.
        seed: of everything that is random.
        scores: the SQLite file in which scores are kept from run to run.
        tick_times: takes the seconds that each step of the world took.
    """

    interfaces = (Player,)

    def __init__(self, size: float, seed: int, scores: Path, tick_times: deque[float]) -> None:
        super().__init__()
        self._world = World(size, seed)
        self._minds: dict[str, MindRef] = {}
        self._everybody = Group()
        self._moves: dict[str, Move] = {}
        self._tick_times = tick_times
        self._scores = sqlite3.connect(scores, check_same_thread=False)
        self._scores.execute("PRAGMA journal_mode = WAL")
        self._scores.execute("PRAGMA synchronous = NORMAL")
        self._scores.execute("CREATE TABLE IF NOT EXISTS score (name TEXT PRIMARY KEY, points INTEGER NOT NULL)")
        self._handlers: dict[type, Callable[[Any], None]] = {
            Tick: self._tick,
            Move: self._move,
            Enter: self._enter,
            Leave: self._leave,
            Say: self._say,
        }

    def on_start(self) -> None:
        """Start the world's clock."""
        self.send_every(TICK, Tick())

    def on_stop(self) -> None:
        """Keep the scores."""
        self._save(self._world.bodies.values())
        self._scores.close()

    def request_avatar(self, avatar_id: AvatarId, mind: MindRef, *interfaces: type) -> Any:
        """Make a player."""
        if Player not in interfaces:
            raise NoInterface(interfaces)
        avatar = ArenaPlayer.start(avatar_id, mind, self.actor_ref)
        return Player, avatar, avatar.stop

    def on_receive(self, message: Any) -> None:
        """Do what a player or the clock wants."""
        self._handlers[type(message)](message)

    def top(self, count: int = 5) -> list[tuple[str, int]]:
        """Return the names and points of the best, of all runs."""
        self._save(self._world.bodies.values())
        return self._scores.execute("SELECT name, points FROM score ORDER BY points DESC, name LIMIT ?", (count,)).fetchall()

    def _enter(self, message: Enter) -> None:
        row = self._scores.execute("SELECT points FROM score WHERE name = ?", (message.name,)).fetchone()
        body = self._world.enter(message.name, row[0] if row else 0)
        self._minds[message.name] = message.mind
        self._everybody.add(message.mind)
        message.mind.notify("welcome", body.x, body.y, body.score)

    def _leave(self, message: Leave) -> None:
        if message.name in self._world.bodies:
            self._save([self._world.leave(message.name)])
            self._everybody.discard(self._minds.pop(message.name))
            self._moves.pop(message.name, None)

    def _save(self, bodies: Any) -> None:
        with self._scores:
            self._scores.executemany("REPLACE INTO score VALUES (?, ?)", [(body.name, body.score) for body in bodies if body.score])

    def _move(self, message: Move) -> None:
        self._moves[message.name] = message  # one step per tick, however often a client asks

    def _say(self, message: Say) -> None:
        if message.name in self._world.bodies:
            for other in self._world.seen_by(message.name):
                self._minds[other.name].notify("said", message.name, message.text)

    def _tick(self, _: Tick) -> None:
        started = time.perf_counter()
        moves, self._moves = self._moves, {}
        for name, move in moves.items():
            if name in self._world.bodies:
                self._take_step(name, move)
        self._tick_times.append(time.perf_counter() - started)

    def _take_step(self, name: str, move: Move) -> None:
        mind = self._minds[name]
        if self._world.move(name, move.dx, move.dy):
            mind.notify("picked_up", self._world.bodies[name].score)
        body = self._world.bodies[name]
        for other in self._world.seen_by(name):
            self._notice(mind, other)
            self._notice(self._minds[other.name], body)

    def _notice(self, mind: MindRef, body: Body) -> None:
        # If a client does not keep up, it gets the latest position of each player and none of those before.
        mind.notify("near", body.name, body.x, body.y, key=body.name)
