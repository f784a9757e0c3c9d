"""Who the client is, and whether its connection is private."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from actorcred.fronts.clients import by_headers, by_proxy_header, by_raw_header, endpoint_of
from actorcred.fronts.proxy_header import ProxyHeader
from actorcred.fronts.trusted import ForwardingHeader, TrustedProxy
from actorcred.identity import ClientInfo, TLSInfo
from tests.fronts.headers import ssl_field, v1, v2

PEER = ClientInfo(address="127.0.0.1", port=9, protocol="rpc", transport="tcp", local="0.0.0.0:25")
PROXY = TrustedProxy(("127.0.0.1", "10.0.0.0/8"))


def by(data: bytes, peer: ClientInfo = PEER) -> ClientInfo:
    header = ProxyHeader.parse(data, frozenset({1, 2}))
    assert header is not None
    return by_proxy_header(peer, header)


def values(**headers: str) -> Callable[[str], list[str]]:
    return lambda name: [headers[name]] if name in headers else []


def http(peer: ClientInfo = PEER, proxy: TrustedProxy | None = PROXY, **headers: str) -> ClientInfo:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return by_headers(peer, proxy, values(**named))[0]


def test_a_proxy_header_gives_the_client_and_the_way() -> None:
    client = by(v1("2001:db8::7"))

    assert client.endpoint == "[2001:db8::7]:5000"
    assert client.local == "[2001:db8::ff]:25"
    assert client.via == ("127.0.0.1",)
    assert not client.untrusted_front


@pytest.mark.parametrize(
    "data", [v1(), v2(), v2("127.0.0.1"), v2("/run/x", 0), b"PROXY UNKNOWN\r\n", v2(command=0)]
)
def test_a_proxy_on_the_same_machine_does_not_make_a_connection_private(data) -> None:
    assert not by(data).private
    assert not by(data, ClientInfo(transport="unix")).private


def test_a_proxy_that_reports_tls_makes_a_connection_private() -> None:
    client = by(v2(fields=ssl_field()))

    assert client.encrypted
    assert client.private
    assert client.tls is None  # it does not end here


@pytest.mark.parametrize("data", [b"PROXY UNKNOWN\r\n", v2(command=0), v2("")])
def test_an_unknown_client_is_one_of_many_at_the_address_of_the_proxy(data) -> None:
    client = by(data)

    assert client.address == "127.0.0.1"
    assert client.via == ("127.0.0.1",)
    assert client.untrusted_front


def test_a_client_on_a_unix_socket_of_the_proxy_has_no_address() -> None:
    client = by(v2("/run/x", 0), ClientInfo(transport="unix", local="here"))

    assert (client.address, client.port, client.local) == ("", 0, "here")
    assert client.via == ("unix",)


def test_a_trusted_http_proxy_names_its_client() -> None:
    client = http(x_forwarded_for="9.9.9.9, 198.51.100.7, 10.0.0.1", x_forwarded_proto="https")

    assert client.address == "198.51.100.7"
    assert client.via == ("10.0.0.1", "127.0.0.1")
    assert client.private


def test_only_the_header_that_the_proxy_writes_is_read() -> None:
    both = {"x_forwarded_for": "198.51.100.7", "forwarded": "for=203.0.113.9;proto=https"}
    other = TrustedProxy(("127.0.0.1",), header=ForwardingHeader.FORWARDED)

    assert http(**both).address == "198.51.100.7"
    assert not http(**both).private
    assert http(proxy=other, **both).address == "203.0.113.9"
    assert http(proxy=other, **both).private


def test_a_client_that_is_a_trusted_proxy_itself_is_not_on_its_own_way() -> None:
    client = http(x_forwarded_for="10.0.0.1")

    assert client.address == "10.0.0.1"
    assert client.via == ("127.0.0.1",)


@pytest.mark.parametrize(
    ("headers", "address", "via"),
    [
        ({}, "127.0.0.1", ("127.0.0.1",)),
        ({"x_forwarded_for": "unknown"}, "127.0.0.1", ("127.0.0.1",)),
        ({"x_forwarded_for": "1.2.3.4,"}, "127.0.0.1", ("127.0.0.1",)),
        ({"x_forwarded_for": "_x, 10.0.0.1"}, "10.0.0.1", ("10.0.0.1", "127.0.0.1")),
    ],
)
def test_a_client_that_no_proxy_knows_counts_as_that_proxy(headers, address, via) -> None:
    client = http(**headers)

    assert (client.address, client.via) == (address, via)
    assert client.untrusted_front
    assert not client.private


def test_the_tls_of_the_proxy_is_not_that_of_the_client() -> None:
    peer = ClientInfo(address="10.0.0.1", encrypted=True, tls=TLSInfo(version="TLSv1.3"))
    client = http(peer, x_forwarded_for="198.51.100.7", x_forwarded_proto="http")

    assert client.tls is None
    assert not client.private
    assert http(peer).tls is None


@pytest.mark.parametrize("proxy", [None, TrustedProxy(("192.0.2.1",))])
def test_somebody_who_is_not_trusted_is_not_believed_and_not_private(proxy) -> None:
    for name in ("forwarded", "x-forwarded-for"):
        client, ignored = by_headers(PEER, proxy, values(**{name: "for=10.0.0.1;proto=https"}))
        assert ignored == name
        assert client.address == "127.0.0.1"
        assert client.untrusted_front
        assert not client.private  # it is a proxy, although a near one
    assert by_headers(PEER, proxy, values()) == (PEER, "")


def test_a_header_that_another_library_has_read_is_read_again() -> None:
    assert by_raw_header(PEER, v2()) == by(v2())
    assert by_raw_header(PEER, b"PROXY TCP4 x\r\n") is None
    assert by_raw_header(PEER, v2()[:-1]) is None


def test_an_endpoint_is_for_display() -> None:
    assert endpoint_of("::1", 5) == "[::1]:5"
    assert endpoint_of("", 5) == ""
