"""SASL in lines of text, for IMAP4 and POP3."""

from __future__ import annotations

from actorcred.errors import ProtocolError
from actorcred.sasl.mechanism import from_base64

__all__ = ["answer_of", "decoded"]


def answer_of(line: bytes) -> bytes:
    """Return the bytes that a client's line encodes.

    Raises:
        ProtocolError: if it encodes nothing, or cancels the exchange.
    """
    if line.strip() == b"*":
        raise ProtocolError("cancelled by the client")
    return from_base64(line.strip())


def decoded(initial: bytes) -> bytes:
    """Return the decoded initial response; "=" is the empty message (RFC 4959 and 5034)."""
    return b"" if initial == b"=" else from_base64(initial)
