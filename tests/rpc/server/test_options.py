"""Options that cannot be are refused by their names."""

from __future__ import annotations

from typing import Any

import pytest

from actorcred.rpc import ServerOptions


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"login_timeout": 0}, "login_timeout must be more than 0, not 0"),
        ({"grace": -1.0}, "grace must be more than 0, not -1.0"),
        ({"identity_header": "X-User"}, "need each other"),
        ({"trusted_fronts": ("10.0.0.0/8",)}, "need each other"),
        ({"identity_header": "X-User", "trusted_fronts": ("nonsense",)}, "nonsense"),
    ],
)
def test_what_cannot_be_is_named(settings: dict[str, Any], error: str) -> None:
    with pytest.raises((TypeError, ValueError), match=error):
        ServerOptions(**settings)


def test_nothing_may_be_free_of_a_penalty_or_of_a_grace() -> None:
    assert ServerOptions(grace=0, penalty=0, free_failures=0).grace == 0


def test_only_the_fronts_that_are_named_are_trusted() -> None:
    options = ServerOptions(identity_header="X-User", trusted_fronts=("10.0.0.0/8", "fe80::1"))

    assert options.trusts("10.1.2.3")
    assert options.trusts("fe80::1%eth0")
    for host in ("192.0.2.1", "nonsense", ""):
        assert not options.trusts(host)
    assert not ServerOptions().trusts("10.1.2.3")
