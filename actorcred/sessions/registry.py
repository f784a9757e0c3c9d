"""The registry, which decides which logins get a place, and finds sessions.

`MemoryRegistry` decides within one process. A registry for many machines has the same methods and
returns futures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from actorcred.actors import ActorRef, Future
from actorcred.checker import Revocation
from actorcred.errors import LoginDenied, MoveFailed, RefusalCause
from actorcred.identity import ClientInfo, Identity
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.mind.mind import MindRef
from actorcred.names import ANONYMOUS, AvatarId
from actorcred.sessions.directory import Directory
from actorcred.sessions.groups import Groups
from actorcred.sessions.guest import Newcomer
from actorcred.sessions.info import SessionInfo
from actorcred.sessions.moving import Mover
from actorcred.sessions.policies import Deny, Join, Limits, Policy, decide
from actorcred.sessions.presence import PresenceHost, PresenceLink
from actorcred.sessions.routing import ALONE, Router
from actorcred.sessions.session import Session
from actorcred.sessions.used import Used
from actorcred.throttle import RETRY_AFTER, News

__all__ = [
    "Claimant",
    "FarPlace",
    "MakeRegistry",
    "MemoryRegistry",
    "Place",
    "Registry",
    "SessionHost",
]


R = TypeVar("R")


class Claimant(Protocol):
    """What is known of a login that claims a place, beside who logs in.

    Attributes:
        identity: the identity, if the checker said more than an avatar id.
        client: where the client comes from.
        info: what the protocol tells the realm.
        target: how the client is reached; see `Mind`.
    """

    identity: Identity | None
    client: ClientInfo
    info: Mapping[str, Any]
    target: Any


@runtime_checkable
class FarPlace(Protocol):
    """An avatar of another machine, which a login shares. An interface for implementors."""

    def enter(self, mind: MindRef) -> tuple[type, ActorRef[Any]]:
        """Start an avatar that stands in for the other one. Called in the portal's context.

        Args:
            mind: the client, which from now on gets what the other avatar sends.

        Returns:
            The interface and the avatar, which is stopped when the session has ended.
        """


Place: TypeAlias = Session | FarPlace | None
"""The place of a login: the session whose avatar it shares, an avatar of another machine that it
shares, or None for an avatar of its own."""


class SessionHost(Protocol):
    """What a registry needs of its portal."""

    def end(self, session: Session, reason: LogoutReason) -> None:
        """End a session, if it is open."""

    def kick(self, sessions: Iterable[Session], detail: str) -> int:
        """End sessions at the application's request; return their number."""

    def count(self) -> int:
        """Return the number of open sessions. Thread-safe."""

    def run(self, step: Callable[[], R]) -> Future[R]:
        """Run a function in the portal's context. Thread-safe.

        The other methods must only be called in that context, unless they say otherwise.
        """

    def now(self) -> float:
        """Return the time in seconds on the portal's clock. Thread-safe."""

    def revoke(self, checker: str, avatar_id: AvatarId, what: Revocation) -> None:
        """Treat an account as if its checker here had reported it. Thread-safe."""

    def hear_news(self, told: Sequence[News], *, standing: bool) -> None:
        """Count failed logins of other machines, for the penalties here. Thread-safe.

        Args:
            told: what failed, or was forgiven, and sources that have become familiar, in order.
            standing: whether it is what stands at another machine, which can have been counted here
                already, and not what has just happened there.
        """

    def news(self, most: int) -> Future[list[News]]:
        """Return the latest failed logins that count here, and the latest familiar sources.

        Thread-safe.

        Args:
            most: of how many sources and accounts.
        """

    def publish(self, event: Any) -> None:
        """Send an `Event` to the portal's subscribers and the audit log. Thread-safe."""

    def interfaces(self) -> tuple[type, ...]:
        """Return the interfaces that the realm lists."""

    def shareable(self, avatar_id: AvatarId) -> Session | None:
        """Return an open session, possibly a guest's, whose avatar others can share; or None."""

    def attach(self, present: Session, newcomer: Newcomer) -> Session:
        """Have a client of another machine share the avatar of an open session.

        Returns:
            The guest's session.

        Raises:
            NoInterface: if the avatar implements none that the client has requested.
        """

    @property
    def mover(self) -> Mover:
        """What packs and unpacks sessions that move."""


class Registry(Protocol):
    """Decides which logins get a place, and finds sessions. An interface for implementors.

    A place is held from the claim until the session has ended completely, including its
    `on_logout`. All methods are called in the portal's context and must not block.

    Attributes:
        groups: the named groups of the portal.
        router: the way to the sessions of other machines.
        node: the id of this machine in its cluster, which events get; "" without a cluster.
    """

    groups: Groups
    router: Router
    node: str

    def claim(
        self,
        avatar_id: AvatarId,
        session_id: str,
        interfaces: tuple[type, ...],
        deadline: float,
        login: Claimant,
    ) -> Place | Future[Place]:
        """Claim a place for a login whose credentials were accepted.

        Args:
            avatar_id: who logs in.
            session_id: the id of the session that the login will have.
            interfaces: what the client requests of its avatar, in order of preference.
            deadline: when the portal fails the login, in seconds on its clock.
            login: what else is known of the login.

        Returns:
            The place, or a future of it if other sessions must end or other machines must be asked
            first.

        Raises:
            LoginFailed: if there is no place. A future fails with the same error.
        """

    def opened(self, session: Session) -> None:
        """Record that the login which claimed a place has its session. Others may now see it.

        Called again when the login has succeeded, if that is later.
        """

    def release(self, avatar_id: AvatarId, session_id: str) -> None:
        """Release a place, or withdraw a claim. Further calls must do nothing.

        After the portal has stopped, it is called on the threads of avatars that end, possibly on
        several at a time.
        """

    def fence(self, session_id: str) -> int | None:
        """Return the number of a place that was granted; see `Session.fence`.

        Called once for a claim that was answered by a future, when the realm has answered, and
        before the avatar learns of its session.

        Raises:
            LoginFailed: if the place was lost meanwhile.
        """

    def link(self, presence: PresenceHost) -> PresenceLink | None:
        """Return the way to the presence of users at other machines; None if there are none."""

    def revoked(self, checker: str, avatar_id: AvatarId, what: Revocation) -> None:
        """Tell other machines that a checker here has reported an account."""

    def tell_news(self, news: News) -> None:
        """Tell other machines what they need for their penalties."""

    def use_up(self, key: str, seconds: float, use: str) -> bool | Future[bool]:
        """Use up what can be used once; return whether it was not used before.

        Args:
            key: what it is.
            seconds: for which it can be used at most, from the first moment on.
            use: stands for this use. The same one may be asked about several times.

        Raises:
            CheckerUnavailable: if that is not known. A future fails with the same error.
        """

    def gauges(self) -> Mapping[str, float]:
        """Return further numbers for metrics, by their names. Thread-safe."""

    def find(self, session_id: str) -> SessionInfo | Future[SessionInfo | None] | None:
        """Return the open session with this id, or None."""

    def sessions(self, avatar_id: AvatarId | None) -> list[SessionInfo] | Future[list[SessionInfo]]:
        """Return the open sessions of one avatar id or, with None, all; oldest first."""

    def count(self) -> int | Future[int]:
        """Return the number of open sessions."""

    def annotate(self, session_id: str, notes: Mapping[str, Any]) -> bool | Future[bool]:
        """Add notes to a session; return whether it exists."""

    def kick(
        self, session_id: str | None, avatar_id: AvatarId | None, detail: str
    ) -> int | Future[int]:
        """End one session, those of an avatar id, or all if both are None; return their number."""

    def close(self) -> None:
        """Called when the portal lets nobody in any more; other sessions must not move here."""

    def move(self, session: Session, node: str) -> Future[str]:
        """Move a session to another machine; return a future of its id.

        Args:
            session: a session of this machine.
            node: the id or name of the other one; "" for one with few sessions.

        The future fails with `MoveFailed` if the session cannot be moved.
        """


MakeRegistry: TypeAlias = Callable[[Limits, Directory, SessionHost], Registry]
"""Creates the registry of a portal from its limits, its own sessions, and the host to end them."""


class _Claim:
    """A login that waits for its place."""

    __slots__ = ("avatar_id", "place", "session_id")

    def __init__(self, avatar_id: AvatarId, session_id: str) -> None:
        self.avatar_id = avatar_id
        self.session_id = session_id
        self.place: Future[Place] = Future()


class MemoryRegistry:
    """The registry of a portal whose sessions are all in this process.

    Args:
        limits: the limits on sessions, and the policy for concurrent ones.
        directory: the portal's sessions.
        host: ends sessions to make room.

    Attributes:
        groups: the named groups of the portal.
    """

    router = ALONE
    node = ""

    def __init__(self, limits: Limits, directory: Directory, host: SessionHost) -> None:
        self.groups = Groups()
        self._limits = limits
        self._directory = directory
        self._host = host
        self._unlimited = limits == Limits()  # every login gets a place, so none is counted
        self._exclusive = limits.policy is not Policy.ALLOW
        self._used = Used()
        self._places: set[str] = set()
        """The ids of all sessions with a place, from the claim to the end."""
        self._opening: dict[AvatarId, set[str]] = {}
        """Those of these sessions that are not open yet."""
        self._waiting: dict[AvatarId, dict[str, _Claim]] = {}
        self._kept: set[str] = set()
        """Claims for which sessions were ended. Each reserves a place against other logins."""

    def claim(
        self,
        avatar_id: AvatarId,
        session_id: str,
        interfaces: tuple[type, ...],
        deadline: float,
        login: Claimant,
    ) -> Place | Future[Place]:
        """Claim a place; see `Registry`."""
        if self._unlimited:
            return None
        claim = _Claim(avatar_id, session_id)
        self._decide(claim)
        return claim.place.get() if claim.place.done() else claim.place

    def opened(self, session: Session) -> None:
        """Note that a login has its session."""
        if not self._unlimited:
            self._settle(session.avatar_id, session.id)
            self._retry(session.avatar_id)

    def release(self, avatar_id: AvatarId, session_id: str) -> None:
        """Release a place, or withdraw a claim."""
        if self._unlimited:
            return
        self._places.discard(session_id)
        self._kept.discard(session_id)
        self._settle(avatar_id, session_id)
        self._stop_waiting(avatar_id, session_id)
        self._retry(avatar_id)

    def fence(self, session_id: str) -> int | None:
        """Return None: places are not numbered."""

    def link(self, presence: PresenceHost) -> None:
        """Return None: there is no other machine."""

    def revoked(self, checker: str, avatar_id: AvatarId, what: Revocation) -> None:
        """Do nothing: there is no other machine."""

    def tell_news(self, news: News) -> None:
        """Do nothing: there is no other machine."""

    def use_up(self, key: str, seconds: float, use: str) -> bool:
        """Use up what can be used once; return whether it was not used before."""
        return self._used.take(key, use, until=(now := self._host.now()) + seconds, now=now)

    def gauges(self) -> Mapping[str, float]:
        """Return no further numbers."""
        return {}

    # -- deciding --------------------------------------------------------------------------------

    def _decide(self, claim: _Claim) -> None:
        """Settle a claim, or have it wait."""
        avatar_id = claim.avatar_id
        anonymous = avatar_id is ANONYMOUS  # two anonymous clients are never the same user
        opening = () if anonymous else self._opening.get(avatar_id, ())
        if self._exclusive and not anonymous and (opening or self._directory.is_ending(avatar_id)):
            self._wait(claim)
            return
        present = () if anonymous else self._directory.of(avatar_id)
        total = len(self._places) + len(self._kept) - (claim.session_id in self._kept)
        decision = decide(self._limits, present, len(opening), total)
        if isinstance(decision, Deny):
            self._kept.discard(claim.session_id)
            denied = LoginDenied(decision.why, retry_after=RETRY_AFTER)
            claim.place.settle_error(denied.because(RefusalCause.SESSION_LIMIT))
        elif isinstance(decision, Join):
            self._grant(claim, decision.session)
        elif decision.evict:
            # Reserve the place first: on a full server another login would take it.
            self._kept.add(claim.session_id)
            self._wait(claim)
            for session in decision.evict:
                self._host.end(session, LogoutReason(LogoutCode.REPLACED))
        else:
            self._grant(claim, None)

    def _wait(self, claim: _Claim) -> None:
        self._waiting.setdefault(claim.avatar_id, {}).setdefault(claim.session_id, claim)

    def _stop_waiting(self, avatar_id: AvatarId, session_id: str) -> None:
        waiting = self._waiting.get(avatar_id)
        if waiting is not None and waiting.pop(session_id, None) is not None and not waiting:
            del self._waiting[avatar_id]

    def _grant(self, claim: _Claim, place: Place) -> None:
        self._kept.discard(claim.session_id)
        self._places.add(claim.session_id)
        self._opening.setdefault(claim.avatar_id, set()).add(claim.session_id)
        claim.place.settle(place)

    def _settle(self, avatar_id: AvatarId, session_id: str) -> None:
        """Forget that a login is getting its avatar."""
        opening = self._opening.get(avatar_id)
        if opening is not None:
            opening.discard(session_id)
            if not opening:
                del self._opening[avatar_id]

    def _retry(self, avatar_id: AvatarId) -> None:
        """Decide again, in order, about claims that wait for a session of the same avatar id."""
        while waiting := self._waiting.get(avatar_id):
            claim = next(iter(waiting.values()))
            self._decide(claim)
            if not claim.place.done():
                return
            self._stop_waiting(avatar_id, claim.session_id)

    # -- look-ups --------------------------------------------------------------------------------

    def find(self, session_id: str) -> SessionInfo | None:
        """Return the open session with this id, or None."""
        return self._directory.find(session_id)

    def sessions(self, avatar_id: AvatarId | None) -> list[SessionInfo]:
        """Return the open sessions of one avatar id or, with None, all; oldest first."""
        return [*self._own(avatar_id)]

    def count(self) -> int:
        """Return the number of open sessions."""
        return len(self._directory)

    def annotate(self, session_id: str, notes: Mapping[str, Any]) -> bool:
        """Add notes to a session; return whether it exists."""
        session = self._directory.find(session_id)
        if session is not None:
            session.annotate(notes)
        return session is not None

    def kick(self, session_id: str | None, avatar_id: AvatarId | None, detail: str) -> int:
        """End one session, those of an avatar id, or all if both are None; return their number."""
        if session_id is None:
            return self._host.kick(list(self._own(avatar_id)), detail)
        session = self._directory.find(session_id)
        return self._host.kick([] if session is None else [session], detail)

    def close(self) -> None:
        """Do nothing: there is no other machine."""

    def move(self, session: Session, node: str) -> Future[str]:
        """Fail: there is no other machine."""
        failed: Future[str] = Future()
        failed.settle_error(MoveFailed("there is no other server; see actorcred.cluster"))
        return failed

    def _own(self, avatar_id: AvatarId | None) -> Iterable[Session]:
        return self._directory if avatar_id is None else self._directory.of(avatar_id)
