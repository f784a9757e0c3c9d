"""What SASL sends in lines, for IMAP4 and POP3."""

from __future__ import annotations

from actorcred.errors import ProtocolError
from actorcred.sasl.mechanism import from_base64

__all__ = ["answer_of", "decoded"]


def answer_of(line: bytes) -> bytes:
    """Return what a client's line says.

    Raises:
        ProtocolError: if that is nothing, or it breaks off.
    """
    if line.strip() == b"*":
        raise ProtocolError("broken off by the client")
    return from_base64(line.strip())


def decoded(initial: bytes) -> bytes:
    """Return what a client sent with its command; "=" is the empty message (RFC 4959 and 5034)."""
    return b"" if initial == b"=" else from_base64(initial)
