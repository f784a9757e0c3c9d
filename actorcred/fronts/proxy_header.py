"""The PROXY protocol, versions 1 and 2: the header with which a proxy reports its client. Pure.

It is the first data on a connection, before TLS. Source: HAProxy's doc/proxy-protocol.txt of
2024-05-13; the numbers of sections below are its own.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from actorcred.errors import ProtocolError

__all__ = ["LONGEST", "Endpoint", "FrontTLS", "ProxyHeader", "ProxyHeaderError", "ProxyVersion"]

ProxyVersion = int
"""1 or 2."""

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
"""The first bytes of version 2 (section 2.2)."""

LONGEST_V1: Final = 107
"""Bytes of a header of version 1 with its line end (section 2.1)."""

LONGEST: Final = 4096
"""Bytes of a header of version 2 that are accepted. Addresses take at most 232, and the fields that
HAProxy can add a few hundred."""

_PREFIX: Final = 16
"""Bytes of version 2 before the addresses."""

_LOCAL, _PROXY = 0, 1
_STREAM = 1

_SIZES: Final = {1: 12, 2: 36, 3: 216}
"""Bytes of the addresses of a family: IPv4, IPv6, Unix."""

_CRC32C, _SSL = 0x03, 0x20
_SSL_VERSION, _SSL_CN, _SSL_CIPHER = 0x21, 0x22, 0x23
_CLIENT_SSL = 0x01
_CLIENT_CERTIFICATE = 0x02 | 0x04

_PORT = re.compile(rb"0|[1-9][0-9]{0,4}")


class ProxyHeaderError(ProtocolError):
    """The header is missing or not valid; the text says why."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of a connection to a proxy.

    Args:
        address: an IP address, or the path of a Unix socket.
        port: the port; 0 for a Unix socket.
    """

    address: str
    port: int = 0


@dataclass(frozen=True, slots=True)
class FrontTLS:
    """The TLS between the client and the proxy (PP2_TYPE_SSL).

    Args:
        version: such as "TLSv1.3"; "" if the proxy does not say.
        cipher: the cipher suite.
        common_name: the common name of the client's certificate, if the proxy has verified it.
            Informational only: it does not log the client in.
    """

    version: str = ""
    cipher: str = ""
    common_name: str = ""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """What a proxy reports about a connection.

    Args:
        version: of the header, 1 or 2.
        size: the bytes of the header.
        local: whether the connection is the proxy's own, such as a health check (LOCAL).
        is_unix: whether the client reached the proxy over a Unix socket.
        source: the client; None if the proxy does not know (UNKNOWN, UNSPEC, LOCAL).
        destination: the address of the proxy that the client reached; None if unknown.
        tls: the client's TLS, which ends in the proxy; None without, or if it does not say.
    """

    version: ProxyVersion
    size: int
    local: bool = False
    is_unix: bool = False
    source: Endpoint | None = None
    destination: Endpoint | None = None
    tls: FrontTLS | None = None

    @classmethod
    def parse(cls, data: bytes, versions: frozenset[ProxyVersion]) -> ProxyHeader | None:
        """Parse the header at the beginning of a connection.

        Args:
            data: what was received so far.
            versions: the versions that are accepted.

        Returns:
            The header; None if more data is needed.

        Raises:
            ProxyHeaderError: if it is not a valid header of these versions.
        """
        if 2 in versions and SIGNATURE.startswith(data[: len(SIGNATURE)]):
            return _parse_v2(data)
        if 1 in versions and b"PROXY ".startswith(data[:6]):
            return _parse_v1(data)
        raise ProxyHeaderError("the connection does not begin with a PROXY header")


# -- version 1 (section 2.1) -----------------------------------------------------------------------


def _parse_v1(data: bytes) -> ProxyHeader | None:
    line, end, _ = data[:LONGEST_V1].partition(b"\r\n")
    if not end:
        if len(data) >= LONGEST_V1:
            raise ProxyHeaderError("the PROXY header is too long")
        return None
    size = len(line) + len(end)
    words = line.split(b" ")
    if words[1] == b"UNKNOWN":  # what follows must be ignored
        return ProxyHeader(1, size)
    if len(words) != 6 or words[1] not in {b"TCP4", b"TCP6"}:
        raise ProxyHeaderError("the PROXY header has another form than `PROXY TCP4 A B PORT PORT`")
    number = 4 if words[1] == b"TCP4" else 6
    source, destination = (
        Endpoint(_address_v1(host, number), _port_v1(port))
        for host, port in ((words[2], words[4]), (words[3], words[5]))
    )
    return ProxyHeader(1, size, source=source, destination=destination)


def _address_v1(text: bytes, number: int) -> str:
    try:
        address = ipaddress.ip_address(text.decode("ascii"))
    except ValueError:
        raise ProxyHeaderError("the PROXY header has no valid address") from None
    if address.version != number or b"%" in text:
        raise ProxyHeaderError("the PROXY header has an address of another family")
    return _plain(address)


def _plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _port_v1(text: bytes) -> int:
    if not _PORT.fullmatch(text) or int(text) > 65535:
        raise ProxyHeaderError("the PROXY header has no valid port")
    return int(text)


# -- version 2 (section 2.2) -----------------------------------------------------------------------


def _parse_v2(data: bytes) -> ProxyHeader | None:
    if len(data) < _PREFIX:
        return None
    version, command = data[12] >> 4, data[12] & 15
    if version != 2 or command not in {_LOCAL, _PROXY}:
        raise ProxyHeaderError("the PROXY header has an unknown version or command")
    size = _PREFIX + int.from_bytes(data[14:16])
    if size > LONGEST:
        raise ProxyHeaderError(f"the PROXY header is longer than {LONGEST} bytes")
    if len(data) < size:
        return None
    header = data[:size]
    if command == _LOCAL:  # its addresses must be ignored
        return ProxyHeader(2, size, local=True)
    family, transport = data[13] >> 4, data[13] & 15
    length = _SIZES.get(family, 0)
    if size - _PREFIX < length:
        raise ProxyHeaderError("the PROXY header is shorter than its addresses")
    _check_sum(header, _PREFIX + length)
    tls = _tls_of(header[_PREFIX + length :])
    # A connection of another family or transport has no addresses to be used (section 2.2).
    if not length or transport != _STREAM:
        return ProxyHeader(2, size, tls=tls)
    source, destination = _addresses_v2(family, header[_PREFIX : _PREFIX + length])
    return ProxyHeader(
        2, size, is_unix=family == 3, source=source, destination=destination, tls=tls
    )


def _addresses_v2(family: int, data: bytes) -> tuple[Endpoint, Endpoint]:
    if family == 3:
        paths = (data[:108], data[108:])
        source, destination = (
            Endpoint(path.rstrip(b"\0").decode("utf-8", "replace")) for path in paths
        )
        return source, destination
    each = 4 if family == 1 else 16
    ports = data[2 * each :]
    return (
        Endpoint(_plain(ipaddress.ip_address(data[:each])), int.from_bytes(ports[:2])),
        Endpoint(_plain(ipaddress.ip_address(data[each : 2 * each])), int.from_bytes(ports[2:])),
    )


def _fields(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Iterate over TLVs: offset of the value, type and value (section 2.2.1)."""
    at = 0
    while at < len(data):
        start = at + 3
        end = start + int.from_bytes(data[at + 1 : start])
        if start > len(data) or end > len(data):
            raise ProxyHeaderError("the PROXY header ends within a field")
        yield start, data[at], data[start:end]
        at = end


def _tls_of(data: bytes) -> FrontTLS | None:
    for _, kind, value in _fields(data):
        if kind != _SSL:
            continue
        if len(value) < 5:
            raise ProxyHeaderError("the PROXY header has a damaged SSL field")
        about = {kind: value for _, kind, value in _fields(value[5:])}
        if not value[0] & _CLIENT_SSL:
            return None
        verified = value[0] & _CLIENT_CERTIFICATE and not any(value[1:5])
        return FrontTLS(
            _text(about.get(_SSL_VERSION, b"")),
            _text(about.get(_SSL_CIPHER, b"")),
            _text(about.get(_SSL_CN, b"")) if verified else "",
        )
    return None


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _check_sum(header: bytes, fields_at: int) -> None:
    """Compare the checksum, if there is one (section 2.2.3)."""
    for start, kind, value in _fields(header[fields_at:]):
        if kind != _CRC32C:
            continue
        at = fields_at + start
        if len(value) != 4 or crc32c(header[:at] + bytes(4) + header[at + 4 :]) != int.from_bytes(
            value
        ):
            raise ProxyHeaderError("the PROXY header has a wrong checksum")


def _table() -> tuple[int, ...]:
    made = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        made.append(value)
    return tuple(made)


_CRC_TABLE: Final = _table()


def crc32c(data: bytes) -> int:
    """Return the checksum of Castagnoli (RFC 4960, appendix B), which zlib does not have."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _CRC_TABLE[(value ^ byte) & 255]
    return value ^ 0xFFFFFFFF
