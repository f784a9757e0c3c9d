"""Stored hashes: those that pass the check can be verified, and all others are harmless."""

from __future__ import annotations

import base64
import hashlib
import resource
import time

import bcrypt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actorcred import MissingExtra
from actorcred.passwords import formats as _hashes
from actorcred.passwords import hashing as passwords
from actorcred.passwords import web_formats as _web_hashes
from actorcred.passwords.hashing import (
    UnsupportedHash,
    check_format,
    dummy_hash,
    hash_password,
    verify_password,
)
from tests.backends.tables import HASHES
from tests.backends.web import WEB

SALT, DIGEST = "a" * 21 + "u", "b" * 31
B64 = {size: base64.b64encode(bytes(size)).decode() for size in (16, 20, 32, 64)}
BARE = {size: text.rstrip("=") for size, text in B64.items()}

BAD = {
    "bcrypt cost 0": f"$2y$00${SALT}{DIGEST}",
    "bcrypt cost 3": f"$2b$03${SALT}{DIGEST}",
    "bcrypt cost 17": f"$2b$17${SALT}{DIGEST}",
    "bcrypt cost 31": f"$2b$31${SALT}{DIGEST}",
    "bcrypt cost 32": f"$2b$32${SALT}{DIGEST}",
    "bcrypt cost 99": f"$2b$99${SALT}{DIGEST}",
    "bcrypt other digits": f"$2b$\u0660\u0664${SALT}{DIGEST}",
    "bcrypt salt of 132 bits": f"$2b$04${'a' * 22}{DIGEST}",
    "bcrypt beyond ASCII": "$2b$04$" + "\u00e9" * 53,
    "bcrypt-sha256 r=0": f"$bcrypt-sha256$v=2,t=2b,r=0${SALT}${DIGEST}",
    "bcrypt-sha256 r=31": f"$bcrypt-sha256$v=2,t=2b,r=31${SALT}${DIGEST}",
    "bcrypt-sha256 r=99": f"$bcrypt-sha256$v=2,t=2b,r=99${SALT}${DIGEST}",
    "bcrypt-sha256 salt": f"$bcrypt-sha256$v=2,t=2b,r=4${'a' * 22}${DIGEST}",
    "pbkdf2 without iterations": f"pbkdf2_sha256$0$salt${B64[32]}",
    "pbkdf2 with too many": f"pbkdf2_sha256$99999999$salt${B64[32]}",
    "pbkdf2 short digest": "pbkdf2_sha256$1000$salt$AAAA",
    "pbkdf2 no base64": f"pbkdf2_sha256$1000$salt${B64[32][:-3]}",
    "pbkdf2 of a surrogate": f"pbkdf2_sha256$1000$\ud800${B64[32]}",
    "pbkdf2 other digest": f"pbkdf2_sha1$1000$salt${B64[32]}",
    "scrypt n=0": f"scrypt$0$salt$8$1${B64[64]}",
    "scrypt n=1": f"scrypt$1$salt$8$1${B64[64]}",
    "scrypt n=3": f"scrypt$3$salt$8$1${B64[64]}",
    "scrypt r=0": f"scrypt$16384$salt$0$1${B64[64]}",
    "scrypt p=0": f"scrypt$16384$salt$8$0${B64[64]}",
    "scrypt too much memory": f"scrypt$262144$salt$8$1${B64[64]}",
    "scrypt too much of all": f"scrypt$67108864$salt$255$255${B64[64]}",
    "scrypt too many lanes": f"scrypt$16384$salt$8$255${B64[64]}",
    "scrypt n too large for r": f"scrypt$65536$salt$1$1${B64[64]}",
    "scrypt short digest": "scrypt$16384$salt$8$1$AAAA",
    "passlib scrypt without numbers": "$scrypt$ln=1,r,p=1$aa$bb",
    "passlib scrypt ln=0": f"$scrypt$ln=0,r=8,p=1$c2FsdA${BARE[32]}",
    "passlib scrypt ln=40": f"$scrypt$ln=40,r=8,p=1$c2FsdA${BARE[32]}",
    "passlib scrypt salt": f"$scrypt$ln=4,r=8,p=1$c${BARE[32]}",
    "apr1 without digest": "$apr1$y",
    "apr1 with an empty one": "$apr1$y$",
    "apr1 long salt": "$apr1$saltsaltsaltsalt$" + "a" * 22,
    "apr1 short digest": "$apr1$salt$" + "a" * 21,
    "sha256-crypt of another length": "$5$salt$" + "a" * 86,
    "sha256-crypt rounds=999": "$5$rounds=999$salt$" + "a" * 43,
    "sha256-crypt rounds=01000": "$5$rounds=01000$salt$" + "a" * 43,
    "sha512-crypt rounds=999999999": "$6$rounds=999999999$salt$" + "a" * 86,
    "sha512-crypt rounds=999999999999": "$6$rounds=999999999999$salt$" + "a" * 86,
    "sha512-crypt rounds=x": "$6$rounds=x$salt$" + "a" * 86,
    "sha512-crypt without digest": "$6$salt$",
    "argon2 without passes": f"$argon2id$v=19$m=64,t=0,p=1${BARE[16]}${BARE[32]}",
    "argon2 without lanes": f"$argon2id$v=19$m=64,t=1,p=0${BARE[16]}${BARE[32]}",
    "argon2 many lanes": f"$argon2id$v=19$m=65536,t=1,p=255${BARE[16]}${BARE[32]}",
    "argon2 too little memory": f"$argon2id$v=19$m=8,t=1,p=2${BARE[16]}${BARE[32]}",
    "argon2 100 GB": f"$argon2id$v=19$m=99999999,t=1,p=1${BARE[16]}${BARE[32]}",
    "argon2 many passes": f"$argon2id$v=19$m=65536,t=99999,p=1${BARE[16]}${BARE[32]}",
    "argon2 v=99": f"$argon2id$v=99$m=64,t=1,p=1${BARE[16]}${BARE[32]}",
    "argon2 damaged base64": f"$argon2id$v=19$m=64,t=1,p=1${'A' * 21}${BARE[32]}",
    "endless": f"pbkdf2_sha256$1000${'x' * 100_000}${B64[32]}",
    "bytes": f"$2b$04${SALT}{DIGEST}".encode(),
    "a number": 7,
    "nothing": None,
}


@pytest.mark.parametrize("stored", BAD.values(), ids=BAD)
def test_what_cannot_be_verified_or_costs_too_much_is_refused_without_being_quoted(stored):
    for refuse in (
        lambda: check_format(hash=stored),
        lambda: verify_password(password="x", hash=stored),
    ):
        with pytest.raises(UnsupportedHash) as refused:
            refuse()
        assert "bbbb" not in str(refused.value)
        assert "AAAA" not in str(refused.value)
        assert len(str(refused.value)) < 200


COSTLY = {
    "scrypt": f"scrypt$65536$salt$31$4${B64[64]}",
    "argon2": f"$argon2id$v=19$m=262144,t=32,p=4${BARE[16]}${BARE[32]}",
}


@pytest.mark.slow
@pytest.mark.parametrize("stored", COSTLY.values(), ids=COSTLY)
def test_the_costliest_hash_takes_bounded_time_and_memory(stored):
    """A minute on a busy machine; a hash beyond the bounds took hours, or 100 GB."""
    before = time.thread_time()
    assert not verify_password(password="x", hash=stored)
    assert time.thread_time() - before < 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1_500_000


CHEAP = {
    **{name: make("right") for name, make in HASHES.items()},
    **{name: make("right") for name, make in WEB.items() if name != "werkzeug scrypt"},
    "bcrypt": bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode(),
    "long": hash_password(password="right" * 20, rounds=4),
    "pbkdf2": "pbkdf2_sha256$20$salt$"
    + base64.b64encode(hashlib.pbkdf2_hmac("sha256", b"right", b"salt", 20)).decode(),
    "argon2": f"$argon2id$v=19$m=64,t=1,p=1${BARE[16]}${BARE[32]}",
}


@pytest.fixture(scope="module")
def modest():
    """Limit the cost of hashes, since hundreds are verified."""
    with pytest.MonkeyPatch.context() as patch:
        for bound in (
            "MOST_ITERATIONS",
            "MOST_CRYPT_ROUNDS",
            "MOST_SCRYPT_BLOCKS",
            "MOST_ARGON2_KIB",
        ):
            patch.setattr(_hashes, bound, 20_000)
        patch.setattr(passwords, "MOST_ROUNDS", 5)
        patch.setattr(_web_hashes, "MOST_PHPASS_ROUNDS", 1 << 11)
        yield


@st.composite
def damaged(draw):
    """Change a valid hash in some places."""
    text = draw(st.sampled_from(sorted(CHEAP.values())))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 4)))
        text = (
            text[:start]
            + draw(
                st.text("0123456789$=,.rpmtvln+/aA\u0660\u00e9", max_size=4) | st.text(max_size=2)
            )
            + text[end:]
        )
    return text


@given(damaged())
@example("$apr1$y")
@example("$scrypt$ln=1,r,p=1$aa$bb")
@settings(max_examples=600, deadline=None)
def test_what_passes_the_check_can_be_verified(modest, text):
    try:
        check_format(hash=text)
    except (UnsupportedHash, MissingExtra):
        with pytest.raises((UnsupportedHash, MissingExtra)):
            verify_password(password="wrong", hash=text)
    else:
        assert verify_password(password="wrong", hash=text) is False


def test_a_cost_at_which_no_hash_can_be_verified_is_refused_when_it_is_set():
    for make in (lambda: hash_password(password="x", rounds=17), lambda: dummy_hash(17)):
        with pytest.raises(ValueError, match="17 rounds would take minutes"):
            make()


def test_what_a_library_raises_all_the_same_is_a_hash_that_cannot_be_verified(monkeypatch):
    def fail(*_):
        raise OverflowError("with the hash in its text: bbbb")

    monkeypatch.setattr(bcrypt, "checkpw", fail)
    with pytest.raises(UnsupportedHash, match=r"failed with OverflowError$"):
        verify_password(password="x", hash=f"$2b$04${SALT}{DIGEST}")
