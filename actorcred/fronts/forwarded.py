"""The headers by which HTTP proxies report their clients. Pure.

They are Forwarded (RFC 7239), and X-Forwarded-For with X-Forwarded-Proto. Each proxy appends its
own part on the right, so they are read from the right, and only as far as trusted proxies wrote
them: everything further left can come from the client.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["MOST_HOPS", "Forwarding", "Hop", "forwarded", "read", "x_forwarded"]

MOST_HOPS: Final = 16
"""Proxies in a row that are followed."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# Sections 4 and 6: an unquoted address may not have a colon, but proxies write it so.
_LOOSE_PAIR = rf'{_TOKEN}[ \t]*=[ \t]*(?:[^\s",;\\]+|"(?:[^"\\]|\\.)*")'
_ELEMENT = re.compile(rf"[ \t]*{_LOOSE_PAIR}(?:[ \t]*;[ \t]*{_LOOSE_PAIR})*[ \t]*;?[ \t]*")
_SPLIT = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s",;\\]+))')
_NODE = re.compile(r"\[([^\]]*)\](?::(\d{1,5}))?|([^:\[\]]*)(?::(\d{1,5}))?")

_LONGEST_ELEMENT: Final = 1024
"""Characters of the part of one proxy."""


@dataclass(frozen=True, slots=True)
class Hop:
    """What one proxy reports about the connection to it.

    Args:
        address: who connected to it; "" if that is unknown or hidden.
        port: of the peer; 0 if unknown.
        proto: the scheme, such as "https", in lower case; "" if it does not say.
    """

    address: str
    port: int = 0
    proto: str = ""

    @property
    def is_tls(self) -> bool:
        """Whether the connection has TLS."""
        return self.proto in {"https", "wss"}


@dataclass(frozen=True, slots=True)
class Forwarding:
    """Who the client is, according to trusted proxies.

    Args:
        address: the client's address; "" if no trusted proxy says.
        port: its port; 0 if unknown.
        encrypted: whether a trusted proxy says that the client's connection to it has TLS.
        via: the trusted proxies further away than the one that has connected, the client's nearest
            first.
    """

    address: str = ""
    port: int = 0
    encrypted: bool = False
    via: tuple[str, ...] = ()


def read(hops: Iterator[Hop], trusts: Callable[[str], bool]) -> Forwarding:
    """Follow the reports of proxies from the right.

    Args:
        hops: what they report, the rightmost first.
        trusts: returns whether an address is a trusted proxy. The first report must be that of a
            trusted proxy, which has connected.
    """
    found = Forwarding()
    via: list[str] = []
    for count, hop in enumerate(hops):
        if count == MOST_HOPS:
            return Forwarding()
        found = Forwarding(hop.address, hop.port, hop.is_tls, tuple(reversed(via)))
        if not hop.address or not trusts(hop.address):
            break
        via.append(hop.address)
    return found


def forwarded(values: Sequence[str]) -> Iterator[Hop]:
    """Iterate over the elements of Forwarded headers from the right (RFC 7239, section 4).

    It ends before an element that is not valid.

    Args:
        values: the values of all such headers, in their order.
    """
    left = ",".join(values)
    while left.strip(" \t,"):
        left, element = _cut(left)
        if element is None:
            return
        fields: dict[str, str] = {}
        for name, quoted, token in _SPLIT.findall(element):
            # A name may occur only once in an element; the last one is the proxy's.
            fields[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) or token
        address, port = node(fields.get("for", ""))
        yield Hop(address, port, fields.get("proto", "").lower())


def _cut(text: str) -> tuple[str, str | None]:
    """Return the text before the rightmost element, and that element; None if it is not valid.

    Commas can be within quotes, and what a client wrote further left can have quotes without an
    end. So the element is the shortest text on the right, after a comma, that is valid as a whole.
    """
    text = text.rstrip(" \t,")
    at = text.rfind(",")
    while len(text) - at <= _LONGEST_ELEMENT:
        if _ELEMENT.fullmatch(text, at + 1):
            return text[: max(at, 0)], text[at + 1 :]
        if at < 0:
            break
        at = text.rfind(",", 0, at)
    return text, None


def x_forwarded(addresses: Sequence[str], protos: Sequence[str]) -> Iterator[Hop]:
    """Iterate over X-Forwarded-For from the right, with X-Forwarded-Proto.

    A proxy that replaces X-Forwarded-Proto leaves one word, which then holds for all. Without
    X-Forwarded-For, there is one hop without an address.

    Args:
        addresses: the values of all X-Forwarded-For headers, in their order.
        protos: the values of all X-Forwarded-Proto headers.
    """
    left, words = ",".join(addresses), ",".join(protos)
    proto = ""
    if not left.strip():
        yield Hop("", 0, words.rpartition(",")[2].strip().lower())
        return
    while left:
        left, _, last = left.rpartition(",")
        if words:
            words, _, word = words.rpartition(",")
            word = word.strip().lower()
            # A hop without TLS is a hop without TLS for what came through it.
            proto = word if proto in {"", "https", "wss"} else proto
        address, port = node(last.strip())
        yield Hop(address, port, proto)


def node(text: str) -> tuple[str, int]:
    """Return the address and port of a node (RFC 7239, section 6).

    The address is "" if it is unknown, hidden or not valid; the port is 0 if it is unknown.
    """
    text = text.strip()
    match = _NODE.fullmatch(text)
    host = text if match is None else match[1] if match[1] is not None else match[3]
    port = 0 if match is None else int(match[2] or match[4] or 0)
    if "%" in host:  # the interface of a link-local address means nothing here
        return "", 0
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "", 0
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address), port if port <= 65535 else 0
