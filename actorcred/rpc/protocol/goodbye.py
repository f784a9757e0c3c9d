"""The codes of `cred.goodbye`, with which a server ends a connection (docs/protocol.md)."""

from __future__ import annotations

from enum import StrEnum

from actorcred.errors import ProtocolError
from actorcred.logout import LogoutCode

__all__ = ["FINAL", "GoodbyeCode"]


class GoodbyeCode(StrEnum):
    """Why a server closes a connection, if not because a session ends with a `LogoutCode`."""

    PROTOCOL_ERROR = ProtocolError.code
    """The client violated the protocol."""

    RESUMED = "resumed"
    """The session continues on another connection."""

    LOST = LogoutCode.LOST
    """The server that has the session cannot be reached by the one that the client has reached."""

    MOVED = "moved"
    """The session continues at another server, where the client must resume it."""

    SILENT = "silent"
    """The client promised a heartbeat and was silent."""

    LOGIN_TIMEOUT = "login-timeout"
    """The client did not log in in time."""

    FULL = "full"
    """The connection made room for another one before its login began."""

    STALLED = "stalled"
    """The client read nothing of what it was sent for too long."""

    DENIED = "denied"
    """The client's address continued to log in during its penalty."""


FINAL = frozenset(
    str(code)
    for code in (
        LogoutCode.LOGOUT,
        LogoutCode.KICKED,
        LogoutCode.REPLACED,
        LogoutCode.REVOKED,
        LogoutCode.IDLE,
        LogoutCode.EXPIRED,
        LogoutCode.PROOF_EXPIRED,
        GoodbyeCode.RESUMED,
        GoodbyeCode.PROTOCOL_ERROR,
    )
)
"""Codes after which a client must not reconnect unless its user wants it to."""
