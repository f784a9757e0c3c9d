"""A session: what the portal knows about one logged-in client."""

from __future__ import annotations

import math
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Literal, Protocol, overload

import pykka

from actorcred.actors import ActorRef, Future, Revocable
from actorcred.actors.cell import NOT_CALLED, Cell
from actorcred.actors.messages import is_control
from actorcred.errors import CallError
from actorcred.identity import ClientInfo, Identity
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.methods import demands_of
from actorcred.mind.mind import MindRef
from actorcred.names import AvatarId
from actorcred.sessions.guarded import Guarded
from actorcred.sessions.interface_ref import Interface_co, InterfaceRef
from actorcred.sessions.proof import Expiry, Proof, age_of, renewed
from actorcred.sessions.resting import Resting
from actorcred.sessions.seldom import Seldom
from actorcred.sessions.sharing import SharedAvatar
from actorcred.sessions.states import OPEN, OPENING, SessionEvent, State, step

__all__ = ["AvatarRef", "Session", "SessionOwner"]


class SessionOwner(Protocol):
    """What a session needs of its portal."""

    def end_session(self, session: Session, reason: LogoutReason) -> Future[None]:
        """End a session."""

    def now(self) -> float:
        """Return the time in seconds on the portal's clock."""

    def avatar_opened(self, session: Session) -> None:
        """Complete the login of a session."""

    def avatar_gone(self, session: Session, cause: BaseException | None) -> None:
        """Finish the end of a session whose avatar has stopped."""

    def avatar_woke(self, session: Session) -> None:
        """Watch again whether a session is idle, since its avatar has woken."""

    def put_to_sleep(self, session: Session) -> Future[bool]:
        """Have the avatar of a session fall asleep."""

    def move_session(self, session: Session, node: str) -> Future[str]:
        """Move a session to another server of the cluster."""


_NEVER_IDLE = math.inf
"""The time at which a session was last seen that has no idle timeout."""


class Session(Resting["AvatarRef[Interface_co]"], Guarded, Generic[Interface_co]):
    """The session of a logged-in client, as in `Login.session`. Only the portal creates sessions.

    `Session[Player]` is one whose client uses its avatar as a `Player`.

    Attributes:
        id: a random string with 128 bits of entropy. It identifies the session to operators, and
            cannot be used to log in.
        avatar_id: the avatar id that is logged in.
        interface: what the client may use the avatar as.
        checker: the name of the checker that accepted the credentials.
        fence: a number that is larger for every later session of the same avatar id on any machine,
            to be compared in the application's own writes; None without a registry that counts.
        avatar: the client's ref to the avatar; it works while the session is open.
        mind: the mind, through which the client is reached.
        state: the state of the session.
        suspension: returns after how many seconds the client should try again, if its messages are
            refused for now; 0 if they are not. It is called on any thread. None if they never are.
        expiry: when the session ends with the proof of its credentials; None if that does not end.
        proof: when the user last proved the credentials again; None if that has not been.
        announced: whether the login has succeeded.
        reason: why the session ends; None if it does not.
        revoked: whether the client's messages that the avatar has not handled are refused.
        since: when it was opened, in seconds since the epoch.
        opened: the same on the portal's clock.
        last_seen: when the client last used it, on the portal's clock.
    """

    _log_out = Seldom[tuple[ActorRef[Any], Callable[[], object]]]()
    _notes = Seldom[dict[str, Any]]()
    _shared = Seldom["SharedAvatar[Session]"]()
    expiry = Seldom[Expiry]()
    proof = Seldom[Proof]()

    __slots__ = (
        "_done",
        "_owner",
        "_seldom",
        "announced",
        "avatar_id",
        "bucket",
        "checker",
        "fence",
        "id",
        "interface",
        "last_seen",
        "mind",
        "opened",
        "reason",
        "revoked",
        "since",
        "state",
        "suspension",
    )

    is_guest: ClassVar[bool] = False
    """Whether the client is logged in at another machine; see `Guest`."""

    def __init__(
        self,
        session_id: str,
        avatar_id: AvatarId,
        interface: type,
        *,
        checker: str,
        mind: MindRef,
        owner: SessionOwner,
        fence: int | None = None,
    ) -> None:
        self.id = session_id
        self.avatar_id = avatar_id
        self.interface = interface
        self.checker = checker
        self.fence = fence
        self.mind = mind
        self.state: State = OPENING
        self.since = time.time()
        self.opened = self.last_seen = owner.now()
        self.bucket: Any = None  # where the directory watches the session's deadline
        self._owner = owner
        self.announced = self.revoked = False
        self._done: Future[None] | None = None
        self.reason: LogoutReason | None = None
        self.suspension: Callable[[], float] | None = None
        self._seldom: dict[str, Any] | None = None
        self._avatar = self._rest = None

    def _ref_to(self, mailbox: Cell) -> AvatarRef[Any]:
        return AvatarRef(ActorRef(mailbox), self)

    def __repr__(self) -> str:
        return f"<Session {self.id[:6]}... of {self.avatar_id!r}, {self.state.value}>"

    # -- for protocols and the application -------------------------------------------------------

    @property
    def notes(self) -> Mapping[str, Any]:
        """What the application noted about this session; see `PortalRef.annotate`."""
        return MappingProxyType(self._notes or {})

    @property
    def identity(self) -> Identity:
        """Who the user is, and how that was proven.

        For a client that acts as another user, this is the user who has proven the credentials.
        """
        return self.mind.identity

    @property
    def client(self) -> ClientInfo:
        """Where the client comes from; after `moved`, where it came from last."""
        return self.mind.client

    def moved(self, client: ClientInfo) -> None:
        """Record that the client continues on another connection."""
        self.mind.client = client

    @property
    def is_open(self) -> bool:
        """Whether the client is logged in."""
        return self.state is OPEN

    def sleep(self) -> Future[bool]:
        """Put the avatar to sleep until its next message; see `Avatar.snapshot`.

        Returns:
            A future of whether it sleeps: not if it has messages to handle, declines, or cannot.
        """
        return self._owner.put_to_sleep(self)

    def move(self, node: str = "") -> Future[str]:
        """Move the session to another server of the cluster; see `Realm.restore_avatar`.

        The client is told to resume there. This object then stands for a session that has ended.

        Args:
            node: the id of that server, or the name that it was given; by default one with few
                sessions.

        Returns:
            A future of the server's id. It fails with `MoveFailed` if the session cannot be moved.
        """
        return self._owner.move_session(self, node)

    @property
    def last_active(self) -> float:
        """When the client last used the session, in seconds since the epoch."""
        return time.time() - max(0.0, self._owner.now() - self.last_seen)

    def now(self) -> float:
        """Return the time in seconds on the portal's clock."""
        return self._owner.now()

    def touch(self) -> None:
        """Record that the client is active. Messages sent through `Login.avatar` do so, too."""
        if self.last_seen is not _NEVER_IDLE:
            self.last_seen = self._owner.now()

    def never_idle(self) -> None:
        """Exempt the session from the idle timeout, for a protocol with timeouts of its own."""
        self.last_seen = _NEVER_IDLE

    def announce(self) -> None:
        """Complete the login while `on_login` still runs, such as when that calls the client."""
        if not self.announced:
            self._owner.avatar_opened(self)

    def end(self, code: LogoutCode = LogoutCode.LOGOUT, detail: str = "") -> Future[None]:
        """End the session. May be called on any thread and more than once.

        Args:
            code: the reason; protocols use `LogoutCode.LOST` when the connection was lost.
            detail: a string for the user.

        Returns:
            A future that is done when the session has ended completely, including its `on_logout`.

        Raises:
            ValueError: if the code is unknown.
            TypeError: if the detail is not a string.
        """
        if not isinstance(detail, str):
            raise TypeError(
                f"the detail of a logout must be a string, not a {type(detail).__name__}"
            )
        if not detail and type(code) is LogoutCode:
            return self._owner.end_session(self, LogoutReason.of(code))
        return self._owner.end_session(self, LogoutReason(LogoutCode(code), detail))

    # -- for the portal, in the order of a session's life ----------------------------------------

    def expires_in(self, seconds: float | None) -> None:
        """Have the session end after some seconds, with the proof of its credentials."""
        self.expiry = None if seconds is None else Expiry(self._owner.now() + seconds)

    def reproven(self, proven: Identity, now: datetime, *, recent: bool = True) -> None:
        """Record that the user has proven the credentials again; see `proof.renewed`.

        Args:
            proven: what the checker says.
            now: an aware datetime.
            recent: whether it is known to be as old as it says.
        """
        if recent:
            self.proof = Proof(self._owner.now() - age_of(proven, now), proven.methods)
        self.mind.introduce(renewed(self.mind.identity, proven, now))

    def refresh(self, identity: Identity) -> None:
        """Set what the checkers now say of the user."""
        known = self.mind.identity
        self.mind.introduce(identity)
        if self._shared is not None and self._shared.hub.identity == known:
            self._shared.hub.introduce(identity)

    def give_avatar(self, ref: ActorRef[Any], shared: SharedAvatar[Session] | None) -> None:
        """Set the avatar, and the sessions that share it."""
        self.avatar = AvatarRef(ref, self)
        if shared is not None:
            self._shared = shared
            shared.add(self)

    def when_gone(self, realm: ActorRef[Any], log_out: Callable[[], object]) -> None:
        """Set the realm's logout function, which is called when the session has ended."""
        self._log_out = (realm, log_out)

    def log_out_like(self, other: Session) -> None:
        """Use the logout function of another session, whose avatar this one shares."""
        self._log_out = other._log_out

    def step(self, event: SessionEvent) -> None:
        """Go to the next state.

        Raises:
            ValueError: if the event cannot happen in this state.
        """
        self.state = step(self.state, event)

    def succeed(self) -> None:
        """Record that the login has succeeded."""
        self.announced = True

    def annotate(self, notes: Mapping[str, Any]) -> None:
        """Add to the notes; a value of None removes a note."""
        merged = {
            name: value for name, value in {**self.notes, **notes}.items() if value is not None
        }
        self._notes = merged or None

    def __call__(self, cause: BaseException | None) -> None:
        """Report to the portal that the avatar has ended. A bound method would cost memory."""
        self._owner.avatar_gone(self, cause)

    def woke(self) -> None:
        """Report to the portal that the avatar has woken."""
        self._owner.avatar_woke(self)

    @property
    def shared(self) -> SharedAvatar[Session] | None:
        """The sessions that share the avatar, this one included; None if it is not shared."""
        return self._shared

    def has_company(self) -> bool:
        """Return whether other sessions share the avatar."""
        return self._shared is not None and len(self._shared.sessions) > 1

    def part(self) -> None:
        """Leave the avatar to the other sessions that share it."""
        assert self._shared is not None
        self._shared.discard(self)
        self._log_out = None

    def leave_logout_to_another(self) -> None:
        """Leave the realm's logout to another session that shared the avatar."""
        self._log_out = None

    def end_for(self, reason: LogoutReason) -> None:
        """Record why the session ends; this decides whether waiting messages are refused."""
        self.reason = reason
        self.revoked = reason.code not in _IN_ORDER

    def revoke(self) -> None:
        """Refuse the client's messages that the avatar has not handled."""
        self.revoked = True

    def promise(self, done: Future[None]) -> None:
        """Have a future settled when the session has ended completely."""
        if self.state is State.ENDED:
            done.settle()
        elif self._done is None:
            self._done = done
        else:
            self._done.add_done_callback(lambda _: done.settle())

    def release(self) -> tuple[ActorRef[Any], Callable[[], object]] | None:
        """Close the mind, with the reason if there is one and the login had succeeded.

        Returns:
            The realm and its logout function, if there is one.
        """
        if self.announced and self.reason is not None:
            self.mind.close(self.reason)
        else:
            self.mind.session = None
            self.mind.abandon()
        self.part_from_avatar()
        log_out = self._log_out
        if log_out is not None:
            self._log_out = None
        return log_out

    def report_gone(self) -> None:
        """Settle the futures of the end of the session."""
        if self._done is not None:
            self._done.settle()


_IN_ORDER = frozenset((LogoutCode.LOGOUT, LogoutCode.DRAINED))
"""Reasons for which the client's waiting messages are still handled."""


class AvatarRef(InterfaceRef[Interface_co]):
    """The client's ref to its avatar. It works while the session is open, and records activity.

    The avatar's own `actor_ref`, for other actors of the program, does neither. `call` sends a call
    whose arguments and result type checkers know, `proxy` returns a proxy.
    """

    __slots__ = ("session",)

    def __init__(self, ref: ActorRef[Any], session: Session[Interface_co]) -> None:
        self.actor_inbox = ref.actor_inbox
        self.session = session

    @property
    def interface(self) -> type:
        """What the client may use the avatar as."""
        return self.session.interface

    def is_alive(self) -> bool:
        """Return whether the session is open and the avatar alive."""
        return self.session.is_open and super().is_alive()

    def tell(self, message: Any) -> None:
        """Send the avatar a message, as `ActorRef.tell`.

        Raises:
            pykka.ActorDeadError: if the session is over.
            CallError: if the client may not call the method.
        """
        if not self.session.is_open:
            raise pykka.ActorDeadError(f"the session of {self} is over")
        self.session.check(message)
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
        """Ask the avatar, as `ActorRef.ask`.

        If the session is over, that fails with `pykka.ActorDeadError`; if the client may not call
        the method, with a `CallError`.
        """
        error: Exception | None = None
        if self.session.is_open:
            try:
                self.session.check(message)
            except CallError as refusal:
                error = refusal
            else:
                self.session.touch()
                return super().ask(message, block=block, timeout=timeout)
        future: Future[Any] = Future()
        future.settle_error(error or pykka.ActorDeadError(f"the session of {self} is over"))
        return future.get() if block else future

    def deliver(self, message: Any, reply: Any) -> None:
        """Send the avatar a message, as `ActorRef.deliver`.

        If the session is over, the answer is a `pykka.ActorDeadError`.

        Raises:
            CallError: if the client may not call the method.
        """
        session = self.session
        if session.state is not OPEN:
            self._answer_dead(reply)
            return
        session.check(message)
        session.touch()
        self._deliver(message, reply)

    _deliver = ActorRef.deliver  # faster than by `super()`

    def call_now(
        self, name: str, args: tuple[Any, ...], receiver: Any, request: Any, loop: AbstractEventLoop
    ) -> Any:
        """Call a method if the avatar is idle on `loop`, the caller's, and nothing forbids it.

        See `Cell.call_now`. If it returns `NOT_CALLED`, the call must be delivered.
        """
        session, mailbox = self.session, self.actor_inbox
        demands = demands_of(session.interface)
        if (
            session.state is not OPEN
            or (session.suspension is not None and session.suspension())
            or (demands is not None and name in demands)
            or mailbox.stopped
            or mailbox.dispatcher.loop is not loop
            or not mailbox.busy.acquire(False)
        ):
            return NOT_CALLED
        session.touch()
        return mailbox.call_now(name, args, receiver, request)

    def _queued(self, message: Any) -> Any:
        # A request to stop must remain recognizable, since even a full mailbox accepts it.
        return message if is_control(message) else Revocable(message, self.session)
