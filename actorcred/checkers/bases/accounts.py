"""The accounts of the embedded store: what is known of one, and the operations on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from actorcred.actors import Future
from actorcred.checkers.bases.database import DatabaseRef, Order
from actorcred.checkers.bases.passwords import Account

__all__ = [
    "LONGEST_ROLE",
    "MOST_ROLES",
    "AccountInfo",
    "SQLiteCheckerRef",
    "StoredAccount",
    "check_roles",
]


MOST_ROLES = 64
"""Roles of one account."""

LONGEST_ROLE = 64
"""Characters of a role."""


def check_roles(roles: Iterable[str]) -> frozenset[str]:
    """Return roles as a set.

    Raises:
        ValueError: if one is not a word without blanks and commas, or there are too many.
    """
    found = frozenset(roles)
    if isinstance(roles, str) or len(found) > MOST_ROLES:
        raise ValueError(f"an account has at most {MOST_ROLES} roles, each a string")
    for role in found:
        if not isinstance(role, str) or not role.isprintable() or role.split() != [role]:
            raise ValueError(f"a role is a word without blanks, not {role!r:.80}")
        if "," in role or len(role) > LONGEST_ROLE:
            raise ValueError(
                f"a role has at most {LONGEST_ROLE} characters and no comma, unlike {role!r:.80}"
            )
    return found


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """What an operator can see of an account. Times are seconds since the epoch.

    Args:
        name: the user's name.
        disabled: whether no one may log in to it.
        created: when it was added.
        changed: when its password was set, or it was disabled or enabled.
        roles: the groups of its user's identity.
        last_login: when its password was last accepted; None if it never was, or if the store does
            not keep it.
    """

    name: str
    disabled: bool
    created: float
    changed: float
    roles: frozenset[str] = frozenset()
    last_login: float | None = None

    COLUMNS: ClassVar[str] = "name, disabled, created, changed, roles, last_login"

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> AccountInfo:
        """Return the information in a row of those columns."""
        name, disabled, created, changed, roles, last_login = row
        return cls(name, bool(disabled), created, changed, frozenset(roles.split()), last_login)


@dataclass(frozen=True, slots=True)
class StoredAccount(Account):
    """An account as its checker needs it; a change of the further facts does not end a login."""

    roles: str = field(default="", compare=False)
    last_login: float | None = field(default=None, compare=False)


@dataclass(slots=True)
class AddAccount(Order):
    """Add an account."""

    name: str
    password: str = field(repr=False)
    scram: bool
    roles: frozenset[str]


@dataclass(slots=True)
class ChangePassword(Order):
    """Set a new password."""

    name: str
    password: str = field(repr=False)
    scram: bool


@dataclass(slots=True)
class SetRoles(Order):
    """Set the roles of an account."""

    name: str
    roles: frozenset[str]


@dataclass(slots=True)
class SetDisabled(Order):
    """Disable or enable an account."""

    name: str
    disabled: bool


@dataclass(slots=True)
class DeleteAccount(Order):
    """Delete an account."""

    name: str


@dataclass(slots=True)
class ListAccounts(Order):
    """List all accounts."""


@dataclass(slots=True)
class FindAccount(Order):
    """Find an account."""

    name: str


class SQLiteCheckerRef(DatabaseRef):
    """A ref to an `SQLiteChecker`, with methods to manage accounts; all of them return futures."""

    __slots__ = ()

    def add_account(
        self, name: str, password: str, *, scram: bool = False, roles: Iterable[str] = ()
    ) -> Future[None]:
        """Add an account; with `scram` the user can also prove the password by SCRAM.

        The future fails with `AccountError` if there is already an account of this name, with
        `PasswordRejected` if the password violates a rule, and with `ValueError` if the name cannot
        be an avatar id.

        Raises:
            ValueError: if a role is not a word; see `set_roles`.
        """
        return self.request(AddAccount(name, password, scram, check_roles(roles)))

    def change_password(self, name: str, password: str, *, scram: bool = False) -> Future[None]:
        """Set a new password; live sessions of the account end or are notified.

        A SCRAM verifier is made with `scram`, or if the account had one before. Fails like
        `add_account`.
        """
        return self.request(ChangePassword(name, password, scram))

    def set_roles(self, name: str, roles: Iterable[str]) -> Future[None]:
        """Set the roles of an account, which are the groups of its user's `Identity`.

        They replace all that it had, and count from the next login; sessions do not end. The future
        fails with `AccountError` if there is no such account.

        Raises:
            ValueError: if a role is not a word without blanks and commas of at most `LONGEST_ROLE`
                characters, or there are more than `MOST_ROLES`.
        """
        return self.request(SetRoles(name, check_roles(roles)))

    def disable_account(self, name: str) -> Future[None]:
        """Refuse logins to an account and end its live sessions.

        Fails with `AccountError` if there is no such account.
        """
        return self.request(SetDisabled(name, True))

    def enable_account(self, name: str) -> Future[None]:
        """Accept logins to an account again. Fails with `AccountError` if there is none."""
        return self.request(SetDisabled(name, False))

    def delete_account(self, name: str) -> Future[None]:
        """Delete an account and end its live sessions.

        Fails with `AccountError` if there is no such account.
        """
        return self.request(DeleteAccount(name))

    def accounts(self) -> Future[list[AccountInfo]]:
        """List the accounts by name."""
        return self.request(ListAccounts())

    def find_account(self, name: str) -> Future[AccountInfo | None]:
        """Find an account; None if there is none of that name."""
        return self.request(FindAccount(name))
