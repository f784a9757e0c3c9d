"""The messages that avatars send to the arena."""

from __future__ import annotations

from dataclasses import dataclass

from actorcred import MindRef
from examples.arena.world.bodies import Look


@dataclass(frozen=True, slots=True)
class Enter:
    """A player enters."""

    name: str
    mind: MindRef
    look: Look


@dataclass(frozen=True, slots=True)
class Leave:
    """A player or spectator leaves.

    Attributes:
        mind: whose session ended, since its successor may be there already.
    """

    name: str
    mind: MindRef


@dataclass(frozen=True, slots=True)
class Move:
    """A player changes its direction."""

    name: str
    dx: float
    dy: float


@dataclass(frozen=True, slots=True)
class Dash:
    """A player dashes."""

    name: str


@dataclass(frozen=True, slots=True)
class Say:
    """A player speaks."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Watch:
    """A client subscribes to frames.

    Attributes:
        name: of the player; None for a spectator.
    """

    name: str | None
    mind: MindRef


@dataclass(frozen=True, slots=True)
class LookAround:
    """A client subscribes to glances."""

    name: str
    mind: MindRef
    seconds: float


@dataclass(frozen=True, slots=True)
class Who:
    """A client asks who plays."""


@dataclass(frozen=True, slots=True)
class Bequeath:
    """A guest has made an account, which is to go on where the guest is."""

    name: str
    heir: str


@dataclass(frozen=True, slots=True)
class Tick:
    """The world goes on by one step."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of the server, for the watching clients."""

    values: dict[str, float]
