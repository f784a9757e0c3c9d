"""The properties of a connection for mechanisms, and its channel bindings (RFC 5929)."""

from __future__ import annotations

import contextlib
import ssl
import time
from dataclasses import replace
from weakref import WeakKeyDictionary

from actorcred.credentials import ExternalIdentity
from actorcred.network import is_private_connection
from actorcred.sasl.mechanism import Situation
from actorcred.sasl.scram import end_point_binding, has_scram

__all__ = ["served_binding", "situation_of", "unique_binding", "with_bindings"]

FRESH = 60.0
"""Seconds for which a context's certificate is cached. A new one can be loaded into a context that
is in use."""

_known: WeakKeyDictionary[ssl.SSLContext, tuple[float, tuple[str, bytes] | None]] = (
    WeakKeyDictionary()
)


def situation_of(
    address: str,
    *,
    encrypted: bool,
    host: str = "localhost",
    tls: ssl.SSLObject | ssl.SSLSocket | None = None,
    identity: ExternalIdentity | None = None,
) -> Situation:
    """Return the properties of a connection that mechanisms depend on.

    Args:
        address: the peer's; "" if it has none, such as on a Unix socket.
        encrypted: whether the connection has TLS.
        host: the server's name, for challenges.
        tls: the TLS of the connection, for channel binding, such as asyncio's
            `transport.get_extra_info("ssl_object")`; None if it is not known.
        identity: the client's identity as stated by a trusted proxy.
    """
    private = is_private_connection(address, encrypted=encrypted)
    situation = Situation(private=private, host=host, source=address, identity=identity)
    return with_bindings(situation, tls)


def with_bindings(situation: Situation, tls: ssl.SSLObject | ssl.SSLSocket | None) -> Situation:
    """Return a situation with the channel bindings of its connection.

    Args:
        situation: the connection's properties.
        tls: the TLS of the connection; None without TLS.
    """
    if tls is None or not has_scram():
        return situation
    return replace(situation, binding=served_binding(tls.context), tls_unique=unique_binding(tls))


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
