"""A wrong setting is named where it is made, and not found by the first client."""

from __future__ import annotations

from typing import Any

import pytest

from actorcred import Admission, Penalty, PortalOptions
from actorcred.rpc import ClientOptions, Rates, Resume, ServerOptions, TrustedProxy, WireLimits


@pytest.mark.parametrize(
    ("kind", "settings", "error"),
    [
        (Penalty, {"step": "1"}, "step must be a number, not '1'"),
        (Penalty, {"step": -1}, "step must be 0 or more, not -1"),
        (Penalty, {"longest": float("nan")}, "longest must be more than 0, not nan"),
        (Admission, {"logins": "5"}, "logins must be a whole number, not '5'"),
        (Admission, {"logins": None}, "logins must be a whole number, not None"),
        (Admission, {"sessions": 1.5}, "sessions must be a whole number, not 1.5"),
        (Admission, {"limit_loopback": 1}, "limit_loopback must be True or False, not 1"),
        (PortalOptions, {"login_timeout": None}, "login_timeout must be a number, not None"),
        (PortalOptions, {"admission": {}}, "admission must be a Admission, not {}"),
        (PortalOptions, {"registry": 5}, "registry must make a Registry"),
        (ServerOptions, {"resume": 30}, "resume must be a Resume, not 30"),
        (ServerOptions, {"heartbeat": True}, "heartbeat must be a number, not True"),
        (ServerOptions, {"login_timeout": float("inf")}, "login_timeout must be more than 0"),
        (ServerOptions, {"proxy": "10.0.0.1"}, "proxy must be a TrustedProxy"),
        (ServerOptions, {"origins": "https://x.example"}, "origins must be a tuple of strings"),
        (ServerOptions, {"origins": ("https://x.example/",)}, "write 'https://x.example'"),
        (ServerOptions, {"origins": ("https://X.example:443",)}, "write 'https://x.example'"),
        (ServerOptions, {"origins": ("*",)}, "'\\*' is not an origin"),
        (ServerOptions, {"legacy_mechanisms": 5}, "legacy_mechanisms must be a tuple"),
        (ServerOptions, {"legacy_mechanisms": None}, "legacy_mechanisms must be a tuple"),
        (Rates, {"requests_per_second": "200"}, "requests_per_second must be a number"),
        (Resume, {"grace": "30"}, "grace must be a number, not '30'"),
        (WireLimits, {"frame": 0}, "frame must be more than 0, not 0"),
        (ClientOptions, {"timeout": -1}, "timeout must be more than 0, not -1"),
        (ClientOptions, {"client": "x"}, "client must be a tuple of name and version"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(
    kind: Any, settings: dict[str, Any], error: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=error):
        kind(**settings)


@pytest.mark.parametrize(
    ("networks", "header", "error"),
    [
        ("10.0.0.0/8", "X-User", "not one string"),
        (("10.0.0.1/8",), "X-User", "host bits set; write"),
        (("10.0.0.1",), "X-User: a", "is not the name of a header"),
    ],
)
def test_a_proxy_that_makes_no_sense_is_named(networks: Any, header: str, error: str) -> None:
    with pytest.raises((TypeError, ValueError), match=error):
        TrustedProxy(networks, header)


def test_a_proxy_on_a_socket_for_both_versions_of_ip_is_the_same() -> None:
    assert TrustedProxy(("127.0.0.1",), "X-User").includes("::ffff:127.0.0.1")


def test_settings_without_a_limit_are_taken() -> None:
    assert Admission(sessions=None, connections=7).connections == 7
    assert ServerOptions(rates=Rates(bytes_per_second=None)).rates.bytes_per_second is None
    assert ServerOptions(origins=("https://x.example:8443",)).origins
