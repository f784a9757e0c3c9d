"""What SSH clients present: keys, certificates made by ssh-keygen, and signatures."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import Any

import asyncssh
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorcred import UnauthorizedLogin
from actorcred.checkers.ssh_proof import (
    LARGEST_KEY,
    MOST_PRINCIPALS,
    certificate_facts,
    methods_of,
    shown_by,
)
from tests.backends.ssh_keys import (
    KINDS,
    Authenticator,
    keygen,
    make_keys,
    private,
    proof,
    string,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any) -> Any:
    return make_keys(tmp_path_factory.mktemp("keys"))


def certified(folder: Any, path: Any, source: Any, *words: Any) -> bytes:
    """Return the certificate of a public key."""
    shutil.copy(source, path / "key.pub")
    keygen("-s", folder / "ca", *words, path / "key.pub")
    return bytes(asyncssh.read_certificate(path / "key-cert.pub").public_data)


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_and_its_signature_are_shown(folder: Any, kind: str) -> None:
    shown = shown_by(proof(private(folder, kind)))

    assert shown.listed.public_data == private(folder, kind).public_data
    assert (shown.certificate, shown.flags, methods_of(shown)) == (None, None, {"swk"})


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_an_authenticator_shows_what_it_did(kind: str) -> None:
    shown = shown_by(Authenticator(kind).proof(flags=5))

    assert shown.flags == 5
    assert methods_of(shown) == {"hwk", "user", "mfa"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_is_read_to_its_end(folder: Any, tmp_path: Any, kind: str) -> None:
    words = ("-I", "Ann Lee", "-n", "ann,staff", "-z", 17, "-V", "20200101Z:20990101Z")
    facts = certificate_facts(certified(folder, tmp_path, folder / f"{kind}.pub", *words))

    assert facts == (17, "Ann Lee", ("ann", "staff"), datetime(2099, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_so_is_one_of_an_authenticators_key(folder: Any, tmp_path: Any, kind: str) -> None:
    (tmp_path / "sk").write_text(Authenticator(kind).public)
    facts = certificate_facts(certified(folder, tmp_path, tmp_path / "sk", "-I", "x", "-n", "ann"))

    assert facts == (0, "x", ("ann",), None)  # valid for ever


def test_what_an_authority_writes_is_bounded(folder: Any, tmp_path: Any) -> None:
    names = ["x" * 1025, *(f"name{number}" for number in range(100))]
    words = ("-I", "an\x1b[31mn" + "x" * 2000, "-n", ",".join(names))
    facts = certificate_facts(certified(folder, tmp_path, folder / "ed25519.pub", *words))

    assert len(facts.principals) == MOST_PRINCIPALS - 1  # without the long one
    assert len(facts.key_id) == 1024
    assert facts.key_id.isprintable()


def test_what_is_damaged_is_refused(folder: Any) -> None:
    good = proof(private(folder, "ed25519"))
    for change in (
        {"blob": string(b"ssh-dss")},
        {"blob": good.blob + b"x" * LARGEST_KEY},
        {"blob": good.blob[:-1]},
        {"signature": string(b"ssh-rsa") + string(b"x")},
        {"signature": good.signature[:20]},
        {"signature": good.signature[:-1] + bytes([good.signature[-1] ^ 1])},
        {"signed": b""},
        {"blob": private(folder, "other").public_data},
    ):
        with pytest.raises(UnauthorizedLogin):
            shown_by(changed(good, **change))


def changed(credentials: Any, **change: Any) -> Any:
    """Return credentials of which something is changed."""
    words = {
        name: getattr(credentials, name) for name in ("username", "blob", "signed", "signature")
    }
    return type(credentials)(**words | change)


def test_a_certificate_that_is_cut_is_damaged(folder: Any, tmp_path: Any) -> None:
    blob = certified(folder, tmp_path, folder / "ed25519.pub", "-I", "x", "-n", "ann")
    for length in range(0, 150, 7):
        with pytest.raises(ValueError, match="truncated"):
            certificate_facts(blob[:length])


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_are_no_certificate(blob: bytes) -> None:
    try:
        certificate_facts(blob)
    except ValueError:
        return
