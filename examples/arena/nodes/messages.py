"""What a player who can go to another node tells the arena, beside `examples.arena.messages`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from actorcred import MindRef, Session


@dataclass(frozen=True, slots=True)
class Tie:
    """A player who has entered has a session."""

    name: str
    mind: MindRef
    session: Session


@dataclass(frozen=True, slots=True)
class Describe:
    """What another node needs to know of a player that goes there; None if it does not go."""

    name: str


@dataclass(frozen=True, slots=True)
class Arrive:
    """A player comes from another node.

    Attributes:
        state: see `Shard.describe`.
    """

    state: Mapping[str, Any]
    mind: MindRef
    session: Session


@dataclass(frozen=True, slots=True)
class Crossed:
    """A player was to go to another node.

    Attributes:
        there: whether it is there.
    """

    name: str
    mind: MindRef
    there: bool
