"""The TLS of a connection, and its channel bindings (RFC 5929)."""

from __future__ import annotations

import contextlib
import ssl
import time
from typing import Any
from weakref import WeakKeyDictionary

from actorcred.credentials import Certificate
from actorcred.identity import TLSInfo
from actorcred.sasl.scram import end_point_binding, has_scram

__all__ = ["make_certificate", "served_binding", "tls_info", "unique_binding"]

FRESH = 60.0
"""Seconds for which a context's certificate is cached. A new one can be loaded into a context that
is in use."""

_known: WeakKeyDictionary[ssl.SSLContext, tuple[float, tuple[str, bytes] | None]] = (
    WeakKeyDictionary()
)


def tls_info(
    tls: ssl.SSLObject | ssl.SSLSocket | None, binding: tuple[str, bytes] | None = None
) -> TLSInfo | None:
    """Return the details of a connection's TLS, for `ClientInfo`.

    Args:
        tls: the TLS of the connection, such as asyncio's
            `transport.get_extra_info("ssl_object")`; None if it is not known.
        binding: the kind and bytes of tls-server-end-point, if they are known already.

    Returns:
        The details; None without TLS.
    """
    if tls is None:
        return None
    cipher = tls.cipher()
    der = tls.getpeercert(binary_form=True)
    scram = has_scram()
    return TLSInfo(
        version=tls.version() or "",
        cipher=cipher[0] if cipher else "",
        certificate=None if der is None else make_certificate(der, tls.getpeercert() or {}),
        binding=(binding or served_binding(tls.context)) if scram else None,
        tls_unique=unique_binding(tls) if scram else None,
    )


def make_certificate(der: bytes, fields: dict[str, Any]) -> Certificate:
    """Return a verified certificate as credentials.

    Args:
        der: the certificate.
        fields: what `ssl.SSLSocket.getpeercert()` returns.
    """
    subject = {name: value for pair in fields.get("subject", ()) for name, value in pair}
    return Certificate(der, subject, tuple(fields.get("subjectAltName", ())))


def unique_binding(tls: ssl.SSLObject | ssl.SSLSocket | None) -> bytes | None:
    """Return the bytes of tls-unique; None if there are none.

    It is defined up to TLS 1.2, but Python returns bytes for TLS 1.3, too.
    """
    if tls is None or tls.version() not in {"TLSv1", "TLSv1.1", "TLSv1.2"}:
        return None
    return tls.get_channel_binding("tls-unique")


def served_binding(context: ssl.SSLContext) -> tuple[str, bytes] | None:
    """Return the kind and bytes of tls-server-end-point for a server's context; None without."""
    if not has_scram():
        return None
    known, now = _known.get(context), time.monotonic()
    if known is None or now - known[0] >= FRESH:
        der = _served_certificate(context)
        known = _known[context] = (now, None if der is None else end_point_binding(der))
    return known[1]


def _served_certificate(context: ssl.SSLContext) -> bytes | None:
    """Return the certificate that a context serves.

    A context has no method for that, so a client in memory connects to it.
    """
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asking.check_hostname, asking.verify_mode = False, ssl.CERT_NONE
    asked, answered = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(answered, asked)
    server = context.wrap_bio(asked, answered, server_side=True)
    # A server that requires a certificate fails after it has sent its own. With TLS 1.2 it
    # does not get that far.
    with contextlib.suppress(ssl.SSLError, ValueError):
        for side in (client, server, client, server, client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    with contextlib.suppress(ssl.SSLError, ValueError):
        return client.getpeercert(binary_form=True)
    return None
