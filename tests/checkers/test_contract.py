"""The contract of checkers, on each of ours that needs no server.

Those of names and passwords promise more.
"""

from __future__ import annotations

import time

import pytest

from actorcred import (
    ANONYMOUS,
    Anonymous,
    Checker,
    Portal,
    UnauthorizedLogin,
    UsernamePassword,
    actors,
)
from actorcred.checkers.anonymous import AnonymousChecker
from actorcred.checkers.external import ExternalChecker
from actorcred.checkers.file import FileChecker
from actorcred.checkers.htdigest import HtdigestChecker
from actorcred.checkers.memory import MemoryChecker
from actorcred.checkers.otp import OTPChecker
from actorcred.checkers.sqlite import SQLiteChecker
from actorcred.checkers.token import TokenChecker, TokenRules
from actorcred.checkers.wrappers.all_of import AllOf
from actorcred.checkers.wrappers.caching import CachingChecker
from actorcred.checkers.wrappers.first_of import FirstOf
from actorcred.checkers.wrappers.listing import AllowingChecker, DenyingChecker
from actorcred.checkers.wrappers.renaming import RenamingChecker
from actorcred.checkers.wrappers.throttling import ThrottlingChecker
from actorcred.credentials import BearerToken, OneTimePassword
from actorcred.passwords.hashing import hash_password
from actorcred.passwords.policy import PasswordPolicy
from actorcred.sasl.http_digest import digest_of
from actorcred.standing import Revocation, Standing
from actorcred.testing import CheckerContract
from tests.helpers import Arena, Player

USERS = {"ann": "correct horse", "andr\u00e9": "sn\u00f6 \u2603 password", "long": "x" * 100}


class Passwords(CheckerContract):
    """What a checker of names and passwords promises."""

    right = [
        *((UsernamePassword(name, password), name) for name, password in USERS.items()),
        (UsernamePassword("andre\u0301".encode(), USERS["andr\u00e9"].encode()), "andr\u00e9"),
        (UsernamePassword("ann", "correct\u00a0horse"), "ann"),
    ]
    wrong = [
        UsernamePassword(name, password)
        for name, password in [
            ("ann", "wrong"), ("ann", ""), ("ann", "correct horse "), ("Ann", "correct horse"),
            ("nobody", "correct horse"), ("nobody", ""), ("long", "x" * 72), ("long", "x" * 99),
            ("long", "x" * 101), ("ann'--", "x"), ("a:b", "x"), ("a" * 1000, "b" * 10_000),
        ]
    ]  # fmt: skip
    secrets = ["correct horse", "sn\u00f6 \u2603", "xxxxxxxx", "$2b$"]


class TestMemory(Passwords):
    @pytest.fixture
    def checker(self, dispatcher):
        return MemoryChecker.start(USERS, rounds=4)


class TestPlaintext(Passwords):
    @pytest.fixture
    def checker(self, dispatcher):
        return MemoryChecker.start(USERS, plaintext=True)


class TestFile(Passwords):
    @pytest.fixture
    def checker(self, dispatcher, tmp_path):
        path = tmp_path / "users.htpasswd"
        path.write_text(
            "".join(
                f"{name}:{hash_password(password=word, rounds=4)}\n" for name, word in USERS.items()
            )
        )
        return FileChecker.start(path)


class TestSQLite(Passwords):
    @pytest.fixture
    def checker(self, dispatcher, tmp_path):
        checker = SQLiteChecker.start(
            tmp_path / "accounts.sqlite", 4, PasswordPolicy(common=frozenset())
        )
        for name, word in USERS.items():
            checker.add_account(name, word).get(timeout=30)
        return checker


class TestHtdigest(Passwords):
    @pytest.fixture
    def checker(self, dispatcher, tmp_path):
        path = tmp_path / "users.htdigest"
        path.write_text(
            "".join(
                f"{name}:game:{digest_of('MD5', name, 'game', word)}\n"
                for name, word in USERS.items()
            )
        )
        return HtdigestChecker.start(path)


WRAPPERS = {
    "first": lambda inner: FirstOf.start(inner, AnonymousChecker.start()),
    "all": lambda inner: AllOf.start(inner, MemoryChecker.start(USERS, plaintext=True)),
    "cache": CachingChecker.start,
    "throttle": lambda inner: ThrottlingChecker.start(inner, free=1_000_000),
    "rename": lambda inner: RenamingChecker.start(inner, lambda name: name),
    "allow": lambda inner: AllowingChecker.start(inner, list(USERS)),
    "deny": lambda inner: DenyingChecker.start(inner, ["eve"]),
}


class TestWrappers(Passwords):
    @pytest.fixture(params=WRAPPERS.values(), ids=WRAPPERS)
    def checker(self, dispatcher, request):
        return request.param(MemoryChecker.start(USERS, rounds=4))


class TestAnonymous(CheckerContract):
    right = [(Anonymous("somebody"), ANONYMOUS)]
    wrong = [Anonymous("x")]

    @pytest.fixture
    def checker(self, dispatcher):
        return AnonymousChecker.start()

    def test_everything_else_is_refused_in_the_same_words(self):
        """There is nothing else."""

    test_many_at_once_are_answered_each_its_own_way = (
        test_everything_else_is_refused_in_the_same_words
    )


class TestCodes(CheckerContract):
    reusable = False
    right = [(OneTimePassword("ann", "287082"), "ann")]
    wrong = [
        OneTimePassword("ann", "287083"),
        OneTimePassword("eve", "287082"),
        OneTimePassword("ann", ""),
    ]
    secrets = ["287082", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"]

    @pytest.fixture
    def checker(self, dispatcher, tmp_path):
        checker = OTPChecker.start(tmp_path / "codes.db", lambda: 59.0)
        checker.enrol("ann", secret="GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").get(timeout=10)
        return checker


SECRET = "0123456789abcdef0123456789abcdef"


def token(secret=SECRET, **claims):
    jwt = pytest.importorskip("jwt")
    return BearerToken(
        jwt.encode({"sub": "ann", "exp": int(time.time()) + 86_400, **claims}, secret, "HS256")
    )


class TestTokens(CheckerContract):
    right = [(token(), "ann")]
    wrong = [token(SECRET[::-1]), token(exp=1), BearerToken("x"), BearerToken("")]
    secrets = [SECRET, right[0][0].token]

    @pytest.fixture
    def checker(self, dispatcher):
        return TokenChecker.start(
            rules=TokenRules(algorithms=("HS256",), issuer="any", audience="any"), secret=SECRET
        )


def test_an_external_identity_is_taken_by_its_checker_only(dispatcher):
    assert (
        ExternalChecker.start().credential_interfaces
        != AnonymousChecker.start().credential_interfaces
    )


def test_names_that_cannot_be_anybodys_are_refused_before_any_checker_is_asked():
    for name in (
        "",
        "\0",
        "a\nb",
        "a\u202eb",
        "a\u200bb",
        "\ud800",
        " ann",
        "a  b",
        "x" * 10_000_000,
        b"\xff",
    ):
        with pytest.raises(UnauthorizedLogin) as refused:
            UsernamePassword(name, "x")
        assert str(refused.value) == "login refused"
    for password in ("\0", "a\t\0b", "\ud800", b"\xff", "x" * 10_000_000):
        with pytest.raises(UnauthorizedLogin) as refused:
            UsernamePassword("ann", password)
        assert "\t" not in refused.value.detail


def test_logins_that_nobody_waits_for_are_not_hashed(tmp_path):
    checker = MemoryChecker.start({"ann": "correct horse"}, rounds=10)
    portal = Portal.start(Arena.start([]), [checker])
    futures = [portal.login(UsernamePassword("ann", "wrong"), None, Player) for _ in range(500)]
    for future in futures:
        future.cancel()

    # 500 hashes would take longer than the wait
    assert (
        portal.login(UsernamePassword("ann", "correct horse"), None, Player)
        .get(timeout=30)
        .session.avatar_id
        == "ann"
    )
    assert actors.statistics().actors == 4


class Keeping(Checker):
    """Says of users whether they may stay logged in."""

    credential_interfaces = (UsernamePassword,)

    def request_avatar_id(self, credentials):
        if (credentials.username, credentials.password) != ("ann", "right"):
            raise UnauthorizedLogin("wrong")
        return "ann"

    def standing(self, names):
        return Standing({name: Revocation.DELETED for name in names if name != "ann"})


class TestStanding(CheckerContract):
    right = [(UsernamePassword("ann", "right"), "ann")]
    wrong = [UsernamePassword("ann", "wrong"), UsernamePassword("eve", "right")]
    secrets = ["right"]

    @pytest.fixture
    def checker(self, dispatcher):
        return Keeping.start()
