"""Players as the world sees them: a position, a course, and what they carry."""

from __future__ import annotations

import math
from enum import StrEnum

DIRECTIONS = 256
"""A heading is a number of 256ths of a turn: 0 is east, 64 is south."""

TICK = 0.1
"""Seconds between two steps of the world."""

WALK = 46
"""The speed of a walk in tenths of a step per second, as all speeds."""

COS = [math.cos(number * math.tau / DIRECTIONS) for number in range(DIRECTIONS)]
SIN = [math.sin(number * math.tau / DIRECTIONS) for number in range(DIRECTIONS)]


class Look(StrEnum):
    """How a player looks, which is all that the world knows of its character."""

    PERSON = "person"
    GATHERER = "gatherer"
    GUARD = "guard"
    HUNTER = "hunter"
    WANDERER = "wanderer"


LOOKS = tuple(Look)
"""In the order of the numbers on the wire."""


DASHING, STUNNED, SHIELDED, IN_STORM = 1, 2, 4, 8
"""What can be seen of a player's state: parts of `Body.flags`, which are plain integers for speed.
"""


class Body:
    """A player in the world.

    Attributes:
        number: identifies it in this world; numbers are not used again.
        name: of the player.
        team: an index of `TEAMS`.
        look: how it is drawn.
        x, y: where it is, in steps.
        wish: the heading and the share of its speed that the player wants; None to stand.
        heading, speed: its course, which clients extrapolate.
        vx, vy: the course as steps per tick.
        load: the gold that it carries.
        points: the gold that it has brought to its camps in this round.
        total: the same in all rounds.
        flags: its state.
        version: grows with each change that clients must know of.
        dash_ends, dash_ready, stun_ends, shield_ends, speech_ready: ticks.
        cell: where it is in the grid; -1 if it is not.
    """

    __slots__ = (
        "cell",
        "dash_ends",
        "dash_ready",
        "flags",
        "heading",
        "load",
        "look",
        "name",
        "number",
        "points",
        "shield_ends",
        "speech_ready",
        "speed",
        "stun_ends",
        "team",
        "total",
        "version",
        "vx",
        "vy",
        "wish",
        "x",
        "y",
    )

    def __init__(self, number: int, name: str, team: int, look: Look) -> None:
        self.number = number
        self.name = name
        self.team = team
        self.look = look
        self.x = self.y = 0.0
        self.cell = -1
        self.wish: tuple[int, float] | None = None
        self.heading = 64
        self.speed = 0
        self.vx = self.vy = 0.0
        self.load = self.points = self.total = 0
        self.flags = 0
        self.version = 0
        self.dash_ends = self.dash_ready = self.stun_ends = self.shield_ends = 0
        self.speech_ready = 0

    def take_course(self, heading: int, speed: int) -> None:
        """Walk in a direction from now on."""
        if speed != self.speed or heading != self.heading:
            self.heading, self.speed = heading, speed
            pace = speed / 10 * TICK
            self.vx, self.vy = COS[heading] * pace, SIN[heading] * pace
            self.version += 1

    def set_flag(self, flag: int, on: bool) -> None:
        """Set or clear a part of the state."""
        flags = self.flags | flag if on else self.flags & ~flag
        if flags != self.flags:
            self.flags = flags
            self.version += 1

    def set_load(self, load: int) -> None:
        """Carry this much gold."""
        if load != self.load:
            self.load = load
            self.version += 1


def heading_of(dx: float, dy: float) -> int:
    """Return the heading of a direction."""
    return round(math.atan2(dy, dx) / math.tau * DIRECTIONS) % DIRECTIONS
