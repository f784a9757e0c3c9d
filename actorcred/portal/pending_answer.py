"""The answer of a checker or the realm to a login, which can be immediate or late."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from enum import Enum
from threading import get_ident
from typing import Any, Final, Protocol, TypeVar

import pykka

from actorcred.actors import ActorRef, Future
from actorcred.errors import CheckerUnavailable
from actorcred.realm import LogOut
from actorcred.service import Question

__all__ = ["ANSWERED", "DOWN", "Asked", "PendingAnswer", "is_stop_of"]


class Asker(Protocol):
    """What an answer needs of its login."""

    awaited: PendingAnswer | None
    """The answer that it waits for; an earlier one is late."""


A = TypeVar("A", bound=Asker)


class Asked(Enum):
    """What a question to a checker or the realm has led to."""

    DOWN = "down"
    ANSWERED = "answered"
    LATER = "later"
    """The answer will arrive as a message."""


DOWN: Final = Asked.DOWN
ANSWERED: Final = Asked.ANSWERED
_LATER: Final = Asked.LATER


class PendingAnswer:
    """The place where a checker or the realm puts its answer to a login.

    Answers are compared by identity: one that is not the latest of its login is late.

    Args:
        role: the checker or realm that is asked.
        asker: the login, which expects this answer from now on.
        tell: called with the login and this answer, on any thread, if the answer is not immediate;
            returns whether the portal accepts it.
    """

    __slots__ = (
        "_asked",
        "_asker",
        "_attempt",
        "_cancelled",
        "_error",
        "_tell",
        "_value",
        "_work",
        "role",
    )

    def __init__(
        self, role: ActorRef[Any], asker: A, tell: Callable[[A, PendingAnswer], bool]
    ) -> None:
        self.role = role
        self._attempt = asker
        asker.awaited = self
        self._tell: Callable[[Any, PendingAnswer], bool] = tell
        self._value: Any = None
        self._error: BaseException | None = None
        self._work: Future[Any] | None = None
        self._cancelled = False
        # An answer on the asking thread, within the portal's turn, needs no message.
        self._asker = get_ident()
        self._asked: Asked = _LATER

    def ask(self, question: Question) -> Asked:
        """Ask; return whether the answer was immediate."""
        try:
            self.role.deliver(question, None)
        except pykka.ActorDeadError:
            self._attempt.awaited = None
            return DOWN
        self._asker = 0
        return self._asked

    def started(self, work: Future[Any]) -> None:
        """Remember the work in progress, which may be cancelled."""
        self._work = work
        if self._cancelled:
            work.cancel()

    def cancel(self) -> None:
        """Cancel the work for a login that has failed, such as hashing."""
        self._cancelled = True
        if self._work is not None:
            self._work.cancel()

    def settle(self, value: Any) -> None:
        """Store what the role returned."""
        self._value = value
        if self._asker == get_ident():
            self._asked = ANSWERED
        else:
            self._deliver()

    def settle_error(self, error: BaseException) -> None:
        """Store what the role raised."""
        self._error = error
        if self._asker == get_ident():
            self._asked = ANSWERED
        else:
            self._deliver()

    def _deliver(self) -> None:
        if not self._tell(self._attempt, self):
            self.discard_avatar()

    def get(self) -> Any:
        """Return or raise the answer."""
        if self._error is None:
            return self._value
        if isinstance(self._error, pykka.ActorDeadError):
            raise CheckerUnavailable(f"{self.role.actor_class.__name__} is down")
        raise self._error

    def discard_avatar(self) -> None:
        """Stop the avatar that a realm returned too late."""
        if not isinstance(self._value, tuple) or len(self._value) != 3:
            return
        _, avatar, logout = self._value
        if isinstance(avatar, pykka.ActorRef):
            avatar.stop(block=False)
        if callable(logout) and not is_stop_of(logout, avatar):
            with contextlib.suppress(pykka.ActorDeadError):
                self.role.tell(LogOut(logout))


def is_stop_of(logout: Any, avatar: object) -> bool:
    """Return whether a realm's logout is the avatar's own `stop`, which the portal sends anyway."""
    if isinstance(avatar, ActorRef) and logout == avatar.stop:
        return True
    owner = getattr(logout, "__self__", None)
    if not isinstance(owner, ActorRef) or not isinstance(avatar, ActorRef):
        return False
    return owner.actor_inbox is avatar.actor_inbox and logout.__name__ == "stop"
