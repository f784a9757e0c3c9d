"""Regions: strips of the island from north to south, each of which a node has, with its gold."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from examples.arena.world.gold import ROOM_PER_HEAP, Gold, count_for
from examples.arena.world.terrain import Terrain

NARROWEST = 48.0
"""The least width of a region in steps: no one sees across a whole one."""


class Region(NamedTuple):
    """What lies between two meridians, in steps."""

    left: float
    right: float

    def holds(self, x: float) -> bool:
        """Return whether a position is within."""
        return self.left <= x < self.right


@dataclass(frozen=True, slots=True)
class Seat:
    """The place of a node among all.

    Args:
        number: from 1 on, from west to east.
        count: of all nodes.
    """

    number: int
    count: int


def regions_of(size: float, count: int, living: Iterable[int]) -> dict[int, Region]:
    """Return the region of each node that lives.

    The ground of a dead node falls to the nearest one in the west, or in the east if there is none.

    Args:
        size: the length of each side of the island.
        count: of nodes at the start.
        living: the numbers of those that live.
    """
    width = size / count
    numbers = sorted(living)
    lefts = [0.0, *((number - 1) * width for number in numbers[1:])]
    return {
        number: Region(left, right)
        for number, left, right in zip(numbers, lefts, [*lefts[1:], size], strict=True)
    }


def tiles_of(terrain: Terrain, region: Region) -> list[int]:
    """Return the tiles of a region on which gold may lie."""
    return [tile for tile in terrain.open_tiles if region.holds(terrain.middle_of(tile)[0])]


class RegionGold(Gold):
    """The gold of a region, and what can be seen of that of its neighbours.

    Args:
        terrain: the land.
        dice: decides where it lies.
        tiles: those of the region.
    """

    def __init__(self, terrain: Terrain, dice: random.Random, tiles: list[int]) -> None:
        super().__init__(terrain, dice, tiles)
        self._own = set(tiles)
        self._foreign: dict[int, dict[int, int]] = {}

    def is_own(self, tile: int) -> bool:
        """Return whether a tile is in the region."""
        return tile in self._own

    def clear(self) -> None:
        """Take away what lies about."""
        super().clear()
        self._foreign.clear()

    def show(self, source: int, heaps: dict[int, int]) -> None:
        """Show the gold of a neighbour, in place of what it had before.

        Args:
            source: the neighbour.
            heaps: tile -> its amount of gold.
        """
        seen = {tile: amount for tile, amount in heaps.items() if tile not in self._own}
        for tile in self._foreign.get(source, {}).keys() - seen.keys():
            self.take(tile)
        for tile, amount in seen.items():
            if self.heaps.get(tile) != amount:
                self._put(tile, amount)
        self._foreign[source] = seen

    def forget(self, source: int) -> None:
        """Show nothing more of a neighbour."""
        self.show(source, {})
        del self._foreign[source]

    def extend(self, tiles: list[int], *, plays: bool) -> None:
        """Take over more tiles, with the gold that was seen there.

        Args:
            tiles: all of the region from now on.
            plays: whether gold is scattered where none was seen.
        """
        fresh = set(tiles) - self._own
        self.tiles, self._own, self._count = tiles, set(tiles), count_for(tiles)
        for heaps in self._foreign.values():
            for tile in fresh & heaps.keys():
                del heaps[tile]
        empty = [tile for tile in tiles if tile in fresh and tile not in self.heaps]
        if plays:
            self._scatter(empty, len(empty) // ROOM_PER_HEAP)

    def _lying(self) -> int:
        return len(self.heaps) - sum(map(len, self._foreign.values()))

    def _free_tile(self, column: int, row: int) -> int | None:
        tile = super()._free_tile(column, row)
        return tile if tile in self._own else None
