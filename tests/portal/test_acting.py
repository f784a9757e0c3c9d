"""Authorization ids (RFC 4422, section 3.4.1): a client's own name is accepted in any form."""

from __future__ import annotations

from typing import Any

import pytest

from actorcred import (
    BearerToken,
    Checker,
    Portal,
    UnauthorizedLogin,
    UsernamePassword,
)
from actorcred.checkers.memory import MemoryChecker
from actorcred.checkers.wrappers.renaming import RenamingChecker, renaming
from tests.helpers import Arena, Player
from tests.settings import portal_options


class Directory(Checker):
    """Returns its own spelling of a name, like LDAP and case-insensitive databases."""

    credential_interfaces = (UsernamePassword, BearerToken)

    def request_avatar_id(self, credentials: Any) -> str:
        return (
            "ann" if isinstance(credentials, BearerToken) else str(credentials.username).casefold()
        )


def act_as(checker: Any, name: str, wanted: str, credentials: Any = None, **options: Any) -> str:
    portal = Portal.start(Arena.start([]), [checker], portal_options(**options))
    login = portal.login(
        credentials or UsernamePassword(name, "right"), None, Player, authorize_as=wanted
    ).get(timeout=10)
    return str(login.session.avatar_id)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("J\u00f6rg", "Jo\u0308rg"), ("Jo\u0308rg", "J\u00f6rg"),  # NFC and NFD
        ("\uff41\uff4e\uff4e", "ann"), ("ann", "\uff41\uff4e\uff4e"),  # full width
        ("ann", "ann"),
    ],
)  # fmt: skip
def test_the_users_own_name_is_equal_after_preparation(name, wanted):
    checker = MemoryChecker.start({"J\u00f6rg": "right", "ann": "right"}, plaintext=True)
    assert act_as(checker, name, wanted) == act_as(checker, name, "") in {"J\u00f6rg", "ann"}


@pytest.mark.parametrize("wanted", ["ANN", "ann"])
def test_the_name_as_it_was_given_and_the_checkers_answer_are_the_users_own(wanted, dispatcher):
    assert act_as(Directory.start(), "ANN", wanted) == "ann"


@pytest.mark.parametrize("wanted", ["ann@example.org", "ann"])
def test_so_are_names_with_and_without_a_domain_that_is_stripped(wanted):
    users = MemoryChecker.start({"ann@example.org": "right"}, plaintext=True)
    assert (
        act_as(
            RenamingChecker.start(users, renaming(strip="example.org")), "ann@example.org", wanted
        )
        == "ann"
    )


@pytest.mark.parametrize(
    "wanted", ["bob", "Ann", "ann@example.com", "a\u200bnn", "ann\u202e", " ann", "*"]
)
def test_anybody_else_is_refused(wanted):
    checker = MemoryChecker.start({"ann": "right", "bob": "right"}, plaintext=True)
    with pytest.raises(UnauthorizedLogin):
        act_as(checker, "ann", wanted)
    asked: list[Any] = []

    def may_act_as(*names: str) -> bool:
        return asked.append(names) or wanted == "bob"

    if wanted == "bob":
        assert act_as(checker, "ann", wanted, may_act_as=may_act_as) == "bob"
        assert asked == [("ann", "bob")]


def test_the_name_that_comes_with_a_token_proves_nothing():
    assert act_as(Directory.start(), "", "ann", BearerToken("ticket", "ann")) == "ann"
    with pytest.raises(UnauthorizedLogin):
        act_as(Directory.start(), "", "bob", BearerToken("ticket", "bob"))
