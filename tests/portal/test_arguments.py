"""The errors of wrong arguments, which say what to write instead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from actorcred import Avatar, Portal, Realm, UsernamePassword, actors
from actorcred.checkers.memory import MemoryChecker
from actorcred.portal.arguments import require


class Hall(Realm):
    def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        raise AssertionError("no login comes so far")


@pytest.fixture(autouse=True)
def no_actor_remains() -> Iterator[None]:
    yield
    actors.shutdown()


def test_a_checker_that_is_not_in_a_list_is_told_of_the_list() -> None:
    checker: Any = MemoryChecker.start({"ann": "s3cret"}, rounds=4)
    with pytest.raises(TypeError, match=r"must be a list.*Portal\.start\(realm, \[checker\]\)"):
        Portal.start(Hall.start(), checker)


@pytest.mark.parametrize("name", ["login", "kick", "presence"])
def test_a_portal_that_was_not_started_is_told_of_start(name: str) -> None:
    portal = Portal(Hall.start(), [MemoryChecker.start({"ann": "s3cret"}, rounds=4)])
    with pytest.raises(AttributeError, match=r"Portal\.start\(realm, checkers\) returns, in place"):
        getattr(portal, name)


@pytest.mark.parametrize("name", ["lgoin", "_begin"])
def test_an_attribute_that_no_portal_has_is_an_ordinary_error(name: str) -> None:
    portal = Portal(Hall.start())
    with pytest.raises(AttributeError, match=f"'Portal' object has no attribute '{name}'$"):
        getattr(portal, name)


@pytest.mark.parametrize("interfaces", [(), ("Avatar",), (Avatar, None)])
def test_a_login_needs_an_interface_that_is_a_class(interfaces: Any) -> None:
    portal = Portal.start(Hall.start())
    with pytest.raises(TypeError, match="at least one interface, a class, after the mind"):
        portal.login(UsernamePassword("ann", "s3cret"), None, *interfaces)


def test_an_argument_of_a_wrong_type_is_named() -> None:
    require("timeout", 1.5, (int, float))
    require("timeout", None, int, None)
    with pytest.raises(TypeError, match="timeout must be a int or float, not a str"):
        require("timeout", "1", (int, float))
