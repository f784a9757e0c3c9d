"""The roles that an account can have."""

from __future__ import annotations

from typing import Any

import pytest

from actorcred.checkers.bases.accounts import (
    LONGEST_ROLE,
    MOST_ROLES,
    AccountInfo,
    StoredAccount,
    check_roles,
)


@pytest.mark.parametrize(
    ("roles", "why"),
    [
        (["a b"], "without blanks"),
        ([""], "without blanks"),
        (["a\n"], "without blanks"),
        (["a\x00"], "without blanks"),
        ([1], "without blanks"),
        (["a,b"], "no comma"),
        (["x" * (LONGEST_ROLE + 1)], f"at most {LONGEST_ROLE} characters"),
        ([str(number) for number in range(MOST_ROLES + 1)], f"at most {MOST_ROLES} roles"),
        ("admin", "each a string"),
    ],
)
def test_a_role_that_is_no_word_is_refused(roles: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_roles(roles)


def test_roles_are_a_set() -> None:
    assert check_roles(["moderator", "admin", "moderator"]) == {"moderator", "admin"}
    assert AccountInfo.of(("ann", 0, 1.0, 2.0, "admin moderator", None)).roles == {
        "moderator",
        "admin",
    }


def test_a_change_of_roles_is_no_change_of_an_account() -> None:
    assert StoredAccount("ann", "x", True, "a", 1.0) == StoredAccount("ann", "x", True, "", None)
    assert StoredAccount("ann", "x", True, "a") != StoredAccount("ann", "y", True, "a")
    assert "hash" not in repr(StoredAccount("ann", "secret"))
