"""JSON Web Tokens: who signed them, for whom, and until when.

Keys are from files, and from a real HTTP server.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import tempfile
import time
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from actorcred import AccountError, BearerToken, CheckerUnavailable, Portal, UnauthorizedLogin
from actorcred.auth.registry import from_string
from actorcred.checkers.bases.blocking import BackendLimits
from actorcred.checkers.token import Fetching, TokenChecker, TokenRules
from tests.backends.issuer import KEYS, RSA, Issuer, jwks, pem
from tests.helpers import Arena, Player, until

RULES = TokenRules(issuer="https://issuer.example", audience="arena")
OPEN = TokenRules(issuer="any", audience="any")
SECRET = "0123456789abcdef0123456789abcdef"


def claims(**changes):
    now = int(time.time())
    made = {
        "sub": "ann",
        "iss": "https://issuer.example",
        "aud": "arena",
        "exp": now + 60,
        "nbf": now - 1,
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


def sign(key=RSA, algorithm="RS256", kid=None, **changes):
    return jwt.encode(
        claims(**changes), key, algorithm, headers={} if kid is None else {"kid": kid}
    )


def serve(checker):
    return Portal.start(Arena.start([]), [checker])


def login(portal, token):
    return portal.login(BearerToken(token), None, Player).get(timeout=20).session.avatar_id


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "key.pem"
    path.write_bytes(pem(RSA))
    return path


def test_a_token_that_counts_lets_in(key_file, dispatcher):
    portal = serve(TokenChecker.start(str(key_file), RULES))
    assert login(portal, sign()) == "ann"
    assert (
        login(portal, sign(aud=["others", "arena"], exp=int(time.time()) - 3)) == "ann"
    )  # within the leeway


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1}, {"exp": None}, {"nbf": 4_000_000_000}, {"iss": "https://evil.example"},
        {"iss": None}, {"aud": "others"}, {"aud": None}, {"sub": None}, {"sub": ""},
        {"sub": "a\nb"}, {"sub": "ann\u202e"},
    ],
)  # fmt: skip
def test_any_other_lets_nobody_in(key_file, inline, changes):
    portal = serve(TokenChecker.start(str(key_file), RULES))
    with pytest.raises(UnauthorizedLogin):
        login(portal, sign(**changes))


def test_the_rules_say_how_it_is_signed_and_not_the_token(key_file):
    portal = serve(TokenChecker.start(str(key_file), RULES))
    other = rsa.generate_private_key(65537, 2048)
    header, payload, signature = sign().split(".")
    unsigned = jwt.encode(claims(), None, "none")
    hs = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode()
    forged = (
        base64.urlsafe_b64encode(hmac.digest(pem(RSA), f"{hs}.{payload}".encode(), hashlib.sha256))
        .rstrip(b"=")
        .decode()
    )
    for token in (
        sign(other), unsigned, f"{hs}.{payload}.{forged}", f"{header}.{payload}.",
        f"{header}.{payload}.{signature}A", "", "x", "a.b.c", "." * 100, "x" * 20_000,
        sign(KEYS["ES256"], "ES256"),
    ):  # fmt: skip
        with pytest.raises(UnauthorizedLogin):
            login(portal, token)


def test_the_right_key_is_not_enough_with_another_algorithm(key_file):
    portal = serve(
        TokenChecker.start(
            str(key_file), TokenRules(algorithms=("RS512", "ES256"), issuer="any", audience="any")
        )
    )
    assert login(portal, sign(algorithm="RS512", aud=None)) == "ann"
    with pytest.raises(UnauthorizedLogin):
        login(portal, sign(aud=None))


def test_shared_secrets_and_other_claims(monkeypatch):
    monkeypatch.setenv("TOKEN_SECRET", SECRET)
    portal = serve(
        from_string(
            "jwt[alg=HS256,secret=${env:TOKEN_SECRET},claim=email,iss=https\\://issuer.example,aud=arena]:"
        )
    )
    assert login(portal, sign(SECRET, "HS256", email="ann@example.org")) == "ann@example.org"
    with pytest.raises(UnauthorizedLogin):
        login(portal, sign(SECRET + "x", "HS256", email="ann@example.org"))
    for aud in (None, "somebody else"):
        with pytest.raises(UnauthorizedLogin):
            login(portal, sign(SECRET, "HS256", email="ann@example.org", aud=aud))


def test_keys_in_a_file_may_change(tmp_path, inline):
    path = tmp_path / "jwks.json"
    path.write_text(jwks(old=("RS256", RSA)))
    portal = serve(from_string(f"jwt[iss=https\\://issuer.example,aud=arena]:{path}"))
    assert login(portal, sign(kid="old")) == login(portal, sign()) == "ann"
    path.write_text(jwks(new=("ES256", KEYS["ES256"]), newer=("EdDSA", KEYS["EdDSA"])))
    assert login(portal, sign(KEYS["ES256"], "ES256", "new")) == "ann"
    assert login(portal, sign(KEYS["EdDSA"], "EdDSA", "newer")) == "ann"
    for token in (
        sign(kid="old"),
        sign(KEYS["ES256"], "ES256"),
        sign(KEYS["ES256"], "ES256", "newer"),
    ):
        with pytest.raises(UnauthorizedLogin):
            login(portal, token)
    path.unlink()
    with pytest.raises(CheckerUnavailable):
        login(portal, sign(KEYS["ES256"], "ES256", "new"))


@pytest.fixture
def issuer():
    made = Issuer()
    yield made
    made.close()


def test_keys_at_a_url_are_rotated_while_running(issuer, dispatcher):
    portal = serve(TokenChecker.start(issuer.url, RULES, fetching=Fetching(cooldown=0.0)))
    for _ in range(3):
        assert login(portal, sign(kid="first")) == "ann"
    assert issuer.fetched == 1
    issuer.text = jwks(second=("ES256", KEYS["ES256"]))
    assert login(portal, sign(KEYS["ES256"], "ES256", "second")) == "ann"
    with pytest.raises(UnauthorizedLogin):
        login(portal, sign(kid="first"))


def test_a_key_that_was_withdrawn_counts_no_longer_than_the_keys_live(issuer, dispatcher):
    portal = serve(TokenChecker.start(issuer.url, RULES, fetching=Fetching(lifespan=1e-9)))
    assert login(portal, sign(kid="first")) == "ann"
    issuer.text = jwks(second=("ES256", KEYS["ES256"]))
    with pytest.raises(UnauthorizedLogin):
        login(portal, sign(kid="first"))
    issuer.text = '{"keys": []}'
    with pytest.raises(CheckerUnavailable):
        login(portal, sign(KEYS["ES256"], "ES256", "second"))


def test_unknown_keys_do_not_flood_the_issuer(issuer):
    portal = serve(TokenChecker.start(issuer.url, RULES, fetching=Fetching(cooldown=600.0)))
    for number in range(20):
        with pytest.raises(UnauthorizedLogin):
            login(portal, sign(kid=f"k{number}"))
    assert issuer.fetched == 1


def test_an_issuer_that_is_down_or_hangs_is_unavailable_and_comes_back(issuer):
    portal = serve(
        TokenChecker.start(
            issuer.url, RULES, limits=BackendLimits(timeout=0.3), fetching=Fetching(cooldown=0.0)
        )
    )
    issuer.hangs.clear()
    with pytest.raises(CheckerUnavailable):
        login(portal, sign(kid="first"))
    issuer.hangs.set()
    issuer.text = "no JSON"
    with pytest.raises(CheckerUnavailable):
        login(portal, sign(kid="first"))
    issuer.text = jwks(first=("RS256", RSA))
    assert login(portal, sign(kid="first")) == "ann"


def test_settings_that_make_no_sense_are_refused(tmp_path, key_file):
    private, nonsense = tmp_path / "private.pem", tmp_path / "nonsense"
    nonsense.write_text("-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----\n")
    form = (
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    private.write_bytes(RSA.private_bytes(*form))
    for text, message in [
        ("jwt[OPEN]:", "secret goes with"), ("jwt[OPEN,alg=none]:x", "need a signature"),
        ("jwt[OPEN,alg=HS256 RS256]:x", "do not go together"),
        ("jwt[OPEN,alg=HS256,secret=short]:", "32 bytes"),
        (f"jwt[OPEN,secret={SECRET}]:{key_file}", "secret goes with"),
        ("jwt[OPEN]:/no/such/file", "cannot read"),
        (f"jwt[OPEN]:{private}", "private key"), (f"jwt[OPEN]:{nonsense}", "neither a JWKS nor"),
        ("jwt[OPEN]:http://issuer.example/jwks.json", "need https"),
        (f"jwt[OPEN,kind=shoe]:{key_file}", "kind"),
        (f"jwt[iss=any]:{key_file}", "iss=any, aud=any"),
        (f"jwt[aud=arena]:{key_file}", "iss=any, aud=any"),
        (f"jwt[iss=,aud=]:{key_file}", "iss=any, aud=any"), (f"jwt:{key_file}", "iss=any, aud=any"),
    ]:  # fmt: skip
        with pytest.raises(AccountError, match=message) as wrong:
            from_string(text.replace("OPEN", "iss=any,aud=any"))
        assert SECRET not in str(wrong.value)


@given(st.text(max_size=100))
@settings(deadline=None)
def test_any_text_is_no_token(text):
    checker = TokenChecker.start(
        "", TokenRules(algorithms=("HS256",), issuer="any", audience="any"), secret=SECRET
    )
    try:
        with pytest.raises(UnauthorizedLogin):
            checker.actor_inbox.actor.check(BearerToken(text))
    finally:
        checker.stop()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["keys", "kty", "kid", "n", "e", "x", "crv"]), inner)
    ),
    max_leaves=8,
)


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()) | JSON.map(
    lambda value: json.dumps({"keys": [value]}).encode()))  # fmt: skip
@settings(deadline=None)
def test_any_file_is_one_with_keys_or_refused_by_name(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "keys")
        path.write_bytes(data)
        with pytest.raises(AccountError, match="cannot read"):
            TokenChecker.start(str(path), OPEN).stop()


def test_a_token_says_who_in_which_groups_and_until_when(key_file, inline):
    text = (
        r"jwt[iss=https\://issuer.example,aud=arena,groups=realm_access.roles,"
        f"attributes=email]:{key_file}"
    )
    portal = serve(from_string(text))
    now = int(time.time())
    token = sign(
        exp=now + 100,
        auth_time=now - 3600,
        amr=["pwd", "otp"],
        scope="read write",
        realm_access={"roles": ["admin"]},
        email="ann@example.org",
    )
    session = portal.login(BearerToken(token), None, Player).get(timeout=20).session
    ann = session.identity
    assert (ann.issuer, ann.subject, ann.groups) == ("https://issuer.example", "ann", {"admin"})
    assert ann.methods == {"pwd", "otp"}
    assert ann.attributes == {"scope": ("read", "write"), "email": "ann@example.org"}
    assert (ann.authenticated.timestamp(), ann.expires.timestamp()) == (now - 3600, now + 110)
    inline.advance(120)
    # The thread that has verified the token may still have the portal's turn.
    until(lambda: not session.is_open)


def test_a_claim_of_the_wrong_kind_is_logged_without_its_value(key_file, inline, caplog):
    portal = serve(from_string(f"jwt[iss=any,aud=any,groups=roles]:{key_file}"))
    for _ in range(2):
        assert login(portal, sign(roles={"s3cret": 1})) == "ann"
    assert caplog.text.count("jwt: the claim roles is ignored: it is neither an array") == 1
    assert "s3cret" not in caplog.text
