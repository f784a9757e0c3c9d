"""SSH keys: made by ssh-keygen, signed with by asyncssh, and the options of authorized_keys."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta

import asyncssh
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorcred import AccountError, CheckerUnavailable, LoginDenied, Portal, UnauthorizedLogin
from actorcred.auth.registry import from_string
from actorcred.checkers.key_files import LARGEST_FILE
from actorcred.checkers.sshkey import SSHKeyChecker
from actorcred.checkers.wrappers.first_of import FirstOf
from actorcred.checkers.wrappers.throttling import ThrottlingChecker
from actorcred.credentials import SSHKey
from actorcred.standing import Revocation
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
    (tmp_path / "keys").touch()
    portal = serve(f"{tmp_path}/keys/%u")
    with pytest.raises(CheckerUnavailable):
        login(portal, proof(private(folder, "ed25519")))


def put_folder(path):
    path.mkdir()


def put_pipe(path):
    os.mkfifo(path)


def put_circle(path):
    path.symlink_to(path)


def put_megabytes(path):
    path.write_bytes(b"#" * (LARGEST_FILE + 1))


@pytest.mark.parametrize("put", [put_folder, put_pipe, put_circle, put_megabytes])
def test_a_users_own_file_that_cannot_be_used_looks_like_none(folder, tmp_path, caplog, put):
    """Or anybody could see who there is, and a user could hold the checker's threads."""
    put(tmp_path / "ann")
    (tmp_path / "bob").write_text(public(folder, "ed25519"))
    portal = serve(f"{tmp_path}/%u")
    for _ in range(2):
        with pytest.raises(UnauthorizedLogin):
            login(portal, proof(private(folder, "ed25519")))
    assert caplog.text.count("'ann' cannot log in") == 1
    assert login(portal, proof(private(folder, "ed25519"), "bob")) == "bob"


def string(*parts):
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


NEGATIVE = string(b"ssh-rsa", b"\x80", b"\x00" + b"\xb1" * 256)

DAMAGED = {
    "negative exponent": NEGATIVE,
    "negative modulus": string(b"ssh-rsa", b"\x01\x00\x01", b"\x80" * 256),
    "no modulus": string(b"ssh-rsa", b"\x03", b""),
    "even modulus": string(b"ssh-rsa", b"\x03", b"\x00" + b"\xb0" * 256),
    "endless modulus": string(b"ssh-rsa", b"\x03", b"\x01" * 60_000),
    "endless key": string(b"ssh-rsa", b"\x03", b"\x01" * 200_000),
    "point of another curve": string(b"ecdsa-sha2-nistp256", b"nistp521", b"\x04" + bytes(64)),
    "point on no curve": string(b"ecdsa-sha2-nistp256", b"nistp256", b"\x04" + b"\xff" * 64),
    "short key": string(b"ssh-ed25519", b"x"),
    "certificate without anything": string(b"ssh-ed25519-cert-v01@openssh.com"),
    "of X.509": string(b"x509v3-ssh-rsa") + (1).to_bytes(4, "big") + string(b"x"),
    "of no kind": string(b"ssh-nonsense", b"x"),
}


@pytest.mark.parametrize("blob", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_key_of_a_stranger_is_a_refusal_and_nothing_more(folder, blob):
    portal = serve(lambda name: public(folder, "ed25519"))
    for _ in range(6):
        for signature in (
            string(b"rsa-sha2-256", bytes(256)),
            string(blob[4:23], bytes(64)),
            string(b"ssh-ed25519", bytes(64)),
        ):
            with pytest.raises(UnauthorizedLogin):
                login(portal, SSHKey("ann", blob, SIGNED, signature))
    assert login(portal, proof(private(folder, "ed25519"))) == "ann"


@pytest.mark.parametrize(
    "damaged", ["ssh-rsa " + base64.b64encode(NEGATIVE).decode(), 'expiry-time="00010101" {key}']
)
def test_a_line_that_cannot_be_read_does_no_harm_to_the_next_one(folder, damaged):
    key = public(folder, "ed25519")
    portal = serve(lambda name: f"{damaged.format(key=key)}\n{key}\n")
    assert login(portal, proof(private(folder, "ed25519"))) == "ann"


def test_keys_that_the_user_does_not_have_are_no_guesses(folder):
    """An agent offers one key after the other; what is damaged counts all the same."""
    keys = {"ann": "ed25519", "bob": "rsa"}
    checker = FirstOf.start(SSHKeyChecker.start(lambda name: public(folder, keys[name])))
    portal = Portal.start(Arena.start([]), [ThrottlingChecker.start(checker, free=2, most=600.0)])
    for _ in range(10):
        for key in ("other", "ecdsa"):
            with pytest.raises(UnauthorizedLogin):
                login(portal, proof(private(folder, key)))
    assert login(portal, proof(private(folder, "ed25519"))) == "ann"
    for _ in range(3):
        with pytest.raises(UnauthorizedLogin):
            login(portal, proof(private(folder, "ed25519"), signed=b"another session"))
    with pytest.raises(LoginDenied):
        login(portal, proof(private(folder, "ed25519")))


@st.composite
def changed(draw, blob):
    """Change some bytes of what was good."""
    made = bytearray(blob)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(made)))
        made[start : start + draw(st.integers(0, 4))] = draw(st.binary(max_size=5))
    return bytes(made)


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_changed_keys_certificates_and_signatures_are_refused(good_blobs, data):
    checker, blobs, signature = good_blobs
    blob = data.draw(st.sampled_from(blobs))
    blob, signature = data.draw(changed(blob)), data.draw(st.just(signature) | changed(signature))
    with pytest.raises(UnauthorizedLogin):
        checker.actor_inbox.actor.check(SSHKey("ann", blob, SIGNED, signature))


@pytest.fixture(scope="module")
def good_blobs(folder, tmp_path_factory):
    """Return a checker that lets nobody in, public keys and certificates, and a signature.

    The keys and certificates are of all kinds.
    """
    blobs = [private(folder, kind).public_data for kind in KINDS]
    for kind in KINDS:
        place = tmp_path_factory.mktemp("certified")
        shutil.copy(folder / f"{kind}.pub", place / "key.pub")
        keygen("-s", folder / "ca", "-I", "test", "-n", "ann", place / "key.pub")
        blobs.append(asyncssh.read_certificate(place / "key-cert.pub").public_data)
    checker = SSHKeyChecker.start(lambda name: "")
    yield checker, blobs, private(folder, "ed25519").sign(SIGNED, b"ssh-ed25519")
    checker.stop()


@given(st.text(max_size=200) | st.text('from="*",expiry-time= ssh-ed25519 AAAA\\', max_size=80))
@settings(deadline=None)
def test_any_text_is_no_list_that_lets_in(text):
    key = asyncssh.generate_private_key("ssh-ed25519")
    checker = SSHKeyChecker.start(lambda name: text)
    try:
        with pytest.raises(UnauthorizedLogin):
            checker.actor_inbox.actor.check(proof(key))
    finally:
        checker.stop()


@given(st.binary(max_size=100), st.binary(max_size=100))
@settings(deadline=None)
def test_any_bytes_are_no_key_and_no_signature(blob, signature):
    checker = SSHKeyChecker.start(lambda name: "")
    try:
        with pytest.raises(UnauthorizedLogin):
            checker.actor_inbox.actor.check(SSHKey("ann", blob, SIGNED, signature))
    finally:
        checker.stop()


def identity_of(line, credentials):
    portal = serve(lambda name: line)
    return portal.login(credentials, None, Player).get(timeout=10).session.identity


def test_a_key_has_a_fingerprint_and_a_comment_and_may_end(folder):
    ann = identity_of(
        f'expiry-time="20990101Z",expiry-time="209901011200Z" {public(folder, "ed25519")}',
        proof(private(folder, "ed25519")),
    )
    words = [shutil.which("ssh-keygen"), "-lf", folder / "ed25519.pub"]
    listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout

    assert ann.attributes["fingerprint"] == listed.split()[1]
    assert ann.attributes["comment"] == "ann's"
    assert ann.methods == {"swk"}
    assert ann.expires == datetime(2099, 1, 1, tzinfo=UTC)
    assert (ann.issuer, ann.subject) == (None, None)


def test_a_plain_key_never_ends(folder):
    line = public(folder, "rsa").removesuffix(" ann's")
    ann = identity_of(line, proof(private(folder, "rsa")))

    assert ann.expires is None
    assert set(ann.attributes) == {"fingerprint"}


def test_a_time_without_a_zone_is_the_servers(folder, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        line = f'expiry-time="20990101" {public(folder, "ed25519")}'
        ann = identity_of(line, proof(private(folder, "ed25519")))
    finally:
        monkeypatch.undo()
        time.tzset()

    assert ann.expires == datetime(2098, 12, 31, 15, tzinfo=UTC)


def test_a_session_ends_with_its_key(folder, inline):
    soon = (datetime.now(UTC) + timedelta(seconds=100)).strftime("%Y%m%d%H%M%SZ")
    line = f'expiry-time="{soon}" {public(folder, "ed25519")}'
    login = serve(lambda name: line).login(proof(private(folder, "ed25519")), None, Player)
    session = login.get(timeout=10).session
    inline.advance(80)
    assert session.is_open
    inline.advance(30)
    assert not session.is_open


@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_says_what_its_authority_calls_it_and_until_when(folder, tmp_path, kind):
    shutil.copy(folder / f"{kind}.pub", tmp_path / "key.pub")
    words = ["-I", "Ann Lee", "-n", "ann,staff", "-z", "17", "-V", "20200101Z:20990101Z"]
    keygen("-s", folder / "ca", *words, tmp_path / "key.pub")
    blob = asyncssh.read_certificate(tmp_path / "key-cert.pub").public_data
    key = private(folder, kind)
    line = f'cert-authority,expiry-time="20980101Z" {public(folder, "ca")}'
    ann = identity_of(line, proof(key, blob=blob))

    assert ann.issuer == asyncssh.read_public_key(folder / "ca.pub").get_fingerprint()
    assert (ann.avatar_id, ann.subject) == ("ann", "Ann Lee")
    assert ann.attributes["fingerprint"] == key.get_fingerprint()
    assert (ann.attributes["serial"], ann.attributes["principals"]) == (17, ("ann", "staff"))
    assert ann.expires == datetime(2098, 1, 1, tzinfo=UTC)
    plain = f"cert-authority {public(folder, 'ca')}"
    assert identity_of(plain, proof(key, blob=blob)).expires == datetime(2099, 1, 1, tzinfo=UTC)


# -- sessions of keys that are removed -----------------------------------------------------------


def standing_name(checker, credentials):
    """Return the name by which the portal asks about a login."""
    return checker.check(credentials).vouchers[0][1]


def test_a_session_stands_by_its_own_key(folder, tmp_path):
    file = tmp_path / "ann"
    file.write_text(f"{public(folder, 'ed25519')}\n{public(folder, 'ecdsa')}\n")
    checker = SSHKeyChecker(f"{tmp_path}/%u", None)
    first, second = (
        standing_name(checker, proof(private(folder, kind))) for kind in ("ed25519", "ecdsa")
    )
    everybody = (first, second, "ann")
    assert checker.check_standing(everybody).gone == {}

    file.write_text(f"# moved\nno-pty {public(folder, 'ed25519')}\n{public(folder, 'ecdsa')}\n")
    assert checker.check_standing(everybody).gone == {}
    file.write_text(f'expiry-time="20200101" {public(folder, "ed25519")}\nnonsense\n')
    assert set(checker.check_standing(everybody).gone) == {first, second, "ann"}
    file.write_text(f"{public(folder, 'ecdsa')}\n")
    assert checker.check_standing(everybody).gone == {first: Revocation.DISABLED}
    file.unlink()
    assert set(checker.check_standing(everybody).gone) == {first, second, "ann"}
    checker._look_up._devices = {0}  # the folder of another file system is not mounted
    assert checker.check_standing(everybody).gone == {}
    checker.on_stop()


def test_a_certificates_session_stands_by_its_authority(folder, tmp_path):
    shutil.copy(folder / "ed25519.pub", tmp_path / "id.pub")
    keygen("-s", folder / "ca", "-I", "x", "-n", "ann", tmp_path / "id.pub")
    certificate = asyncssh.read_certificate(tmp_path / "id-cert.pub")
    lines = {"ann": f"cert-authority {public(folder, 'ca')}\n{public(folder, 'rsa')}\n"}
    checker = SSHKeyChecker(lines.get, None)
    shown = proof(private(folder, "ed25519"), blob=certificate.public_data)
    name = standing_name(checker, shown)
    assert checker.check_standing((name,)).gone == {}
    lines["ann"] = f"{public(folder, 'rsa')}\n"
    assert checker.check_standing((name,)).gone == {name: Revocation.DISABLED}
    del lines["ann"]
    assert checker.check_standing((name,)).gone == {name: Revocation.DISABLED}
    checker.on_stop()
