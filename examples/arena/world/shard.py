"""The world as one of several nodes has it: a region, and what is seen of those beside it.

All nodes have the same land, and the same rounds and storms, since these come from the seed and the
tick. Each lets its own players walk in its own region. At each tick it gives its neighbours a
strip: the players, gold and events near the border. They show these as they show their own; only
the node that has a player moves it, and only the one that has a tile lets gold be taken from it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from examples.arena.world.bodies import IN_STORM, LOOKS, SHIELDED, STUNNED, Body, Look
from examples.arena.world.events import Event, Standing
from examples.arena.world.grid import CELL
from examples.arena.world.region import Region, RegionGold, Seat, regions_of, tiles_of
from examples.arena.world.rounds import REST, ROUND, Phase
from examples.arena.world.terrain import Camp
from examples.arena.world.views import ACROSS
from examples.arena.world.world import World

SIGHT = ACROSS + CELL
"""How far beyond a border can be seen: a view looks at whole cells."""

MARGIN = 1.0
"""A player is handed over so many steps beyond a border, and not to and fro on it."""

SILENCE = 3
"""Ticks after which a neighbour's player is no more shown that it has not told of again."""

GOLD_EVERY = 5
"""Ticks from one strip with gold to the next."""

LAG = 5
"""Ticks for which a course is extrapolated at most."""

_CARRIED = (
    "number", "name", "team", "x", "y", "heading", "load", "points", "total", "flags", "version",
    "dash_ends", "dash_ready", "stun_ends", "shield_ends", "speech_ready",
)  # fmt: skip
"""What of a body is plain, and goes with it to another node."""


class Far(NamedTuple):
    """A player of a neighbour."""

    number: int
    name: str
    team: int
    look: int
    x: float
    y: float
    heading: int
    speed: int
    load: int
    flags: int
    version: int


class Strip(NamedTuple):
    """What is near a border, for the node beyond it."""

    source: int
    """The number of the node that has it."""

    tick: int
    bodies: list[Far]
    heaps: dict[int, int] | None
    """Tile -> its gold; None if this strip is without."""

    events: list[Event]
    struck: list[int]
    """The numbers of the receiver's players into whom one of the sender's has dashed."""


class Shard(World):
    """The part of the world that one node has.

    Args:
        seat: the node's place.
        size: the length of each side of the whole island in steps.
        seed: of everything that is random.
        seconds: of a round.
        rest: seconds between rounds.

    Attributes:
        regions: the regions of the nodes that live.
        region: that of this node.
        far: the players of neighbours that are shown, by number.
        parted: the players that are on their way to another node, by name.
    """

    gold: RegionGold

    def __init__(
        self, seat: Seat, size: float, seed: int, seconds: float = ROUND, rest: float = REST
    ) -> None:
        self._seat = seat
        self.regions: dict[int, Region] = {}
        super().__init__(size, seed, seconds, rest)
        self._numbers = itertools.count(seat.number, seat.count)
        self.far: dict[int, Body] = {}
        self.parted: dict[str, Body] = {}
        self._heard: dict[int, tuple[int, int]] = {}
        """Of each player in `far` the tick at which it was last heard of, and from whom."""
        self._struck: dict[int, list[int]] = {}

    def _make_gold(self) -> RegionGold:
        count = self._seat.count
        self.regions = regions_of(self.terrain.size, count, range(1, count + 1))
        return RegionGold(self.terrain, self._dice, tiles_of(self.terrain, self.region))

    # -- regions -----------------------------------------------------------------------------------

    @property
    def region(self) -> Region:
        """The region of this node."""
        return self.regions[self._seat.number]

    def neighbour(self, side: int) -> int | None:
        """Return the node in the west (-1) or in the east (1); None if there is none."""
        numbers = sorted(self.regions)
        index = numbers.index(self._seat.number) + side
        return numbers[index] if 0 <= index < len(numbers) else None

    def settle(self, living: Iterable[int]) -> bool:
        """Divide the island among the nodes that live; return whether that changes anything."""
        before, own = self.regions, self.region
        self.regions = regions_of(self.terrain.size, self._seat.count, living)
        if self.region != own:
            plays = self.rounds.phase is Phase.PLAY
            self.gold.extend(tiles_of(self.terrain, self.region), plays=plays)
        for number in before.keys() - self.regions.keys():
            self.gold.forget(number)
            self._struck.pop(number, None)
        return before != self.regions

    def _camps_for(self, look: Look) -> list[Camp]:
        """Return camps in this region; if the storm covers all, a person begins in another one."""
        calm = super()._camps_for(look)
        here = [camp for camp in calm if self.region.holds(camp.x)]
        if here or look is Look.PERSON:
            return here or calm
        return [camp for camp in self.terrain.camps if self.region.holds(camp.x)]

    # -- who is there ------------------------------------------------------------------------------

    def enter(self, name: str, look: Look, before: Standing | None = None) -> Body:
        """Let a player in, see `World.enter`; who was in another region comes to a camp here."""
        self._forget_name(name)
        if before is not None and not self.region.holds(before.x) and not before.load:
            x, y = self._place_near_camp(before.team, self._camps_for(look))
            before = before._replace(x=x, y=y)
        return super().enter(name, look, before)

    def beyond(self) -> list[tuple[Body, int]]:
        """Return the players who have left the region, and the nodes in whose regions they are."""
        left, right = self.region.left - MARGIN, self.region.right + MARGIN
        return [
            (body, next(node for node, region in self.regions.items() if region.holds(body.x)))
            for body in self.bodies.values()
            if not left <= body.x < right
        ]

    def hold(self, body: Body) -> None:
        """Have a player who cannot cross the border now stand there, unless it walks back."""
        if body.vx < 0 if body.x < self.region.left else body.vx > 0:
            body.x, body.y = body.x - body.vx, body.y - body.vy
            self.grid.place(body)
            body.take_course(body.heading, 0)

    def part(self, name: str) -> Body:
        """Have a player go to another node. It is shown on its course until it is there."""
        body = self.parted[name] = self._remove(name)
        self._show(body, self._seat.number)
        return body

    def rejoin(self, name: str) -> Body:
        """Have a player back who could not go to another node."""
        body = self.parted.pop(name)
        self._forget(body.number)
        self._take_in(body)
        return body

    def arrived(self, name: str) -> None:
        """Note that a player is at another node now."""
        body = self.parted.pop(name)
        if body.number in self.far:
            self._heard[body.number] = (self.tick, self._seat.number)

    def describe(self, body: Body) -> dict[str, Any]:
        """Return all of a player that another node needs to let it go on."""
        return {
            "round": [self.rounds.number, self.rounds.phase.value],
            "look": body.look.value,
            "wish": body.wish,
            **{name: getattr(body, name) for name in _CARRIED},
        }

    def admit(self, state: Mapping[str, Any]) -> Body:
        """Let a player in who comes from another node, as `describe` said it was."""
        body = Body(state["number"], state["name"], state["team"], Look(state["look"]))
        for name in _CARRIED:
            setattr(body, name, state[name])
        heading, pace = state["wish"] or (0, 0.0)
        body.wish = (heading, pace) if state["wish"] else None
        number, phase = state["round"]
        if number != self.rounds.number:
            body.points = 0
        if [number, phase] != [self.rounds.number, self.rounds.phase.value]:
            body.load = 0
        self._forget_name(body.name)
        if body.name in self.bodies:
            self.leave(body.name)
        self._take_in(body)
        return body

    def _take_in(self, body: Body) -> None:
        self._add(body)
        if body.flags & ~IN_STORM:
            self._timed[body.number] = body
        self._set_course(body)

    # -- the neighbours ----------------------------------------------------------------------------

    def strip(self, side: int) -> Strip:
        """Return what the neighbour in the west (-1) or in the east (1) can see of the region."""
        edge = self.region.left if side < 0 else self.region.right
        x, middle, across = edge - side * SIGHT / 2, self.terrain.size / 2, SIGHT / 2 + CELL
        receiver = self.neighbour(side)
        assert receiver is not None
        return Strip(
            self._seat.number,
            self.tick,
            [
                _seen(body)
                for body in self.grid.around(x, middle, across, middle)
                if body.number in self.by_number or body.name in self.parted
            ],
            {
                tile: self.gold.heaps[tile]
                for tile in self.gold.around(x, middle, across, middle)
                if self.gold.is_own(tile)
            }
            if self.tick % GOLD_EVERY == 0
            else None,
            [
                event
                for event in self.events
                if abs(event.x - edge) <= SIGHT and event.number in self.by_number
            ],
            self._struck.pop(receiver, []),
        )

    def see(self, strip: Strip) -> None:
        """Show what a neighbour says of its side of the border."""
        lag = min(max(0, self.tick - strip.tick), LAG)
        for far in strip.bodies:
            if far.number not in self.by_number and far.name not in self.bodies:
                body = self.far.get(far.number)
                if body is None:
                    body = Body(far.number, far.name, far.team, LOOKS[far.look])
                body.take_course(far.heading, far.speed)
                body.load, body.flags, body.version = far.load, far.flags, far.version
                body.x, body.y = far.x + body.vx * lag, far.y + body.vy * lag
                self._show(body, strip.source)
        if strip.heaps is not None:
            self.gold.show(strip.source, strip.heaps)
        self._happened += strip.events
        for number in strip.struck:
            rival = self.by_number.get(number)
            if rival is not None and not rival.flags & (SHIELDED | STUNNED):
                super()._suffer(rival)

    def _show(self, body: Body, source: int) -> None:
        edge = self.terrain.size - 0.01
        body.x, body.y = min(max(body.x, 0.0), edge), min(max(body.y, 0.0), edge)
        self.far[body.number] = body
        self._heard[body.number] = (self.tick, source)
        self.grid.place(body)

    def _forget(self, number: int) -> None:
        self.grid.remove(self.far.pop(number))
        del self._heard[number]

    def _forget_name(self, name: str) -> None:
        for number in [body.number for body in self.far.values() if body.name == name]:
            self._forget(number)
        self.parted.pop(name, None)

    # -- a step ------------------------------------------------------------------------------------

    def step(self) -> bool:
        """Go on by one tick; see `World.step`."""
        turned = super().step()
        for body in self.parted.values():
            self._heard[body.number] = (self.tick, self._seat.number)
        for number in [n for n, (tick, _) in self._heard.items() if self.tick - tick > SILENCE]:
            self._forget(number)
        return turned

    def _take(self, body: Body, tile: int) -> None:
        if self.gold.is_own(tile):
            super()._take(body, tile)

    def _suffer(self, rival: Body) -> None:
        if rival.number not in self.far:
            super()._suffer(rival)
        elif rival.name not in self.parted:
            _, source = self._heard[rival.number]
            self._struck.setdefault(source, []).append(rival.number)


def _seen(body: Body) -> Far:
    b = body
    look = LOOKS.index(b.look)
    return Far(
        b.number, b.name, b.team, look, b.x, b.y, b.heading, b.speed, b.load, b.flags, b.version
    )
