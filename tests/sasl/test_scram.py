"""What a server keeps for SCRAM: made of a password, written as text, and read again."""

from __future__ import annotations

import sys

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from actorcred import MissingExtra, PasswordRejected
from actorcred.sasl import scram
from actorcred.sasl.scram import (
    constant_salt,
    end_point_binding,
    make_verifier,
    require_scram,
    scram_from_text,
    scram_to_text,
)
from tests.backends.authority import Authority

SALT = b"[m\x99h\x9d\x125\x8e\xec\xa0K\x14\x126\xfa\x81"


def test_a_verifier_is_what_the_standard_says() -> None:
    """The example of RFC 7677, section 3."""
    verifier = make_verifier("pencil", 4096, SALT)

    assert scram_to_text(verifier) == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ=="
        "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


def test_a_verifier_outlives_its_text_and_two_have_different_salts() -> None:
    one, other = (make_verifier("s3cret", 4096) for _ in range(2))

    assert scram_from_text(scram_to_text(one)) == one
    assert one.salt != other.salt


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("SCRAM-SHA-256", "SCRAM-SHA-1", "damaged"),
        ("$4096:", "$4095:", "out of bounds"),
        ("$4096:", "$99999999:", "out of bounds"),
        ("=", "", "damaged"),
        ("W22Z", "W22", "damaged"),
    ],
)
def test_a_text_that_is_damaged_is_refused(old: str, new: str, error: str) -> None:
    text = scram_to_text(make_verifier("s3cret", 4096, SALT))
    text = text.replace("W22Z", new) if old == "W22Z" else text.replace(old, new)
    with pytest.raises(ValueError, match=error):
        scram_from_text(text)


def test_a_password_that_scram_cannot_carry_is_refused_without_showing_it() -> None:
    with pytest.raises(PasswordRejected, match="RFC 4013") as refused:
        make_verifier("s3cret \U0001f600", 4096)
    assert "s3cret" not in str(refused.value)


def test_a_salt_that_is_not_stored_is_the_same_for_a_name_and_differs_between_names() -> None:
    assert constant_salt("ann") == constant_salt("ann") != constant_salt("bob")
    assert len(constant_salt("ann")) == 16


def test_a_certificate_is_what_an_exchange_is_bound_to_and_damaged_bytes_are_not() -> None:
    der = Authority().issue().public_bytes(Encoding.DER)
    bound = end_point_binding(der)

    assert bound is not None
    assert bound[0] == "tls-server-end-point"
    assert len(bound[1]) == 32
    assert end_point_binding(b"no certificate") is None


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    require_scram()
    monkeypatch.setitem(sys.modules, "scramp", None)
    scram._scramp.cache_clear()
    with pytest.raises(MissingExtra, match=r"actorcred\[scram\]"):
        require_scram()
    scram._scramp.cache_clear()
