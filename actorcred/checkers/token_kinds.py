"""Kinds of JSON Web Tokens: one for another purpose must not log in (RFC 8725, section 3.11)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

__all__ = ["TokenKind", "why_refused"]


class TokenKind(Enum):
    """Which tokens of an issuer are accepted."""

    ACCESS = "access"
    """Access tokens, and tokens that do not show their kind."""

    ID = "id"
    """ID tokens of OpenID Connect, and tokens that do not show their kind."""

    ANY = "any"
    """Both. Tokens for other purposes are still refused."""


_ACCESS_TYPES = frozenset(("at+jwt", "bearer", "access", "access_token"))
_ID_TYPES = frozenset(("id", "id+jwt", "id_token"))

_OTHER_TYPES = frozenset(
    (
        *(
            "refresh",
            "refresh_token",
            "offline",
            "logout",
            "logout_token",
            "dpop",
            "action",
            "jwe",
            "serialized-id",
        ),
        *("registrationaccesstoken", "initialaccesstoken", "passport"),
    )
)
"""Values of `typ` in tokens for the issuer itself or for other purposes.

Keycloak has them in the payload.
"""

_EXPLICIT = re.compile(r".+\+([a-z0-9]+-)*jwt")
"""Types of JWTs in the form of RFC 8725, such as logout+jwt, dpop+jwt, vc+sd-jwt.

Unknown ones must be refused.
"""

_ID_CLAIMS = frozenset(("nonce", "at_hash", "c_hash", "s_hash"))
"""Claims that only ID tokens have (OpenID Connect Core, sections 2 and 3.3.2.11).

They count unless a token says that it is something else.
"""


def why_refused(
    header: Mapping[str, Any], claims: Mapping[str, Any], wanted: TokenKind
) -> str | None:
    """Return why a token is refused, although the issuer signed it; None if it is accepted.

    Args:
        header: the header of the token, whose signature has been verified.
        claims: its claims.
        wanted: which tokens are accepted.
    """
    types = {
        _name_of(header.get("typ")),
        _name_of(claims.get("typ")),
        _name_of(claims.get("token_use")),
    }
    other = {
        name
        for name in types - _ACCESS_TYPES - _ID_TYPES
        if name in _OTHER_TYPES or _EXPLICIT.fullmatch(name)
    }
    if other:
        return "it is a token of another kind"
    if isinstance(claims.get("events"), dict):
        # RFC 8417; OpenID Connect Back-Channel Logout, section 2.4
        return "it reports an event, like a logout token"
    if claims.get("cnf"):
        # RFC 9449, section 7.2; RFC 8705, section 3
        return "it is bound to a key of the client (cnf), and not a bearer token"
    is_access = bool(types & _ACCESS_TYPES)
    is_id = bool(types & _ID_TYPES) or (
        not is_access and any(name in claims for name in _ID_CLAIMS)
    )
    if is_id and wanted is TokenKind.ACCESS:
        return "it is an ID token, not an access token"
    if is_access and wanted is TokenKind.ID:
        return "it is an access token, not an ID token"
    return None


def _name_of(value: object) -> str:
    """Return a type in its short form (RFC 7515, section 4.1.9); "other+jwt" if it is malformed."""
    if value is None:
        return ""
    return (
        value.strip().lower().removeprefix("application/")
        if isinstance(value, str)
        else "other+jwt"
    )
