"""The registry of a portal of a cluster. Its methods run in the portal's context."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from actorcred.actors import Future
from actorcred.checker import Revocation
from actorcred.cluster.errors import BusDown, BusError, NodeGone, RemoteError
from actorcred.cluster.far import FarSession, Way
from actorcred.cluster.found import Found, Number, far_sessions
from actorcred.cluster.holdings import Holding
from actorcred.cluster.interfaces import Interfaces
from actorcred.cluster.messages import AnnotateSession, Count, Kick, ListSessions, Message
from actorcred.cluster.moves import Moves
from actorcred.cluster.penalties import Penalties
from actorcred.cluster.revocations import Revocations
from actorcred.cluster.used import Used
from actorcred.errors import CheckerUnavailable, LoginDenied, RefusalCause
from actorcred.names import ANONYMOUS, AvatarId, is_utf8, without_surrogates
from actorcred.sessions.directory import Directory
from actorcred.sessions.groups import Groups
from actorcred.sessions.info import SessionInfo
from actorcred.sessions.policies import Limits, Policy
from actorcred.sessions.presence import PresenceHost, PresenceLink
from actorcred.sessions.registry import Claimant, Place, SessionHost
from actorcred.sessions.routing import Router
from actorcred.sessions.session import Session
from actorcred.throttle import RETRY_AFTER, News

__all__ = ["ClusterRegistry", "Node"]


class Node(Way, Protocol):
    """What the registry needs of its node. All methods can be called on any thread."""

    draining: bool
    interfaces: Interfaces
    used: Used
    penalties: Penalties
    revocations: Revocations

    @property
    def groups(self) -> Groups:
        """The named groups of the portal."""

    def link(self, presence: PresenceHost) -> PresenceLink:
        """Return the way to the presence of users at other nodes."""

    @property
    def pipes(self) -> Router:
        """The way to the sessions of other nodes."""

    def post(self, function: Any, *args: Any) -> None:
        """Call a function on the cluster's event loop."""

    async def claim(self, holding: Holding, within: float) -> None:
        """Find a place."""

    def hold(self, holding: Holding) -> None:
        """Record a login; on the event loop."""

    def opened(self, session: Session) -> None:
        """Record a session; on the event loop."""

    def release(self, session_id: str) -> None:
        """Record the end of a session; on the event loop."""

    def fence(self, revision: int) -> int:
        """Return the number of a place."""

    def suspension(self, session_id: str) -> Callable[[], float] | None:
        """Return what decides about the calls of a session. Thread-safe."""

    def is_lost(self, holding: Holding) -> bool:
        """Return whether others may have a place that was granted. Thread-safe."""

    def gauges(self) -> Mapping[str, float]:
        """Return numbers for metrics. Thread-safe."""

    async def nodes_of(self, avatar_id: str) -> set[str]:
        """Return the other nodes that have sessions of an avatar id."""

    @property
    def moves(self) -> Moves:
        """What moves sessions; on the event loop."""


class ClusterRegistry:
    """Implements `Registry` for one node.

    Args:
        limits: the limits on sessions, and the policy, which must be the same on all nodes.
        directory: the portal's own sessions.
        host: the portal.
        node: the node.

    Attributes:
        groups: the named groups of the portal.
        node: the id of the node.
    """

    def __init__(self, limits: Limits, directory: Directory, host: SessionHost, node: Node) -> None:
        self.node = node.id
        self._directory = directory
        self._host = host
        self._node = node
        self.groups = node.groups
        self.router = node.pipes
        self._exclusive = limits != Limits()
        self._shares = limits.policy is Policy.SHARE
        self._granted: dict[str, tuple[int, Holding]] = {}
        self._new: list[Session] = []

    # -- places ----------------------------------------------------------------------------------

    def claim(
        self,
        avatar_id: AvatarId,
        session_id: str,
        interfaces: tuple[type, ...],
        deadline: float,
        login: Claimant,
    ) -> Place | Future[Place]:
        """Claim a place; see `Registry`."""
        if self._node.draining:
            denied = LoginDenied("this node is draining", retry_after=RETRY_AFTER, seen=False)
            raise denied.because(RefusalCause.DRAINING)
        self._node.interfaces.add(interfaces)
        if not self._is_limited(avatar_id):
            return None
        holding = Holding(avatar_id, session_id, exclusive=True)
        if self._shares:
            holding.interfaces, holding.login = interfaces, login
        # At once, so that a login that is given up soon can be released.
        self._node.post(self._node.hold, holding)
        within = max(0.0, deadline - self._host.now())
        return self._node.run(self._claim(holding, within))

    def _is_limited(self, avatar_id: AvatarId) -> bool:
        return self._exclusive and avatar_id is not ANONYMOUS

    async def _claim(self, holding: Holding, within: float) -> Place:
        await self._node.claim(holding, within)
        self._granted[holding.session_id] = self._node.fence(holding.revision), holding
        place, holding.place = holding.place, None
        return place

    def fence(self, session_id: str) -> int | None:
        """Return the number of a place that was granted; see `Registry`."""
        granted = self._granted.pop(session_id, None)
        if granted is None:
            return None
        fence, holding = granted
        if self._node.is_lost(holding):
            raise CheckerUnavailable("cut off from the other nodes during the login")
        return fence

    def opened(self, session: Session) -> None:
        """Record a session."""
        if self._is_limited(session.avatar_id):
            session.suspension = self._node.suspension(session.id)
            self._node.post(self._node.opened, session)
        else:
            self._node.post(self._open_soon, session)

    def _open_soon(self, session: Session) -> None:
        """Record a session that needs no permission, when its client has the answer."""
        if not self._new:
            asyncio.get_running_loop().call_soon(self._open_new)
        self._new.append(session)

    def _open_new(self) -> None:
        new, self._new = self._new, []
        for session in new:
            if session.is_open:
                self._node.hold(Holding(session.avatar_id, session.id, exclusive=False))
                self._node.opened(session)

    def release(self, avatar_id: AvatarId, session_id: str) -> None:
        """Release a place, or withdraw a claim. Thread-safe."""
        self._granted.pop(session_id, None)
        self._node.post(self._node.release, session_id)

    def link(self, presence: PresenceHost) -> PresenceLink:
        """Return the way to the presence of users at other nodes."""
        return self._node.link(presence)

    def revoked(self, checker: str, avatar_id: AvatarId, what: Revocation) -> None:
        """Tell the other nodes that a checker here has reported an account."""
        if avatar_id is not ANONYMOUS:
            self._node.post(self._node.revocations.tell, checker, avatar_id, what)

    def tell_news(self, news: News) -> None:
        """Tell all nodes what they need for their penalties."""
        self._node.post(self._node.penalties.tell, news)

    def use_up(self, key: str, seconds: float, use: str) -> Future[bool]:
        """Use up what can be used once in the whole cluster; see `Registry`."""
        return self._node.run(self._node.used.take(key, seconds, use))

    def gauges(self) -> Mapping[str, float]:
        """Return the numbers of this node for metrics. Thread-safe."""
        return self._node.gauges()

    def close(self) -> None:
        """Tell the other nodes that no session may move here any more."""
        self._node.draining = True

    def move(self, session: Session, node: str) -> Future[str]:
        """Move a session to another node."""
        return self._node.run(self._node.moves.move(session, node))

    # -- look-ups --------------------------------------------------------------------------------

    def find(self, session_id: str) -> SessionInfo | Future[SessionInfo | None] | None:
        """Return the open session with this id, or None."""
        session = self._directory.find(session_id)
        if session is not None:
            return session
        return self._node.run(self._find(session_id))

    async def _find(self, session_id: str) -> SessionInfo | None:
        if not _can_exist(session_id):
            return None
        answers, _ = await self._node.gather(ListSessions(session_id))
        return next(iter(self._far(answers)), None)

    def sessions(self, avatar_id: AvatarId | None) -> Future[list[SessionInfo]]:
        """Return the open sessions of one avatar id or, with None, all; oldest first.

        The result has an attribute `missing`, see `Found`.
        """
        own = list(self._directory if avatar_id is None else self._directory.of(avatar_id))
        return self._node.run(self._sessions(own, avatar_id))

    async def _sessions(self, own: list[Session], avatar_id: AvatarId | None) -> list[SessionInfo]:
        if not _can_exist(avatar_id):
            return Found()
        if isinstance(avatar_id, str):
            answers, missing = await self._sessions_of(avatar_id)
        else:
            which = "" if avatar_id is ANONYMOUS else None
            answers, missing = await self._node.gather(ListSessions(avatar_id=which))
        return Found.joined(own, self._far(answers), missing)

    async def _sessions_of(self, avatar_id: str) -> tuple[dict[str, Any], frozenset[str]]:
        """Ask only the nodes that have sessions of an avatar id; all if that is not known."""
        question = ListSessions(avatar_id=avatar_id)
        try:
            nodes = await self._node.nodes_of(avatar_id)
        except BusDown:
            return await self._node.gather(question)
        answers, missing = {}, set()
        for node in nodes:
            try:
                answers[node] = await self._node.ask(node, question)
            except (NodeGone, BusDown, BusError, RemoteError):
                missing.add(node)
        if not all(answers.values()):  # it moves, or has moved since the roster was read
            return await self._node.gather(question)
        return answers, frozenset(missing)

    def _far(self, answers: Mapping[str, Any]) -> list[FarSession]:
        return far_sessions(answers, self._node.interfaces, self._node)

    def count(self) -> Future[int]:
        """Return the number of open sessions. It has an attribute `missing`, see `Number`."""
        return self._node.run(self._count(len(self._directory)))

    async def _count(self, own: int) -> int:
        return await self._total(own, Count())

    async def _total(self, own: int, question: Message) -> Number:
        return Number.total(own, *await self._node.gather(question))

    def annotate(self, session_id: str, notes: Mapping[str, Any]) -> bool | Future[bool]:
        """Add notes to a session; return whether it exists."""
        session = self._directory.find(session_id)
        if session is not None:
            session.annotate(notes)
            return True
        return self._node.run(self._annotate(AnnotateSession(session_id, dict(notes))))

    async def _annotate(self, question: AnnotateSession) -> bool:
        if not _can_exist(question.session_id):
            return False
        answers, _ = await self._node.gather(question)
        return any(answer is True for answer in answers.values())

    def kick(
        self, session_id: str | None, avatar_id: AvatarId | None, detail: str
    ) -> int | Future[int]:
        """End one session, those of an avatar id, or all if both are None; return their number."""
        if session_id is not None:
            session = self._directory.find(session_id)
            if session is not None:
                return self._host.kick([session], detail)
            own = 0
        else:
            own = self._host.kick(
                list(self._directory if avatar_id is None else self._directory.of(avatar_id)),
                detail,
            )
        if not (_can_exist(session_id) and _can_exist(avatar_id)):
            return own
        whose = "" if avatar_id is ANONYMOUS else avatar_id
        question = Kick(session_id, whose, without_surrogates(detail))
        return self._node.run(self._total(own, question))


def _can_exist(wanted: AvatarId | None) -> bool:
    """Return whether a session can have such an id, so that messages can be about it.

    They name no user by "", and strings must be UTF-8.
    """
    return not isinstance(wanted, str) or (wanted != "" and is_utf8(wanted))
