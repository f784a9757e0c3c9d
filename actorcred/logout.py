"""Why a session ends: codes and reasons."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

__all__ = ["GOING_DOWN", "LogoutCode", "LogoutReason"]

GOING_DOWN = "the server is going down"
"""What clients are told whose session ends, or who may not log in, since the server ends."""


class LogoutCode(StrEnum):
    """Why a session ended."""

    LOGOUT = "logout"
    """The client logged out."""

    LOST = "lost"
    """The client is gone without a word."""

    KICKED = "kicked"
    IDLE = "idle"
    """Nothing came from the client for the idle timeout."""

    EXPIRED = "expired"
    """The absolute lifetime of a session is over."""

    REPLACED = "replaced"
    """The same avatar id logged in again."""

    REVOKED = "revoked"
    """The account was disabled or deleted, or has a new password."""

    OVERFLOW = "overflow"
    """The client did not keep up with its notifications."""

    CRASHED = "crashed"
    """The avatar raised an unhandled exception."""

    STOPPED = "stopped"
    """The avatar was stopped by the program or stopped itself."""

    DRAINED = "drained"
    """The server is going down."""


@dataclass(frozen=True, slots=True)
class LogoutReason:
    """Why a session ended.

    Args:
        code: one of a few kinds.
        detail: a text for the user, as a moderator gives it with a kick.
    """

    code: LogoutCode
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}" if self.detail else str(self.code)

    @property
    def by_client(self) -> bool:
        """Whether it is the client that went, so that it need not be told."""
        return self.code in {LogoutCode.LOGOUT, LogoutCode.LOST}
