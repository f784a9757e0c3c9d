"""The rules of the arena: positions in, sightings and pick-ups out.

It has no actor, clock or network.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from dataclasses import dataclass

SIGHT = 3.0
"""How far a player sees."""

MAX_STEP = 1.5
"""How far a player moves in one step."""

REACH = 0.7
"""How close a player must come to pick something up."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A round rock."""

    x: float
    y: float
    radius: float


@dataclass(slots=True)
class Body:
    """A player's position."""

    name: str
    x: float
    y: float
    score: int = 0


class World:
    """A rectangle with rocks and things to pick up.

    Args:
        size: the length of each side.
        seed: of everything that is random.
        obstacles: how many rocks; by default as many as leave room to walk.
        pickups: how many things lie about at any time; by default enough that one is nearly always
            in sight.
    """

    def __init__(
        self, size: float, seed: int, obstacles: int | None = None, pickups: int | None = None
    ) -> None:
        self.size = size
        self._random = random.Random(seed)
        self.obstacles = [
            Obstacle(*self._somewhere(), self._random.uniform(0.5, 2.0))
            for _ in range(int(size**2 / 90) if obstacles is None else obstacles)
        ]
        self.bodies: dict[str, Body] = {}
        self._cells: defaultdict[tuple[int, int], set[str]] = defaultdict(set)
        self._pickups: defaultdict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
        for _ in range(int(size**2 / 18) if pickups is None else pickups):
            self._drop_pickup()

    def _somewhere(self) -> tuple[float, float]:
        return self._random.uniform(0, self.size), self._random.uniform(0, self.size)

    def _free_spot(self) -> tuple[float, float]:
        while self._blocked(spot := self._somewhere()):
            pass
        return spot

    def _blocked(self, spot: tuple[float, float]) -> bool:
        return any(math.dist(spot, (rock.x, rock.y)) < rock.radius for rock in self.obstacles)

    def _drop_pickup(self) -> None:
        spot = self._free_spot()
        self._pickups[_cell(*spot)].append(spot)

    @property
    def pickups(self) -> list[tuple[float, float]]:
        """The positions of things to pick up."""
        return [spot for spots in self._pickups.values() for spot in spots]

    def enter(self, name: str, score: int = 0) -> Body:
        """Place a player at a random position."""
        body = Body(name, *self._free_spot(), score)
        self.bodies[name] = body
        self._cells[_cell(body.x, body.y)].add(name)
        return body

    def leave(self, name: str) -> Body:
        """Remove a player."""
        body = self.bodies.pop(name)
        self._leave_cell(body)
        return body

    def _leave_cell(self, body: Body) -> None:
        cell = _cell(body.x, body.y)
        self._cells[cell].discard(body.name)
        if not self._cells[cell]:
            del self._cells[cell]

    def move(self, name: str, dx: float, dy: float) -> bool:
        """Move a player as far as rocks and borders allow.

        Returns whether it picked something up.
        """
        body = self.bodies[name]
        length = math.hypot(dx, dy)
        if length > MAX_STEP:
            dx, dy = dx * MAX_STEP / length, dy * MAX_STEP / length
        x = min(max(body.x + dx, 0.0), self.size)
        y = min(max(body.y + dy, 0.0), self.size)
        if not self._blocked((x, y)):
            self._leave_cell(body)
            body.x, body.y = x, y
            self._cells[_cell(x, y)].add(name)
        return self._pick_up(body)

    def _pick_up(self, body: Body) -> bool:
        here = (body.x, body.y)
        for cell in _around(*_cell(*here)):
            for spot in self._pickups.get(cell, ()):
                if math.dist(here, spot) <= REACH:
                    self._pickups[cell].remove(spot)
                    self._drop_pickup()
                    body.score += 1
                    return True
        return False

    def seen_by(self, name: str) -> list[Body]:
        """Return the players that a player sees."""
        body = self.bodies[name]
        here = (body.x, body.y)
        return [
            other
            for cell in _around(*_cell(*here))
            for other in (self.bodies[near] for near in self._cells.get(cell, ()))
            if other is not body and math.dist(here, (other.x, other.y)) <= SIGHT
        ]

    def scene(self, name: str, distance: float) -> tuple[list[Body], list[tuple[float, float]]]:
        """Return the players, including this one, and the things to pick up within a distance."""
        body = self.bodies[name]
        here = (body.x, body.y)
        left, bottom = _cell(body.x - distance, body.y - distance)
        right, top = _cell(body.x + distance, body.y + distance)
        players: list[Body] = []
        pickups: list[tuple[float, float]] = []
        for cell in [
            (column, row) for column in range(left, right + 1) for row in range(bottom, top + 1)
        ]:
            players += [self.bodies[near] for near in self._cells.get(cell, ())]
            pickups += self._pickups.get(cell, ())
        return (
            [other for other in players if math.dist(here, (other.x, other.y)) <= distance],
            [spot for spot in pickups if math.dist(here, spot) <= distance],
        )


def _cell(x: float, y: float) -> tuple[int, int]:
    return int(x // SIGHT), int(y // SIGHT)


def _around(column: int, row: int) -> list[tuple[int, int]]:
    return [(column + dx, row + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
