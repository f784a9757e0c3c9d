"""The gold on the ground: at most one heap on each tile."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product

from examples.arena.world.grid import CELL
from examples.arena.world.terrain import TILE, Terrain

ROOM_PER_HEAP = 7
"""There is a heap on every so many open tiles."""

CHEST = 8
"""The gold in a chest."""

HEAP_LIMIT = 24
"""The most gold in one heap; what is dropped beyond it is lost."""

_TILES = int(CELL / TILE)
_NEAREST = sorted(
    product(range(-9, 10), repeat=2), key=lambda offset: (offset[0] ** 2 + offset[1] ** 2, offset)
)
_SPILL = _NEAREST[:25]


class Gold:
    """Heaps by tile.

    Args:
        terrain: where they may lie.
        dice: decides where they do.

    Attributes:
        heaps: tile -> its amount of gold.
        changed: the tiles that have changed since `take_changes`.
    """

    def __init__(self, terrain: Terrain, dice: random.Random) -> None:
        self._terrain = terrain
        self._dice = dice
        self._count = max(8, len(terrain.open_tiles) // ROOM_PER_HEAP)
        self.heaps: dict[int, int] = {}
        self.changed: set[int] = set()

    def scatter(self) -> None:
        """Take away what lies about, and scatter new gold."""
        self.clear()
        for tile in self._dice.sample(self._terrain.open_tiles, self._count):
            self._put(tile, 1 if self._dice.random() < 0.85 else 3)

    def clear(self) -> None:
        """Take away what lies about."""
        self.changed.update(self.heaps)
        self.heaps.clear()

    def grow(self) -> None:
        """Let some gold appear if there is less than at the start."""
        missing = self._count - len(self.heaps)
        for _ in range(min(missing, 1 + self._count // 100)):
            tile = self._dice.choice(self._terrain.open_tiles)
            if tile not in self.heaps:
                self._put(tile, 1)

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
            self.changed.add(tile)
        return amount

    def _put(self, tile: int, amount: int) -> None:
        self.heaps[tile] = min(amount, HEAP_LIMIT)
        self.changed.add(tile)

    def take_changes(self) -> set[int]:
        """Return the tiles that have changed since the last call."""
        changed, self.changed = self.changed, set()
        return changed

    def nearest(self, x: float, y: float, most: int) -> list[tuple[float, float, int]]:
        """Return the nearest heaps within nine tiles: position and amount, the nearest first."""
        across, found = self._terrain.across, []
        row, column = int(y / TILE), int(x / TILE)
        for dx, dy in _NEAREST:
            if 0 <= column + dx < across and 0 <= row + dy < across:
                tile = (row + dy) * across + column + dx
                if tile in self.heaps:
                    found.append((*self._terrain.middle_of(tile), self.heaps[tile]))
                    if len(found) == most:
                        break
        return found

    def around(self, x: float, y: float, across: float, down: float) -> Iterator[int]:
        """Yield the tiles with gold in the grid's cells that a rectangle touches; see `Grid`."""
        width = self._terrain.across
        left, right = _span(x, across, width)
        top, bottom = _span(y, down, width)
        for row in range(top, bottom):
            for tile in range(row * width + left, row * width + right):
                if tile in self.heaps:
                    yield tile


def _span(middle: float, half: float, width: int) -> tuple[int, int]:
    """Return the tiles from the first to after the last in the cells that a line touches."""
    first = max(0, int((middle - half) / CELL)) * _TILES
    last = (int((middle + half) / CELL) + 1) * _TILES
    return first, min(width, last)
