"""Keys of FIDO authenticators: touched, with a PIN."""

from __future__ import annotations

import binascii
import contextlib
import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorcred import Portal, UnauthorizedLogin
from actorcred.checkers.security_key import flags_of
from actorcred.checkers.sshkey import SSHKeyChecker
from tests.backends.ssh_keys import (
    SIGNED,
    Authenticator,
    keygen,
    make_keys,
    private,
    proof,
    public,
    string,
)
from tests.helpers import Arena, Player

TOUCHED, SEEN_A_FINGER = 1, 5


@pytest.fixture(scope="module", params=["ed25519", "ecdsa"])
def authenticator(request):
    return Authenticator(request.param)


def lets_in(line, credentials):
    portal = Portal.start(Arena.start([]), [SSHKeyChecker.start(lambda name: line)])
    try:
        return portal.login(credentials, None, Player).get(timeout=10).session.avatar_id == "ann"
    except UnauthorizedLogin:
        return False


@pytest.mark.parametrize(
    ("options", "flags", "wanted"),
    [
        ("", TOUCHED, True), ("", SEEN_A_FINGER, True), ("", 0, False), ("", 4, False),
        ("no-touch-required ", 0, True), ("NO-TOUCH-REQUIRED,from=\"192.0.2.7\" ", 0, True),
        ('no-touch-required="x" ', 1, False),
        ("verify-required ", TOUCHED, False), ("verify-required ", SEEN_A_FINGER, True),
        ("verify-required,no-touch-required ", 4, True),
        ("verify-required,no-touch-required ", 0, False),
        ('from="10.0.0.1" ', TOUCHED, False), ("restrict ", TOUCHED, False),
    ],
)  # fmt: skip
def test_it_must_be_touched_and_know_its_user_as_the_line_says(
    authenticator, caplog, options, flags, wanted
):
    assert (
        lets_in(f"{options}{authenticator.public} ann's\n", authenticator.proof(flags=flags))
        is wanted
    )
    assert ("its authenticator" in caplog.text) is (
        not wanted and "=" not in options and options != "restrict "
    )


def test_a_signature_that_is_damaged_or_of_another_lets_nobody_in(authenticator):
    good = authenticator.proof()
    assert lets_in(authenticator.public, good)
    for other in (
        dataclasses.replace(good, signed=b"another session"),
        dataclasses.replace(
            good, signature=good.signature[:-5] + b"\x05" + good.signature[-4:]
        ),  # other flags
        dataclasses.replace(good, signature=good.signature[:-1] + b"\x08"),  # another counter
        dataclasses.replace(good, signature=good.signature[:-1]),
        dataclasses.replace(good, signature=good.signature + b"x"),
        dataclasses.replace(
            good,
            signature=string(b"ssh-ed25519") + good.signature[4 + len(authenticator.algorithm) :],
        ),
        Authenticator().proof(blob=authenticator.public_data),
        Authenticator("ecdsa").proof(blob=authenticator.public_data),
    ):
        assert not lets_in(authenticator.public, other)
    assert not lets_in(Authenticator().public, good)


def test_another_application_is_another_key(authenticator):
    blob = authenticator.public_data.replace(string(b"ssh:"), string(b"ssh:x"))
    assert not lets_in(authenticator.public, authenticator.proof(blob=blob))


@pytest.mark.parametrize(
    ("options", "words", "flags", "wanted"),
    [
        ("", [], TOUCHED, True), ("", [], 0, False), (",no-touch-required", [], 0, False),
        ("", ["-O", "no-touch-required"], 0, False),
        (",no-touch-required", ["-O", "no-touch-required"], 0, True),
        (",verify-required", [], TOUCHED, False),
        ("", ["-O", "verify-required"], TOUCHED, False),
    ],
)  # fmt: skip
def test_certificates(authenticator, tmp_path, options, words, flags, wanted):
    make_keys(tmp_path)
    (tmp_path / "sk.pub").write_text(authenticator.public)
    keygen("-s", tmp_path / "ca", "-I", "test", "-n", "ann", *words, tmp_path / "sk.pub")
    kind, encoded, *_ = (tmp_path / "sk-cert.pub").read_bytes().split()
    blob = binascii.a2b_base64(encoded)
    assert kind.startswith(b"sk-")
    line = f"cert-authority{options} {public(tmp_path, 'ca')}"
    assert lets_in(line, authenticator.proof(flags=flags, blob=blob)) is wanted


def test_options_about_authenticators_do_no_harm_to_other_keys(tmp_path):
    """Sshd takes them before any key."""
    make_keys(tmp_path)
    for option in ("no-touch-required", "verify-required"):
        assert lets_in(
            f"{option} {public(tmp_path, 'ed25519')}", proof(private(tmp_path, "ed25519"))
        )


@given(st.data())
@settings(deadline=None)
def test_any_bytes_are_no_signature(authenticator, data):
    blob = data.draw(
        st.sampled_from([authenticator.public_data, authenticator.public_data[:-3], b""])
        | st.binary(max_size=80)
    )
    signature = string(authenticator.algorithm) + data.draw(st.binary(max_size=120))
    with contextlib.suppress(ValueError):
        assert flags_of(blob, SIGNED, signature) is None


@pytest.mark.parametrize(
    ("options", "flags", "methods"),
    [
        ("", TOUCHED, {"hwk", "user"}),
        ("verify-required ", SEEN_A_FINGER, {"hwk", "user", "mfa"}),
        ("", SEEN_A_FINGER, {"hwk", "user", "mfa"}),
        ("no-touch-required ", 0, {"hwk"}),
    ],
)
def test_the_methods_say_what_the_authenticator_did(authenticator, options, flags, methods):
    line = f"{options}{authenticator.public} ann's\n"
    portal = Portal.start(Arena.start([]), [SSHKeyChecker.start(lambda name: line)])
    login = portal.login(authenticator.proof(flags=flags), None, Player).get(timeout=10)

    assert login.session.identity.methods == methods
    assert login.session.identity.attributes["comment"] == "ann's"
