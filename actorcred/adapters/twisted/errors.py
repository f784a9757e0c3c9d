"""Conversion of Twisted Cred's errors to ours and back."""

from __future__ import annotations

import logging
import traceback
from typing import Any, NoReturn

from twisted.cred import error as theirs

from actorcred import errors as ours

__all__ = ["Denied", "Unexpected", "our_error", "raise_theirs", "their_error"]

logger = logging.getLogger("actorcred.adapters.twisted")


class Denied(theirs.LoginDenied, theirs.UnauthorizedLogin):
    """A policy denied a login. Also an `UnauthorizedLogin`, as some protocols check only for that.

    Args:
        message: the text for the client.
        retry_after: seconds after which to try again; None if unknown.
        seen: whether the credentials were examined.
        close: whether the protocol should close the connection, since the client did not stop.
    """

    def __init__(
        self, message: str, retry_after: float | None, *, seen: bool = True, close: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.seen = seen
        self.close = close


class Unexpected(ours.CheckerUnavailable):
    """Twisted code raised an exception that is not a refusal.

    Args:
        original: the exception. Twisted's protocols get it unchanged, as some of Twisted's parts
            communicate by exceptions.
        detail: a message for the log.
    """

    def __init__(self, original: BaseException, detail: str) -> None:
        super().__init__(detail)
        self.original = original


def our_error(error: BaseException, who: object) -> ours.LoginFailed:
    """Return our error for an exception of Twisted code.

    Args:
        error: the exception. It is logged unless it is a refusal.
        who: the object that raised it.
    """
    if isinstance(error, ours.LoginFailed):
        return error
    detail = type(error).__name__
    if isinstance(error, theirs.LoginDenied):
        return ours.LoginDenied(
            detail,
            retry_after=getattr(error, "retry_after", None),
            seen=getattr(error, "seen", True),
            close=getattr(error, "close", False),
        )
    if isinstance(error, theirs.UnhandledCredentials):
        return ours.UnhandledCredentials(detail)
    if isinstance(error, theirs.LoginFailed | theirs.Unauthorized):
        return ours.UnauthorizedLogin(detail)
    name = type(who).__name__
    if (
        type(error).__module__ != "twisted.conch.error"
    ):  # such as NotEnoughAuthentication, by which SSH asks for another factor
        # Without the text of the exception, which might quote the credentials.
        logger.error(
            "%s failed: %s\n%s", name, detail, "".join(traceback.format_tb(error.__traceback__))
        )
    return Unexpected(error, f"{name} failed: {detail}")


def their_error(error: BaseException) -> BaseException:
    """Return Twisted Cred's error for one of ours; errors that are not refusals stay unchanged.

    `CheckerUnavailable` is not a refusal: Twisted's protocols report a problem of the server, which
    is correct. `NoInterface` becomes NotImplementedError, as Twisted's realms raise.
    """
    if isinstance(error, ours.LoginDenied):
        return Denied(str(error), error.retry_after, seen=error.seen, close=error.close)
    if isinstance(error, ours.UnhandledCredentials):
        return theirs.UnhandledCredentials(str(error))
    if isinstance(error, ours.UnauthorizedLogin):
        return theirs.UnauthorizedLogin(str(error))
    if isinstance(error, ours.NoInterface):
        return NotImplementedError(str(error))
    return error.original if isinstance(error, Unexpected) else error


def raise_theirs(failure: Any) -> NoReturn:
    """Raise Twisted Cred's error for the failure of a Deferred."""
    raise their_error(failure.value)
