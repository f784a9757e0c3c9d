"""Authorization of clients to act as another user (RFC 4422, section 3.4.1)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import CoroutineType

from actorcred.audit import printable
from actorcred.credentials import BearerToken
from actorcred.errors import CheckerUnavailable, RefusalCause, UnauthorizedLogin
from actorcred.names import ANONYMOUS, AvatarId, make_avatar_id, prepare_username
from actorcred.portal.attempt import Attempt

__all__ = ["MayActAs", "act_as"]


logger = logging.getLogger("actorcred.portal")

MayActAs = Callable[[str, str], bool]


def act_as(proven: AvatarId, attempt: Attempt, ask: MayActAs | None) -> AvatarId:
    """Return the avatar id that a client will act as.

    A client needs no permission to act as itself, by its avatar id or by the name that it claimed.

    Args:
        proven: the avatar id that the checker returned.
        attempt: the login, whose `authorize_as` is the avatar id to act as.
        ask: the application's `may_act_as`.

    Raises:
        UnauthorizedLogin: if it is not permitted.
        CheckerUnavailable: if `ask` fails.
    """
    wanted = attempt.authorize_as or ""
    # A name that is sent with a token is only a claim: the token identifies the user.
    claimed = "" if isinstance(attempt.credentials, BearerToken) else attempt.claimed
    if proven is not ANONYMOUS and _prepared(wanted) in {_prepared(proven), _prepared(claimed)}:
        return proven
    try:
        wanted = make_avatar_id(wanted)
    except ValueError:
        refused = UnauthorizedLogin("the name to act as is not an avatar id")
        raise refused.because(RefusalCause.NOT_PERMITTED) from None
    if not _may_act_as(proven, wanted, ask):
        refused = UnauthorizedLogin("may not act as another user")
        raise refused.because(RefusalCause.NOT_PERMITTED)
    return wanted


def _may_act_as(proven: AvatarId, wanted: str, ask: MayActAs | None) -> bool:
    if ask is None or proven is ANONYMOUS:
        return False
    try:
        may: object = ask(proven, wanted)
        if not isinstance(may, bool):
            if isinstance(may, CoroutineType):  # it would count as true
                may.close()
            raise TypeError(f"it must return True or False, not a {type(may).__name__}")
    except Exception as error:
        logger.exception(
            "PortalOptions.may_act_as(%r, %r) failed:", printable(proven), printable(wanted)
        )
        raise CheckerUnavailable(f"may_act_as failed: {type(error).__name__}") from None
    return may


def _prepared(name: str) -> str:
    """Return a name in its form for comparison."""
    try:
        return prepare_username(name)
    except ValueError:
        return name
