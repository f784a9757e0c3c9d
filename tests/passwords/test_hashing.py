"""Hashing without silent truncation, in formats that other programs read."""

from __future__ import annotations

import base64
import hashlib

import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorcred import PasswordRejected
from actorcred.passwords.hashing import (
    UnsupportedHash,
    check_format,
    dummy_hash,
    hash_password,
    needs_rehash,
    verify_password,
)


@pytest.mark.parametrize(
    "password", ["x", "x" * 72, "x" * 73, "\u2603" * 64, b"bytes", "caf\u00e9"]
)
def test_a_hash_fits_its_password_and_no_other(password):
    stored = hash_password(password=password, rounds=4)
    longer = password + (b"x" if isinstance(password, bytes) else "x")

    assert verify_password(password=password, hash=stored)
    assert not verify_password(password=longer, hash=stored)
    assert not verify_password(password=longer[:-2] or "y", hash=stored)


def test_a_password_of_more_than_72_bytes_is_not_cut_short():
    stored = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()

    assert verify_password(password="x" * 72, hash=stored)
    assert not verify_password(password="x" * 73, hash=stored)
    assert hash_password(password="x" * 73, rounds=4).startswith("$bcrypt-sha256$v=2,t=2b,r=4$")


def test_long_passwords_are_in_the_format_of_passlib():
    from passlib.hash import bcrypt_sha256

    assert bcrypt_sha256.verify("x" * 100, hash_password(password="x" * 100, rounds=4))
    assert verify_password(password="y" * 10, hash=bcrypt_sha256.using(rounds=4).hash("y" * 10))


@pytest.mark.parametrize(
    ("password", "rule"), [("", "empty"), (b"", "empty"), ("a\0b", "NUL"), (b"\xff\xfe", "UTF-8")]
)
def test_what_bcrypt_would_mangle_is_refused_when_hashed_and_wrong_when_verified(password, rule):
    with pytest.raises(PasswordRejected, match=rule):
        hash_password(password=password, rounds=4)
    for stored in (
        hash_password(password="a", rounds=4),
        hash_password(password="a" * 80, rounds=4),
        dummy_hash(4),
    ):
        assert not verify_password(password=password, hash=stored)


def test_rounds_out_of_range_are_named():
    for rounds in (3, 32):
        with pytest.raises(ValueError, match=f"4 to 31 rounds, not {rounds}"):
            hash_password(password="x", rounds=rounds)


def test_a_hash_is_weak_when_it_is_cheaper_than_wanted_or_no_bcrypt():
    assert needs_rehash(hash=hash_password(password="x", rounds=4), rounds=5)
    assert not needs_rehash(hash=hash_password(password="x" * 90, rounds=5), rounds=5)
    assert needs_rehash(hash="{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", rounds=4)


def test_nobody_has_the_password_of_the_dummy():
    check_format(hash=dummy_hash(4))
    assert not verify_password(password="x", hash=dummy_hash(4))
    assert "$04$" in dummy_hash(4)


@given(st.text())
@settings(max_examples=300)
def test_any_text_as_a_hash_is_refused_by_a_documented_error_that_does_not_quote_it(text):
    try:
        check_format(hash=text)
    except UnsupportedHash as error:
        assert len(text) < 12 or text not in str(error)


@given(st.text(max_size=100))
@settings(max_examples=50, deadline=None)
def test_any_text_is_a_password_or_refused_when_it_is_set(text):
    try:
        stored = hash_password(password=text, rounds=4)
    except PasswordRejected as error:
        assert len(text) < 3 or text not in str(error)
        assert not verify_password(password=text, hash=dummy_hash(4))
    else:
        assert verify_password(password=text, hash=stored)


@pytest.mark.parametrize(
    ("one", "other"),
    [("snö ☃", "sno\u0308 ☃"), ("a b", "a\u00a0b"), ("a\u3000b", "a b"), ("\u212b", "\u00c5")],
)
def test_a_password_typed_on_another_machine_is_the_same(one, other):
    for set_as, typed in ((one, other), (other, one)):
        assert verify_password(password=typed, hash=hash_password(password=set_as, rounds=4))
    assert not verify_password(
        password="ﬁ", hash=hash_password(password="fi", rounds=4)
    )  # compatibility is tested elsewhere


@pytest.mark.parametrize(
    ("rounds", "error"),
    [
        (3, "takes 4 to 31 rounds"),
        (32, "takes 4 to 31"),
        (17, "would take minutes; use 16 at most"),
    ],
)
def test_a_cost_at_which_nothing_could_be_verified_is_refused(rounds, error):
    for make in (lambda: hash_password(password="x", rounds=rounds), lambda: dummy_hash(rounds)):
        with pytest.raises(ValueError, match=error):
            make()


@pytest.mark.parametrize(
    ("stored", "error"),
    [
        (None, "not a string, but NoneType"),
        ("x" * 1025, "more than 1024 characters"),
        ("$2b$31$" + "." * 53, "cost"),
        ("$2b$04$short", "damaged bcrypt"),
        ("$1$salt$" + "." * 22, "MD5-crypt"),
        ("0" * 32, "plain MD5"),
        ("!", "without a password, or disabled"),
        ("$odd-format$rest", r"unsupported format \$odd-format\$"),
        ("pbkdf2_sha256$damaged", "a damaged hash"),
        ("bcrypt$damaged", "a damaged hash"),
        ("s3cret", "plain text, or an unknown format"),
    ],
)
def test_what_cannot_be_verified_is_named_and_not_shown(stored, error):
    with pytest.raises(UnsupportedHash, match=error) as raised:
        check_format(hash=stored)
    assert "s3cret" not in str(raised.value)


def test_a_hash_of_apaches_sha1_and_one_of_a_format_of_its_own_are_verified():
    digest = hashlib.sha1(b"s3cret", usedforsecurity=False).digest()
    sha = "{SHA}" + base64.b64encode(digest).decode()
    key = hashlib.pbkdf2_hmac("sha256", b"s3cret", b"salt", 1000)
    django = f"pbkdf2_sha256$1000$salt${base64.b64encode(key).decode()}"

    for stored in (sha, django):
        assert verify_password(password="s3cret", hash=stored)
        assert not verify_password(password="wrong", hash=stored)


def test_a_hash_around_a_hash_is_verified_by_what_it_wraps():
    inner = bcrypt.hashpw(hashlib.sha256(b"s3cret").hexdigest().encode(), bcrypt.gensalt(4))
    stored = f"bcrypt_sha256${inner.decode()}"

    assert verify_password(password="s3cret", hash=stored)
    assert not verify_password(password="wrong", hash=stored)


def test_a_failure_of_a_library_shows_neither_hash_nor_password(monkeypatch):
    def fail(*_):
        raise RuntimeError("s3cret $2b$")

    stored = hash_password(password="s3cret", rounds=4)
    monkeypatch.setattr(bcrypt, "checkpw", fail)
    with pytest.raises(UnsupportedHash, match="failed with RuntimeError") as raised:
        verify_password(password="s3cret", hash=stored)
    assert "s3cret" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_password_in_another_encoding_fits_the_hash_that_was_made_of_it():
    stored = bcrypt.hashpw("caf\u00e9".encode("latin-1"), bcrypt.gensalt(4)).decode()

    assert verify_password(password="caf\u00e9", hash=stored, encoding="latin-1")
    assert not verify_password(password="caf\u00e9", hash=stored)
    assert not verify_password(password="a\0b", hash=stored)


def test_weaker_hashes_are_to_be_replaced():
    assert needs_rehash(hash=hash_password(password="x", rounds=4), rounds=5)
    assert not needs_rehash(hash=hash_password(password="x" * 80, rounds=5), rounds=5)
    assert needs_rehash(hash="{SHA}...")
