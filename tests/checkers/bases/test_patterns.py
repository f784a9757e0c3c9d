"""Patterns for addresses, of IPv4 clients on sockets for both families too."""

from __future__ import annotations

import fnmatch
import ipaddress
import shutil

import asyncssh
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorcred import Portal, UnauthorizedLogin
from actorcred.checkers.bases.patterns import (
    address_in,
    is_address_listed,
    is_name_listed,
    network_in,
)
from actorcred.checkers.sshkey import SSHKeyChecker
from tests.backends.ssh_keys import keygen, make_keys, private, proof, public
from tests.helpers import Arena, Player

SPELLINGS = [
    "192.0.2.7",
    "::ffff:192.0.2.7",
    "::FFFF:C000:207",
    "0:0:0:0:0:ffff:192.0.2.7",
    "::ffff:192.0.2.7%eth0",
]


@pytest.mark.parametrize("source", SPELLINGS)
@pytest.mark.parametrize(
    ("patterns", "matches"),
    [
        ("192.0.2.7", True), ("192.0.2.0/24", True), ("192.0.2.*", True), ("192.0.?.7", True),
        ("*", True), ("10.0.0.1, 192.0.2.7", True),
        ("::ffff:192.0.2.7", True), ("::FFFF:C000:0207", True), ("::ffff:192.0.2.0/120", True),
        ("::ffff:192.0.2.*", True),
        ("!192.0.2.7,*", False), ("*,!192.0.2.7", False), ("!192.0.2.0/24,*", False),
        ("*, !192.0.2.0/24", False), ("!192.0.2.*,*", False),
        ("!::ffff:192.0.2.7,*", False), ("!::ffff:c000:200/120,*", False),
        ("!::ffff:192.0.2.*,*", False), ("! 192.0.2.7,*", False),
        ("192.0.2.8", False), ("192.0.3.0/24", False), ("192.0.2.70", False), ("192.0.2", False),
        ("::/0", False), ("2001:db8::/32", False),
        ("", False), (",", False), ("!192.0.2.8", False), ("!10.0.0.0/8,192.0.2.7", True),
    ],
)  # fmt: skip
def test_an_ipv4_client_is_one_however_the_socket_shows_it(source, patterns, matches):
    assert is_address_listed(patterns, source) is matches


@pytest.mark.parametrize(
    ("source", "patterns", "matches"),
    [
        ("2001:db8::1", "2001:DB8:0:0::1", True), ("2001:db8::1", "2001:db8::/32", True),
        ("2001:db8::1", "2001:DB8::*", True), ("2001:db8::1", "0.0.0.0/0", False),
        ("2001:db8::1%eth0", "!2001:db8::1,*", False), ("", "*", False), ("a host", "*", False),
        ("unix:", "*", False),
    ],
)  # fmt: skip
def test_other_addresses(source, patterns, matches):
    assert is_address_listed(patterns, source) is matches


@pytest.mark.parametrize("patterns", ["192.0.2.7/24", "*,!192.0.2.0/33", "192.0.2.7,!x/y", "/"])
def test_a_network_that_is_none_is_an_error(patterns):
    with pytest.raises(ValueError, match=r"bits set|does not appear"):
        is_address_listed(patterns, "192.0.2.7")


@given(st.text("ab*?[]!", max_size=12), st.text("ab*?[]!", max_size=12))
@settings(deadline=None)
def test_wildcards(pattern, text):
    if not pattern.startswith("!"):
        escaped = "".join(f"[{sign}]" if sign in "[]" else sign for sign in pattern)
        assert is_name_listed(pattern, text) is fnmatch.fnmatchcase(text, escaped)


def test_wildcards_take_no_endless_time():
    assert not is_name_listed("*a" * 200 + "b", "a" * 5000)


def test_networks_and_addresses():
    assert str(network_in(ipaddress.ip_network("::ffff:0:0/96"))) == "0.0.0.0/0"
    assert str(network_in(ipaddress.ip_network("::ffff:0:0/95", strict=False))) == "::fffe:0:0/95"
    assert str(network_in(ipaddress.ip_network("10.0.0.0/8"))) == "10.0.0.0/8"
    assert address_in("nonsense") is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.mark.parametrize("source", SPELLINGS)
@pytest.mark.parametrize(
    ("network", "lets_in"),
    [
        ("192.0.2.0/24", True), ("192.0.2.7", True), ("::ffff:192.0.2.0/120", True),
        ("10.0.0.0/8", False), ("::/0", False),
    ],
)  # fmt: skip
def test_source_address_of_a_certificate(folder, tmp_path, source, network, lets_in):
    shutil.copy(folder / "ed25519.pub", tmp_path / "key.pub")
    keygen(
        "-s",
        folder / "ca",
        "-I",
        "test",
        "-n",
        "ann",
        "-O",
        f"source-address={network}",
        tmp_path / "key.pub",
    )
    blob = asyncssh.read_certificate(tmp_path / "key-cert.pub").public_data
    portal = Portal.start(
        Arena.start([]),
        [SSHKeyChecker.start(lambda name: f"cert-authority {public(folder, 'ca')}")],
    )
    credentials = proof(private(folder, "ed25519"), blob=blob, source=source)
    if lets_in:
        assert portal.login(credentials, None, Player).get(timeout=10).session.avatar_id == "ann"
    else:
        with pytest.raises(UnauthorizedLogin):
            portal.login(credentials, None, Player).get(timeout=10)
