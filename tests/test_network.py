"""Which addresses are this machine's, and which are one source of clients."""

from __future__ import annotations

import pytest

from actorcred.network import (
    is_local,
    is_loopback,
    is_private_connection,
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
def test_nobody_reads_along_on_this_machine(host):
    assert is_loopback(host)
    assert is_private_connection(host, encrypted=False)


def test_elsewhere_only_tls_is_private():
    for host in ("192.0.2.1", "example.org", "2001:db8::1%eth0"):
        assert not is_loopback(host)
        assert not is_private_connection(host, encrypted=False)
        assert is_private_connection(host, encrypted=True)
    assert is_private_connection("", encrypted=False)  # a Unix socket


def test_a_url_of_this_machine_is_local():
    assert is_local("http://localhost:8080/keys")
    assert is_local("http://[::1]/")
    assert not is_local("http://example.org/?at=localhost")
