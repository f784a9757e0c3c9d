"""Lists of patterns for client addresses and names, as in `from=` of authorized_keys.

See PATTERNS in ssh_config(5).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import TypeAlias

__all__ = ["address_in", "is_address_listed", "is_name_listed", "network_in"]


Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")

_MAPPED_TEXT = re.compile(r"::ffff:(?=[0-9*?.]+$)", re.IGNORECASE)


def address_in(text: str) -> Address | None:
    """Return the address in a string; None if it is not an address.

    A socket for both families shows 192.0.2.7 as ::ffff:192.0.2.7 (RFC 4291, section 2.5.5.2).
    Both are the same client, and the IPv4 address is returned.
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def network_in(network: Network) -> Network:
    """Return a network, as an IPv4 network if all its addresses are mapped IPv4 addresses."""
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        mapped = network.network_address.ipv4_mapped
        return ipaddress.IPv4Network((int(mapped or 0), network.prefixlen - _MAPPED.prefixlen))
    return network


def is_address_listed(patterns: str, source: str) -> bool:
    """Return whether an address matches one of several patterns, and none that begins with `!`.

    Args:
        patterns: addresses, networks such as 192.0.2.0/24, or addresses with `*` and `?`; separated
            by commas.
        source: the client's address.

    Raises:
        ValueError: if a network is invalid. It might have been meant to exclude the client.
    """
    address = address_in(source)
    return address is not None and _is_listed(patterns, lambda pattern: _matches(pattern, address))


def is_name_listed(patterns: str, name: str) -> bool:
    """Return whether a name matches one of several patterns, and none that begins with `!`."""
    return _is_listed(patterns, lambda pattern: _glob(pattern, name))


def _is_listed(patterns: str, matches: Callable[[str], bool]) -> bool:
    items = [item.strip() for item in patterns.split(",")]
    # All patterns are checked, in any order, since one that cannot be read is an error.
    excluded = [matches(item[1:].strip()) for item in items if item.startswith("!")]
    named = [matches(item) for item in items if not item.startswith("!")]
    return any(named) and not any(excluded)


def _matches(pattern: str, address: Address) -> bool:
    if "/" in pattern:
        return address in network_in(ipaddress.ip_network(pattern))
    exact = address_in(pattern)
    if exact is not None:
        return address == exact
    return _glob(_MAPPED_TEXT.sub("", pattern).lower(), str(address))


def _glob(pattern: str, text: str) -> bool:
    """Return whether a string matches a pattern: `*` is any string and `?` any character."""
    first, *rest = (re.escape(part).replace(r"\?", ".") for part in re.split(r"\*+", pattern))
    # Each part is searched for once, without backtracking, so that the time is bounded by the
    # product of both lengths.
    parts = "".join(f"(?>.*?{part})" for part in rest[:-1])
    last = f".*{rest[-1]}" if rest else ""
    return re.fullmatch(f"{first}{parts}{last}", text, re.DOTALL) is not None
