"""Worlds for tests."""

from __future__ import annotations

from typing import Any

from examples.arena.world.bodies import Body, Look
from examples.arena.world.world import World


def world_with(*names: str, seed: int = 1, **options: Any) -> World:
    """Return a world without gold, and with these players, of the teams 0, 1, 2, 3, 0 ..."""
    world = World(64.0, seed, **options)
    world.gold.clear()
    for name in names:
        world.enter(name, Look.PERSON)
    return world


def put(world: World, name: str, x: float, y: float) -> Body:
    """Move a player to another place."""
    body = world.bodies[name]
    body.x, body.y = x, y
    world.grid.place(body)
    return body


def clearing(world: World, across: int = 6) -> tuple[float, float]:
    """Return the west end of a row of open tiles, outside of all camps."""
    terrain = world.terrain
    open_tiles = set(terrain.open_tiles)
    for tile in terrain.open_tiles:
        block = [tile + row * terrain.across + n for n in range(across) for row in (-1, 0, 1)]
        if all(one in open_tiles for one in block):
            return terrain.middle_of(tile)
    raise AssertionError("this world has no clearing")


def steps(world: World, count: int) -> list[Any]:
    """Go on by some ticks, without new gold; return all that happened."""
    happened = []
    for _ in range(count):
        world.step()
        happened += world.events
    return happened
