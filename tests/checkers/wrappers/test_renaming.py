"""Names are changed at login, and a revocation reaches the sessions of the new name."""

from __future__ import annotations

from typing import Any

import pytest

from actorcred import ANONYMOUS, Anonymous, UnauthorizedLogin
from actorcred.auth.descriptors import DescriptorError
from actorcred.auth.registry import from_string
from actorcred.checkers.anonymous import AnonymousChecker
from actorcred.checkers.memory import MemoryChecker
from actorcred.checkers.wrappers.renaming import RenamingChecker, renaming
from tests.helpers import Player, Stage


@pytest.mark.parametrize(
    ("rules", "name", "renamed"),
    [
        ({"strip": "example.org"}, "ann@Example.org", "ann"),
        ({"strip": "example.org"}, "ann@example.net", "ann@example.net"),
        ({"strip": "example.org"}, "@example.org", "@example.org"),
        ({"lower": True}, "Ann", "ann"),
        ({"add": "example.org"}, "ann", "ann@example.org"),
        ({"add": "example.org"}, "ann@example.net", "ann@example.net"),
        ({"names": {"root": "admin"}}, "root", "admin"),
        ({}, "Ann", "Ann"),
    ],
)
def test_each_rule_does_what_it_says(rules: Any, name: str, renamed: str) -> None:
    assert renaming(**rules)(name) == renamed


def stage_of(checker: Any) -> Stage:
    stage = Stage(checkers=0)
    stage.portal.register_checker(checker).get(timeout=10)
    return stage


def test_the_rules_may_stand_in_a_text(inline: Any) -> None:
    stage = stage_of(from_string("rename[names=ann>anna]:(memory:ann:right)"))

    assert stage.login("ann", "right").session.avatar_id == "anna"
    with pytest.raises(DescriptorError, match="names cannot be 'ann>'"):
        from_string("rename[names=ann>]:(anonymous)")


def test_an_anonymous_client_stays_anonymous(inline: Any) -> None:
    stage = stage_of(RenamingChecker.start(AnonymousChecker.start(), str.upper))
    login = stage.portal.login(Anonymous(), None, Player).get(timeout=10)

    assert login.session.avatar_id is ANONYMOUS


def test_a_removed_account_ends_the_session_of_its_other_name(inline: Any, caplog: Any) -> None:
    def rename(name: str) -> str:
        return {"ann": "anna"}[name]

    users = MemoryChecker.start({"ann": "right", "bob": "right"}, plaintext=True)
    stage = stage_of(RenamingChecker.start(users, rename))
    login = stage.login("ann", "right")
    with pytest.raises(UnauthorizedLogin):
        stage.login("bob", "right")
    users.remove("bob")
    assert login.session.is_open
    assert "The revocation of 'bob' cannot be passed on: it has no new avatar id" in caplog.text
    users.remove("ann")
    assert not login.session.is_open
