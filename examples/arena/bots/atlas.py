"""The ways through a land: distances to the camps, from which a walker reads its direction."""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Sequence

BLOCKED = frozenset("wtr#")
"""The tiles that cannot be walked on."""

AHEAD = 4
"""Tiles that a walker looks ahead along its way, which makes it cut corners."""

SHOULDER = 0.6
"""Half of the width that a walker needs, in steps."""

MOST_FIELDS = 128
"""Sets of goals whose distances are kept."""

FAR = 0xFFFF
"""The distance of a tile from which there is no way."""

Camp = tuple[int, float, float]
"""The team and the position of a camp."""


class Atlas:
    """What all bots know of the land.

    Args:
        rows: the tiles, as `Player.glance` returns them.
        tile: the side of a tile in steps.
        camps: all camps.
    """

    def __init__(self, rows: Sequence[str], tile: float, camps: Sequence[Camp]) -> None:
        self._across = len(rows)
        self._tile = tile
        self._open = [letter not in BLOCKED for row in rows for letter in row]
        self.camps = camps
        self._camps_of: dict[int, tuple[Camp, ...]] = {}
        self._fields: dict[tuple[Camp, ...], array[int]] = {}
        self._steps: dict[tuple[Camp, ...], dict[int, int]] = {}

    def camps_of(self, team: int) -> tuple[Camp, ...]:
        """Return all camps of a team."""
        if team not in self._camps_of:
            self._camps_of[team] = tuple(camp for camp in self.camps if camp[0] == team)
        return self._camps_of[team]

    def distances(self, goals: tuple[Camp, ...]) -> array[int]:
        """Return the distance of each tile to the nearest of some camps, in tiles."""
        if goals not in self._fields:
            if len(self._fields) >= MOST_FIELDS:
                self._fields.clear()
                self._steps.clear()
            self._fields[goals] = self._flood(goals)
        return self._fields[goals]

    def _flood(self, goals: tuple[Camp, ...]) -> array[int]:
        across, is_open = self._across, self._open
        field = array("H", [FAR]) * len(is_open)
        waiting = deque(self._number(x, y) for _, x, y in goals)
        for tile in waiting:
            field[tile] = 0
        while waiting:
            tile = waiting.popleft()
            further = field[tile] + 1
            # The outermost tiles are water, so that no neighbour is outside.
            for near in (tile + 1, tile - 1, tile + across, tile - across):
                if field[near] > further and is_open[near]:
                    field[near] = further
                    waiting.append(near)
        return field

    def _number(self, x: float, y: float) -> int:
        return int(y / self._tile) * self._across + int(x / self._tile)

    def way(self, goals: tuple[Camp, ...], x: float, y: float) -> tuple[float, float]:
        """Return the direction in which to walk to the nearest of some camps, of length 1 or 0."""
        steps = self._steps.setdefault(goals, {})
        tile = self._number(x, y)
        if tile not in steps:
            steps[tile] = self._step(self.distances(goals), tile)
        return direction(x, y, *self._middle(steps[tile]))

    def _step(self, field: array[int], start: int) -> int:
        """Return the tile to walk to next: the last one that can be reached in a straight line."""
        across, tile, target = self._across, start, start
        for _ in range(AHEAD):
            best = min((tile + 1, tile - 1, tile + across, tile - across), key=field.__getitem__)
            if field[best] >= field[tile]:
                break
            tile = best
            if target == start or self.is_clear(*self._middle(start), *self._middle(tile)):
                target = tile
        return target

    def _middle(self, tile: int) -> tuple[float, float]:
        row, column = divmod(tile, self._across)
        return (column + 0.5) * self._tile, (row + 0.5) * self._tile

    def is_clear(self, x: float, y: float, to_x: float, to_y: float) -> bool:
        """Return whether a body can walk straight from one position to another."""
        dx, dy = to_x - x, to_y - y
        length = math.hypot(dx, dy)
        steps = int(length) + 1
        side_x, side_y = (-dy / length * SHOULDER, dx / length * SHOULDER) if length else (0, 0)
        for number in range(1, steps + 1):
            share = number / steps
            at_x, at_y = x + dx * share, y + dy * share
            for side in (-1, 1):
                if not self._open[self._number(at_x + side * side_x, at_y + side * side_y)]:
                    return False
        return True


def direction(x: float, y: float, to_x: float, to_y: float) -> tuple[float, float]:
    """Return the direction from one position to another, of length 1; (0, 0) if they are equal."""
    length = math.hypot(to_x - x, to_y - y)
    return ((to_x - x) / length, (to_y - y) / length) if length > 0.3 else (0.0, 0.0)
