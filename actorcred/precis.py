"""Preparing names and passwords, so that the same one typed on two machines is the same (RFC 8264, RFC 8265).

ASCII, which nearly every name and password is, passes without loading the library.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

__all__ = ["LONGEST_NAME", "LONGEST_PASSWORD", "prepare_password", "prepare_username"]

LONGEST_NAME = 1023
"""Bytes of a user name in UTF-8, as in XMPP (RFC 7622, section 3.3.1)."""

LONGEST_PASSWORD = 16_384
"""Bytes of a password in UTF-8; nobody shall have megabytes hashed."""

_ASCII_NAME = re.compile(r"[!-~]+(?: [!-~]+)*")
_ASCII_PASSWORD = re.compile(r"[ -~]*")


@cache
def _profile(name: str) -> Any:
    from precis_i18n import get_profile  # 20 ms, and most programs never see such a name

    return get_profile(name)


def _decoded(value: str | bytes, what: str, longest: int) -> str:
    if not isinstance(value, str | bytes):
        raise TypeError(f"the {what} must be str or bytes, not {type(value).__name__}")
    try:
        text = value if isinstance(value, str) else value.decode()
        length = len(text if text.isascii() else text.encode())
    except UnicodeError:
        raise ValueError(f"the {what} must be UTF-8") from None
    if length > longest:
        raise ValueError(f"the {what} is longer than {longest} bytes")
    return text


def _enforce(profile: str, value: str, what: str) -> str:
    try:
        return str(_profile(profile).enforce(value))
    except UnicodeEncodeError as error:
        # The library's text shows the character, which may be one of a password.
        raise ValueError(f"the {what} has a character that is not allowed: {error.reason.removeprefix('DISALLOWED/')}") from None


def prepare_username(name: str | bytes) -> str:
    """Return a user name in the form in which it is compared.

    It is the profile UsernameCasePreserved (RFC 8265, section 3.4), for each part between single spaces (section 3.5):
    Unicode NFC, full-width letters as ordinary ones; control, formatting and compatibility characters and mixed
    directions are refused. "Ann" and "ann" stay two names.

    Args:
        name: a text, or its UTF-8 bytes.

    Raises:
        TypeError: if it is neither.
        ValueError: if it is no user name; says why not.
    """
    text = _decoded(name, "user name", LONGEST_NAME)
    if _ASCII_NAME.fullmatch(text):
        return text
    if not text:
        raise ValueError("the user name must not be empty")
    return " ".join(_enforce("UsernameCasePreserved", part, "user name") for part in text.split(" "))


def prepare_password(password: str | bytes) -> str:
    """Return a password in the form in which it is hashed.

    It is the profile OpaqueString (RFC 8265, section 4.2): Unicode NFC, any space is an ordinary one, control characters
    are refused. The empty password stays what it is; who checks it refuses it.

    Args:
        password: a text, or its UTF-8 bytes.

    Raises:
        TypeError: if it is neither.
        ValueError: if it is no password; says why not, without showing it.
    """
    text = _decoded(password, "password", LONGEST_PASSWORD)
    return text if _ASCII_PASSWORD.fullmatch(text) else _enforce("OpaqueString", text, "password")
