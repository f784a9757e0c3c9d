"""One-time codes: those of RFC 6238, each once."""

from __future__ import annotations

import base64
import stat
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest

from actorcred import AccountError, Portal, UnauthorizedLogin, UsernamePassword
from actorcred.auth.registry import from_string
from actorcred.checkers.memory import MemoryChecker
from actorcred.checkers.otp import OTPChecker
from actorcred.credentials import OneTimePassword
from tests.helpers import Arena, Player
from tests.settings import portal_options

SECRET = base64.b32encode(b"12345678901234567890").decode()  # RFC 6238, appendix B


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def serve(tmp_path, clock):
    checker = OTPChecker.start(tmp_path / "codes.db", clock)
    checker.enrol("ann", secret=SECRET).get(timeout=10)
    return Portal.start(Arena.start([]), [checker], portal_options(step=0)), checker


def login(portal, code, name="ann"):
    return portal.login(OneTimePassword(name, code), None, Player).get(timeout=10).session


@pytest.mark.parametrize(
    ("time", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"),
     (2000000000, "279037"), (20000000000, "353130")],
)  # fmt: skip
def test_the_codes_of_rfc_6238(tmp_path, clock, dispatcher, time, code):
    clock.now = time
    portal, _ = serve(tmp_path, clock)
    assert login(portal, f"{code[:3]} {code[3:]}").avatar_id == "ann"


def test_no_code_twice_even_after_a_restart_or_in_another_process(tmp_path, clock, dispatcher):
    clock.now = 59
    portal, _ = serve(tmp_path, clock)
    other = Portal.start(Arena.start([]), [OTPChecker.start(tmp_path / "codes.db", clock)])
    login(portal, "287082")
    for which in (portal, other):
        with pytest.raises(UnauthorizedLogin):
            login(which, "287082")
    clock.now += 30
    totp = pyotp.TOTP(SECRET)
    login(other, totp.at(89))
    for late in (totp.at(59), totp.at(29)):  # nor an earlier one than the last
        with pytest.raises(UnauthorizedLogin):
            login(portal, late)


def test_clocks_may_differ_by_one_period_and_no_more(tmp_path, clock, dispatcher):
    totp = pyotp.TOTP(SECRET)
    clock.now = 6000
    portal, _ = serve(tmp_path, clock)
    for wrong in (
        totp.at(6000 - 60),
        totp.at(6000 + 60),
        "",
        "x",
        "000000",
        "\u0661\u0662\u0663\u0664\u0665\u0666",
    ):
        with pytest.raises(UnauthorizedLogin):
            login(portal, wrong)
    with pytest.raises(UnauthorizedLogin):
        login(portal, totp.at(6000), "eve")
    assert login(portal, totp.at(5970))
    assert login(portal, totp.at(6030))


def test_enrolling_and_removing(tmp_path, clock, inline):
    clock.now = 6000
    portal, checker = serve(tmp_path, clock)
    address = checker.enrol("bob", "Arena").get()
    assert urlsplit(address).scheme == "otpauth"
    secret = parse_qs(urlsplit(address).query)["secret"][0]
    session = login(portal, pyotp.TOTP(secret).at(6000), "bob")
    assert checker.enrolled().get() == ["ann", "bob"]
    checker.remove("bob").get()
    assert not session.is_open
    with pytest.raises(AccountError, match="no secret"):
        checker.remove("bob").get()
    with pytest.raises(ValueError, match="base32") as wrong:
        checker.enrol("eve", secret="no secret!").get()
    assert "no secret!" not in str(wrong.value)
    assert stat.S_IMODE((tmp_path / "codes.db").stat().st_mode) == 0o600
    with pytest.raises(AccountError, match="cannot open"):
        OTPChecker.start(tmp_path)


def test_a_second_factor_by_a_text(tmp_path, clock, inline):
    (tmp_path / "codes.db").touch()
    checker = from_string(f"all:(memory:ann:right)(otp:{tmp_path}/codes.db)")
    enrolling = OTPChecker.start(tmp_path / "codes.db")
    enrolling.enrol("ann", secret=SECRET).get()
    portal = Portal.start(Arena.start([]), [checker, MemoryChecker.start()])
    code = pyotp.TOTP(SECRET).now()
    with pytest.raises(UnauthorizedLogin):
        portal.login(UsernamePassword("ann", f"wrong{code}"), None, Player).get()
    assert (
        portal.login(UsernamePassword("ann", f"right{code}"), None, Player).get().session.avatar_id
        == "ann"
    )
    with pytest.raises(UnauthorizedLogin):
        portal.login(UsernamePassword("ann", f"right{code}"), None, Player).get()
