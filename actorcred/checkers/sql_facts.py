"""What the row of a user says beyond name and password: the columns for an `Identity`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from actorcred.checkers.bases.records import Complaints
from actorcred.checkers.bases.stored_values import fact_of, groups_of, time_of
from actorcred.checkers.bases.user_table import UserTable
from actorcred.errors import CheckerUnavailable, UnauthorizedLogin
from actorcred.identity import NO_GROUPS, NO_INFO, Identity

__all__ = ["SQLFacts"]


class SQLFacts:
    """Makes identities of rows.

    Args:
        users: which columns are read.
        query: returns the first column of the rows of the query for groups.
    """

    def __init__(self, users: UserTable, query: Callable[[str], list[Any]]) -> None:
        self._columns = columns = users.facts
        self._active = users.active.lower()
        self._query = query
        self._complaints = Complaints()
        self._wanted = frozenset(column.lower() for column in columns.columns)

    def split(self, row: Any) -> tuple[list[Any], dict[str, Any]]:
        """Return the name, the hash and what else is no fact, and the facts by column.

        The first two columns are name and hash, also if they are facts, too. The
        third is the column `active`, if it is named.

        Raises:
            CheckerUnavailable: if the row lacks a column.
        """
        named = [(key.lower(), value) for key, value in zip(row._fields, row, strict=True)]
        facts = {key: value for key, value in named if key in self._wanted}
        needed = self._wanted | {self._active} if self._active else self._wanted
        if lacking := ", ".join(sorted(needed - {key for key, _ in named})):
            raise CheckerUnavailable(f"the query does not return the column {lacking}")
        others = [value for key, value in named[2:] if key not in self._wanted]
        if self._active:
            others = [value for key, value in named if key == self._active]
        return [*row[:2], *others], facts

    def identity(self, avatar_id: str, stored: str, facts: Mapping[str, Any]) -> Identity:
        """Return the identity of a user.

        Args:
            avatar_id: the user's avatar id.
            stored: the name as it is stored.
            facts: from `split`.

        Raises:
            UnauthorizedLogin: if the account has expired, or it is not known whether it has.
        """
        columns = self._columns
        subject = facts.get(columns.subject.lower())
        return Identity(
            avatar_id,
            issuer=columns.issuer or None,
            subject=None if subject is None else str(subject),
            attributes=self._attributes(avatar_id, facts) if columns.attributes else NO_INFO,
            groups=self._groups(avatar_id, stored, facts),
            expires=self._expires(avatar_id, facts),
            last_login=self._read(avatar_id, facts, columns.last_login, time_of),
        )

    def _attributes(self, name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        found = {
            column: self._read(name, facts, column, fact_of) for column in self._columns.attributes
        }
        return {column: value for column, value in found.items() if value is not None}

    def _groups(self, name: str, stored: str, facts: Mapping[str, Any]) -> frozenset[str]:
        columns = self._columns
        if columns.groups_query:
            rows = {columns.groups.lower(): self._query(stored)}
            return self._read(name, rows, columns.groups, groups_of) or NO_GROUPS
        return self._read(name, facts, columns.groups, groups_of) or NO_GROUPS

    def _expires(self, name: str, facts: Mapping[str, Any]) -> datetime | None:
        column = self._columns.expires
        try:
            expires = time_of(facts.get(column.lower()))
        except ValueError as error:
            self._complaints.about(name, f"the column {column}: {error}")
            raise UnauthorizedLogin(f"the column {column} is no time", known=True) from None
        if expires is not None and expires <= datetime.now(UTC):
            raise UnauthorizedLogin("the account has expired", known=True)
        return expires

    def _read(
        self, name: str, facts: Mapping[str, Any], column: str, read: Callable[[Any], Any]
    ) -> Any:
        """Return a fact; None if it is not wanted, or cannot be used, which is logged once."""
        try:
            return read(facts.get(column.lower())) if column else None
        except ValueError as error:
            self._complaints.lacks(name, f"the column {column}: {error}")
            return None
