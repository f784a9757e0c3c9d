"""Which proxies are believed, and what they say of the client's connection."""

from __future__ import annotations

import pytest

from actorcred.adapters._proxies import TrustedProxies, said_https


def test_only_the_proxies_that_are_named_are_believed() -> None:
    trusted = TrustedProxies(["10.0.0.0/8", "fe80::1"])

    for source in ("10.1.2.3", "::ffff:10.1.2.3", "fe80::1%eth0"):
        assert source in trusted
    for source in ("192.0.2.1", "a host's name", ""):
        assert source not in trusted
    assert "" in TrustedProxies(["unix"])


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        TrustedProxies(["nonsense"])
    with pytest.raises(ValueError, match="a list of addresses, not one string"):
        TrustedProxies("10.0.0.1")


@pytest.mark.parametrize(
    ("forwarded", "protos", "https"),
    [
        ([], ["https"], True),
        ([], ["http, https"], True),
        ([], ["https, http"], False),
        (["for=x;proto=http, for=y;proto=https"], [], True),
        (["for=y;proto=https"], ["http"], False),
        ([], ["wss"], True),
        ([], [], False),
    ],
)
def test_the_nearest_proxy_says_whether_the_client_came_by_tls(
    forwarded: list[str], protos: list[str], https: bool
) -> None:
    assert said_https(forwarded, protos) is https
