"""What nodes tell each other of the points of their players, and what follows for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from examples.arena.world.bodies import Body, Look
from examples.arena.world.world import BEST, World

MOST_NAMED = 100
"""Players whom one node names to those who ask who plays."""


class Roll(NamedTuple):
    """The players of a node."""

    source: int
    """The number of the node."""

    round: int
    phase: str
    teams: list[int]
    """The gold of each team that was brought home at this node."""

    best: list[tuple[str, int, int]]
    """The name, team and points of the best players, the best first."""

    points: list[int]
    """The points of each player, the most first."""

    people: int
    chest: int | None
    """The tile of the chest in the node's region."""

    named: list[tuple[str, int, bool]]
    """The name and points of some players, and whether it is a person."""


def roll_of(source: int, world: World, ranked: Sequence[Body]) -> Roll:
    """Return the roll of a node.

    Args:
        source: the number of the node.
        world: its part.
        ranked: the players, the best first.
    """
    people = [body for body in ranked if body.look is Look.PERSON]
    named = (people + [body for body in ranked if body.look is not Look.PERSON])[:MOST_NAMED]
    return Roll(
        source,
        world.rounds.number,
        world.rounds.phase.value,
        world.team_gold(),
        [(body.name, body.team, body.points) for body in ranked[:BEST]],
        [body.points for body in ranked],
        len(people),
        world.chest,
        [(body.name, body.points, body.look is Look.PERSON) for body in named],
    )


def team_gold(rolls: Iterable[Roll]) -> list[int]:
    """Return the gold of each team at all nodes."""
    return [sum(gold) for gold in zip(*(roll.teams for roll in rolls), strict=True)]


def best_of(rolls: Iterable[Roll]) -> list[tuple[str, int, int]]:
    """Return the best players of all nodes. Who has just gone from one to another counts once."""
    known: dict[str, tuple[str, int, int]] = {}
    for name, team, points in (one for roll in rolls for one in roll.best):
        if name not in known or known[name][2] <= points:
            known[name] = (name, team, points)
    return sorted(known.values(), key=lambda one: (-one[2], one[0]))[:BEST]


def ahead_of(points: int, rolls: Iterable[Roll]) -> int:
    """Return how many players of some nodes have more points."""
    return sum(other > points for roll in rolls for other in roll.points)


def chest_of(rolls: Iterable[Roll]) -> int | None:
    """Return the tile of the chest that is shown: that of the first node that has one."""
    chests = {roll.source: roll.chest for roll in rolls if roll.chest is not None}
    return chests[min(chests)] if chests else None


def who_of(rolls: Iterable[Roll]) -> list[tuple[str, int]]:
    """Return the names and points of players of all nodes: people first, then the best."""
    known = {name: (points, is_person) for roll in rolls for name, points, is_person in roll.named}
    ranked = sorted(known.items(), key=lambda one: (not one[1][1], -one[1][0], one[0]))
    return [(name, points) for name, (points, _) in ranked[:MOST_NAMED]]
