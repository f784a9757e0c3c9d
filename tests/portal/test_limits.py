"""The table of a portal's limits, and that the reference shows the defaults."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from actorcred import PortalOptions
from actorcred.sessions.policies import Policy
from actorcred.throttle import Admission, Penalty
from tests.settings import portal_options

PAGE = Path(__file__).parents[2] / "docs/reference/portal.md"


def values(options: PortalOptions) -> dict[str, str]:
    """Return the values of a table by the names of their limits."""
    lines = options.describe().splitlines()
    column = lines[0].index("value")
    end = lines[0].index("of what")
    return {line[:column].strip(): line[column:end].strip() for line in lines[1:]}


def test_the_reference_shows_the_defaults() -> None:
    assert f"```text\n{PortalOptions().describe()}\n```" in PAGE.read_text()


def test_every_setting_is_in_the_table() -> None:
    names = {field.name for kind in (Admission, Penalty) for field in fields(kind)}
    assert set(values(PortalOptions())) == names


def test_the_values_are_those_that_are_set() -> None:
    shown = values(
        portal_options(
            connections=50, logins=7, sessions_per_source=3, limit_loopback=True, step=2.5
        )
    )
    assert {name: shown[name] for name in ("connections", "logins", "sessions_per_source")} == {
        "connections": "50",
        "logins": "7",
        "sessions_per_source": "3",
    }
    assert (shown["limit_loopback"], shown["step"], shown["sessions"]) == (
        "yes",
        "2.5 s",
        "no limit",
    )


@pytest.mark.parametrize(
    ("policy", "most"),
    [
        (Policy.ALLOW, "no limit"),
        (Policy.SHARE, "no limit"),
        (Policy.REPLACE, "1"),
        (Policy.REJECT, "1"),
    ],
)
def test_the_sessions_of_an_account_depend_on_the_policy(policy: Policy, most: str) -> None:
    assert values(PortalOptions(policy=policy))["sessions_per_avatar"] == most
    three = PortalOptions(policy=policy, admission=Admission(sessions_per_avatar=3))
    assert values(three)["sessions_per_avatar"] == "3"


def test_without_penalties_it_says_so() -> None:
    assert "no penalties" in portal_options(step=0.0).describe()
