"""The island: made from a seed, with camps that can be reached from each other."""

from __future__ import annotations

from collections import Counter, deque

import pytest

from examples.arena.world.terrain import (
    BLOCKED,
    CAMP,
    CELLS,
    TEAMS,
    TILE,
    WATER,
    Terrain,
    make_terrain,
)


def reachable(terrain: Terrain, start: int) -> set[int]:
    """Return the tiles that can be walked to."""
    reached, waiting = {start}, deque([start])
    while waiting:
        tile = waiting.popleft()
        for near in (tile - 1, tile + 1, tile - terrain.across, tile + terrain.across):
            if near not in reached and terrain.is_walkable(near):
                reached.add(near)
                waiting.append(near)
    return reached


@pytest.mark.parametrize("size", [32.0, 61.0, 150.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_all_that_can_be_walked_on_can_be_reached_from_each_camp(size: float, seed: int) -> None:
    terrain = make_terrain(size, seed)
    walkable = {tile for tile in range(terrain.across**2) if terrain.is_walkable(tile)}
    camps = [terrain.tile_at(camp.x, camp.y) for camp in terrain.camps]
    assert set(camps) <= walkable
    assert reachable(terrain, camps[0]) == walkable


def test_one_seed_makes_one_island_and_another_seed_another() -> None:
    assert make_terrain(64, 7).rows == make_terrain(64, 7).rows
    assert make_terrain(64, 7).rows != make_terrain(64, 8).rows


def test_each_team_has_as_many_camps_as_the_others_and_water_is_all_around() -> None:
    for size, each in ((64, 1), (130, 4), (176, 4), (340, 16)):
        terrain = make_terrain(size, 1)
        camps = Counter(camp.team for camp in terrain.camps)
        assert camps == dict.fromkeys(range(len(TEAMS)), each)
    edge = terrain.rows[0] + terrain.rows[-1] + "".join(row[0] + row[-1] for row in terrain.rows)
    assert set(edge) == {WATER}


def test_a_body_keeps_half_a_step_away_from_what_blocks_it() -> None:
    terrain = make_terrain(64, 1)
    width = terrain.across * CELLS
    scale = TILE / CELLS
    for index, free in enumerate(terrain.free):
        row, column = divmod(index, width)
        x, y = (column + 0.5) * scale, (row + 0.5) * scale
        near = [
            terrain.rows[int((y + dy) / TILE)][int((x + dx) / TILE)]
            for dx in (-0.5, 0, 0.5)
            for dy in (-0.5, 0, 0.5)
            if 0 <= x + dx < terrain.size and 0 <= y + dy < terrain.size
        ]
        assert bool(free) == (not BLOCKED & set(near))


def test_gold_lies_on_open_land_only_and_a_camp_knows_its_tiles() -> None:
    terrain = make_terrain(64, 1)
    for tile in terrain.open_tiles:
        row, column = divmod(tile, terrain.across)
        assert terrain.rows[row][column] not in BLOCKED | {CAMP}
        assert terrain.tile_at(*terrain.middle_of(tile)) == tile
    for camp in terrain.camps:
        assert terrain.camp_of_tile[terrain.tile_at(camp.x, camp.y)] == camp


@pytest.mark.parametrize("size", [9.0, float("nan")])
def test_a_world_without_room_for_the_camps_is_refused(size: float) -> None:
    with pytest.raises(ValueError, match="32 steps or more"):
        make_terrain(size, 1)
