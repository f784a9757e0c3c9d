"""The events of a cluster, which a portal publishes like its own; see `actorcred.portal.events`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar

from actorcred.names import AvatarId
from actorcred.portal.events import Event

__all__ = ["NodeBack", "NodeCutOff", "NodeGone", "PlaceLost", "TakenOver"]


@dataclass(frozen=True, slots=True)
class NodeCutOff(Event):
    """The node has lost touch with the others for longer than its lease.

    Attributes:
        on_cut_off: what happens to sessions that may exist only once; see `CutOff`.
        sessions: how many of them there are.
    """

    name: ClassVar[str] = "cut-off"
    level: ClassVar[int] = logging.WARNING

    on_cut_off: str
    sessions: int


@dataclass(frozen=True, slots=True)
class NodeBack(Event):
    """The node was cut off, and what that has changed is made good.

    Attributes:
        duration: seconds for which it was cut off.
        sessions: how many sessions that may exist only once it has.
        lost: how many have ended since others have their places; see `PlaceLost`.
    """

    name: ClassVar[str] = "reconnected"
    level: ClassVar[int] = logging.WARNING

    duration: float
    sessions: int
    lost: int


@dataclass(frozen=True, slots=True)
class NodeGone(Event):
    """Another node has left, or has not been heard for so long that it is taken for dead.

    Each of the others says so.

    Attributes:
        other: the other node.
        left: whether it has left in good order.
        duration: seconds since it was heard last.
    """

    name: ClassVar[str] = "node-gone"
    level: ClassVar[int] = logging.WARNING

    other: str
    left: bool
    duration: float


@dataclass(frozen=True, slots=True)
class TakenOver(Event):
    """A session has the place of one of another node.

    Attributes:
        session_id: the session.
        avatar_id: its avatar id.
        fence: the number of its place; see `Session.fence`.
        other: the node of the earlier session.
        other_session_id: the earlier session.
        cause: "replaced" if the other node has ended it, or "dead" if that node is gone.
        duration: seconds for which the login waited for the place.
    """

    name: ClassVar[str] = "taken-over"

    session_id: str
    avatar_id: AvatarId
    fence: int | None
    other: str
    other_session_id: str
    cause: str
    duration: float


@dataclass(frozen=True, slots=True)
class PlaceLost(Event):
    """A session ends, since another one got its place while the node was cut off.

    Attributes:
        session_id: the session; `LoggedOut` follows.
        avatar_id: its avatar id.
        fence: the number of the place that it had.
        other: the node of the later session.
        other_session_id: the later session.
        duration: seconds for which the node was cut off; 0 if it was not known before.
    """

    name: ClassVar[str] = "place-lost"
    level: ClassVar[int] = logging.WARNING

    session_id: str
    avatar_id: AvatarId
    fence: int | None
    other: str
    other_session_id: str
    duration: float
