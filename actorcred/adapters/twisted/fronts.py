"""Where the client of a Twisted transport comes from, also behind Twisted's HAProxy wrapper."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.interfaces import ISSLTransport

from actorcred.fronts.clients import by_raw_header, endpoint_of
from actorcred.fronts.trusted import TrustedProxy
from actorcred.identity import ClientInfo

__all__ = ["client_of", "is_wrapped"]


def client_of(
    transport: Any, protocol: str = "", local: str = "", proxies: TrustedProxy | None = None
) -> ClientInfo:
    """Return where a client comes from.

    Args:
        transport: Twisted's. If it is one of `HAProxyWrappingFactory`, its PROXY header counts if
            the proxy is trusted.
        protocol: what the client speaks, such as "imap".
        local: the server's name; by default the address and port that were reached.
        proxies: the trusted proxies; see `CredPortal.proxies`.
    """
    front = _wrapper_of(transport)
    socket = transport if front is None else front.transport
    address, port = _address_of(socket, "getPeer")
    # With a wrapper that had TLS from the start, the TLS is that of the proxy.
    encrypted = ISSLTransport.providedBy(transport) or (
        front is not None and ISSLTransport.providedBy(socket)
    )
    of_client = encrypted and not (front is not None and ISSLTransport.providedBy(front))
    client = ClientInfo(
        address=address,
        port=port,
        protocol=protocol,
        transport=("tls" if encrypted else "tcp") if address else "unix",
        local=local or endpoint_of(*_address_of(socket, "getHost")),
        encrypted=of_client,
    )
    if front is None:
        return client
    trusted = proxies is not None and proxies.includes(address)
    reported = by_raw_header(client, _header_of(front)) if trusted else None
    if reported is None:
        return replace(client, untrusted_front=True)
    return replace(reported, encrypted=reported.encrypted or of_client)


def is_wrapped(transport: Any) -> bool:
    """Return whether a transport reads a PROXY header."""
    return _wrapper_of(transport) is not None


def _wrapper_of(transport: Any) -> Any:
    """Return the transport that has read a PROXY header; None if there is none."""
    while transport is not None:
        layers = getattr(transport, "__dict__", {})
        if "_proxyInfo" in layers:
            return transport
        transport = layers.get("transport")
    return None


def _header_of(front: Any) -> bytes:
    """Return the header that a wrapper has read. Our parser must read it again for TLS."""
    raw = bytes(getattr(front._proxyInfo, "header", b""))
    return raw if raw[:1] == b"\r" else raw + b"\r\n"  # Twisted cuts the line end of version 1


def _address_of(transport: Any, method: str) -> tuple[str, int]:
    found = getattr(transport, method, lambda: None)()
    return str(getattr(found, "host", None) or ""), int(getattr(found, "port", None) or 0)
