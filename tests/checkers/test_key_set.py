"""Keys as issuers publish them.

Without `alg`, without names, two types under one name, beside keys for encryption, with a BOM.
"""

from __future__ import annotations

import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from actorcred import AccountError, BearerToken, CheckerUnavailable, Portal, UnauthorizedLogin
from actorcred.checkers.key_set import MOST_TRIED, Fetching
from actorcred.checkers.token import TokenChecker, TokenRules
from tests.backends.issuer import Issuer, pem
from tests.helpers import Arena, Player

RSA, EC, ED, EC384 = (
    rsa.generate_private_key(65537, 2048),
    ec.generate_private_key(ec.SECP256R1()),
    ed25519.Ed25519PrivateKey.generate(),
    ec.generate_private_key(ec.SECP384R1()),
)
ALGORITHMS = ("RS256", "RS512", "PS256", "PS384", "ES256", "ES384", "EdDSA")
RULES = TokenRules(algorithms=ALGORITHMS, issuer="any", audience="any")


def jwk(key, **members):
    algorithm = {rsa.RSAPrivateKey: "RS256", ec.EllipticCurvePrivateKey: "ES256"}
    name = next((name for kind, name in algorithm.items() if isinstance(key, kind)), "EdDSA")
    if key is EC384:
        name = "ES384"
    return {**jwt.get_algorithm_by_name(name).to_jwk(key.public_key(), as_dict=True), **members}


def sign(key, algorithm, kid=None, **changes):
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(
        {"sub": "ann", "exp": 4_000_000_000, **changes}, key, algorithm, headers=headers
    )


@pytest.fixture(params=["file", "URL"])
def publish(request, tmp_path):
    """Start a checker with a JWKS; return what tells who a token lets in."""
    issuers = []

    def start(*keys, raw=None, rules=RULES):
        text = json.dumps({"keys": keys}) if raw is None else raw
        if request.param == "URL":
            issuers.append(Issuer())
            issuers[-1].text = text
            checker = TokenChecker.start(issuers[-1].url, rules, fetching=Fetching(cooldown=0.0))
        else:
            (tmp_path / "jwks.json").write_text(text, encoding="utf-8")
            checker = TokenChecker.start(str(tmp_path / "jwks.json"), rules)
        portal = Portal.start(Arena.start([]), [checker])
        return lambda token: (
            portal.login(BearerToken(token), None, Player).get(timeout=10).session.avatar_id
        )

    yield start
    for issuer in issuers:
        issuer.close()


def refused(who, *tokens):
    for token in tokens:
        with pytest.raises(UnauthorizedLogin):
            who(token)
    return True


def test_a_key_without_alg_serves_all_of_its_type_that_are_allowed(publish):
    who = publish(jwk(RSA, kid="r"), jwk(EC, kid="e"), jwk(EC384, kid="f"), jwk(ED, kid="d"))
    for algorithm in ("RS256", "RS512", "PS256", "PS384"):
        assert who(sign(RSA, algorithm, "r")) == "ann"
    assert (
        who(sign(EC, "ES256", "e"))
        == who(sign(EC384, "ES384", "f"))
        == who(sign(ED, "EdDSA", "d"))
        == "ann"
    )
    assert refused(
        who,
        sign(RSA, "RS384", "r"),
        sign(RSA, "RS256", "e"),
        sign(EC, "ES256", "f"),
        sign(EC384, "ES384", "e"),
    )


def test_a_key_with_alg_serves_no_other(publish):
    who = publish(jwk(RSA, kid="r", alg="RS256"), jwk(ED, kid="d", alg="Ed25519"))
    assert who(sign(RSA, "RS256", "r")) == who(sign(ED, "EdDSA", "d")) == "ann"
    assert refused(who, sign(RSA, "RS512", "r"), sign(RSA, "PS256", "r"))


def test_one_key_without_a_name(publish):
    who = publish(jwk(RSA))
    assert who(sign(RSA, "RS256")) == who(sign(RSA, "RS256", "whatever")) == "ann"
    assert refused(who, sign(rsa.generate_private_key(65537, 2048), "RS256"))


def test_one_name_for_two_types_of_keys(publish):
    who = publish(jwk(RSA, kid="k"), jwk(EC, kid="k"), jwk(ED, kid="k"))
    assert (
        who(sign(RSA, "PS256", "k"))
        == who(sign(EC, "ES256", "k"))
        == who(sign(ED, "EdDSA", "k"))
        == "ann"
    )
    assert refused(who, sign(RSA, "RS256", "other"))


def test_one_name_for_two_keys_of_one_type(publish):
    other = rsa.generate_private_key(65537, 2048)
    who = publish(jwk(other, kid="k"), jwk(RSA, kid="k"))
    assert who(sign(RSA, "RS256", "k")) == who(sign(other, "RS256", "k")) == "ann"


@pytest.mark.parametrize(
    "members",
    [
        {"use": "enc"},
        {"use": "enc", "alg": "RSA-OAEP"},
        {"alg": "RSA-OAEP-256"},
        {"key_ops": ["encrypt", "wrapKey"]},
        {"use": "x"},
    ],
)
def test_a_key_for_encryption_verifies_nothing_and_is_in_nobodys_way(publish, members):
    encrypting = rsa.generate_private_key(65537, 2048)
    who = publish(
        jwk(encrypting, kid="e", **members), jwk(RSA, kid="s", use="sig", key_ops=["verify"])
    )
    assert who(sign(RSA, "RS256")) == who(sign(RSA, "RS256", "s")) == "ann"
    assert refused(who, sign(encrypting, "RS256", "e"), sign(encrypting, "RS256"))


def test_keys_that_cannot_be_used_do_no_harm_to_others(publish):
    broken = [
        7,
        None,
        {},
        {"kty": "RSA", "kid": "x"},
        {"kty": "EC", "crv": "P-0"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "k"},
    ]
    who = publish(*broken, jwk(RSA, kid="k"))
    assert who(sign(RSA, "RS256", "k")) == "ann"
    assert refused(who, sign("secret" * 8, "HS256", "k"))


def test_the_tried_keys_have_a_bound(publish):
    others = [ed25519.Ed25519PrivateKey.generate() for _ in range(MOST_TRIED)]
    who = publish(*(jwk(key) for key in [*others, ED]))
    assert who(sign(others[-1], "EdDSA")) == "ann"
    assert refused(who, sign(ED, "EdDSA"))


def test_a_bom_before_it(publish):
    who = publish(raw="\ufeff" + json.dumps({"keys": [jwk(RSA, kid="k")]}))
    assert who(sign(RSA, "RS256", "k")) == "ann"


@pytest.mark.parametrize(
    "raw",
    ['{"keys":' + "[" * 50_000, '{"keys": {}}', '{"keys": []}', '{"keys": 7}', "{}", "{", "\ufeff"],
)
def test_what_is_no_set_is_a_clear_error(publish, raw):
    with pytest.raises(
        (AccountError, CheckerUnavailable),
        match=r"JWKS|cannot be used|cannot be fetched|unavailable",
    ):
        publish(raw=raw)(sign(RSA, "RS256"))


def test_a_key_in_pem_form_with_a_bom_serves_all_of_its_type(tmp_path):
    (tmp_path / "key.pem").write_bytes(b"\xef\xbb\xbf" + pem(RSA))
    portal = Portal.start(Arena.start([]), [TokenChecker.start(str(tmp_path / "key.pem"), RULES)])
    for algorithm in ("RS256", "PS256"):
        login = portal.login(BearerToken(sign(RSA, algorithm, "any")), None, Player).get(timeout=10)
        assert login.session.avatar_id == "ann"
    with pytest.raises(UnauthorizedLogin):
        portal.login(BearerToken(sign(EC, "ES256")), None, Player).get(timeout=10)


def test_one_key_without_a_name_may_be_changed_at_its_url():
    issuer = Issuer()
    try:
        issuer.text = json.dumps({"keys": [jwk(RSA)]})
        checker = TokenChecker.start(issuer.url, RULES, fetching=Fetching(cooldown=0.0))
        portal = Portal.start(Arena.start([]), [checker])
        assert (
            portal.login(BearerToken(sign(RSA, "RS256")), None, Player)
            .get(timeout=10)
            .session.avatar_id
            == "ann"
        )
        issuer.text = json.dumps({"keys": [jwk(ED)]})
        assert (
            portal.login(BearerToken(sign(ED, "EdDSA")), None, Player)
            .get(timeout=10)
            .session.avatar_id
            == "ann"
        )
    finally:
        issuer.close()


def test_wrong_signatures_of_a_known_key_fetch_nothing():
    issuer = Issuer()
    try:
        issuer.text = json.dumps({"keys": [jwk(RSA, kid="k")]})
        checker = TokenChecker.start(issuer.url, RULES, fetching=Fetching(cooldown=0.0))
        portal = Portal.start(Arena.start([]), [checker])
        for _ in range(5):
            with pytest.raises(UnauthorizedLogin):
                portal.login(
                    BearerToken(sign(rsa.generate_private_key(65537, 2048), "RS256", "k")),
                    None,
                    Player,
                ).get(timeout=10)
        assert issuer.fetched == 1
    finally:
        issuer.close()
