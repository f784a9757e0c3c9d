"""SSH keys: made by ssh-keygen, signed with by asyncssh, and the options of authorized_keys."""

from __future__ import annotations

import shutil

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcred import AccountError, CheckerUnavailable, Portal, UnauthorizedLogin
from actorcred.checkers.sshkey import SSHKeyChecker
from actorcred.credentials import SSHKey
from actorcred.plugins import from_string
from tests.backends.ssh_keys import KINDS, SIGNED, keygen, make_keys, private, proof, public
from tests.helpers import Arena, Player


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_keys(tmp_path_factory.mktemp("keys"))


def serve(keys):
    return Portal.start(Arena.start([]), [SSHKeyChecker.start(keys)])


def login(portal, credentials):
    return portal.login(credentials, None, Player).get(timeout=10).session.avatar_id


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_key_by_a_file_for_each_user(folder, tmp_path, dispatcher, kind):
    (tmp_path / "ann").write_text(f"# Ann's keys\n\nnonsense\n{public(folder, kind)}\n")
    portal = Portal.start(Arena.start([]), [from_string(f"sshkey:{tmp_path}/%u")])
    key = private(folder, kind)
    assert login(portal, proof(key)) == "ann"
    for wrong in (
        proof(private(folder, "other")),
        proof(key, "bob"),
        proof(key, "../ann"),
        proof(key, ".."),
        proof(key, signed=b"another session"),
        proof(key, signed=b""),
        proof(private(folder, "other"), blob=key.public_data),
        proof(key, blob=b"nonsense"),
    ):
        with pytest.raises(UnauthorizedLogin):
            login(portal, wrong)


def test_rsa_with_sha_1_does_not_count(folder):
    portal = serve(lambda name: public(folder, "rsa"))
    key = private(folder, "rsa")
    assert login(portal, proof(key, algorithm=b"rsa-sha2-512")) == "ann"
    with pytest.raises(UnauthorizedLogin):
        login(portal, proof(key, algorithm=b"ssh-rsa"))


@pytest.mark.parametrize(
    ("options", "lets_in"),
    [
        ('from="192.0.2.0/24"', True),
        ('from="192.0.2.7,10.*"', True),
        ('from="198.51.100.0/24"', False),
        ('from="*,!192.0.2.7"', False),
        ('expiry-time="20990101"', True),
        ('expiry-time="20990101120000Z"', True),
        ('expiry-time="20200101"', False),
        ('expiry-time="202001011200Z"', False),
        ('expiry-time="soon"', False),
        ('expiry-time=""', False),
        ("expiry-time", False),
        ('expiry-time="20990101",expiry-time="20200101"', False),
        ("no-agent-forwarding,no-port-forwarding,no-X11-forwarding", True),
        ('command="/bin/date"', False),
        ("restrict", False),
        ("no-pty", False),
        ('permitopen="host:80"', False),
        ('environment="A=b"', False),
        ('From="198.51.100.0/24"', False),
        ("cert-authority", False),
        ("unheard-of", False),
    ],
)
def test_options_are_honoured_or_the_key_is_refused(folder, options, lets_in):
    portal = serve(lambda name: f"{options} {public(folder, 'ed25519')}")
    credentials = proof(private(folder, "ed25519"))
    if lets_in:
        assert login(portal, credentials) == "ann"
    else:
        with pytest.raises(UnauthorizedLogin):
            login(portal, credentials)


def test_from_without_an_address_lets_nobody_in(folder):
    portal = serve(lambda name: f'from="*" {public(folder, "ed25519")}')
    with pytest.raises(UnauthorizedLogin):
        login(portal, proof(private(folder, "ed25519"), source=""))


@pytest.mark.parametrize(
    ("words", "line", "lets_in"),
    [
        (["-n", "ann"], "cert-authority {ca}", True),
        (["-n", "bob"], "cert-authority {ca}", False),
        ([], "cert-authority {ca}", False),
        (["-n", "staff"], 'cert-authority,principals="staff" {ca}', True),
        (["-n", "ann"], 'cert-authority,principals="staff" {ca}', False),
        (["-n", "ann", "-V", "20200101:20200102"], "cert-authority {ca}", False),
        (["-n", "ann", "-O", "source-address=192.0.2.0/24"], "cert-authority {ca}", True),
        (["-n", "ann", "-O", "source-address=10.0.0.0/8"], "cert-authority {ca}", False),
        (["-n", "ann", "-O", "force-command=/bin/date"], "cert-authority {ca}", False),
        (["-n", "ann", "-h"], "cert-authority {ca}", False),
        (["-n", "ann"], "{ca}", False),
        (["-n", "ann"], "cert-authority {other}", False),
    ],
)
def test_certificates(folder, tmp_path, words, line, lets_in):
    shutil.copy(folder / "ed25519.pub", tmp_path / "key.pub")
    keygen("-s", folder / "ca", "-I", "test", *words, tmp_path / "key.pub")
    certificate = asyncssh.read_certificate(tmp_path / "key-cert.pub")
    portal = serve(lambda name: line.format(ca=public(folder, "ca"), other=public(folder, "other")))
    credentials = proof(private(folder, "ed25519"), blob=certificate.public_data)
    if lets_in:
        assert login(portal, credentials) == "ann"
    else:
        with pytest.raises(UnauthorizedLogin):
            login(portal, credentials)


def test_files_that_cannot_be_used(folder, tmp_path):
    with pytest.raises(AccountError, match="needs %u"):
        from_string("sshkey:/etc/keys/all%%u")
    portal = serve(f"{tmp_path}/%u")
    (tmp_path / "ann").mkdir()
    with pytest.raises(CheckerUnavailable):
        login(portal, proof(private(folder, "ed25519")))


@given(st.text(max_size=200) | st.text('from="*",expiry-time= ssh-ed25519 AAAA\\', max_size=80))
def test_any_text_is_no_list_that_lets_in(text):
    key = asyncssh.generate_private_key("ssh-ed25519")
    checker = SSHKeyChecker.start(lambda name: text)
    try:
        with pytest.raises(UnauthorizedLogin):
            checker.actor_inbox.actor.check(proof(key))
    finally:
        checker.stop()


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_any_bytes_are_no_key_and_no_signature(blob, signature):
    checker = SSHKeyChecker.start(lambda name: "")
    try:
        with pytest.raises(UnauthorizedLogin):
            checker.actor_inbox.actor.check(SSHKey("ann", blob, SIGNED, signature))
    finally:
        checker.stop()
