"""What an exchange is bound to is what the client sees of the server's certificate."""

from __future__ import annotations

import contextlib
import ssl

import pytest
import trustme

from actorcred.sasl import binding
from actorcred.sasl.binding import served_binding, tls_info, unique_binding
from actorcred.sasl.scram import end_point_binding

CA = trustme.CA()


def server_context(certificate: trustme.LeafCert | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (certificate or CA.issue_cert("localhost")).configure_cert(context)
    return context


def connected(
    context: ssl.SSLContext, version: ssl.TLSVersion
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Return both sides of a connection."""
    client_context = ssl.create_default_context()
    client_context.maximum_version = version
    CA.configure_trust(client_context)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(back, there, server_hostname="localhost")
    server = context.wrap_bio(there, back, server_side=True)
    for side in (client, server, client, server, client):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return client, server


def test_a_connection_is_bound_to_the_certificate_that_its_client_sees() -> None:
    client, server = connected(server_context(), ssl.TLSVersion.TLSv1_3)
    der = client.getpeercert(binary_form=True)
    assert der is not None
    info = tls_info(server)

    assert info is not None
    assert info.binding == end_point_binding(der)
    assert info.tls_unique is None  # it is not defined for TLS 1.3
    assert info.version == "TLSv1.3"
    assert info.cipher.startswith("TLS_")


def test_tls_1_2_has_a_binding_of_the_connection_itself() -> None:
    client, server = connected(server_context(), ssl.TLSVersion.TLSv1_2)

    assert unique_binding(server) == unique_binding(client) is not None
    info = tls_info(server)
    assert info is not None
    assert info.tls_unique == unique_binding(server)


def test_without_tls_there_is_nothing_to_be_bound_to() -> None:
    assert tls_info(None) is None
    assert unique_binding(None) is None


def test_a_server_that_wants_a_certificate_of_its_client_shows_its_own_first() -> None:
    context = server_context()
    context.verify_mode = ssl.CERT_REQUIRED

    assert served_binding(context) is not None


def test_a_context_that_serves_no_certificate_has_no_binding() -> None:
    assert served_binding(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)) is None


def test_a_certificate_is_remembered_for_a_while_and_then_looked_up_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context = server_context()
    before = served_binding(context)
    CA.issue_cert("renewed.example").configure_cert(context)
    assert served_binding(context) == before
    monkeypatch.setattr(binding, "FRESH", 0.0)
    assert served_binding(context) != before


def test_without_the_library_nothing_is_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    _, server = connected(server_context(), ssl.TLSVersion.TLSv1_3)
    monkeypatch.setattr(binding, "has_scram", lambda: False)

    assert served_binding(server.context) is None
    info = tls_info(server)
    assert info is not None
    assert (info.binding, info.tls_unique) == (None, None)
