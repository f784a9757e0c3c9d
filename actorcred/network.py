"""Addresses: this machine's own, and what counts as one source of clients. Pure."""

from __future__ import annotations

import contextlib
import ipaddress
from urllib.parse import urlsplit

__all__ = ["is_local", "is_loopback", "is_private_connection", "source_of", "source_of_peer"]


_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))


def is_local(url: str) -> bool:
    """Tell whether a URL leads to this machine, so that nobody can read along."""
    return urlsplit(url).hostname in _LOOPBACK


def source_of_peer(address: str) -> str:
    """Return what counts as one source, of an address with or without a port."""
    host, colon, port = address.rpartition(":")
    if ":" in host:  # of IPv6, where it may be a part of the address
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(address)
            return source_of(address)
    return source_of(host if colon and host and port.isdecimal() else address)


def source_of(address: str, *, loopback: bool = False) -> str:
    """Return what counts as one source: an IPv4 address, or the /64 network of an IPv6 address, which is one customer's.

    Args:
        address: of a client; "" if it has none, as with a Unix socket.
        loopback: whether this machine's own addresses are sources, too. Any number of users may stand behind them.

    Returns:
        The source; "" for what has none, so that nothing is counted or penalised by it.
    """
    if address == "127.0.0.1":
        return address if loopback else ""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip
    if ip.is_loopback and not loopback:
        return ""
    return str(
        ip
        if isinstance(ip, ipaddress.IPv4Address)
        else ipaddress.ip_network((ip, 64), strict=False)
    )


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine itself."""
    if host == "127.0.0.1":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def is_private_connection(host: str, *, encrypted: bool) -> bool:
    """Tell whether nobody else can read along with a connection.

    Args:
        host: the peer's address; "" if it has none, as on a Unix socket.
        encrypted: whether the connection has TLS.
    """
    return encrypted or not host or is_loopback(host)
