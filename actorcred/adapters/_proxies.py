"""What trusted proxies report about the client's connection."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

__all__ = ["TrustedProxies", "said_https"]

_PROTO = re.compile(r'(?i)(?:\A|;)\s*proto\s*=\s*"?(\w+)"?\s*(?=;|\Z)')


class TrustedProxies:
    """The proxies that the deployer trusts.

    Args:
        addresses: their addresses such as "10.0.0.7", networks such as "10.0.0.0/8", and "unix" for
            all that connect over a Unix socket.

    Raises:
        ValueError: if an address is not valid.
    """

    def __init__(self, addresses: Iterable[str] = ()) -> None:
        if isinstance(addresses, str):
            raise ValueError("trusted proxies are a list of addresses, not one string")
        wanted = list(addresses)
        self._unix = "unix" in wanted
        self._networks = tuple(
            ipaddress.ip_network(text, strict=False) for text in wanted if text != "unix"
        )

    def __contains__(self, source: str) -> bool:
        """Return whether an address is that of a trusted proxy; "" is a Unix socket."""
        if not source:
            return self._unix
        try:
            address = ipaddress.ip_address(source.partition("%")[0])
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._networks)


def said_https(forwarded: list[str], protos: list[str]) -> bool:
    """Return whether the nearest proxy reports that it was reached over TLS.

    Args:
        forwarded: the Forwarded headers (RFC 7239), whose last element is that proxy's.
        protos: the X-Forwarded-Proto headers, whose last word is that proxy's.
    """
    said = [header.rpartition(",")[2].strip().lower() for header in protos[-1:]]
    for header in forwarded[-1:]:
        said += [match[1].lower() for match in _PROTO.finditer(header.rpartition(",")[2])]
    # A header that the proxy does not write can come from the client. It must not make the
    # connection look more secure than the other header says, so both must agree.
    return bool(said) and all(word in {"https", "wss"} for word in said)
