"""Who may come in beside whom: the places that logins under way take, keep and wait for."""

from __future__ import annotations

from actorcred.names import ANONYMOUS, AvatarId
from actorcred.portal.attempt import Attempt
from actorcred.sessions.directory import Directory
from actorcred.sessions.policies import Decision, Limits, Policy, decide
from actorcred.sessions.session import Session
from actorcred.sessions.states import SessionEvent, State, step

__all__ = ["Places"]


class Places:
    """The places of one portal's sessions, by its policy and limits.

    Args:
        limits: how many sessions there may be, and what a second login of an avatar id does.
        directory: where the open sessions are, and those that are ending.
    """

    def __init__(self, limits: Limits, directory: Directory) -> None:
        self._limits = limits
        self._directory = directory
        self.unlimited = limits == Limits()
        """Whether every login gets its place at once."""
        self.shares = limits.policy is Policy.SHARE
        """Whether sessions of one avatar id share an avatar."""
        self._opening: dict[AvatarId, int] = {}
        self._opening_total = 0
        # In the order in which they came; the values mean nothing.
        self.waiting: dict[AvatarId, dict[Attempt, None]] = {}
        self._kept = 0
        """Logins that wait for sessions which were ended for them: each has the place of one."""

    def decide(self, attempt: Attempt) -> Decision[Session] | None:
        """Return whether a login may come in; None if it must wait until another one of its avatar id is through."""
        avatar_id = attempt.avatar_id
        nobody = avatar_id is ANONYMOUS
        alone = self._limits.policy is not Policy.ALLOW and not nobody
        if alone and (avatar_id in self._opening or self._directory.is_ending(avatar_id)):
            return None
        present = () if nobody else self._directory.of(avatar_id)
        opening = 0 if nobody else self._opening.get(avatar_id, 0)
        kept = self._kept - attempt.keeps_place
        total = len(self._directory) + self._directory.ending + self._opening_total + kept
        return decide(self._limits, present, opening, total)

    # -- waiting ------------------------------------------------------------------------------------------------------

    def wait(self, attempt: Attempt, *, keep: bool = False) -> None:
        """Have a login wait; with `keep` it has the place of a session that ends for it."""
        self._keep(attempt, keep or attempt.keeps_place)
        self.waiting.setdefault(attempt.avatar_id, {})[attempt] = None

    def wait_no_more(self, attempt: Attempt) -> None:
        """Forget a login that has failed."""
        self._keep(attempt, False)
        waiting = self.waiting.get(attempt.avatar_id)
        if waiting is not None:
            waiting.pop(attempt, None)
            if not waiting:
                del self.waiting[attempt.avatar_id]

    def take_waiting(self, avatar_id: AvatarId) -> list[Attempt]:
        """Return the logins that wait for a place of this avatar id, the earliest first; they wait no more."""
        waiting = self.waiting.pop(avatar_id, None) if self.waiting else None
        return [attempt for attempt in waiting or () if attempt.state is State.WAITING]

    def _keep(self, attempt: Attempt, keeps: bool) -> None:
        self._kept += keeps - attempt.keeps_place
        attempt.keeps_place = keeps

    # -- opening ------------------------------------------------------------------------------------------------------

    def enter(self, attempt: Attempt) -> None:
        """Give a login a place while it gets its avatar."""
        attempt.state = step(attempt.state, SessionEvent.ADMITTED)
        if attempt.keeps_place:
            self._keep(attempt, False)
        self._opening[attempt.avatar_id] = self._opening.get(attempt.avatar_id, 0) + 1
        self._opening_total += 1

    def leave(self, attempt: Attempt) -> None:
        """Take back the place of a login that has its session, or has failed."""
        self._opening_total -= 1
        left = self._opening[attempt.avatar_id] - 1
        if left:
            self._opening[attempt.avatar_id] = left
        else:
            del self._opening[attempt.avatar_id]
