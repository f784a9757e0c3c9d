"""PROXY headers, as proxies write them."""

from __future__ import annotations

import ipaddress

from actorcred.fronts.proxy_header import SIGNATURE, crc32c

__all__ = ["ssl_field", "tlv", "v1", "v2"]


def v1(source: str = "198.51.100.7", port: int = 5000) -> bytes:
    family = "TCP6" if ":" in source else "TCP4"
    destination = "2001:db8::ff" if ":" in source else "192.0.2.1"
    return f"PROXY {family} {source} {destination} {port} 25\r\n".encode()


def tlv(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + len(value).to_bytes(2) + value


def ssl_field(
    client: int = 1, verify: int = 1, version: bytes = b"TLSv1.3", name: bytes = b""
) -> bytes:
    about = tlv(0x21, version) + tlv(0x23, b"TLS_AES_256_GCM_SHA384")
    about += tlv(0x22, name) if name else b""
    return tlv(0x20, bytes([client]) + verify.to_bytes(4) + about)


def v2(
    source: str = "198.51.100.7",
    port: int = 5000,
    fields: bytes = b"",
    *,
    command: int = 1,
    checksum: bool = False,
) -> bytes:
    if source.startswith("/"):
        family, addresses = 0x31, source.encode().ljust(108, b"\0") + b"/front".ljust(108, b"\0")
    elif not source:
        family, addresses = 0, b""
    else:
        address = ipaddress.ip_address(source)
        there = ipaddress.ip_address("192.0.2.1" if address.version == 4 else "2001:db8::ff")
        family = 0x11 if address.version == 4 else 0x21
        addresses = address.packed + there.packed + port.to_bytes(2) + (25).to_bytes(2)
    rest = addresses + fields + (tlv(3, bytes(4)) if checksum else b"")
    header = SIGNATURE + bytes([0x20 | command, family]) + len(rest).to_bytes(2) + rest
    return header[:-4] + crc32c(header).to_bytes(4) if checksum else header
