"""SASL messages in protocols made of lines: base64, "=" and "*" (RFC 4954, 4959 and 5034)."""

from __future__ import annotations

import base64

from actorcred.errors import ProtocolError
from actorcred.sasl.mechanism import from_base64

__all__ = ["decode_answer", "decode_initial", "encode_challenge"]


def encode_challenge(challenge: bytes) -> bytes:
    """Return a challenge as the text of a line."""
    return base64.b64encode(challenge)


def decode_initial(word: str | bytes) -> bytes:
    """Return the initial response that a client sent with its command; "=" is the empty one.

    Raises:
        ProtocolError: if it is not base64.
    """
    text = word.encode("ascii", "replace") if isinstance(word, str) else word
    return b"" if text == b"=" else from_base64(text)


def decode_answer(line: bytes) -> bytes:
    """Return the client's answer to a challenge.

    Args:
        line: the line, with or without its end.

    Raises:
        ProtocolError: if the client aborts by "*", or the line is not base64.
    """
    text = line.strip()
    if text == b"*":
        raise ProtocolError("aborted by the client")
    return decode_initial(text)
