"""Tokens that were revoked before they expire."""

from __future__ import annotations

import time

import jwt
import pytest

from actorcred import (
    AccountError,
    BearerToken,
    CheckerUnavailable,
    PortalOptions,
    UnauthorizedLogin,
)
from actorcred.auth.registry import from_string
from actorcred.checkers.revoked_tokens import RevokedTokens
from actorcred.standing import Revocation, with_proof
from tests.helpers import Player, Stage, until

SECRET = "x" * 32


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "revoked"
    path.write_text("# none\n")
    return path


def token(jti, name="ann"):
    claims = {"sub": name, "exp": time.time() + 300, "iat": time.time()}
    return jwt.encode(claims | ({} if jti is None else {"jti": jti}), SECRET, "HS256")


def test_sessions_of_a_revoked_token_end_and_no_others(path):
    stage = Stage(PortalOptions(standing_interval=0.1), checkers=0)
    checker = from_string(f"jwt[alg=HS256,iss=any,aud=any,secret={SECRET},revoked={path}]:")
    stage.portal.register_checker(checker).get(timeout=10)

    def login(jti):
        given = BearerToken(token(jti))
        return stage.portal.login(given, None, Player).get(timeout=10).session

    first, second = login("t1"), login("t2")
    path.write_text("# one\nt1\n")
    until(lambda: not first.is_open)
    assert second.is_open
    for refused in ("t1", None, 7):
        with pytest.raises(UnauthorizedLogin):
            login(refused)
    login("t3")


def test_without_a_list_nobody_is_asked_and_a_token_needs_no_id():
    checker = from_string(f"jwt[alg=HS256,iss=any,aud=any,secret={SECRET}]:")
    assert not checker.tells_standing
    stage = Stage(checkers=0)
    stage.portal.register_checker(checker).get(timeout=10)
    assert stage.portal.verify(BearerToken(token(None))).get(timeout=10) == "ann"


def test_what_is_on_the_list_is_told(path):
    revoked = RevokedTokens(path)
    names = tuple(with_proof("ann", jti) for jti in ("t1", "t2"))
    assert revoked.standing(names).gone == {}
    path.write_text("t2\n")
    assert revoked.standing(names).gone == {names[1]: Revocation.DISABLED}
    assert revoked.check("t1") == "t1"


def test_a_list_that_cannot_be_used_lets_nobody_in_and_logs_nobody_out(path, tmp_path):
    revoked = RevokedTokens(path)
    path.unlink()
    with pytest.raises(CheckerUnavailable):
        revoked.check("t1")
    with pytest.raises(CheckerUnavailable):
        revoked.standing(("ann",))
    with pytest.raises(AccountError, match="cannot read"):
        RevokedTokens(tmp_path / "nowhere")
