"""The proxies that a deployer trusts."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["UNIX", "ForwardingHeader", "TrustedProxy", "trusted"]

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""The name of a header (RFC 9110, section 5.6.2)."""

UNIX = "unix"
"""Stands for all proxies that connect over a Unix socket."""

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ForwardingHeader(StrEnum):
    """How an HTTP proxy reports its client."""

    X_FORWARDED = "x-forwarded"
    """By X-Forwarded-For and X-Forwarded-Proto, which most proxies write."""

    FORWARDED = "forwarded"
    """By Forwarded (RFC 7239)."""


@dataclass(frozen=True, slots=True)
class TrustedProxy:
    """The proxies in front of a server that are trusted to report their clients.

    Args:
        networks: the addresses or networks of the proxies, such as ("127.0.0.1", "10.0.0.0/24"),
            and "unix" for all that connect over a Unix socket. If an application runs in another
            server, that server must not replace the proxies' addresses
            (`uvicorn --no-proxy-headers`).
        identity_header: the header with the user's name, such as "X-Remote-User", for a checker
            that takes `ExternalIdentity`; "" for none. The proxy must remove this header from the
            requests of clients.
        header: how HTTP proxies report the address of their client: "x-forwarded" or "forwarded".
            Only this one is read, since the other one can come from the client. The proxy must add
            to it or replace it.

    Raises:
        TypeError: if `networks` is one string.
        ValueError: if there are no networks, or an argument is not valid.
    """

    networks: tuple[str, ...]
    identity_header: str = ""
    header: ForwardingHeader = ForwardingHeader.X_FORWARDED
    _parsed: tuple[_Network, ...] = field(init=False, repr=False, compare=False)
    _unix: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        networks: object = self.networks
        if isinstance(networks, str):
            raise TypeError("networks must be a tuple of addresses or networks, not one string")
        if not self.networks:
            raise ValueError("a trusted proxy needs an address or network")
        header: object = self.identity_header
        if not isinstance(header, str) or (header and not _HEADER.fullmatch(header)):
            raise ValueError(f"{header!r} is not the name of a header")
        put = object.__setattr__
        put(self, "networks", tuple(self.networks))
        put(self, "_unix", UNIX in self.networks)
        put(self, "_parsed", tuple(_network(text) for text in self.networks if text != UNIX))
        try:
            put(self, "header", ForwardingHeader(self.header))
        except ValueError:
            known = " or ".join(repr(str(kind)) for kind in ForwardingHeader)
            raise ValueError(f"header must be {known}, not {self.header!r}") from None

    def includes(self, host: str) -> bool:
        """Return whether an address is one of these proxies; "" is a Unix socket."""
        if not host:
            return self._unix
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._parsed)


def _network(text: str) -> _Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"networks: {error}; write 127.0.0.1, 10.0.0.0/24 or unix") from None


def trusted(proxies: TrustedProxy | Iterable[str] | None) -> TrustedProxy | None:
    """Return proxies that were given as addresses, or as they are; None if there are none.

    Raises:
        TypeError: if they are one string.
        ValueError: if an address is not valid.
    """
    if proxies is None or isinstance(proxies, TrustedProxy):
        return proxies
    if isinstance(proxies, str):
        raise TypeError("trusted proxies are a list of addresses, not one string")
    networks = tuple(proxies)
    return TrustedProxy(networks) if networks else None
