"""Twisted Cred's errors and ours."""

from __future__ import annotations

import logging
import traceback
from typing import Any, NoReturn

from twisted.cred import error as theirs

from actorcred import errors as ours

__all__ = ["Denied", "Unexpected", "our_error", "raise_theirs", "their_error"]

logger = logging.getLogger("actorcred.adapters.twisted")


class Denied(theirs.LoginDenied, theirs.UnauthorizedLogin):
    """A policy is against a login. Some protocols ask only whether it is unauthorized.

    Args:
        message: what a client may read.
        retry_after: seconds after which asking again makes sense; None if that cannot be said.
    """

    def __init__(self, message: str, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unexpected(ours.CheckerUnavailable):
    """A part of Twisted's raised what is no refusal.

    Args:
        original: that. A protocol of Twisted's gets it as it is: some of its parts speak to each other by exceptions.
        detail: for the log.
    """

    def __init__(self, original: BaseException, detail: str) -> None:
        super().__init__(detail)
        self.original = original


def our_error(error: BaseException, who: object) -> ours.LoginFailed:
    """Return our error for what a part of Twisted's raised.

    Args:
        error: what it raised. What is no refusal is logged.
        who: the part.
    """
    if isinstance(error, ours.LoginFailed):
        return error
    detail = type(error).__name__
    if isinstance(error, theirs.LoginDenied):
        return ours.LoginDenied(detail, retry_after=getattr(error, "retry_after", None))
    if isinstance(error, theirs.UnhandledCredentials):
        return ours.UnhandledCredentials(detail)
    if isinstance(error, theirs.LoginFailed | theirs.Unauthorized):
        return ours.UnauthorizedLogin(detail)
    name = type(who).__name__
    if (
        type(error).__module__ != "twisted.conch.error"
    ):  # as NotEnoughAuthentication, by which SSH asks for another factor
        # Without the text of the exception, which may quote the credentials.
        logger.error(
            "%s failed: %s\n%s", name, detail, "".join(traceback.format_tb(error.__traceback__))
        )
    return Unexpected(error, f"{name} failed: {detail}")


def their_error(error: BaseException) -> BaseException:
    """Return Twisted Cred's error for one of ours; those that are no refusal stay what they are.

    `CheckerUnavailable` is none: Twisted's protocols then say that the server has a problem, which is true. A realm without an
    interface raises NotImplementedError there.
    """
    if isinstance(error, ours.LoginDenied):
        return Denied(str(error), error.retry_after)
    if isinstance(error, ours.UnhandledCredentials):
        return theirs.UnhandledCredentials(str(error))
    if isinstance(error, ours.UnauthorizedLogin):
        return theirs.UnauthorizedLogin(str(error))
    if isinstance(error, ours.NoInterface):
        return NotImplementedError(str(error))
    return error.original if isinstance(error, Unexpected) else error


def raise_theirs(failure: Any) -> NoReturn:
    """Make Twisted Cred's error of what a Deferred failed with."""
    raise their_error(failure.value)
