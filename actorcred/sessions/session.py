"""One logged-in client: what the portal knows of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, Protocol, TypeVar, overload

import pykka

from actorcred.actors import ActorRef, Future, Revocable
from actorcred.actors.messages import is_control
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.mind.mind import MindRef
from actorcred.names import AvatarId
from actorcred.sessions.sharing import SharedAvatar
from actorcred.sessions.states import State

__all__ = ["AvatarRef", "Session", "SessionOwner"]


A = TypeVar("A", bound=pykka.Actor)


class SessionOwner(Protocol):
    """What a session needs of its portal."""

    def end_session(self, session: Session, reason: LogoutReason) -> Future[None]:
        """End a session."""

    def now(self) -> float:
        """Return the time in seconds on the portal's clock."""

    def avatar_opened(self, session: Session) -> None:
        """Have the login of a session succeed."""

    def avatar_gone(self, session: Session, cause: BaseException | None) -> None:
        """Finish the end of a session whose avatar has stopped."""


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

    def __init__(
        self,
        session_id: str,
        avatar_id: AvatarId,
        interface: type,
        mind: MindRef,
        owner: SessionOwner,
    ) -> None:
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
        self.on_gone: tuple[ActorRef[Any], Callable[[], object]] | None = (
            None  # the realm, and what it wants called
        )
        self.reason: LogoutReason | None = None
        self.revoked = False
        """Whether what the client has sent, and the avatar has not got yet, never will be handled."""
        self.shared: SharedAvatar[Session] | None = None
        self.done: Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Session {self.id[:6]}... of {self.avatar_id!r}, {self.state.value}>"

    @property
    def notes(self) -> Mapping[str, Any]:
        """What the application noted about this session; see `PortalRef.annotate`."""
        return MappingProxyType(self._notes or {})

    def annotate(self, notes: Mapping[str, Any]) -> None:
        """Add to the notes; a value of None takes a note away."""
        merged = {
            name: value for name, value in {**self.notes, **notes}.items() if value is not None
        }
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
            self._owner.avatar_opened(self)

    def avatar_gone(self, cause: BaseException | None) -> None:
        """Tell the portal that the avatar has ended; the avatar's watcher."""
        self._owner.avatar_gone(self, cause)

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
            raise TypeError(
                f"the detail of a logout must be a string, not a {type(detail).__name__}"
            )
        return self._owner.end_session(self, LogoutReason(LogoutCode(code), detail))


class AvatarRef(ActorRef[A]):
    """The client's ref to its avatar: it counts as a sign of life, and works while the session is open, not longer.

    The avatar's own `actor_ref`, which the program's other actors use, does neither.
    """

    __slots__ = ("session",)

    def __init__(self, ref: ActorRef[A], session: Session) -> None:
        self.actor_inbox = ref.actor_inbox
        self.session = session

    def is_alive(self) -> bool:
        """Tell whether the session is open and the avatar alive."""
        return self.session.is_open and super().is_alive()

    def tell(self, message: Any) -> None:
        """Send the avatar a message, as `ActorRef.tell`.

        Raises:
            pykka.ActorDeadError: if the session is over.
        """
        if not self.session.is_open:
            raise pykka.ActorDeadError(f"the session of {self} is over")
        self.session.touch()
        super().tell(self._queued(message))

    @overload
    def ask(
        self, message: Any, *, block: Literal[False], timeout: float | None = None
    ) -> Future[Any]: ...
    @overload
    def ask(self, message: Any, *, block: Literal[True], timeout: float | None = None) -> Any: ...
    @overload
    def ask(
        self, message: Any, *, block: bool = True, timeout: float | None = None
    ) -> Any | Future[Any]: ...
    def ask(
        self, message: Any, *, block: bool = True, timeout: float | None = None
    ) -> Any | Future[Any]:
        """Ask the avatar, as `ActorRef.ask`; the answer is a `pykka.ActorDeadError` if the session is over."""
        if self.session.is_open:
            self.session.touch()
            return super().ask(message, block=block, timeout=timeout)
        future: Future[Any] = Future()
        future.settle_error(pykka.ActorDeadError(f"the session of {self} is over"))
        return future.get() if block else future

    def hand_over(self, message: Any, reply: Any) -> None:
        """Send the avatar a message, as `ActorRef.hand_over`; if the session is over, `pykka.ActorDeadError` is the answer."""
        if not self.session.is_open:
            self._answer_dead(reply)
            return
        self.session.touch()
        super().hand_over(message, reply)

    def _queued(self, message: Any) -> Any:
        # A request to stop has to be known as one: a full mailbox takes it all the same.
        return message if is_control(message) else Revocable(message, self.session)
