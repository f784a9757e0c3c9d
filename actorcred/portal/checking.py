"""Asking the checkers whose a client's credentials are."""

from __future__ import annotations

import logging
from collections.abc import Callable

from actorcred.checker import Check, CheckerRef
from actorcred.errors import CheckerUnavailable, LoginDenied, LoginFailed, UnauthorizedLogin
from actorcred.exchange import Exchange
from actorcred.names import ANONYMOUS, AvatarId, make_avatar_id
from actorcred.portal.acting import MayActAs, act_as
from actorcred.portal.attempt import Attempt
from actorcred.portal.pending_answer import PendingAnswer

__all__ = ["Checking"]

logger = logging.getLogger("actorcred.portal")


class Checking:
    """Asks the checkers of a portal, one after the other.

    Args:
        may_act_as: whether a client may act as somebody else.
        tell: told a login and its checker's answer, if that comes later than at once.
        proven: called with a login whose avatar id is known.
        failed: called with a login that no checker lets in, and why.
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
        """Ask the last of the candidates; fail the login if there is none."""
        while attempt.candidates:
            checker = attempt.candidates.pop()
            if isinstance(attempt.credentials, Exchange):
                attempt.credentials.last = not attempt.candidates
            attempt.checker = checker
            answer = PendingAnswer(checker, attempt, self._tell)
            if answer.ask(Check(answer, attempt.credentials)):
                if answer.is_there():
                    self.answered(attempt, answer)
                return
            self._note_down(attempt, checker)
        self._failed(attempt, _failure(attempt))

    def _note(self, attempt: Attempt, detail: str, error: LoginFailed) -> None:
        """Remember why a checker did not let a client in, until the next ones have been asked."""
        if isinstance(error, CheckerUnavailable):
            attempt.unavailable = error
        attempt.known |= getattr(error, "known", False)
        attempt.details = [*(attempt.details or ()), detail]

    def _note_down(self, attempt: Attempt, checker: CheckerRef) -> None:
        self._note(attempt, f"{checker.actor_class.__name__} is down", CheckerUnavailable())

    def answered(self, attempt: Attempt, answer: PendingAnswer) -> None:
        """Go on with what a checker has decided."""
        if attempt.answer is not answer:
            return  # late: the login has failed, or gone on without this checker
        attempt.answer = None
        try:
            avatar_id = answer.get()
            if avatar_id is not ANONYMOUS:
                avatar_id = make_avatar_id(avatar_id)
            attempt.known = True
            if attempt.authorize_as:
                avatar_id = act_as(avatar_id, attempt, self._may_act_as)
        except LoginDenied as error:
            self._failed(attempt, error)
        except LoginFailed as error:
            why = f"{answer.role.actor_class.__name__}: {error.detail or 'no'}"
            self._note(attempt, why, error)
            self.ask_next(attempt)
        except (TypeError, ValueError) as error:
            checker = answer.role.actor_class.__name__
            logger.error("%s.request_avatar_id() returned no avatar id: %s", checker, error)
            self._note(attempt, f"{checker} returned no avatar id", CheckerUnavailable())
            self.ask_next(attempt)
        else:
            attempt.credentials = None  # a secret is not kept longer than it is needed
            self._proven(attempt, avatar_id)

    def do_without(self, attempt: Attempt) -> None:
        """Go on without a checker that is down."""
        assert attempt.checker is not None
        attempt.answer = None
        self._note_down(attempt, attempt.checker)
        self.ask_next(attempt)


def _failure(attempt: Attempt) -> LoginFailed:
    """Return what a login fails with that no checker has let in."""
    detail = "; ".join(attempt.details or ())
    error = attempt.unavailable
    if error is None:
        return UnauthorizedLogin(detail)
    # Another kind is an adapter's, which knows it again by what it carries.
    return CheckerUnavailable(detail) if type(error) is CheckerUnavailable else error
