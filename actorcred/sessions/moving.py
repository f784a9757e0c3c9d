"""What of a session crosses to another server, and who packs and unpacks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from actorcred.identity import ClientInfo, Identity
from actorcred.logout import LogoutReason
from actorcred.mind.channel import Leftovers
from actorcred.names import AvatarId
from actorcred.sessions.session import Session

__all__ = ["Arrival", "Departure", "Mover", "Parcel"]


class Parcel(msgspec.Struct, frozen=True, array_like=True):
    """The state of a session beside what any other server may know of it.

    Times are in seconds since the epoch, since monotonic clocks do not cross.

    Attributes:
        snapshot: of the avatar.
        channel: the kind of the channel to the client.
        state: the channel's state.
        vouchers: which checkers vouch for the user: the name of the registered checker, the place
            of the one that is meant within it, and the name by which that knows the user.
        expires: when the proof ends; None if it does not.
        expiry_told: whether the client was told that it is near.
        proven: when the user last proved the credentials again; None if that has not been.
        proven_by: by which methods.
        never_idle: whether there is no idle time-out.
        status: the presence of the session: name -> value and when it was set.
        hidden: whether it is hidden from those who watch its user.
    """

    snapshot: bytes
    channel: str
    state: Any
    vouchers: list[tuple[str, list[int], str]] = []
    expires: float | None = None
    expiry_told: bool = False
    proven: float | None = None
    proven_by: list[str] = []
    never_idle: bool = False
    status: dict[str, tuple[float, Any]] = {}
    hidden: bool = False


@dataclass(slots=True)
class Arrival:
    """A session that comes from another server.

    Attributes:
        id: the session's id.
        avatar_id: who is logged in.
        interface: what the client uses the avatar as.
        checker: the name of the checker that accepted the credentials.
        identity: who the user is, without vouchers.
        client: where the client comes from.
        since: when the session was opened, in seconds since the epoch.
        last_active: when the client last used it.
        notes: what the application noted.
        parcel: all else.
        source: the id of the server that it comes from.
        fence: the number of its place here; see `Session.fence`.
        is_lost: returns whether others may have its place by now. Thread-safe.
    """

    id: str
    avatar_id: AvatarId
    interface: type
    checker: str
    identity: Identity
    client: ClientInfo
    since: float
    last_active: float
    notes: dict[str, Any]
    parcel: Parcel
    source: str
    fence: int | None = None
    is_lost: Callable[[], bool] = lambda: False


@dataclass(slots=True)
class Departure:
    """Where a session has gone.

    Attributes:
        target: the id of the server that has it.
        fence: the number of its place there.
        welcome: what the channel there has for the client; None if that is not known.
        duration: seconds since the move began.
        notes: those that it has taken along.
    """

    target: str
    fence: int | None = None
    welcome: Any = None
    duration: float = 0.0
    notes: Mapping[str, Any] = field(default_factory=dict)
    leftovers: Leftovers = field(default_factory=Leftovers)
    """What must follow it; set by `Mover.leave`."""
    end: LogoutReason | None = None
    """Why it must end there, since that was asked for while it moved; set by `Mover.leave`."""


class Mover(Protocol):
    """Packs and unpacks the sessions of a portal. The coroutines run on any event loop."""

    async def pack(self, session: Session) -> Parcel:
        """Have an avatar stop, and pack its session; `stay`, `leave` or `lose` must follow.

        Raises:
            MoveFailed: if it cannot move now; it goes on then.
        """

    async def stay(self, session: Session) -> None:
        """Let a session go on that was packed in vain."""

    async def leave(self, session: Session, departure: Departure) -> None:
        """End a session here that goes on at another server."""

    async def lose(self, session: Session, reason: LogoutReason) -> None:
        """End a session that might be at another server: without the avatar's `on_logout`."""

    async def check(self, arrival: Arrival) -> None:
        """Check that a session can be unpacked here.

        Raises:
            MoveFailed: if it cannot.
        """

    async def unpack(self, arrival: Arrival) -> Any:
        """Open a session that has arrived; return what its client needs to continue here.

        Raises:
            MoveFailed: if that is not possible; nothing is left of it then.
        """
