"""Addresses: this machine's own, and what counts as one source of clients. No I/O."""

from __future__ import annotations

import contextlib
import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit

__all__ = ["is_local", "is_loopback", "source_of", "source_of_peer"]


_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))


def is_local(url: str) -> bool:
    """Return whether a URL refers to this machine, so that no one can read the traffic."""
    return urlsplit(url).hostname in _LOOPBACK


def source_of_peer(address: str) -> str:
    """Return the source of an address with or without a port."""
    host, colon, port = address.rpartition(":")
    if ":" in host:  # IPv6, where the last colon can be part of the address
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(address)
            return source_of(address)
    return source_of(host if colon and host and port.isdecimal() else address)


def source_of(address: str, *, loopback: bool = False) -> str:
    """Return what counts as one source of clients.

    It is an IPv4 address, or the /64 network of an IPv6 address, which belongs to one customer.

    Args:
        address: a client's address; "" if it has none, as with a Unix socket.
        loopback: whether this machine's own addresses are sources, too. Any number of users can be
            behind them.

    Returns:
        The source; "" if there is none, so that nothing is counted or penalized by it.
    """
    if address == "127.0.0.1":
        return address if loopback else ""
    return _source_of(address, loopback)


@lru_cache(4096)
def _source_of(address: str, loopback: bool) -> str:
    """Compute `source_of`, which each login asks for several times."""
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


def is_of_this_machine(source: str) -> bool:
    """Return whether a source is this machine itself, so that elsewhere it is another one."""
    return not source_of(source) or source == "::/64"


@lru_cache(4096)
def is_loopback(host: str) -> bool:
    """Return whether a host is this machine itself. Each login asks for it."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"
