"""Forwarded and X-Forwarded-For, read from the right."""

from __future__ import annotations

import pytest

from actorcred.fronts.forwarded import (
    MOST_HOPS,
    Forwarding,
    Hop,
    forwarded,
    node,
    read,
    x_forwarded,
)


def trusts(address: str) -> bool:
    return address.startswith("10.")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.43", ("192.0.2.43", 0)),
        ("192.0.2.43:47011", ("192.0.2.43", 47011)),
        ("[2001:db8:cafe::17]:4711", ("2001:db8:cafe::17", 4711)),
        ("[2001:db8:cafe::17]", ("2001:db8:cafe::17", 0)),
        ("2001:DB8::17", ("2001:db8::17", 0)),
        ("::ffff:192.0.2.1", ("192.0.2.1", 0)),
        ("192.0.2.43:99999", ("192.0.2.43", 0)),
        ("unknown", ("", 0)),
        ("_hidden", ("", 0)),
        ("_SEVKISEK:80", ("", 0)),
        ("fe80::1%eth0", ("", 0)),
        ("192.0.2.043", ("", 0)),
        ("[192.0.2.43", ("", 0)),
        ("", ("", 0)),
    ],
)
def test_a_node_is_an_address_or_unknown(text, expected) -> None:
    assert node(text) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (['For="[2001:db8:cafe::17]:4711"'], [Hop("2001:db8:cafe::17", 4711)]),
        (["for=192.0.2.60;proto=http;by=203.0.113.43"], [Hop("192.0.2.60", 0, "http")]),
        (["for=192.0.2.43, for=198.51.100.17"], [Hop("198.51.100.17"), Hop("192.0.2.43")]),
        (["for=192.0.2.43", "for=198.51.100.17"], [Hop("198.51.100.17"), Hop("192.0.2.43")]),
        (['for="a\\"b, c";PROTO="HTTPS"'], [Hop("", 0, "https")]),
        (["for=1.2.3.4;host=x:80 ;"], [Hop("1.2.3.4")]),
        (["proto=https"], [Hop("", 0, "https")]),
        (["for=1.2.3.4,"], [Hop("1.2.3.4")]),
        ([""], []),
        ([], []),
        (["nonsense"], []),
    ],
)
def test_forwarded_is_read_from_the_right(values, expected) -> None:
    assert list(forwarded(values)) == expected


@pytest.mark.parametrize(
    "evil",
    [
        'for="10.0.0.1',
        'for=9.9.9.9;x="',
        'x="\\',
        'for="[::1]";x="a',
        ",,,",
        "for=9.9.9.9" + ";x=y" * 2000,
        '"' * 3000,
    ],
)
@pytest.mark.parametrize(
    "own", ["for=1.2.3.4;proto=https", 'for="[2001:db8::1]:80";host="a, b";proto=https']
)
def test_what_a_client_wrote_does_not_reach_into_the_proxys_part(evil, own) -> None:
    first = next(iter(forwarded([f"{evil}, {own}"])))

    assert first.address in {"1.2.3.4", "2001:db8::1"}
    assert first.proto == "https"


def test_an_endless_element_is_no_element() -> None:
    assert list(forwarded(["a=" + "b" * 2000])) == []
    assert list(forwarded(["a=" + '"' + "," * 2000])) == []


@pytest.mark.parametrize(
    ("addresses", "protos", "expected"),
    [
        (["1.2.3.4"], [], [Hop("1.2.3.4")]),
        (["1.2.3.4, 10.0.0.1"], ["https"],
         [Hop("10.0.0.1", 0, "https"), Hop("1.2.3.4", 0, "https")]),
        (["1.2.3.4", "10.0.0.1:80"], [], [Hop("10.0.0.1", 80), Hop("1.2.3.4")]),
        (["1.2.3.4"], ["https, http"], [Hop("1.2.3.4", 0, "http")]),
        (["1.2.3.4"], ["http", "HTTPS"], [Hop("1.2.3.4", 0, "https")]),
        (["1.2.3.4, 10.0.0.1"], ["https, http"],
         [Hop("10.0.0.1", 0, "http"), Hop("1.2.3.4", 0, "http")]),
        ([], ["https"], [Hop("", 0, "https")]),
        ([" "], [], [Hop("")]),
    ],
)  # fmt: skip
def test_x_forwarded_for_goes_with_x_forwarded_proto(addresses, protos, expected) -> None:
    assert list(x_forwarded(addresses, protos)) == expected


@pytest.mark.parametrize(
    ("hops", "expected"),
    [
        ([], Forwarding()),
        (["1.2.3.4", "9.9.9.9"], Forwarding("1.2.3.4")),
        (["10.0.0.2", "10.0.0.1", "1.2.3.4", "9.9.9.9"],
         Forwarding("1.2.3.4", via=("10.0.0.1", "10.0.0.2"))),
        (["10.0.0.2", "", "9.9.9.9"], Forwarding("", via=("10.0.0.2",))),
        (["10.0.0.2"], Forwarding("10.0.0.2")),
        (["10.0.0.1"] * MOST_HOPS + ["1.2.3.4"], Forwarding()),
    ],
)  # fmt: skip
def test_hops_are_followed_as_far_as_they_are_trusted(hops, expected) -> None:
    assert read(iter([Hop(address) for address in hops]), trusts) == expected


def test_the_hop_of_the_client_says_whether_it_has_tls() -> None:
    hops = forwarded(["for=1.2.3.4;proto=http, for=10.0.0.1;proto=https"])
    assert not read(hops, trusts).encrypted
    hops = forwarded(["for=1.2.3.4;proto=wss, for=10.0.0.1;proto=http"])
    assert read(hops, trusts).encrypted
