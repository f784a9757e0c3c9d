"""The gold on the ground: at most one heap on each tile."""

from __future__ import annotations

import math
import random
from itertools import product

from examples.arena.world.grid import CELL, cells_around
from examples.arena.world.terrain import TILE, Terrain

ROOM_PER_HEAP = 4
"""There is a heap on every so many open tiles."""

CHEST = 8
"""The gold in a chest."""

HEAP_LIMIT = 24
"""The most gold in one heap; what is dropped beyond it is lost."""


def count_for(tiles: list[int]) -> int:
    """Return how many heaps lie on some tiles at the start of a round."""
    return max(8, len(tiles) // ROOM_PER_HEAP)


_TILES = int(CELL / TILE)
_SPILL = list(product(range(-2, 3), repeat=2))

SIGHT = 8.0
"""How far a player sees gold at least."""


class Gold:
    """Heaps by tile.

    Args:
        terrain: the land.
        dice: decides where they lie.
        tiles: where they may lie.

    Attributes:
        heaps: tile -> its amount of gold.
        tiles: where they may lie.
    """

    def __init__(self, terrain: Terrain, dice: random.Random, tiles: list[int]) -> None:
        self._terrain = terrain
        self._dice = dice
        self.tiles = tiles
        self._count = count_for(tiles)
        self.heaps: dict[int, int] = {}
        self._width = math.ceil(terrain.size / CELL)
        self._cells: dict[int, dict[int, None]] = {}

    def scatter(self) -> None:
        """Take away what lies about, and scatter new gold."""
        self.clear()
        self._scatter(self.tiles, self._count)

    def _scatter(self, tiles: list[int], count: int) -> None:
        for tile in self._dice.sample(tiles, count):
            self._put(tile, 1 if self._dice.random() < 0.85 else 3)

    def clear(self) -> None:
        """Take away what lies about."""
        self.heaps.clear()
        self._cells.clear()

    def grow(self) -> None:
        """Let some gold appear if there is less than at the start."""
        missing = self._count - self._lying()
        for _ in range(min(missing, 1 + self._count // 25)):
            tile = self._dice.choice(self.tiles)
            if tile not in self.heaps:
                self._put(tile, 1)

    def _lying(self) -> int:
        return len(self.heaps)

    def place_chest(self, tile: int) -> None:
        """Place a chest, which is worth a detour."""
        self._put(tile, self.heaps.get(tile, 0) + CHEST)

    def spill(self, tile: int, amount: int) -> None:
        """Spread gold over the tiles around one, as when a player drops it."""
        offsets = self._dice.sample(_SPILL, len(_SPILL))
        row, column = divmod(tile, self._terrain.across)
        free = [near for dx, dy in offsets if (near := self._free_tile(column + dx, row + dy))]
        for index, near in enumerate(free):
            part = -(-amount // (len(free) - index))  # spread evenly, at least 1 on a tile
            if amount > 0:
                self._put(near, max(1, part))
                amount -= max(1, part)

    def _free_tile(self, column: int, row: int) -> int | None:
        across = self._terrain.across
        tile = row * across + column
        is_land = 0 < column < across and 0 < row < across and self._terrain.is_walkable(tile)
        return tile if is_land and tile not in self.heaps else None

    def take(self, tile: int) -> int:
        """Take what lies on a tile; return how much that is."""
        amount = self.heaps.pop(tile, 0)
        if amount:
            del self._cells[self._cell(tile)][tile]
        return amount

    def _put(self, tile: int, amount: int) -> None:
        self.heaps[tile] = min(amount, HEAP_LIMIT)
        self._cells.setdefault(self._cell(tile), {})[tile] = None

    def _cell(self, tile: int) -> int:
        row, column = divmod(tile, self._terrain.across)
        return row // _TILES * self._width + column // _TILES

    def nearest(self, x: float, y: float, most: int) -> list[tuple[float, float, int]]:
        """Return the nearest heaps in sight: position and amount, the nearest first."""
        found = []
        for tile in self.around(x, y, SIGHT, SIGHT):
            left, top = self._terrain.middle_of(tile)
            found.append(((left - x) ** 2 + (top - y) ** 2, left, top, self.heaps[tile]))
        found.sort()
        return [(left, top, amount) for _, left, top, amount in found[:most]]

    def around(self, x: float, y: float, across: float, down: float) -> list[int]:
        """Return the tiles with gold in the grid's cells that a rectangle touches; see `Grid`."""
        found: list[int] = []
        for cell in cells_around(self._width, x, y, across, down):
            found += self._cells.get(cell, ())
        return found
