"""Which addresses are this machine's, and which are one source of clients."""

from __future__ import annotations

import pytest

from actorcred.network import (
    is_local,
    is_loopback,
    is_of_this_machine,
    source_of,
    source_of_peer,
)


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::%eth0", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", ""),
        ("127.9.9.9", ""),
        ("::1", ""),
        ("", ""),
        ("unix:/run/socket", "unix:/run/socket"),
    ],
)
def test_an_ipv4_address_or_the_network_of_a_customer_is_one_source(address, source):
    assert source_of(address) == source


def test_this_machines_own_addresses_are_sources_only_if_that_is_wanted():
    assert source_of("127.0.0.1", loopback=True) == "127.0.0.1"
    assert source_of("127.9.9.9", loopback=True) == "127.9.9.9"


@pytest.mark.parametrize(
    ("peer", "source"),
    [
        ("192.0.2.1:5222", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::1:5222", "2001:db8::/64"),
        ("fe80::1%eth0:5222", "fe80::/64"),
        ("localhost:x", "localhost:x"),
    ],
)
def test_the_port_of_a_peer_does_not_count(peer, source):
    assert source_of_peer(peer) == source


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_this_machine_has_many_names(host):
    is_loopback.cache_clear()  # other tests have asked
    assert is_loopback(host)


def test_other_machines_are_not_this_one():
    for host in ("192.0.2.1", "example.org", "2001:db8::1%eth0"):
        assert not is_loopback(host)


def test_a_url_of_this_machine_is_local():
    assert is_local("http://localhost:8080/keys")
    assert is_local("http://[::1]/")
    assert not is_local("http://example.org/?at=localhost")


@pytest.mark.parametrize(
    ("address", "ours"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("192.0.2.1", False),
        ("2001:db8::1", False),
    ],
)
def test_a_source_that_is_this_machine_is_another_one_elsewhere(address: str, ours: bool) -> None:
    assert is_of_this_machine(source_of(address, loopback=True)) is ours
