"""Codes and secrets as people type them, and clocks that jump."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
from click.testing import CliRunner

from actorcred import AccountError, Portal, UnauthorizedLogin, UsernamePassword
from actorcred.auth.registry import from_string
from actorcred.checkers.memory import MemoryChecker
from actorcred.checkers.otp import REMEMBERED, WIDEST_SKEW, OTPChecker
from actorcred.checkers.wrappers.all_of import AllOf
from actorcred.cli.otp import otp
from actorcred.credentials import OneTimePassword
from tests.helpers import Arena, Player, open_sqlite

KEY = b"12345678901234567890"
SECRET = base64.b32encode(KEY).decode()
CODES = {59: "287082", 89: "359152"}
"""At these seconds; from RFC 6238, appendix B, and RFC 4226, appendix D."""


class Clock:
    now = 59.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def codes(tmp_path, clock):
    checker = OTPChecker.start(tmp_path / "codes.db", clock)
    checker.enrol("ann", secret=SECRET).get(timeout=10)
    return checker


def at(seconds, key=KEY):
    """Return the code that is shown then."""
    return pyotp.TOTP(base64.b32encode(key).decode()).at(int(seconds))


def lets_in(portal, credentials):
    try:
        return portal.login(credentials, None, Player).get(timeout=10).session.avatar_id == "ann"
    except UnauthorizedLogin:
        return False


def serve(*checkers):
    return Portal.start(Arena.start([]), list(checkers))


@pytest.mark.parametrize("secret", [
    SECRET.lower(), " ".join(SECRET[start : start + 4] for start in range(0, 32, 4)),
    f"\t{SECRET.lower()[:16]}\u00a0{SECRET.lower()[16:]}\n",
    "-".join(SECRET[start : start + 8] for start in range(0, 32, 8)), f"\u200b{SECRET}\u2060",
])  # fmt: skip
def test_a_secret_as_other_programs_show_it(tmp_path, clock, secret):
    checker = OTPChecker.start(tmp_path / "codes.db", clock)
    address = checker.enrol("ann", secret=secret).get(timeout=10)
    assert parse_qs(urlsplit(address).query)["secret"] == [SECRET]
    assert lets_in(serve(checker), OneTimePassword("ann", CODES[59]))


def test_a_secret_of_80_bits_without_padding(tmp_path, clock):
    checker = OTPChecker.start(tmp_path / "codes.db", clock)
    portal = serve(checker)
    for key in (KEY[:10], KEY[:11], KEY[:16], KEY[:17]):
        secret = base64.b32encode(key).decode()
        for text in (secret.rstrip("=").lower(), secret):
            checker.enrol("ann", secret=text).get(timeout=10)
        clock.now += 60
        assert lets_in(portal, OneTimePassword("ann", _reference(key, clock.now)))
    with pytest.raises(ValueError, match="80 bits"):
        checker.enrol("ann", secret=base64.b32encode(KEY[:9]).decode()).get(timeout=10)


def _reference(key, seconds):
    """RFC 4226, section 5.4, word for word: pyotp refuses keys that short."""
    digest = hmac.new(key, (int(seconds) // 30).to_bytes(8, "big"), hashlib.sha1).digest()
    offset = digest[19] & 0xF
    number = (
        (digest[offset] & 0x7F) << 24
        | digest[offset + 1] << 16
        | digest[offset + 2] << 8
        | digest[offset + 3]
    )
    return f"{number % 1_000_000:06}"


BLANKS = [" ", "\u00a0", "\t", "\u202f", "\u2009", "  ", "\u200b"]


@pytest.mark.parametrize("blank", BLANKS, ids=repr)
def test_a_code_with_a_blank(codes, blank):
    assert lets_in(serve(codes), OneTimePassword("ann", f"{blank}287{blank}082{blank}"))


@pytest.mark.parametrize("blank", BLANKS, ids=repr)
@pytest.mark.parametrize(
    "form",
    ["s3cret_287082", "s3cret_287_082", "s3cret287_082", "s3cret287082_", "s3cret_2_8_7_0_8_2_"],
)
@pytest.mark.parametrize("first", ["password", "code"])
def test_a_code_with_a_blank_behind_the_password(codes, blank, form, first):
    checkers = [MemoryChecker.start({"ann": "s3cret", "bob": "s3cret"}, rounds=4), codes]
    portal = serve(AllOf.start(*checkers if first == "password" else reversed(checkers)))
    typed = form.replace("_", blank)
    assert not lets_in(portal, UsernamePassword("bob", typed))
    assert (
        not lets_in(portal, UsernamePassword("ann", typed.replace("s3cret", "secret")))
        or first == "code"
    )
    if first == "password":
        assert lets_in(portal, UsernamePassword("ann", typed))
        assert not lets_in(portal, UsernamePassword("ann", typed))


@pytest.mark.parametrize(("password", "typed"), [
    ("ends in a blank ", "ends in a blank 287082"), ("pass12", "pass12287082"),
    ("pass12", "pass12 287082"), ("pass 1 2", "pass 1 2 287 082"), ("123456", "123456287082"),
    ("\u00e9t\u00e9", "e\u0301te\u0301 287082"),
])  # fmt: skip
def test_passwords_with_blanks_and_digits_of_their_own(codes, password, typed):
    portal = serve(AllOf.start(MemoryChecker.start({"ann": password}, rounds=4), codes))
    assert not lets_in(portal, UsernamePassword("ann", f"x{typed}"))
    assert lets_in(portal, UsernamePassword("ann", typed))


@pytest.mark.parametrize(
    "typed",
    [
        "s3cret",
        "s3cret28708",
        "s3cret 28708",
        "287082",
        " 287082",
        "s3cret-287082",
        "s3cret28708\u0662",
        "",
    ],
)
def test_what_is_no_password_and_code_lets_nobody_in(codes, typed):
    portal = serve(AllOf.start(MemoryChecker.start({"ann": "s3cret"}, rounds=4), codes))
    try:
        credentials = UsernamePassword("ann", typed)
    except UnauthorizedLogin:
        return
    assert not lets_in(portal, credentials)


def test_a_long_password_of_blanks_takes_no_long_time(codes):
    portal = serve(AllOf.start(MemoryChecker.start({"ann": "s3cret"}, rounds=4), codes))
    assert not lets_in(portal, UsernamePassword("ann", " " * 900 + "1 2 3"))


# -- clocks ----------------------------------------------------------------------------------------


def test_a_jump_of_the_clock_forward_and_back_locks_nobody_out(codes, clock):
    portal = serve(codes)
    clock.now = 600.0
    assert lets_in(portal, OneTimePassword("ann", at(600)))
    clock.now = 100_000_000.0
    assert lets_in(portal, OneTimePassword("ann", at(clock.now)))
    clock.now = 610.0
    assert not lets_in(portal, OneTimePassword("ann", at(600))), "it was used before the jump"
    clock.now = 630.0
    assert lets_in(portal, OneTimePassword("ann", at(630)))
    assert not lets_in(portal, OneTimePassword("ann", at(630)))
    clock.now = 100_000_000.0
    assert not lets_in(portal, OneTimePassword("ann", at(clock.now))), "it was used in the jump"


def test_a_jump_that_an_older_version_has_noted_locks_nobody_out(codes, clock, tmp_path):
    with open_sqlite(tmp_path / "codes.db") as database:
        database.execute("UPDATE otp SET last = 1000000")
    assert lets_in(serve(codes), OneTimePassword("ann", CODES[59]))


def test_a_code_that_an_older_version_has_used_up_is_used_up(tmp_path, clock):
    with open_sqlite(tmp_path / "old.db") as database:
        database.execute(
            "CREATE TABLE otp (name TEXT PRIMARY KEY NOT NULL, secret TEXT NOT NULL, "
            "last INTEGER NOT NULL) WITHOUT ROWID"
        )
        database.execute("INSERT INTO otp VALUES ('ann', ?, 1)", (SECRET,))
    portal = serve(OTPChecker.start(tmp_path / "old.db", clock))
    assert not lets_in(portal, OneTimePassword("ann", CODES[59]))
    assert lets_in(portal, OneTimePassword("ann", CODES[89]))


def test_enrolling_the_same_secret_again_makes_no_code_good_again(codes):
    portal = serve(codes)
    assert lets_in(portal, OneTimePassword("ann", CODES[59]))
    codes.enrol("ann", secret=SECRET.lower()).get(timeout=10)
    assert not lets_in(portal, OneTimePassword("ann", CODES[59]))
    codes.enrol("ann", secret=base64.b32encode(KEY[::-1]).decode()).get(timeout=10)
    assert lets_in(portal, OneTimePassword("ann", at(59, KEY[::-1])))


def test_used_codes_are_not_kept_for_ever(codes, clock, tmp_path):
    portal = serve(codes)
    for step in range(REMEMBERED + 10):
        clock.now = 6000.0 + 30 * step
        assert lets_in(portal, OneTimePassword("ann", at(clock.now)))
    with open_sqlite(tmp_path / "codes.db") as database:
        assert database.execute("SELECT count(*) FROM otp_used").fetchone() == (REMEMBERED,)
    codes.remove("ann").get(timeout=10)
    with open_sqlite(tmp_path / "codes.db") as database:
        assert database.execute("SELECT count(*) FROM otp_used").fetchone() == (0,)


@pytest.mark.parametrize("skew", [0, 1, 3])
def test_how_far_clocks_may_differ_is_an_option(tmp_path, clock, skew):
    clock.now = 6000.0
    checker = OTPChecker.start(tmp_path / "codes.db", clock, skew)
    checker.enrol("ann", secret=SECRET).get(timeout=10)
    portal = serve(checker)
    for steps in (-skew - 1, skew + 1):
        assert not lets_in(portal, OneTimePassword("ann", at(6000 + 30 * steps)))
    for steps in range(-skew, skew + 1):
        assert lets_in(portal, OneTimePassword("ann", at(6000 + 30 * steps)))
        assert not lets_in(portal, OneTimePassword("ann", at(6000 + 30 * steps)))


def test_the_option_in_a_text(tmp_path):
    from_string(f"otp[skew=2]:{tmp_path}/codes.db")
    for wrong in ("-1", str(WIDEST_SKEW + 1), "x"):
        with pytest.raises(AccountError, match="skew"):
            from_string(f"otp[skew={wrong}]:{tmp_path}/codes.db")


# -- the command -----------------------------------------------------------------------------------


def test_the_command_takes_a_secret_that_somebody_brings_and_does_not_show_it(tmp_path):
    path = str(tmp_path / "codes.db")
    typed = f"{SECRET.lower()[:4]} {SECRET.lower()[4:]}\n"
    done = CliRunner().invoke(otp, ["enrol", path, "ann", "--bring-secret"], input=typed)
    assert done.exit_code == 0
    assert SECRET in done.output
    wrong = CliRunner().invoke(otp, ["enrol", path, "bob", "--bring-secret"], input="no secret!\n")
    assert wrong.exit_code != 0
    assert "no secret!" not in wrong.output
    assert CliRunner().invoke(otp, ["list", path]).output == "ann\n"


@pytest.mark.parametrize("words", [["list"], ["list", "--json"], ["remove", "ann"]])
def test_the_command_makes_no_database_where_there_is_nothing_to_do(tmp_path, words):
    path = tmp_path / "codes.db"
    done = CliRunner().invoke(otp, [words[0], str(path), *words[1:]])
    assert done.exit_code != 0
    assert "does not exist" in done.output
    assert not any(tmp_path.iterdir())


def test_the_command_lists_names_for_programs_too(tmp_path):
    path = str(tmp_path / "codes.db")
    for name in ("bob", "J\u00f6rg"):
        CliRunner().invoke(otp, ["enrol", path, name])
    assert json.loads(CliRunner().invoke(otp, ["list", path, "--json"]).output) == [
        "J\u00f6rg",
        "bob",
    ]
    assert CliRunner().invoke(otp, ["list", path]).output == "J\u00f6rg\nbob\n"
