"""Client certificates: of whom, by whom, until when, and whether they are revoked."""

from __future__ import annotations

import tempfile
import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actorcred import (
    AccountError,
    Certificate,
    CheckerUnavailable,
    ConnectionLost,
    Portal,
    UnauthorizedLogin,
)
from actorcred.auth.descriptors import DescriptorError
from actorcred.auth.registry import from_string
from actorcred.checkers.bases.polling import POLL
from actorcred.checkers.certificate import MOST_NAMES, CertificateChecker
from actorcred.names import make_avatar_id
from tests.backends.authority import DAY, NOW, Authority
from tests.helpers import Arena, Player
from tests.rpc.stage import authority as trusted_authority
from tests.rpc.stage import on_loop, stage


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def ca(authority, tmp_path):
    path = tmp_path / "ca.pem"
    path.write_bytes(authority.certificate.public_bytes(serialization.Encoding.PEM))
    return path


def serve(checker):
    return Portal.start(Arena.start([]), [checker])


def login(portal, certificate):
    der = (
        certificate
        if isinstance(certificate, bytes)
        else certificate.public_bytes(serialization.Encoding.DER)
    )
    return portal.login(Certificate(der, {}), None, Player).get(timeout=10).session


EMAIL, DNS = x509.RFC822Name("ann@example.org"), x509.DNSName("ann.example.org")


@pytest.mark.parametrize(
    ("identity", "who"),
    [
        ("email", "ann@example.org"),
        ("dns", "ann.example.org"),
        ("uri", "https://example.org/ann"),
        ("cn", "ann"),
        ("subject", "CN=ann"),
    ],
)
def test_what_of_a_certificate_is_the_name(ca, authority, dispatcher, identity, who):
    portal = serve(from_string(f"certificate[identity={identity}]:{ca}"))
    assert (
        login(
            portal,
            authority.issue(EMAIL, DNS, x509.UniformResourceIdentifier("https://example.org/ann")),
        ).avatar_id
        == who
    )


def test_others_let_nobody_in(ca, authority, dispatcher):
    portal = serve(CertificateChecker.start(ca))
    for wrong in (
        Authority().issue(EMAIL),  # another authority of the same name
        authority.issue(EMAIL, end=NOW - DAY),
        authority.issue(EMAIL, start=NOW + DAY / 2),
        authority.issue(),
        authority.issue(DNS),
        authority.issue(EMAIL, x509.RFC822Name("bob@example.org")),
        b"", b"x" * 100, authority.issue(EMAIL).public_bytes(serialization.Encoding.DER)[:-10],
    ):  # fmt: skip
        with pytest.raises(UnauthorizedLogin):
            login(portal, wrong)


def test_a_revoked_certificate_ends_sessions_and_lets_nobody_in(ca, authority, tmp_path, inline):
    crl = tmp_path / "crl.pem"
    crl.write_bytes(authority.revoke())
    portal = serve(CertificateChecker.start(ca, "email", crl))
    mine, other = authority.issue(EMAIL), authority.issue(x509.RFC822Name("bob@example.org"))
    session, kept = login(portal, mine), login(portal, other)
    crl.write_bytes(authority.revoke(mine))
    inline.advance(POLL)
    assert not session.is_open
    assert kept.is_open
    with pytest.raises(UnauthorizedLogin):
        login(portal, mine)
    assert login(portal, other)
    for unusable in (
        authority.revoke(end=NOW - DAY / 2),
        Authority().revoke(),
        b"",
        authority.revoke()[:100],
    ):
        crl.write_bytes(unusable)
        with pytest.raises(CheckerUnavailable):
            login(portal, other)
    crl.unlink()
    with pytest.raises(CheckerUnavailable):
        login(portal, other)


def test_what_cannot_be_used_is_said(ca, tmp_path):
    for text, message in [
        (f"certificate:{tmp_path}/none", "cannot use"),
        (f"certificate[identity=shoe]:{ca}", "not one of email"),
        (f"certificate[crl={tmp_path}/none]:{ca}", "No such file"),
        (f"certificate[crl={ca}]:{ca}", "no list in it"), ("certificate:", "needs the path"),
    ]:  # fmt: skip
        with pytest.raises(AccountError, match=message):
            from_string(text)


@on_loop
async def test_over_tls(tmp_path) -> None:
    own, strange = trusted_authority(), trustme.CA()
    own.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with stage(
        "tls", tmp_path, checkers=[CertificateChecker.start(tmp_path / "ca.pem")]
    ) as game:
        context = game.client_context()
        own.issue_cert("ann@example.org").configure_cert(context)
        client = await game.connect("", None, context=context, mechanism="EXTERNAL")
        assert client.avatar_id == "ann@example.org"
        for issuer, name in ((own, "ann.example.org"), (strange, "ann@example.org")):
            context = game.client_context()
            issuer.issue_cert(name).configure_cert(context)
            with pytest.raises((UnauthorizedLogin, ConnectionLost)):
                await game.connect("", None, context=context, mechanism="EXTERNAL")


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_are_no_certificate(data):
    authority = Authority()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ca.pem")
        path.write_bytes(authority.certificate.public_bytes(serialization.Encoding.PEM))
        checker = CertificateChecker.start(path)
    try:
        with pytest.raises(UnauthorizedLogin):
            checker.actor_inbox.actor.request_avatar_id(Certificate(data, {}))
    finally:
        checker.stop()


@given(st.text(min_size=1, max_size=30), st.sampled_from(["cn", "subject"]))
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_name_in_a_certificate_is_an_avatar_id_or_nobodys(ca, authority, text, identity):
    try:
        issued = authority.issue(cn=text)
    except (ValueError, UnicodeEncodeError):
        return  # what is no name in a certificate
    checker = CertificateChecker.start(ca, identity)
    try:
        der = issued.public_bytes(serialization.Encoding.DER)
        who = checker.actor_inbox.actor.request_avatar_id(Certificate(der, {})).avatar_id
        assert who == make_avatar_id(who)
        assert identity == "subject" or who == unicodedata.normalize("NFC", text)
    except UnauthorizedLogin:
        return
    finally:
        checker.stop()


def test_a_certificate_says_whose_it_is_by_whom_and_until_when(ca, authority, inline):
    issued = authority.issue(EMAIL, DNS, x509.UniformResourceIdentifier("https://example.org/ann"))
    ann = login(serve(CertificateChecker.start(ca)), issued).identity

    assert (ann.avatar_id, ann.issuer, ann.subject) == ("ann@example.org", "CN=Test CA", "CN=ann")
    assert ann.methods == {"swk"}
    assert ann.expires == issued.not_valid_after_utc
    assert ann.attributes == {
        "serial": f"{issued.serial_number:x}",
        "fingerprint": issued.fingerprint(hashes.SHA256()).hex(),
        "names": ("email:ann@example.org", "dns:ann.example.org", "uri:https://example.org/ann"),
    }


def test_options_say_what_the_subject_is_and_how_keys_are_kept(ca, authority, inline):
    portal = serve(from_string(f"certificate[subject=dns,methods=sc pin]:{ca}"))
    ann = login(portal, authority.issue(EMAIL, DNS)).identity
    assert (ann.subject, ann.methods) == ("ann.example.org", {"sc", "pin"})
    assert login(portal, authority.issue(EMAIL)).identity.subject is None
    for wrong in ("subject=shoe", "methods=smartcard", "methods="):
        with pytest.raises(DescriptorError):
            from_string(f"certificate[{wrong}]:{ca}")
    with pytest.raises(ValueError, match="names of RFC 8176"):
        CertificateChecker.start(ca, methods=frozenset({"smartcard"}))


def test_many_and_long_names_are_bounded(ca, authority, inline):
    long = x509.UniformResourceIdentifier("https://example.org/" + "x" * 2000)
    many = [x509.DNSName(f"host{number}.example.org") for number in range(100)]
    portal = serve(CertificateChecker.start(ca, "cn"))

    assert len(login(portal, authority.issue(*many)).identity.attributes["names"]) == MOST_NAMES
    assert "names" not in login(portal, authority.issue(long)).identity.attributes
    assert "names" not in login(portal, authority.issue()).identity.attributes


def test_a_session_ends_with_its_certificate(ca, authority, inline):
    soon = datetime.now(UTC) + timedelta(seconds=100)
    session = login(serve(CertificateChecker.start(ca)), authority.issue(EMAIL, end=soon))
    inline.advance(90)
    assert session.is_open
    inline.advance(20)
    assert not session.is_open
