"""Tokens of another kind do not get in, although the issuer signed them for this service.

See RFC 8725, section 3.11.
"""

from __future__ import annotations

import time

import jwt
import pytest

from actorcred import BearerToken, Portal, UnauthorizedLogin
from actorcred.auth.registry import from_string
from actorcred.checkers.token import TokenChecker, TokenKind, TokenRules
from tests.helpers import Arena, Player

SECRET = "0123456789abcdef0123456789abcdef"


def lets_in(headers, changes, **rules):
    made = TokenRules(
        **{
            "algorithms": ("HS256",),
            "issuer": "https://issuer.example",
            "audience": "arena",
            **rules,
        }
    )
    portal = Portal.start(Arena.start([]), [TokenChecker.start(rules=made, secret=SECRET)])
    claims = {
        "sub": "ann",
        "iss": "https://issuer.example",
        "aud": "arena",
        "exp": int(time.time()) + 60,
        **changes,
    }
    claims = {name: value for name, value in claims.items() if value is not None}
    token = jwt.encode(claims, SECRET, "HS256", headers=headers)
    try:
        return portal.login(BearerToken(token), None, Player).get(timeout=10).session.avatar_id
    except UnauthorizedLogin:
        return None


EVENT = {
    "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    "sid": "1",
    "jti": "2",
}

ACCESS = {
    "RFC 9068": (
        {"typ": "at+jwt"},
        {"client_id": "x", "jti": "1", "auth_time": 1, "scope": "play"},
    ),
    "the long form": ({"typ": "application/AT+JWT"}, {}),
    "no type": ({"typ": None}, {}),
    "JWT": ({"typ": "JWT"}, {"scope": "play", "azp": "page"}),
    "small": ({"typ": "jwt"}, {}),
    "Keycloak": ({"typ": "JWT"}, {"typ": "Bearer", "nonce": "n", "azp": "page"}),
    "Cognito": ({}, {"token_use": "access", "client_id": "x"}),
    "an audience of several": ({}, {"aud": ["other", "arena"]}),
    "not bound": ({}, {"cnf": None, "events": "none"}),
}

NEITHER = {
    "logout token": ({"typ": "logout+jwt"}, EVENT),
    "logout token in the long form": ({"typ": "application/logout+JWT"}, EVENT),
    "logout token without a type": ({"typ": "JWT"}, EVENT),
    "logout token of Keycloak's": ({"typ": "JWT"}, {"typ": "Logout"}),
    "security event": ({"typ": "secevent+jwt"}, {}),
    "DPoP proof": ({"typ": "dpop+jwt"}, {}),
    "introspection": ({"typ": "token-introspection+jwt"}, {}),
    "request": ({"typ": "oauth-authz-req+jwt"}, {}),
    "unheard of": ({"typ": "x.y+jwt"}, {}),
    "key binding": ({"typ": "kb+jwt"}, {}),
    "credential": ({"typ": "vc+sd-jwt"}, {}),
    "refresh token of Keycloak's": ({"typ": "JWT"}, {"typ": "Refresh"}),
    "offline token of Keycloak's": ({"typ": "JWT"}, {"typ": "Offline"}),
    "refresh token by use": ({}, {"token_use": "refresh"}),
    "a type that is none": ({}, {"typ": 7}),
    "bound by DPoP": (
        {"typ": "at+jwt"},
        {"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}},
    ),
    "bound by TLS": (
        {"typ": "at+jwt"},
        {"cnf": {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}},
    ),
    "bound by both": ({}, {"cnf": {"x5t#S256": "b", "jkt": "0"}}),
    "bound by a key": ({}, {"cnf": {"jwk": {"kty": "EC"}}}),
    "bound in a way unheard of": ({}, {"cnf": "x"}),
}

ID = {
    "with a nonce": ({"typ": "JWT"}, {"nonce": "n"}),
    "with a hash": ({}, {"at_hash": "h"}),
    "with a hash of the code": ({"typ": None}, {"c_hash": "h"}),
    "Keycloak": ({"typ": "JWT"}, {"typ": "ID", "auth_time": 1}),
    "Cognito": ({}, {"token_use": "id"}),
}


def named(cases):
    return pytest.mark.parametrize(("headers", "changes"), cases.values(), ids=cases)


@named(ACCESS)
def test_access_tokens_let_in(headers, changes):
    assert lets_in(headers, changes) == lets_in(headers, changes, kind=TokenKind("any")) == "ann"


@named(NEITHER)
def test_tokens_for_other_purposes_let_nobody_in(headers, changes):
    for kind in ("access", "id", "any"):
        assert lets_in(headers, changes, kind=TokenKind(kind)) is None


@named(ID)
def test_id_tokens_let_in_only_where_they_are_wanted(headers, changes):
    assert lets_in(headers, changes) is None
    assert (
        lets_in(headers, changes, kind=TokenKind("id"))
        == lets_in(headers, changes, kind=TokenKind("any"))
        == "ann"
    )


def test_what_is_said_to_be_an_access_token_is_no_id_token():
    assert lets_in({"typ": "at+jwt"}, {}, kind=TokenKind("id")) is None
    assert lets_in({"typ": "JWT"}, {}, kind=TokenKind("id")) == "ann"


def test_issuer_and_audience_are_checked_unless_any_will_do():
    for rules in ({}, {"issuer": None}, {"audience": None}, {"issuer": "", "audience": ""}):
        with pytest.raises(ValueError, match="iss=any, aud=any"):
            TokenRules(**{"issuer": "x", "audience": "y", **rules} if rules else {})
    for changes in ({"iss": None}, {"iss": "https://other.example"}):
        assert lets_in({}, changes) is None
        assert lets_in({}, changes, issuer="any") == "ann"
    for changes in ({"aud": None}, {"aud": "other"}, {"aud": []}, {"aud": ["other"]}):
        assert lets_in({}, changes) is None
        assert lets_in({}, changes, audience="any") == "ann"


@pytest.mark.parametrize(
    ("value", "who"),
    [
        (7, "7"), (2**63, str(2**63)), ("7", "7"), (7.5, None), (True, None), ([7], None),
        ({}, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("claim", ["sub", "user_id"])
def test_a_number_is_a_name(claim, value, who):
    assert lets_in({}, {claim: value}, claim=claim) == who


def test_the_kind_by_a_descriptor(monkeypatch):
    monkeypatch.setenv("TOKEN_SECRET", SECRET)
    checker = from_string("jwt[alg=HS256,secret=${env:TOKEN_SECRET},iss=any,aud=any,kind=id]:")
    portal = Portal.start(Arena.start([]), [checker])
    token = jwt.encode({"sub": "ann", "exp": 4_000_000_000, "nonce": "n"}, SECRET, "HS256")
    assert portal.login(BearerToken(token), None, Player).get(timeout=10).session.avatar_id == "ann"
