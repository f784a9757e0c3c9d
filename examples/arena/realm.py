"""The arena as a realm: gives each user who logs in a body in the world.

It knows nothing of passwords or sockets.
"""

from __future__ import annotations

import itertools
import math
import sqlite3
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from os import PathLike
from typing import Any

from actorcred import (
    ANONYMOUS,
    ActorRef,
    Avatar,
    CallError,
    Group,
    LogoutReason,
    MindRef,
    NoInterface,
    Notification,
    Realm,
)
from actorcred.names import AvatarId
from examples.arena.world import Body, World

TICK = 0.1
"""Seconds between two steps of the world."""

VIEW = 14.0
"""How far a watching client sees, as on the page, and how far a voice carries."""

LONGEST_TEXT = 200
"""Maximum length of a spoken line in characters."""


class Player(ABC):
    """What a client may do with its avatar."""

    @abstractmethod
    def move(self, dx: float, dy: float) -> None:
        """Move one step."""

    @abstractmethod
    def say(self, text: str) -> None:
        """Say something to all players nearby."""

    @abstractmethod
    def watch(self) -> dict[str, Any]:
        """Subscribe to what is in view: `scene(players, pickups)` is sent at each tick.

        Returns the constant properties of the world.
        """

    @abstractmethod
    def who(self) -> list[tuple[str, int]]:
        """Return the names and scores of the players present, at most a hundred.

        Guests and people come before bots, and high scores first.
        """

    @abstractmethod
    def stumble(self) -> None:
        """Trigger a bug in the game: the avatar crashes."""


class ArenaPlayer(Avatar, Player):
    """One player. It forwards the client's requests to the arena, which decides."""

    def __init__(
        self, avatar_id: AvatarId, mind: MindRef, arena: ActorRef[Arena], name: str
    ) -> None:
        super().__init__(avatar_id, mind)
        self._arena = arena
        self._name = name

    def on_login(self) -> None:
        """Enter the world."""
        self._arena.tell(Enter(self._name, self.mind))

    def on_logout(self, reason: LogoutReason) -> None:
        """Leave the world."""
        self._arena.tell(Leave(self._name))

    def move(self, dx: float, dy: float) -> None:
        """Move one step."""
        if not math.isfinite(dx + dy):
            raise CallError("a step must be a finite number")
        self._arena.tell(Move(self._name, dx, dy))

    def say(self, text: str) -> None:
        """Say something to all players nearby."""
        if text.strip():
            self._arena.tell(Say(self._name, text.strip()[:LONGEST_TEXT]))

    def watch(self) -> Any:
        """Subscribe to what is in view."""
        return self._arena.ask(Watch(self._name), block=False)

    def who(self) -> Any:
        """Return who is present."""
        return self._arena.ask(Who(self._name), block=False)

    def stumble(self) -> None:
        """Crash."""
        raise RuntimeError("a bug in the game")


class _Message:
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Enter(_Message):
    """A player enters."""

    __slots__ = ("mind",)

    def __init__(self, name: str, mind: MindRef) -> None:
        super().__init__(name)
        self.mind = mind


class Leave(_Message):
    """A player leaves."""

    __slots__ = ()


class Move(_Message):
    """A player requests a move."""

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


class Watch(_Message):
    """A client subscribes to what is in view."""

    __slots__ = ()


class Who(_Message):
    """A client asks who is present."""

    __slots__ = ()


class Tick:
    """The world advances by one step."""


class Figures:
    """Figures of the server, for the watching clients."""

    def __init__(self, values: dict[str, float]) -> None:
        self.values = values


class Arena(Realm):
    """The realm and the world's clock.

    Args:
        size: the length of each side of the world.
        seed: of everything that is random.
        scores: the SQLite file in which scores are kept between runs; by default they are lost.
        tick_times: receives the seconds that each step of the world took.
    """

    interfaces = (Player,)

    def __init__(
        self,
        size: float = 60.0,
        seed: int = 1,
        scores: PathLike[str] | str = ":memory:",
        tick_times: deque[float] | None = None,
    ) -> None:
        super().__init__()
        self._world = World(size, seed)
        self._minds: dict[str, MindRef] = {}
        self._watchers: dict[str, MindRef] = {}
        self._audience = Group()
        self._guests = itertools.count(1)
        self._moves: dict[str, Move] = {}
        self._tick_times: deque[float] = deque(maxlen=600) if tick_times is None else tick_times
        self._scores = sqlite3.connect(scores, check_same_thread=False)
        self._scores.execute("PRAGMA journal_mode = WAL")
        self._scores.execute("PRAGMA synchronous = NORMAL")
        self._scores.execute(
            "CREATE TABLE IF NOT EXISTS score (name TEXT PRIMARY KEY, points INTEGER NOT NULL)"
        )
        self._handlers: dict[type, Callable[[Any], Any]] = {
            Tick: self._tick,
            Move: self._move,
            Enter: self._enter,
            Leave: self._leave,
            Say: self._say,
            Watch: self._watch,
            Who: self._who,
            Figures: self._figures,
        }

    def on_start(self) -> None:
        """Start the world's clock."""
        self.send_every(TICK, Tick())

    def on_stop(self) -> None:
        """Save the scores."""
        self._save(self._world.bodies.values())
        self._scores.close()

    def request_avatar(self, avatar_id: AvatarId, mind: MindRef, *interfaces: type) -> Any:
        """Create a player."""
        if Player not in interfaces:
            raise NoInterface(interfaces)
        name = f"guest {next(self._guests)}" if avatar_id is ANONYMOUS else avatar_id
        avatar = ArenaPlayer.start(avatar_id, mind, self.actor_ref, name)
        return Player, avatar, avatar.stop

    def on_receive(self, message: Any) -> Any:
        """Handle a message from a player or from the clock."""
        return self._handlers[type(message)](message)

    def top(self, count: int = 5) -> list[tuple[str, int]]:
        """Return the names and points of the best players of all runs."""
        self._save(self._world.bodies.values())
        return self._scores.execute(
            "SELECT name, points FROM score ORDER BY points DESC, name LIMIT ?", (count,)
        ).fetchall()

    def _enter(self, message: Enter) -> None:
        row = self._scores.execute(
            "SELECT points FROM score WHERE name = ?", (message.name,)
        ).fetchone()
        body = self._world.enter(message.name, row[0] if row else 0)
        self._minds[message.name] = message.mind
        message.mind.notify("welcome", body.x, body.y, body.score)
        self._audience.notify("entered", message.name)

    def _leave(self, message: Leave) -> None:
        if message.name in self._world.bodies:
            self._save([self._world.leave(message.name)])
            self._audience.discard(self._minds.pop(message.name))
            self._watchers.pop(message.name, None)
            self._moves.pop(message.name, None)
            self._audience.notify("left", message.name)

    def _save(self, bodies: Any) -> None:
        with self._scores:
            self._scores.executemany(
                "REPLACE INTO score VALUES (?, ?)",
                [(body.name, body.score) for body in bodies if body.score],
            )

    def _move(self, message: Move) -> None:
        self._moves[message.name] = message  # one step per tick, however often a client asks

    def _say(self, message: Say) -> None:
        if message.name in self._world.bodies:
            hearers, _ = self._world.scene(message.name, VIEW)
            said = Notification("said", (message.name, message.text))
            for other in hearers:
                self._minds[other.name].send(said)

    def _watch(self, message: Watch) -> dict[str, Any]:
        mind = self._minds[message.name]
        self._watchers[message.name] = mind
        self._audience.add(mind)
        rocks = [(rock.x, rock.y, rock.radius) for rock in self._world.obstacles]
        return {
            "name": message.name,
            "size": self._world.size,
            "view": VIEW,
            "tick": TICK,
            "obstacles": rocks,
        }

    def _who(self, _: Who) -> list[tuple[str, int]]:
        bodies = sorted(
            self._world.bodies.values(),
            key=lambda body: (body.name.startswith("bot"), -body.score, body.name),
        )
        return [(body.name, body.score) for body in bodies[:100]]

    def _figures(self, message: Figures) -> None:
        self._audience.notify("figures", message.values, key="figures")

    def _show_scene(self, name: str, mind: MindRef) -> None:
        players, pickups = self._world.scene(name, VIEW)
        shown = [(body.name, round(body.x, 2), round(body.y, 2), body.score) for body in players]
        # A slow client gets only the latest scene.
        mind.notify("scene", shown, [(round(x, 2), round(y, 2)) for x, y in pickups], key="scene")

    def _tick(self, _: Tick) -> None:
        started = time.perf_counter()
        moves, self._moves = self._moves, {}
        for name, move in moves.items():
            if name in self._world.bodies:
                self._take_step(name, move)
        for name, mind in self._watchers.items():
            self._show_scene(name, mind)
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
        # A slow client gets only the latest position of each player.
        mind.notify("near", body.name, body.x, body.y, key=body.name)
