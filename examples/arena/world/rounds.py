"""The course of the game: rounds with a storm that closes in, and a rest in between."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from enum import StrEnum

from examples.arena.world.bodies import TICK
from examples.arena.world.terrain import CAMP_RADIUS, TEAMS, Terrain

ROUND = 180.0
"""Seconds of play in a round."""

REST = 15.0
"""Seconds between two rounds, in which the winners are shown."""

CALM = 0.25
"""The share of a round before the storm begins to close in."""

CLOSED = 0.92
"""The share of a round at which the storm has closed in."""

LAST_SHARE = 0.3
"""About the radius that is left in the end, as a share of the world's side."""


class Phase(StrEnum):
    """Where a game is in its round."""

    PLAY = "play"
    REST = "rest"


@dataclass(frozen=True, slots=True)
class Storm:
    """A circle of calm that shrinks; the storm is outside.

    Args:
        x: its middle.
        y: its middle.
        first: the radius at first.
        last: the radius in the end.
        begins: the tick from which it shrinks.
        ends: the tick at which it has its last radius.
    """

    x: float
    y: float
    first: float
    last: float
    begins: int
    ends: int

    def radius(self, tick: int) -> float:
        """Return the radius at a tick."""
        share = (tick - self.begins) / (self.ends - self.begins)
        return self.first + (self.last - self.first) * min(1.0, max(0.0, share))

    def covers(self, x: float, y: float, tick: int) -> bool:
        """Return whether the storm is at a position."""
        return (x - self.x) ** 2 + (y - self.y) ** 2 > self.radius(tick) ** 2


def make_storm(terrain: Terrain, begins: int, length: int, dice: random.Random) -> Storm:
    """Make the storm of a round; each team has a camp that stays out of it.

    Args:
        terrain: where.
        begins: the tick at which the round begins.
        length: ticks of the round.
        dice: decide where the storm leaves room.
    """
    size = terrain.size
    x, y = dice.uniform(0.4, 0.6) * size, dice.uniform(0.4, 0.6) * size
    nearest = [
        min(math.dist((x, y), (camp.x, camp.y)) for camp in terrain.camps if camp.team == team)
        for team in range(len(TEAMS))
    ]
    first = math.hypot(max(x, size - x), max(y, size - y))
    last = max(LAST_SHARE * size, max(nearest) + CAMP_RADIUS)
    return Storm(x, y, first, last, begins + int(length * CALM), begins + int(length * CLOSED))


class Rounds:
    """The clock of the game.

    Args:
        terrain: where it is played.
        dice: decide on the storms.
        seconds: of a round.
        rest: seconds between two rounds.

    Attributes:
        number: of the round, from 1 on.
        phase: whether it is played or over.
        begins: the tick at which the round began.
        ends: the tick at which the phase ends.
        storm: that of the round.
    """

    def __init__(
        self,
        terrain: Terrain,
        dice: random.Random,
        seconds: float = ROUND,
        rest: float = REST,
    ) -> None:
        self._terrain = terrain
        self._dice = dice
        self._length, self._rest = max(20, round(seconds / TICK)), max(1, round(rest / TICK))
        self.number = 0
        self._begin(0)

    def _begin(self, tick: int) -> None:
        self.number += 1
        self.phase = Phase.PLAY
        self.begins, self.ends = tick, tick + self._length
        self.storm = make_storm(self._terrain, tick, self._length, self._dice)

    def advance(self, tick: int) -> bool:
        """Go on to a tick; return whether a phase has ended."""
        if tick < self.ends:
            return False
        if self.phase is Phase.PLAY:
            self.phase = Phase.REST
            self.ends = tick + self._rest
        else:
            self._begin(tick)
        return True
