"""Bounds of what checkers know of users, and names of methods."""

from __future__ import annotations

from typing import Any

import pytest

from actorcred.checkers.bases import facts
from actorcred.checkers.bases.facts import (
    LONGEST_GROUP,
    METHODS,
    MOST_GROUPS,
    IgnoredFacts,
    bounded_groups,
    method_names,
    shown,
    with_mfa,
)


def test_groups_are_bounded_in_number_and_length() -> None:
    most = [f"group{number}" for number in range(MOST_GROUPS)]

    assert bounded_groups(["a", "b", "a"]) == {"a", "b"}
    assert len(bounded_groups([*most, *most])) == MOST_GROUPS
    with pytest.raises(ValueError, match="more than 1000 groups"):
        bounded_groups([*most, "one more"])
    for wrong in ("", "x" * (LONGEST_GROUP + 1), 5, None):
        with pytest.raises(ValueError, match="a group must be a string"):
            bounded_groups([wrong])


def test_methods_of_an_option_are_those_of_the_registry() -> None:
    assert method_names("sc pin") == {"sc", "pin"}
    assert len(METHODS) == 20
    for wrong in ("", "smartcard", "sc smartcard"):
        with pytest.raises(ValueError, match="names of RFC 8176"):
            method_names(wrong)


@pytest.mark.parametrize(
    ("methods", "several"),
    [
        ({"pwd", "otp"}, True), ({"pwd", "swk"}, True), ({"hwk", "fpt"}, True),
        ({"pwd"}, False), ({"pwd", "pin"}, False), ({"otp", "hwk"}, False), ({"pwd", "geo"}, False),
        (set(), False),
    ],
)  # fmt: skip
def test_factors_of_different_kinds_are_mfa(methods: set[str], several: bool) -> None:
    expected = methods | {"mfa"} if several else methods

    assert with_mfa(frozenset(methods)) == expected


def test_what_others_have_written_is_bounded_and_printable() -> None:
    assert shown("ann\n\x1b[31m\u202e") == "ann\ufffd\ufffd[31m\ufffd"
    assert len(shown("x" * 5000)) == 1024
    assert shown("comment", 3) == "com"


def test_what_is_ignored_is_logged_once(caplog: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(facts, "REMEMBERED", 2)
    ignored = IgnoredFacts("jwt")
    for fact in ("the claim a", "the claim a", "the claim b", "the claim c", "the claim a"):
        ignored.about(fact, "it is odd")

    assert [record.getMessage() for record in caplog.records] == [
        "jwt: the claim a is ignored: it is odd",
        "jwt: the claim b is ignored: it is odd",
        "jwt: the claim c is ignored: it is odd",  # those before are forgotten
        "jwt: the claim a is ignored: it is odd",
    ]
