"""What the portal remembers of a login under way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actorcred.actors import ControlCall
from actorcred.sessions.states import State

if TYPE_CHECKING:
    from actorcred.checker import CheckerRef
    from actorcred.errors import CheckerUnavailable
    from actorcred.mind.mind import MindRef
    from actorcred.names import AvatarId
    from actorcred.portal.pending_answer import PendingAnswer
    from actorcred.portal.ref import PortalRef
    from actorcred.sessions.sharing import SharedAvatar
from actorcred.portal.login import LoginFuture

__all__ = ["Attempt"]


class Attempt:
    """A login under way; without interfaces, credentials that are only verified."""

    __slots__ = (
        "answer",
        "authorize_as",
        "avatar_id",
        "candidates",
        "checker",
        "claimed",
        "credentials",
        "deadline",
        "details",
        "future",
        "interfaces",
        "keeps_place",
        "kind",
        "known",
        "mind",
        "portal",
        "shared",
        "source",
        "state",
        "target",
        "unavailable",
    )

    def __init__(
        self, portal: PortalRef, credentials: object, target: Any, interfaces: tuple[type, ...], authorize_as: str | None = None
    ) -> None:
        self.portal = portal
        self.authorize_as = authorize_as
        self.credentials: object | None = credentials
        self.target = target
        self.interfaces = interfaces
        self.future = LoginFuture(portal, self.give_up)
        self.state = State.CHECKING
        self.claimed = str(getattr(credentials, "username", ""))
        self.source = str(getattr(credentials, "source", ""))
        self.known = False
        """Whether a checker knows the account; for the log only."""
        self.kind = type(credentials).__name__
        self.deadline = 0.0
        # The checkers that were not asked yet, the one that is being asked, and its answer, by which a late one is known.
        self.candidates: list[CheckerRef] = []
        self.checker: CheckerRef | None = None
        self.answer: PendingAnswer | None = None
        self.details: list[str] | None = None
        self.unavailable: CheckerUnavailable | None = None
        # Once it is proven:
        self.avatar_id: AvatarId = ""
        self.keeps_place = False
        self.mind: MindRef | None = None
        self.shared: SharedAvatar | None = None

    @property
    def has_session(self) -> bool:
        """Whether it has led to a session."""
        return self.mind is not None and self.mind.session is not None

    def give_up(self) -> None:
        """Tell the portal that nobody waits any more."""
        self.portal.tell_if_alive(ControlCall(("_give_up", self)))
