"""The arena as a realm: gives each user who logs in a body in the world, or a view of it.

It knows nothing of passwords or sockets, and leaves the rules of the game to `world`.
"""

from __future__ import annotations

import itertools
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from os import PathLike
from typing import Any, ClassVar

from actorcred import ANONYMOUS, Group, MindRef, NoInterface, Realm
from actorcred.names import AvatarId
from examples.arena import messages as m
from examples.arena.avatars import ArenaPlayer, ArenaSpectator, SignUp
from examples.arena.interface import Player, Spectator
from examples.arena.leavers import Leavers
from examples.arena.scores import Scores
from examples.arena.world.bodies import TICK, WALK, Body, Look
from examples.arena.world.glances import Glances
from examples.arena.world.rounds import REST, ROUND
from examples.arena.world.terrain import TEAMS, TILE
from examples.arena.world.views import UNITS, Memory, View
from examples.arena.world.world import BEST, CAPACITY, DASH_PACE, DASH_PAUSE, World

SECOND = round(1 / TICK)
"""Ticks between two boards."""

SCENE = 15 * SECOND
"""Ticks for which a spectator follows one player."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of an arena.

    Args:
        size: the length of each side of the world in steps.
        seed: of everything that is random.
        round: seconds of a round.
        rest: seconds between rounds.
        scores: the SQLite file in which points are kept between runs; by default they are lost.
    """

    size: float = 60.0
    seed: int = 1
    round: float = ROUND
    rest: float = REST
    scores: PathLike[str] | str = ":memory:"


class Arena(Realm):
    """The realm and the world's clock.

    Args:
        settings: of the world.
        sign_up: makes an account of a name and a password; by default there are none to be made.
        tick_times: receives the seconds that each step of the world took.
    """

    interfaces = (Player, Spectator)
    player: ClassVar[type[ArenaPlayer]] = ArenaPlayer

    def __init__(
        self,
        settings: Settings | None = None,
        sign_up: SignUp | None = None,
        tick_times: deque[float] | None = None,
    ) -> None:
        super().__init__()
        settings = settings or Settings()
        self._world = self._make_world(settings)
        self._scores = Scores(settings.scores)
        self._sign_up = sign_up
        self._tick_times: deque[float] = deque(maxlen=600) if tick_times is None else tick_times
        self._random = random.Random(f"arena {settings.seed}")
        self._minds: dict[str, MindRef] = {}
        self._views: dict[MindRef, View] = {}
        self._spectators: set[MindRef] = set()
        self._audience, self._bots = Group(), Group()
        self._glances, self._memory = Glances(), Memory()
        self._guests = itertools.count(1)
        self._left = Leavers()
        self._heirs: dict[str, str] = {}
        self._ranking: list[Body] | None = None
        self._scene = ""
        self._handlers: dict[type, Callable[[Any], Any]] = {
            m.Tick: self._tick,
            m.Move: self._move,
            m.LookAround: self._look_around,
            m.Enter: self._enter,
            m.Leave: self._leave,
            m.Dash: self._dash,
            m.Say: self._say,
            m.Watch: self._watch,
            m.Who: self._who,
            m.Bequeath: self._bequeath,
            m.Figures: self._figures,
        }

    def _make_world(self, settings: Settings) -> World:
        return World(settings.size, settings.seed, settings.round, settings.rest)

    def on_start(self) -> None:
        """Start the world's clock."""
        self.send_every(TICK, m.Tick())

    def on_stop(self) -> None:
        """Save the points."""
        self._save()
        self._scores.close()

    def request_avatar(self, avatar_id: AvatarId, mind: MindRef, *interfaces: type) -> Any:
        """Create a player or a spectator."""
        for interface in interfaces:
            if interface is Player:
                guest = avatar_id is ANONYMOUS
                name = f"guest {next(self._guests)}" if guest else str(avatar_id)
                player = self.player.start(avatar_id, mind, self.actor_ref, name, self._sign_up)
                return Player, player, player.stop
            if interface is Spectator:
                other = ArenaSpectator.start(avatar_id, mind, self.actor_ref, self._sign_up)
                return Spectator, other, other.stop
        raise NoInterface(interfaces)

    def on_receive(self, message: Any) -> Any:
        """Handle a message from an avatar or from the clock."""
        return self._handlers[type(message)](message)

    def top(self, count: int = 5) -> list[tuple[str, int]]:
        """Return the names and points of the best players of all runs."""
        self._save()
        return self._scores.top(count)

    def _save(self) -> None:
        self._scores.save((body.name, body.total) for body in self._world.bodies.values())

    # -- who is there ------------------------------------------------------------------------------

    def _enter(self, message: m.Enter) -> None:
        name = message.name
        for guest in [guest for guest, heir in self._heirs.items() if heir == name]:
            self._go(guest)  # an heir who is faster than the end of the guest's session
        self._go(name)  # a session that this one replaces
        body = self._world.enter(name, message.look, self._left.take(name))
        body.total = self._scores.of(name)
        self._minds[name] = message.mind
        self._ranking = None

    def _leave(self, message: m.Leave) -> None:
        self._views.pop(message.mind, None)
        self._spectators.discard(message.mind)
        if self._minds.get(message.name) is message.mind:
            self._go(message.name)

    def _go(self, name: str) -> None:
        self._minds.pop(name, None)
        self._glances.discard(name)
        heir = self._heirs.pop(name, None)
        if name in self._world.bodies:
            self._ranking = None
            total = self._world.bodies[name].total
            self._left.keep(heir or name, self._world.leave(name, keep_load=heir is not None))
            self._scores.save([(heir or name, total)])

    def _bequeath(self, message: m.Bequeath) -> None:
        if message.name in self._world.bodies:
            self._heirs[message.name] = message.heir

    def _who(self, _: m.Who) -> list[tuple[str, int]]:
        bodies = sorted(self._ranked(), key=lambda body: body.look is not Look.PERSON)
        return [(body.name, body.points) for body in bodies[:100]]

    # -- commands ----------------------------------------------------------------------------------

    def _move(self, message: m.Move) -> None:
        if message.name in self._world.bodies:
            self._world.steer(message.name, message.dx, message.dy)

    def _dash(self, message: m.Dash) -> None:
        if message.name in self._world.bodies:
            self._world.dash(message.name)

    def _say(self, message: m.Say) -> None:
        if message.name in self._world.bodies:
            self._world.say(message.name, message.text)

    # -- what clients are sent ---------------------------------------------------------------------

    def _watch(self, message: m.Watch) -> dict[str, Any]:
        name, mind = message.name, message.mind
        if name is None:
            self._spectators.add(mind)
        self._views[mind] = View(self._scene if name is None else name)
        self._audience.add(mind)
        return {
            **self._land(name),
            "tick": TICK,
            "units": UNITS,
            "walk": WALK / 10,
            "dash": DASH_PACE,
            "pause": DASH_PAUSE * TICK,
            "capacity": CAPACITY,
            "board": self._board(),
        }

    def _look_around(self, message: m.LookAround) -> dict[str, Any]:
        self._glances.add(message.name, message.seconds, self._world.tick)
        self._bots.add(message.mind)
        return self._land(message.name)

    def _land(self, name: str | None) -> dict[str, Any]:
        terrain = self._world.terrain
        return {
            "name": name,
            "size": terrain.size,
            "tile": TILE,
            "teams": TEAMS,
            "rows": terrain.rows,
            "camps": [(camp.team, camp.x, camp.y) for camp in terrain.camps],
            "round": self._round(),
        }

    def _round(self) -> dict[str, Any]:
        world = self._world
        result = world.result
        return {
            "number": world.rounds.number,
            "phase": world.rounds.phase.value,
            "now": world.tick,
            "begins": world.rounds.begins,
            "ends": world.rounds.ends,
            "storm": asdict(world.rounds.storm),
            "result": None
            if result is None
            else {"teams": result.teams, "winners": result.winners, "best": result.best},
        }

    def _ranked(self) -> list[Body]:
        """Return the players by rank; they are sorted once a tick, however often clients ask."""
        if self._ranking is None:
            self._ranking = self._world.ranking()
        return self._ranking

    def _board(self) -> dict[str, Any]:
        ranking = self._ranked()
        return {
            "teams": self._world.team_gold(),
            "best": [(body.name, body.team, body.points) for body in ranking[:BEST]],
            "players": len(ranking),
            "people": sum(body.look is Look.PERSON for body in ranking),
            "chest": self._world.chest,
        }

    def _show_board(self) -> None:
        self._audience.notify("board", self._board(), key="board")
        for rank, body in enumerate(self._ranked(), 1):
            mind = self._minds[body.name]
            if mind in self._views:
                place = rank + self._ahead(body)
                mind.notify("rank", place, body.points, body.total, key="rank")

    def _ahead(self, body: Body) -> int:
        """Return how many players beside those here have more points than one who is here."""
        return 0

    def _figures(self, message: m.Figures) -> None:
        self._audience.notify("figures", message.values, key="figures")

    def _tick(self, _: m.Tick) -> None:
        started = time.perf_counter()
        world = self._world
        turned = world.step()
        self._ranking = None
        self._memory.add(world.tick, world.events)
        if turned:
            self._turn()
        self._choose_scene()
        for mind, view in self._views.items():
            # A client that is slow gets the difference later, instead of a queue of frames.
            if mind.outbox.idle:
                mind.notify("frame", *view.frame(world, self._memory))
        for name, glance in self._glances.step(world):
            self._minds[name].notify("glance", glance, key="glance")
        if self._views and world.tick % SECOND == 0:
            self._show_board()
        self._tick_times.append(time.perf_counter() - started)

    def _turn(self) -> None:
        self._left.clear()
        self._save()
        for group in (self._audience, self._bots):
            group.notify("round", self._round())

    def _choose_scene(self) -> None:
        """Have the spectators follow a player: one who carries gold, if there is one."""
        world = self._world
        if not self._spectators or (self._scene in world.bodies and world.tick % SCENE):
            return
        bodies = list(world.bodies.values())
        if bodies:
            some = self._random.sample(bodies, min(20, len(bodies)))
            self._scene = max(some, key=lambda body: body.load).name
            for mind in self._spectators:
                self._views[mind].subject = self._scene
