"""What the portal remembers of a login under way."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from actorcred.actors.mailbox import Mailbox
from actorcred.checker import CheckerRef
from actorcred.errors import CheckerUnavailable
from actorcred.mind.mind import MindRef
from actorcred.names import AvatarId
from actorcred.portal.login import LoginFuture
from actorcred.portal.pending_answer import PendingAnswer
from actorcred.sessions.session import Session
from actorcred.sessions.sharing import SharedAvatar
from actorcred.sessions.states import State

__all__ = ["Attempt"]


class Attempt:
    """A login under way; without interfaces, credentials that are only verified.

    Args:
        portal: the portal's mailbox, on which whoever waits for the login depends.
        give_up: called with this object when nobody waits any more.
        credentials: what the client presents.
        target: how to reach the client.
        interfaces: what it wants to use its avatar as.
    """

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
        "session",
        "shared",
        "source",
        "state",
        "target",
        "unavailable",
    )

    def __init__(
        self,
        portal: Mailbox,
        give_up: Callable[[Attempt], object],
        credentials: object,
        target: Any,
        interfaces: tuple[type, ...],
    ) -> None:
        self.authorize_as: str | None = None
        self.credentials: object | None = credentials
        self.target = target
        self.interfaces = interfaces
        self.future = LoginFuture(portal, partial(give_up, self))
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
        self.shared: SharedAvatar[Session] | None = None
        self.session: Session | None = None
