"""QR codes on a terminal."""

from __future__ import annotations

import sys

import pytest

from actorcred.cli.qr import qr_code
from actorcred.errors import MissingExtra


def test_a_code_is_square_and_white_on_black() -> None:
    pytest.importorskip("segno", reason="segno is not installed: pip install 'actorcred[otp]'")
    lines = qr_code("otpauth://totp/actorcred:ann?secret=JBSWY3DPEHPK3PXP").split("\n")
    assert all(line.startswith("\x1b[97;40m") and line.endswith("\x1b[0m") for line in lines)
    widths = {len(line.removeprefix("\x1b[97;40m").removesuffix("\x1b[0m")) for line in lines}
    (width,) = widths
    assert (width + 1) // 2 == len(lines)  # each character is one module wide and two high


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segno", None)
    with pytest.raises(MissingExtra, match=r"a QR code needs .*pip install 'actorcred\[otp\]'"):
        qr_code("text")
