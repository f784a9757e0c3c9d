"""One logged-in client: what the portal knows of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from actorcred.actors import ControlCall
from actorcred.sessions.states import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from actorcred.actors import ActorRef, Future
    from actorcred.avatar import AvatarRef, SharedAvatar
    from actorcred.credentials import AvatarId
    from actorcred.mind import MindRef

__all__ = ["LogoutCode", "LogoutReason", "Session", "SessionOwner"]


class LogoutCode(StrEnum):
    """Why a session ended."""

    LOGOUT = "logout"
    """The client logged out."""

    LOST = "lost"
    """The client is gone without a word."""

    KICKED = "kicked"
    IDLE = "idle"
    """Nothing came from the client for the idle timeout."""

    EXPIRED = "expired"
    """The absolute lifetime of a session is over."""

    REPLACED = "replaced"
    """The same avatar id logged in again."""

    REVOKED = "revoked"
    """The account was disabled or deleted, or has a new password."""

    OVERFLOW = "overflow"
    """The client did not keep up with its notifications."""

    CRASHED = "crashed"
    """The avatar raised an unhandled exception."""

    STOPPED = "stopped"
    """The avatar was stopped by the program or stopped itself."""

    DRAINED = "drained"
    """The server is going down."""


@dataclass(frozen=True, slots=True)
class LogoutReason:
    """Why a session ended.

    Args:
        code: one of a few kinds.
        detail: a text for the user, as a moderator gives it with a kick.
    """

    code: LogoutCode
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}" if self.detail else str(self.code)

    @property
    def by_client(self) -> bool:
        """Whether it is the client that went, so that it need not be told."""
        return self.code in {LogoutCode.LOGOUT, LogoutCode.LOST}


class SessionOwner(Protocol):
    """What a session needs of its portal."""

    def end_session(self, session: Session, reason: LogoutReason) -> Future[None]:
        """End a session."""

    def now(self) -> float:
        """Return the time in seconds on the portal's clock."""

    def tell_if_alive(self, message: Any) -> bool:
        """Send a message unless the portal has stopped."""


class Session:
    """A logged-in client, as `Login.session` and the portal's look-ups return it. Not made by users.

    Attributes:
        id: a random text with 128 bits of entropy; it names the session to operators and is no secret to log in with.
        avatar_id: who is logged in.
        interface: what the client may use the avatar as.
        avatar: the client's ref to the avatar; it works while the session is open.
        mind: the ref to the client.
        state: where the session stands.
        since: when it was opened, in seconds since the epoch.
        opened: the same on the portal's clock.
        last_seen: when the client last used it, on the portal's clock.
    """

    __slots__ = (
        "_notes",
        "_owner",
        "announced",
        "avatar",
        "avatar_id",
        "bucket",
        "checker",
        "done",
        "id",
        "interface",
        "last_seen",
        "mind",
        "on_gone",
        "opened",
        "reason",
        "revoked",
        "shared",
        "since",
        "state",
    )

    avatar: AvatarRef[Any]

    def __init__(self, session_id: str, avatar_id: AvatarId, interface: type, mind: MindRef, owner: SessionOwner) -> None:
        self.id = session_id
        self.avatar_id = avatar_id
        self.interface = interface
        self.mind = mind
        self.state = State.OPENING
        self.since = time.time()
        self.opened = self.last_seen = owner.now()
        self._owner = owner
        self._notes: dict[str, Any] | None = None
        # The rest is the portal's own.
        self.announced = False
        """Whether its login has succeeded: it may wait for the avatar's `on_login`."""
        self.bucket = -1
        self.checker: ActorRef[Any] | None = None
        self.on_gone: tuple[ActorRef[Any], Callable[[], object]] | None = None  # the realm, and what it wants called
        self.reason: LogoutReason | None = None
        self.revoked = False
        """Whether what the client has sent, and the avatar has not got yet, never will be handled."""
        self.shared: SharedAvatar | None = None
        self.done: Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Session {self.id[:6]}... of {self.avatar_id!r}, {self.state.value}>"

    @property
    def notes(self) -> Mapping[str, Any]:
        """What the application noted about this session; see `PortalRef.annotate`."""
        return MappingProxyType(self._notes or {})

    def annotate(self, notes: Mapping[str, Any]) -> None:
        """Add to the notes; a value of None takes a note away."""
        merged = {name: value for name, value in {**self.notes, **notes}.items() if value is not None}
        self._notes = merged or None

    @property
    def is_open(self) -> bool:
        """Whether the client is logged in."""
        return self.state is State.OPEN

    def touch(self) -> None:
        """Note that the client is active; what it sends through `Login.avatar` counts without this."""
        self.last_seen = self._owner.now()

    def announce(self) -> None:
        """Have the login succeed although `on_login` still runs, as when it asks the client, who must be in to answer."""
        if not self.announced:
            self._owner.tell_if_alive(ControlCall(("_avatar_opened", self)))

    def avatar_gone(self, cause: BaseException | None) -> None:
        """Tell the portal that the avatar has ended; the avatar's watcher."""
        self._owner.tell_if_alive(ControlCall(("_avatar_gone", self, cause)))

    def end(self, code: LogoutCode = LogoutCode.LOGOUT, detail: str = "") -> Future[None]:
        """Log out, from whatever thread and as often as one likes.

        Args:
            code: why; a protocol says `LogoutCode.LOST` when the connection broke.
            detail: a text for the user.

        Returns:
            A future that is done when nothing is left of the session.

        Raises:
            ValueError: if the code is none.
            TypeError: if the detail is no string.
        """
        if not isinstance(detail, str):
            raise TypeError(f"the detail of a logout must be a string, not a {type(detail).__name__}")
        return self._owner.end_session(self, LogoutReason(LogoutCode(code), detail))
