"""Which kind a JSON Web Token is of, so that one for another purpose does not log in (RFC 8725, section 3.11)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

__all__ = ["TokenKind", "why_refused"]


class TokenKind(Enum):
    """Which tokens of an issuer log in."""

    ACCESS = "access"
    """Access tokens, and such as do not show what they are."""

    ID = "id"
    """ID tokens of OpenID Connect, and such as do not show what they are."""

    ANY = "any"
    """Both. Tokens for other purposes do not log in even so."""


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
"""What issuers write into `typ` of tokens that are for themselves or for other occasions; Keycloak does so in the payload."""

_EXPLICIT = re.compile(r".+\+([a-z0-9]+-)*jwt")
"""Types of JWTs as RFC 8725 has them, such as logout+jwt, dpop+jwt, vc+sd-jwt: one that is not known must not count."""

_ID_CLAIMS = frozenset(("nonce", "at_hash", "c_hash", "s_hash"))
"""What only ID tokens have (OpenID Connect Core, sections 2 and 3.3.2.11), if a token does not say that it is something else."""


def why_refused(
    header: Mapping[str, Any], claims: Mapping[str, Any], wanted: TokenKind
) -> str | None:
    """Return why a token does not log in, although the issuer signed it; None if it does.

    Args:
        header: of the token, once its signature has been verified.
        claims: what it says.
        wanted: which tokens log in.
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
        return "it tells of an event, as a logout token"  # RFC 8417; OpenID Connect Back-Channel Logout, section 2.4
    if claims.get("cnf"):
        return "it is bound to a key of the client (cnf), and no bearer token"  # RFC 9449, section 7.2; RFC 8705, section 3
    is_access = bool(types & _ACCESS_TYPES)
    is_id = bool(types & _ID_TYPES) or (
        not is_access and any(name in claims for name in _ID_CLAIMS)
    )
    if is_id and wanted is TokenKind.ACCESS:
        return "it is an ID token; an access token is wanted"
    if is_access and wanted is TokenKind.ID:
        return "it is an access token; an ID token is wanted"
    return None


def _name_of(value: object) -> str:
    """Return a type in its short form (RFC 7515, section 4.1.9); "other+jwt" for what is none."""
    if value is None:
        return ""
    return (
        value.strip().lower().removeprefix("application/")
        if isinstance(value, str)
        else "other+jwt"
    )
