"""Asking the checkers whether credentials are valid, and whose they are."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from actorcred.checker import Check, CheckerRef
from actorcred.errors import (
    CheckerUnavailable,
    LoginDenied,
    LoginFailed,
    RefusalCause,
    UnauthorizedLogin,
)
from actorcred.exchange import PASSWORD
from actorcred.identity import identity_of, seconds_left
from actorcred.names import AvatarId, make_avatar_id
from actorcred.portal.acting import MayActAs, act_as
from actorcred.portal.attempt import Attempt
from actorcred.portal.pending_answer import ANSWERED, DOWN, PendingAnswer

__all__ = ["Checking"]

logger = logging.getLogger("actorcred.portal")


class Checking:
    """Asks the checkers of a portal, one after the other.

    Args:
        may_act_as: whether a client may act as another user.
        tell: called with a login and its checker's answer, if that is not immediate.
        proven: called with a login and its avatar id, after its identity is set.
        failed: called with a login that no checker accepts, and the error.
    """

    def __init__(
        self,
        may_act_as: MayActAs | None,
        tell: Callable[[Attempt, PendingAnswer], bool],
        proven: Callable[[Attempt, AvatarId], None],
        failed: Callable[[Attempt, LoginFailed], None],
    ) -> None:
        self._may_act_as = may_act_as
        self._tell = tell
        self._proven = proven
        self._failed = failed

    def ask_next(self, attempt: Attempt) -> None:
        """Ask the next checker; fail the login if there is none."""
        while (checker := attempt.next_checker()) is not None:
            answer = PendingAnswer(checker, attempt, self._tell)
            asked = answer.ask(Check(answer, attempt.credentials))
            if asked is ANSWERED:
                self.answered(attempt, answer)
            if asked is not DOWN:
                return
            _note_down(attempt, checker)
        self._failed(attempt, attempt.failure())

    def answered(self, attempt: Attempt, answer: PendingAnswer) -> None:
        """Continue with a checker's answer."""
        if attempt.awaited is not answer:
            return  # late: the login has failed, or continued without this checker
        attempt.awaited = None
        try:
            answered, identity = answer.get(), None
            proves = getattr(attempt.credentials, "proves", PASSWORD)
            if type(answered) is str and proves is PASSWORD:  # by far the most frequent
                avatar_id: AvatarId = make_avatar_id(answered)
            else:
                identity = identity_of(answered, attempt.credentials)
                avatar_id = identity.avatar_id
                if seconds_left(identity, datetime.now(UTC)) == 0:
                    raise UnauthorizedLogin("the proof has ended", known=True)
            if attempt.authorize_as:
                attempt.note_known()
                identity = identity_of(identity or avatar_id, attempt.credentials)
                avatar_id = act_as(avatar_id, attempt, self._may_act_as)
        except LoginFailed as error:
            # A checker with too much to do must not keep the users of others out.
            if isinstance(error, LoginDenied) and error.cause is not RefusalCause.FULL:
                self._failed(attempt, error)
                return
            why = f"{answer.role.actor_class.__name__}: {error.detail or 'no'}"
            attempt.note_refusal(why, error)
            self.ask_next(attempt)
        except (TypeError, ValueError) as error:
            checker = answer.role.actor_class.__name__
            logger.error("%s.request_avatar_id() returned no avatar id: %s", checker, error)
            attempt.note_refusal(f"{checker} returned no avatar id", CheckerUnavailable())
            self.ask_next(attempt)
        else:
            attempt.identity = identity
            self._proven(attempt, avatar_id)

    def do_without(self, attempt: Attempt) -> None:
        """Continue without a checker that is down."""
        assert attempt.checker is not None
        attempt.awaited = None
        _note_down(attempt, attempt.checker)
        self.ask_next(attempt)


def _note_down(attempt: Attempt, checker: CheckerRef) -> None:
    attempt.note_refusal(f"{checker.actor_class.__name__} is down", CheckerUnavailable())
