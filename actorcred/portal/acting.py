"""Whom a client may act as, after it has proven who it is (RFC 4422, section 3.4.1)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import CoroutineType

from actorcred.credentials import BearerToken
from actorcred.errors import CheckerUnavailable, UnauthorizedLogin
from actorcred.names import ANONYMOUS, AvatarId, make_avatar_id, prepare_username
from actorcred.portal.attempt import Attempt
from actorcred.portal.events import printable

__all__ = ["MayActAs", "act_as"]


logger = logging.getLogger("actorcred.portal")

MayActAs = Callable[[str, str], bool]


def act_as(proven: AvatarId, attempt: Attempt, ask: MayActAs | None) -> AvatarId:
    """Return the avatar id that a client may act as. Its own name is no other, however the checker's answer looks.

    Args:
        proven: who it is, as the checker says.
        attempt: its login, which says whom it wants to act as.
        ask: the application's `may_act_as`.

    Raises:
        UnauthorizedLogin: if it may not.
        CheckerUnavailable: if `ask` fails.
    """
    wanted = attempt.authorize_as or ""
    # The name that comes with a token is a claim; who it is says the token.
    claimed = "" if isinstance(attempt.credentials, BearerToken) else attempt.claimed
    if proven is not ANONYMOUS and _prepared(wanted) in {_prepared(proven), _prepared(claimed)}:
        return proven
    try:
        wanted = make_avatar_id(wanted)
    except ValueError:
        raise UnauthorizedLogin("may not act as what is no avatar id") from None
    if not _may_act_as(proven, wanted, ask):
        raise UnauthorizedLogin("may not act as somebody else")
    return wanted


def _may_act_as(proven: AvatarId, wanted: str, ask: MayActAs | None) -> bool:
    if ask is None or proven is ANONYMOUS:
        return False
    try:
        may: object = ask(proven, wanted)
        if not isinstance(may, bool):
            if isinstance(may, CoroutineType):
                may.close()
            raise TypeError(
                f"it must return True or False, not a {type(may).__name__}"
            )  # a coroutine is true
    except Exception as error:
        logger.exception(
            "PortalOptions.may_act_as(%r, %r) failed:", printable(proven), printable(wanted)
        )
        raise CheckerUnavailable(f"may_act_as failed: {type(error).__name__}") from None
    return may


def _prepared(name: str) -> str:
    """Return a name in the form in which it is compared."""
    try:
        return prepare_username(name)
    except ValueError:
        return name
