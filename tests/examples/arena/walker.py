"""A client of the arena that sees what the page sees, and walks where a test wants it to."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections.abc import Callable
from typing import Any

from actorcred import ConnectionLost, rpc
from examples.arena.bots.atlas import Atlas, Camp, direction
from examples.arena.world.bodies import COS, SIN, TICK
from examples.arena.world.terrain import TILE
from examples.arena.world.views import UNITS

COURSE = 7


class Walker:
    """A player at one of the nodes, or a spectator.

    Attributes:
        land: what `watch` returned last.
        bodies: the name and the course of each player in sight, by number.
        figures: those of the node.
        doubles: the names of players of whom two figures were seen at a time.
        news: what the player was told.
        moves: how often the session has moved.
    """

    client: rpc.Client

    def __init__(self) -> None:
        self.land: dict[str, Any] = {}
        self.bodies: dict[int, list[Any]] = {}
        self.figures: dict[str, float] = {}
        self.board: dict[str, Any] = {}
        self.rounds: list[dict[str, Any]] = []
        self.points = 0
        """The gold that the player has brought home in all rounds."""
        self.heaps: dict[int, int] = {}
        self.doubles: list[str] = []
        self.news: list[str] = []
        self.moves = 0
        self.tick = self.eye = 0
        self._fresh = True
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    @classmethod
    async def enter(cls, address: str, *secrets: str, interface: str = "Player") -> Walker:
        """Log in, and watch."""
        made = cls()
        options = rpc.ClientOptions(interface=interface, reconnect=True)
        made.client = await rpc.connect(address, *secrets, handler=made._hear, options=options)
        made.client.on_reconnecting = made._reconnecting
        made.client.on_reconnect = made._reconnected
        await made._watch()
        return made

    async def __aenter__(self) -> Walker:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    async def _watch(self) -> None:
        self._fresh = True
        self.land = await self.client.call("watch")
        camps = [tuple(camp) for camp in self.land["camps"]]
        self.atlas = Atlas(self.land["rows"], self.land["tile"], camps)

    def _reconnecting(self, error: Exception, seconds: float) -> None:
        if getattr(error, "code", "") == "moved":
            self.moves += 1
            self.client.reconnect_now()

    def _reconnected(self, whole: bool) -> None:
        task = asyncio.get_running_loop().create_task(self._watch())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- what the server says ----------------------------------------------------------------------

    def _frame(
        self, tick: int, eye: int, arrived: Any, courses: Any, gone: Any, heaps: Any, events: Any
    ) -> None:
        if self._fresh:
            self.bodies.clear()
            self.heaps.clear()
            self._fresh = False
        self.tick, self.eye = tick, eye
        for number in gone:
            self.bodies.pop(number, None)
        for number, name, team, _ in arrived:
            self.bodies[number] = [name, team, tick]
        for at in range(0, len(courses), COURSE):
            number, *course = courses[at : at + COURSE]
            if number in self.bodies:
                self.bodies[number][2:] = [tick, *course]
        self.heaps |= dict(zip(heaps[::2], heaps[1::2], strict=True))
        names = [body[0] for body in self.bodies.values()]
        self.doubles += {name for name in names if names.count(name) > 1}

    def _hear(self, name: str, *args: Any) -> None:
        match name:
            case "frame":
                self._frame(*args)
            case "figures":
                (self.figures,) = args
            case "board":
                (self.board,) = args
            case "rank":
                self.points = args[2]
            case "round":
                self.rounds += args
            case "news":
                self.news += args
        self._changed.set()

    # -- what a test does --------------------------------------------------------------------------

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Wait until something is so, which is looked at with each message."""
        while not (result := condition()):
            self._changed.clear()
            await self._changed.wait()
        return result

    @property
    def place(self) -> tuple[float, float]:
        """Where the player in the middle is: where it was at its last course, and walked since."""
        tick, x, y, heading, speed, *_ = self.bodies[self.eye][2:]
        pace = speed / 10 * TICK * (self.tick - tick)
        return x / UNITS + COS[heading] * pace, y / UNITS + SIN[heading] * pace

    @property
    def load(self) -> int:
        """The gold that the player in the middle carries."""
        return int(self.bodies[self.eye][7])

    async def gather(self) -> None:
        """Walk about in sight of gold until there is some in the bag."""
        while not self.load:
            await self._next_frame()
            at, across = self.place, len(self.land["rows"])
            middles = [
                ((tile % across + 0.5) * TILE, (tile // across + 0.5) * TILE)
                for tile, gold in self.heaps.items()
                if gold
            ]
            near = [one for one in middles if self.atlas.is_clear(*at, *one)]
            goal = min(near, key=lambda one: math.dist(at, one), default=self.atlas.camps[0][1:])
            self.client.notify("move", *direction(*at, *goal))

    async def _next_frame(self) -> None:
        tick = self.tick
        await self.until(lambda: self.tick > tick and self.eye in self.bodies)

    async def walk(self, *goal: Camp) -> None:
        """Walk to one of some camps; another way for a moment where that does not go on."""
        dice, before, detour, until = random.Random(1), (0.0, 0.0), (0.0, 0.0), 0
        while True:
            await self._next_frame()
            at = self.place
            if any(math.dist(at, camp[1:]) < 3 for camp in goal):
                self.client.notify("move", 0.0, 0.0)
                return
            if self.tick % 8 == 0:
                if math.dist(at, before) < 1:
                    angle, until = dice.uniform(0, math.tau), self.tick + dice.randint(5, 15)
                    detour = math.cos(angle), math.sin(angle)
                before = at
            way = detour if self.tick < until else self.atlas.way(goal, *at)
            with contextlib.suppress(ConnectionLost):  # it moves, and goes on
                self.client.notify("move", *way)
