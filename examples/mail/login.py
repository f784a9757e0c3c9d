"""What SASL sends in lines, for IMAP4 and POP3."""

from __future__ import annotations

import base64
import binascii

from actorcred.errors import ProtocolError

__all__ = ["answer_of", "decoded"]


def answer_of(line: bytes) -> bytes:
    """Return what a client's line says.

    Raises:
        ProtocolError: if that is nothing, or it breaks off.
    """
    if line.strip() == b"*":
        raise ProtocolError("broken off by the client")
    return _decoded(line.strip())


def decoded(initial: bytes) -> bytes:
    """Return what a client sent with its command; "=" is the empty message (RFC 4959 and 5034)."""
    return b"" if initial == b"=" else _decoded(initial)


def _decoded(line: bytes) -> bytes:
    try:
        return base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        raise ProtocolError("this is no base64") from None
