"""Twisted Cred's errors and ours."""

from __future__ import annotations

from twisted.cred import error as theirs

from actorcred import errors as ours

__all__ = ["Denied", "our_error", "their_error"]


class Denied(theirs.LoginDenied):  # type: ignore[misc]
    """A policy is against a login.

    Args:
        message: what a client may read.
        retry_after: seconds after which asking again makes sense; None if that cannot be said.
    """

    def __init__(self, message: str, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def our_error(error: BaseException) -> ours.LoginFailed | None:
    """Return our error for one of Twisted Cred's, or None if it is no refusal."""
    if isinstance(error, ours.LoginFailed):
        return error
    detail = type(error).__name__
    if isinstance(error, theirs.LoginDenied):
        return ours.LoginDenied(detail, retry_after=getattr(error, "retry_after", None))
    if isinstance(error, theirs.UnhandledCredentials):
        return ours.UnhandledCredentials(detail)
    return ours.UnauthorizedLogin(detail) if isinstance(error, theirs.LoginFailed | theirs.Unauthorized) else None


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
    return error
