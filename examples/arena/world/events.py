"""What happens in the world at a place, so that those who see the place can be told."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class What(StrEnum):
    """Kinds of events."""

    TOOK = "took"
    """A player picked up gold: `detail` is the amount."""

    BROUGHT = "brought"
    """A player brought gold to its camp: `detail` is the amount."""

    HIT = "hit"
    """A player dashed into a rival: `detail` is the rival's number."""

    LOST = "lost"
    """The storm took gold from a player: `detail` is the amount."""

    SAID = "said"
    """A player spoke: `detail` is the text."""


class Event(NamedTuple):
    """An event at a place."""

    what: What
    x: float
    y: float
    number: int
    """The number of the player's body."""

    detail: int | str


class Standing(NamedTuple):
    """What a player who leaves the world would come back with in the same round."""

    round: int
    team: int
    x: float
    y: float
    load: int
    points: int


class Result(NamedTuple):
    """How a round ended."""

    round: int
    teams: list[int]
    """The gold of each team."""

    best: list[tuple[str, int, int]]
    """The name, team and points of the best players, the best first."""

    @property
    def winners(self) -> list[int]:
        """The teams with the most gold; several if they are equal, none without any gold."""
        most = max(self.teams)
        return [team for team, gold in enumerate(self.teams) if gold == most > 0]
