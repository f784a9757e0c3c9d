"""The messages that the presence actor receives. It matches them in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from actorcred.actors import ControlMessage
from actorcred.portal.watches import Watch
from actorcred.sessions.presence import Contribution

__all__ = [
    "BeginWatch",
    "ChangesDue",
    "DescribeUsers",
    "EndWatch",
    "Follow",
    "GoOn",
    "Heard",
    "NoticeLost",
    "OwnChanged",
    "OwnKnown",
    "RetrySlow",
    "Unfollow",
]


@dataclass(slots=True)
class BeginWatch(ControlMessage):
    """Watch users for a watch."""

    watch: Watch
    avatar_ids: list[str]


@dataclass(slots=True)
class EndWatch(ControlMessage):
    """Watch users no more for a watch."""

    watch: Watch
    avatar_ids: list[str]


@dataclass(slots=True)
class NoticeLost(ControlMessage):
    """A notice was dropped."""

    watch: Watch
    avatar_id: str


@dataclass(slots=True)
class DescribeUsers(ControlMessage):
    """The reply is what is known of users."""

    avatar_ids: list[str]


@dataclass(slots=True)
class Follow(ControlMessage):
    """Other servers watch users."""

    avatar_ids: list[str]
    answer: Callable[[dict[str, Contribution]], object]


@dataclass(slots=True)
class Unfollow(ControlMessage):
    """Other servers watch users no more."""

    avatar_ids: list[str]


@dataclass(slots=True)
class OwnKnown(ControlMessage):
    """What this portal knows of some users; of those that are not in `users`, nothing.

    It was collected at the end of the window, or is called for, by an `answer` if there is one.
    """

    users: dict[str, Contribution]
    avatar_ids: list[str]
    answer: Callable[[dict[str, Contribution]], object] | None = None
    collected: bool = False


@dataclass(slots=True)
class Heard(ControlMessage):
    """What another server knows of users, and whether it knows nothing of all others."""

    node: str
    users: dict[str, Contribution]
    whole: bool


@dataclass(slots=True)
class OwnChanged(ControlMessage):
    """There is something to collect at this portal."""


@dataclass(slots=True)
class ChangesDue(ControlMessage):
    """The time for which changes are collected is over."""


@dataclass(slots=True)
class RetrySlow(ControlMessage):
    """Clients that were slow may take more now."""


@dataclass(slots=True)
class GoOn(ControlMessage):
    """There is more to tell."""
