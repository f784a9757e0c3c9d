"""The land: an island of square tiles, made from a seed, with a camp in each of its regions.

The regions are a lattice of equal squares. A region's tiles, camp and gold depend on no other
region, which is where a world too big for one process would be cut.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

TILE = 2.0
"""The side of a tile, in steps, which are the world's unit of length."""

TEAMS = ("red", "blue", "green", "violet")

CAMP_RADIUS = 4.0
"""Within this distance of a camp's flag its team's gold is safe."""

SMALLEST = 32.0
"""The least side of a world: room for a camp of each team."""

REGION = 40.0
"""About the side of a region."""

GRASS, MEADOW, FOREST, SAND, PATH, CAMP, BRIDGE = ".,:sp*b"
WATER, TREE, ROCK, WALL = "wtr#"
BLOCKED = frozenset({WATER, TREE, ROCK, WALL})

CELLS = 4
"""Cells per side of a tile in the map of where a body may stand, which is finer than the tiles."""


@dataclass(frozen=True, slots=True)
class Camp:
    """A team's camp, at which its gold counts."""

    team: int
    x: float
    y: float


@dataclass(frozen=True)
class Terrain:
    """The land of one seed; see `make_terrain`.

    Args:
        size: the length of each side in steps.
        rows: the tiles, a string per row from north to south; y grows to the south.
        camps: one in each region, row by row.
    """

    size: float
    rows: list[str]
    camps: list[Camp]
    free: bytearray = field(init=False, repr=False)
    """Whether a body may stand in each cell, row by row: `CELLS` to a tile's side."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "free", self._cells())

    @property
    def across(self) -> int:
        """The number of tiles in a row."""
        return len(self.rows)

    def _cells(self) -> bytearray:
        # A body is half a step wide on each side: one cell. So each blocked tile also blocks the
        # ring of cells around it, and moving costs one look at one cell.
        width = self.across * CELLS
        free = bytearray(b"\1") * (width * width)
        for row, tiles in enumerate(self.rows):
            for column, tile in enumerate(tiles):
                if tile in BLOCKED:
                    left, right = max(0, column * CELLS - 1), min(width, (column + 1) * CELLS + 1)
                    for line in range(max(0, row * CELLS - 1), min(width, (row + 1) * CELLS + 1)):
                        free[line * width + left : line * width + right] = bytes(right - left)
        return free

    def is_free(self, x: float, y: float) -> bool:
        """Return whether a body may stand here; x and y must be within the world."""
        scale = CELLS / TILE
        return bool(self.free[int(y * scale) * self.across * CELLS + int(x * scale)])

    def tile_at(self, x: float, y: float) -> int:
        """Return the number of the tile at a position, counted row by row."""
        return int(y / TILE) * self.across + int(x / TILE)

    def middle_of(self, tile: int) -> tuple[float, float]:
        """Return the middle of a tile."""
        row, column = divmod(tile, self.across)
        return (column + 0.5) * TILE, (row + 0.5) * TILE

    def is_walkable(self, tile: int) -> bool:
        """Return whether a tile can be walked on."""
        row, column = divmod(tile, self.across)
        return self.rows[row][column] not in BLOCKED

    @cached_property
    def open_tiles(self) -> list[int]:
        """The tiles on which gold may lie: walkable, and in no camp."""
        return [
            row * self.across + column
            for row, tiles in enumerate(self.rows)
            for column, tile in enumerate(tiles)
            if tile not in BLOCKED and tile != CAMP
        ]

    @cached_property
    def camp_of_tile(self) -> dict[int, Camp]:
        """The camp that each tile near a flag belongs to."""
        return {
            row * self.across + column: camp
            for camp in self.camps
            for column, row in _disc(camp.x / TILE, camp.y / TILE, CAMP_RADIUS / TILE)
        }


def make_terrain(size: float, seed: int) -> Terrain:
    """Make an island.

    Args:
        size: the length of each side in steps; the last tile may go beyond it.
        seed: of everything that is random.

    Raises:
        ValueError: if the world would be too small for four camps.
    """
    if not size >= SMALLEST:
        raise ValueError(f"a world needs a side of {SMALLEST:g} steps or more, not {size:g}")
    across = math.ceil(size / TILE)
    maker = _Maker(across, random.Random(f"terrain {seed}"))
    camps = maker.place_camps()
    maker.grow_nature()
    maker.build_ruins(camps)
    maker.build_camps(camps)
    maker.build_paths(camps)
    maker.fill_what_cannot_be_reached(camps[0])
    return Terrain(across * TILE, ["".join(row) for row in maker.tiles], camps)


class _Maker:
    """The steps of making an island, which follow each other."""

    def __init__(self, across: int, dice: random.Random) -> None:
        self.across = across
        self.dice = dice
        self.tiles = [[GRASS] * across for _ in range(across)]
        # An even number in a row, so that all teams have as many camps.
        self.regions = 2 * max(1, round(across * TILE / REGION / 2))

    def place_camps(self) -> list[Camp]:
        """Place a camp near the middle of each region; its neighbours are of other teams."""
        side = self.across / self.regions
        camps = []
        for row in range(self.regions):
            for column in range(self.regions):
                x, y = (
                    math.floor((index + 0.5 + self.dice.uniform(-0.12, 0.12)) * side) + 0.5
                    for index in (column, row)
                )
                camps.append(Camp((column + 2 * row) % len(TEAMS), x * TILE, y * TILE))
        return camps

    def grow_nature(self) -> None:
        """Grow woods, lakes and beaches, from two layers of noise."""
        height, wood = _noise(self.dice, self.across, 9), _noise(self.dice, self.across, 6)
        for row in range(self.across):
            for column in range(self.across):
                shore = min(row, column, self.across - 1 - row, self.across - 1 - column)
                level = height(column, row) - max(0.0, 0.22 * (3.0 - shore))
                self.tiles[row][column] = (
                    WATER if shore == 0 else self._nature(level, wood(column, row))
                )

    def _nature(self, height: float, wood: float) -> str:
        if height < 0.22:
            return WATER
        if height < 0.30:
            return SAND
        luck = self.dice.random()
        if height > 0.78 and luck < 0.18:
            return ROCK
        if wood > 0.60:
            return TREE if luck < 0.22 else FOREST
        if luck < 0.012:
            return TREE
        return MEADOW if wood < 0.36 else GRASS

    def build_ruins(self, camps: list[Camp]) -> None:
        """Build the walls of a house without a roof in most regions, away from the camp."""
        side = self.across / self.regions
        for camp in camps:
            if self.dice.random() < 0.75:
                angle, far = self.dice.uniform(0, math.tau), self.dice.uniform(0.3, 0.4) * side
                column = int(camp.x / TILE + math.cos(angle) * far)
                row = int(camp.y / TILE + math.sin(angle) * far)
                self._build_ruin(column, row, self.dice.randint(5, 8), self.dice.randint(4, 6))

    def _build_ruin(self, column: int, row: int, width: int, height: int) -> None:
        left, top = column - width // 2, row - height // 2
        for across, down in ((c, r) for r in range(height) for c in range(width)):
            at_edge = across in {0, width - 1} or down in {0, height - 1}
            is_door = across == width // 2 or down == height // 2
            stands = at_edge and not is_door and self.dice.random() < 0.85
            self._set(left + across, top + down, WALL if stands else PATH)

    def build_camps(self, camps: list[Camp]) -> None:
        """Clear the ground around each flag."""
        for camp in camps:
            for column, row in _disc(camp.x / TILE, camp.y / TILE, CAMP_RADIUS / TILE):
                self._set(column, row, CAMP)

    def build_paths(self, camps: list[Camp]) -> None:
        """Build a path from each camp to its neighbours in the east and south, across anything."""
        for index, camp in enumerate(camps):
            if (index + 1) % self.regions:
                self._build_path(camp, camps[index + 1])
            if index + self.regions < len(camps):
                self._build_path(camp, camps[index + self.regions])

    def _build_path(self, start: Camp, end: Camp) -> None:
        length = math.dist((start.x, start.y), (end.x, end.y))
        bend = self.dice.uniform(-0.18, 0.18) * length
        steps = int(length)  # half a tile each, so that the path has no gap
        for number in range(steps + 1):
            share = number / steps
            off = math.sin(share * math.pi) * bend
            x = start.x + (end.x - start.x) * share - (end.y - start.y) / length * off
            y = start.y + (end.y - start.y) * share + (end.x - start.x) / length * off
            for column, row in (
                (int(x / TILE), int(y / TILE)),
                (int(x / TILE + 0.6), int(y / TILE)),
            ):
                self._pave(column, row)

    def _pave(self, column: int, row: int) -> None:
        if 0 < column < self.across - 1 and 0 < row < self.across - 1:
            tile = self.tiles[row][column]
            if tile != CAMP:
                self.tiles[row][column] = BRIDGE if tile in {WATER, BRIDGE} else PATH

    def _set(self, column: int, row: int, tile: str) -> None:
        if 0 < column < self.across - 1 and 0 < row < self.across - 1:
            self.tiles[row][column] = tile

    def fill_what_cannot_be_reached(self, camp: Camp) -> None:
        """Make what cannot be reached from a camp unwalkable, so that no one starts there."""
        start = (int(camp.x / TILE), int(camp.y / TILE))
        reached, waiting = {start}, deque([start])
        while waiting:
            column, row = waiting.popleft()
            for near in (
                (column + 1, row),
                (column - 1, row),
                (column, row + 1),
                (column, row - 1),
            ):
                if near not in reached and self.tiles[near[1]][near[0]] not in BLOCKED:
                    reached.add(near)
                    waiting.append(near)
        for row, tiles in enumerate(self.tiles):
            for column, tile in enumerate(tiles):
                if tile not in BLOCKED and (column, row) not in reached:
                    tiles[column] = WATER if tile == SAND else TREE


def _disc(x: float, y: float, radius: float) -> Iterator[tuple[int, int]]:
    for row in range(math.floor(y - radius), math.ceil(y + radius) + 1):
        for column in range(math.floor(x - radius), math.ceil(x + radius) + 1):
            if math.dist((column + 0.5, row + 0.5), (x, y)) <= radius:
                yield column, row


def _noise(dice: random.Random, across: int, period: int) -> Callable[[int, int], float]:
    """Return smooth noise from 0 to 1: random values on a lattice, with smooth steps between."""
    count = across // period + 2
    lattice = [[dice.random() for _ in range(count)] for _ in range(count)]
    steps = [(n / period % 1) ** 2 * (3 - 2 * (n / period % 1)) for n in range(across)]

    def at(column: int, row: int) -> float:
        left, top, across_share, down_share = (
            column // period,
            row // period,
            steps[column],
            steps[row],
        )
        upper, lower = lattice[top], lattice[top + 1]
        north = upper[left] + (upper[left + 1] - upper[left]) * across_share
        south = lower[left] + (lower[left + 1] - lower[left]) * across_share
        return north + (south - north) * down_share

    return at
