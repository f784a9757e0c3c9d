"""The header of the PROXY protocol, byte by byte."""

from __future__ import annotations

import pytest

from actorcred.fronts.proxy_header import (
    LONGEST,
    SIGNATURE,
    Endpoint,
    FrontTLS,
    ProxyHeader,
    ProxyHeaderError,
    crc32c,
)
from tests.fronts.headers import ssl_field, tlv, v1, v2

BOTH = frozenset({1, 2})


def parse(data: bytes) -> ProxyHeader:
    header = ProxyHeader.parse(data, BOTH)
    assert header is not None
    return header


@pytest.mark.parametrize("make", [v1, v2])
@pytest.mark.parametrize("address", ["198.51.100.7", "2001:db8::7"])
def test_a_header_names_the_client_and_what_it_reached(make, address) -> None:
    data = make(address)
    header = parse(data + b"EHLO x\r\n")

    assert header.source == Endpoint(address, 5000)
    assert header.destination == Endpoint("2001:db8::ff" if ":" in address else "192.0.2.1", 25)
    assert header.size == len(data)
    assert header.version == (1 if make is v1 else 2)
    assert header.tls is None
    assert not header.local


@pytest.mark.parametrize("data", [v1(), v2(fields=ssl_field()), v2("/run/x", 0)])
def test_each_part_of_a_header_is_too_little(data) -> None:
    for end in range(len(data)):
        assert ProxyHeader.parse(data[:end], BOTH) is None
    assert ProxyHeader.parse(data, BOTH) is not None


def test_an_ipv4_address_written_as_ipv6_is_an_ipv4_address() -> None:
    assert parse(v1("::ffff:198.51.100.7")).source == Endpoint("198.51.100.7", 5000)
    assert parse(v2("::ffff:198.51.100.7")).source == Endpoint("198.51.100.7", 5000)


@pytest.mark.parametrize(
    "data",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff::1 junk 1\r\n",
        v2(command=0),
        v2("", fields=ssl_field()),
        v2()[:13] + b"\x12" + v2()[14:],
    ],
)
def test_a_proxy_need_not_know_its_client(data) -> None:
    header = parse(data)

    assert header.source is None
    assert header.destination is None
    assert header.size == len(data)


def test_the_proxys_own_connection_is_local_whatever_else_it_says() -> None:
    header = parse(v2(command=0, fields=ssl_field()))

    assert header.local
    assert header.tls is None


def test_a_client_on_a_unix_socket_has_a_path() -> None:
    header = parse(v2("/run/game", 0))

    assert header.is_unix
    assert header.source == Endpoint("/run/game")


def test_the_proxy_says_that_its_client_has_tls() -> None:
    tls = parse(v2(fields=tlv(1, b"h2") + ssl_field(client=7, verify=0, name=b"ann"))).tls

    assert tls == FrontTLS("TLSv1.3", "TLS_AES_256_GCM_SHA384", "ann")


@pytest.mark.parametrize(("client", "verify"), [(1, 0), (7, 1), (3, 0x01000000)])
def test_the_name_of_a_certificate_counts_if_it_was_verified(client, verify) -> None:
    tls = parse(v2(fields=ssl_field(client=client, verify=verify, name=b"eve"))).tls

    assert tls is not None
    assert tls.common_name == ""


def test_an_ssl_field_of_a_client_without_tls_is_no_tls() -> None:
    assert parse(v2(fields=ssl_field(client=0))).tls is None


def test_a_checksum_is_compared() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C
    data = v2(fields=ssl_field(), checksum=True)
    assert parse(data).source is not None

    with pytest.raises(ProxyHeaderError, match="checksum"):
        parse(data.replace(b"TLSv1.3", b"TLSv1.2"))
    with pytest.raises(ProxyHeaderError, match="checksum"):
        parse(v2(fields=tlv(3, b"abc")))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"EHLO x\r\n", "does not begin"),
        (b"\x16\x03\x01", "does not begin"),
        (b"proxy TCP4", "does not begin"),
        (b"PROXY " + b"x" * 101, "too long"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "another form"),
        (b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", "another form"),
        (b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", "another form"),
        (b"PROXY \r\n", "another form"),
        (b"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", "no valid address"),
        (b"PROXY TCP4 \xff 1.2.3.4 1 2\r\n", "no valid address"),
        (b"PROXY TCP4 ::1 ::1 1 2\r\n", "another family"),
        (b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", "another family"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", "no valid port"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n", "no valid port"),
        (SIGNATURE + b"\x11\x11\0\0", "unknown version or command"),
        (SIGNATURE + b"\x22\x11\0\0", "unknown version or command"),
        (SIGNATURE + b"\x21\x11" + (LONGEST - 15).to_bytes(2), "longer than"),
        (SIGNATURE + b"\x21\x11\0\x04abcd", "shorter than its addresses"),
        (v2(fields=b"\x01\x00"), "ends within a field"),
        (v2(fields=b"\x01\x00\x09ab"), "ends within a field"),
        (v2(fields=tlv(0x20, b"\1\0\0\0")), "damaged SSL"),
        (v2(fields=tlv(0x20, b"\1\0\0\0\0\x21\0\x09a")), "ends within a field"),
    ],
)
def test_what_is_no_header_is_refused(data, error) -> None:
    with pytest.raises(ProxyHeaderError, match=error):
        ProxyHeader.parse(data, BOTH)


def test_only_the_versions_that_were_asked_for_are_taken() -> None:
    with pytest.raises(ProxyHeaderError):
        ProxyHeader.parse(v1(), frozenset({2}))
    with pytest.raises(ProxyHeaderError):
        ProxyHeader.parse(v2(), frozenset({1}))
