"""Options that are not possible are refused by their names."""

from __future__ import annotations

from typing import Any

import pytest

from actorcred.rpc import Resume, ServerOptions, TrustedProxy
from tests.settings import server_options


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"login_timeout": 0}, "login_timeout must be more than 0, not 0"),
        ({"grace": -1.0}, "grace must be 0 or more, not -1.0"),
        ({"replay": 0}, "replay must be more than 0, not 0"),
        ({"bytes_burst": -1}, "bytes_burst must be more than 0, not -1"),
    ],
)
def test_what_is_not_possible_is_named(settings: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        server_options(**settings)


@pytest.mark.parametrize(
    ("networks", "header", "error"),
    [
        ((), "X-User", "needs an address or network, and a header"),
        (("10.0.0.0/8",), "", "needs an address or network, and a header"),
        (("nonsense",), "X-User", "nonsense"),
    ],
)
def test_a_proxy_needs_addresses_and_a_header(
    networks: tuple[str, ...], header: str, error: str
) -> None:
    with pytest.raises(ValueError, match=error):
        TrustedProxy(networks, header)


def test_a_session_may_end_with_its_connection() -> None:
    assert ServerOptions(resume=Resume(grace=0)).resume.grace == 0


def test_only_the_proxies_that_are_named_are_trusted() -> None:
    proxy = TrustedProxy(("10.0.0.0/8", "fe80::1"), "X-User")

    assert proxy.includes("10.1.2.3")
    assert proxy.includes("fe80::1%eth0")
    for host in ("192.0.2.1", "nonsense", ""):
        assert not proxy.includes(host)
