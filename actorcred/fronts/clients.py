"""Clients as trusted proxies report them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from actorcred.fronts.forwarded import Forwarding, forwarded, read, x_forwarded
from actorcred.fronts.proxy_header import ProxyHeader, ProxyHeaderError
from actorcred.fronts.trusted import UNIX, ForwardingHeader, TrustedProxy
from actorcred.identity import ClientInfo

__all__ = ["by_headers", "by_proxy_header", "by_raw_header", "endpoint_of"]

_BOTH = frozenset({1, 2})

FORWARDED, FOR, PROTO = "forwarded", "x-forwarded-for", "x-forwarded-proto"


def endpoint_of(address: str, port: int) -> str:
    """Return an address and port for display; "" if there is no address."""
    return ClientInfo(address=address, port=port).endpoint


def by_proxy_header(peer: ClientInfo, header: ProxyHeader) -> ClientInfo:
    """Return the client that a PROXY header reports.

    Args:
        peer: the proxy, which is trusted, as it has connected; without the TLS that may follow.
        header: its header.
    """
    via = (peer.address or UNIX, *peer.via)
    encrypted = header.tls is not None
    if header.source is None:
        # The proxy's own connection, or one of any client. It counts as the proxy's, which any
        # number of clients can share.
        return replace(peer, via=via, encrypted=encrypted, untrusted_front=True)
    there = header.destination
    local = "" if there is None or header.is_unix else endpoint_of(there.address, there.port)
    return replace(
        peer,
        address="" if header.is_unix else header.source.address,
        port=header.source.port,
        local=local or peer.local,
        encrypted=encrypted,
        via=via,
    )


def by_raw_header(peer: ClientInfo, raw: bytes) -> ClientInfo | None:
    """Return the client that a PROXY header reports, which another library has read.

    Args:
        peer: see `by_proxy_header`.
        raw: the whole header.

    Returns:
        The client; None if our parser, which is strict, does not accept the header.
    """
    try:
        header = ProxyHeader.parse(raw, _BOTH)
    except ProxyHeaderError:
        return None
    return None if header is None else by_proxy_header(peer, header)


def by_headers(
    peer: ClientInfo, proxy: TrustedProxy | None, values: Callable[[str], Sequence[str]]
) -> tuple[ClientInfo, str]:
    """Return the client of an HTTP request.

    Args:
        peer: who has connected.
        proxy: the trusted proxies; None if there are none.
        values: returns the values of all headers with a name in lower case.

    Returns:
        The client; and the name of a header that was ignored because the peer is not trusted, or
        "".
    """
    if proxy is None or not proxy.includes(peer.address):
        ignored = next((name for name in (FORWARDED, FOR) if values(name)), "")
        return (replace(peer, untrusted_front=True) if ignored else peer), ignored
    if proxy.header is ForwardingHeader.FORWARDED:
        hops = forwarded(values(FORWARDED))
    else:
        hops = x_forwarded(values(FOR), values(PROTO))
    return _behind(peer, read(hops, proxy.includes)), ""


def _behind(peer: ClientInfo, found: Forwarding) -> ClientInfo:
    nearest = peer.address or UNIX
    via = (*found.via, nearest, *peer.via)
    # The TLS that ends here is the proxy's, as is its certificate.
    if found.address:
        # If the last address is that of a trusted proxy, it is the client.
        via = via[1:] if found.via[:1] == (found.address,) else via
        return replace(
            peer,
            address=found.address,
            port=found.port,
            encrypted=found.encrypted,
            tls=None,
            via=via,
        )
    # The client is unknown. It counts as the proxy that does not know it.
    return replace(
        peer,
        address=found.via[0] if found.via else peer.address,
        port=0 if found.via else peer.port,
        encrypted=found.encrypted,
        tls=None,
        via=via,
        untrusted_front=True,
    )
