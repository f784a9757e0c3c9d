"""Why a session ends: codes and reasons."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from actorcred.names import without_surrogates

__all__ = ["GOING_DOWN", "LogoutCode", "LogoutReason"]

GOING_DOWN = "the server is going down"
"""Sent to clients whose session ends, or that cannot log in, because the server shuts down."""


class LogoutCode(StrEnum):
    """Why a session ended."""

    LOGOUT = "logout"
    """The client logged out."""

    LOST = "lost"
    """The client disconnected without logging out."""

    KICKED = "kicked"
    IDLE = "idle"
    """The client sent nothing during the idle timeout."""

    EXPIRED = "expired"
    """The session reached its maximum lifetime."""

    PROOF_EXPIRED = "proof-expired"
    """The proof of the user's credentials has ended, such as a token (`Identity.expires`)."""

    REPLACED = "replaced"
    """The same avatar id logged in again."""

    CUT_OFF = "cut-off"
    """The server lost touch with the other servers, or with that of the avatar; log in again."""

    REVOKED = "revoked"
    """The account was disabled or deleted, or has a new password."""

    OVERFLOW = "overflow"
    """The client was too slow for its notifications."""

    CRASHED = "crashed"
    """The avatar raised an unhandled exception."""

    STOPPED = "stopped"
    """The avatar was stopped by the program or stopped itself."""

    DRAINED = "drained"
    """The server is shutting down."""


@dataclass(frozen=True, slots=True)
class LogoutReason:
    """Why a session ended.

    Args:
        code: the kind of reason.
        detail: a message for the user, such as a moderator's comment on a kick. It is sent, so lone
            surrogates are replaced.
    """

    code: LogoutCode
    detail: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "detail", without_surrogates(self.detail))

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}" if self.detail else str(self.code)

    @classmethod
    def of(cls, code: LogoutCode) -> LogoutReason:
        """Return a reason without a detail, which all sessions share."""
        return _REASONS[code]

    @property
    def by_client(self) -> bool:
        """Whether the client ended the session itself, so that it need not be notified."""
        return self.code in {LogoutCode.LOGOUT, LogoutCode.LOST}


_REASONS = {code: LogoutReason(code) for code in LogoutCode}
