"""Which proxies are trusted."""

from __future__ import annotations

from typing import Any

import pytest

from actorcred.fronts.trusted import ForwardingHeader, TrustedProxy, trusted


def test_only_the_proxies_that_are_named_are_trusted() -> None:
    proxy = TrustedProxy(("10.0.0.0/8", "fe80::1"))

    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fe80::1%eth0"):
        assert proxy.includes(address)
    for address in ("192.0.2.1", "a host's name", ""):
        assert not proxy.includes(address)
    assert TrustedProxy(("unix",)).includes("")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("10.0.0.0/8",), "not one string"),
        (((),), "needs an address or network"),
        ((("nonsense",),), "nonsense.*write 127.0.0.1"),
        ((("10.0.0.1/8",),), "host bits set"),
        ((("10.0.0.1",), "X-User: a"), "is not the name of a header"),
        ((("10.0.0.1",), "", "via"), "must be 'x-forwarded' or 'forwarded', not 'via'"),
    ],
)
def test_a_proxy_that_makes_no_sense_is_named(arguments: Any, error: str) -> None:
    with pytest.raises((TypeError, ValueError), match=error):
        TrustedProxy(*arguments)


def test_addresses_are_enough() -> None:
    assert trusted(()) is None
    assert trusted(None) is None
    proxy = trusted(["127.0.0.1"])
    assert proxy == TrustedProxy(("127.0.0.1",))
    assert trusted(proxy) is proxy
    assert proxy is not None
    assert proxy.header is ForwardingHeader.X_FORWARDED
    with pytest.raises(TypeError, match="not one string"):
        trusted("127.0.0.1")
