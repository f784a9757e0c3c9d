"""Where the users of a database are stored, and the statements for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["NO_FACTS", "FactColumns", "UserTable", "make_select", "make_update"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FactColumns:
    """Which columns tell more of a user than name and password.

    Args:
        attributes: columns for `Identity.attributes`.
        groups: a column with the user's groups: words between blanks or commas, an array, or an
            array in JSON. Or a query with the parameter `:username`, the name as it is stored, that
            returns a row for each group; it is made once the password is accepted.
        issuer: what the store is called (`Identity.issuer`); a text, not a column.
        subject: a column that never changes (`Identity.subject`), such as the primary key.
        expires: a column with the time at which the account expires, and its sessions end.
        last_login: a column with the time of the last login, which the application writes.
    """

    attributes: tuple[str, ...] = ()
    groups: str = ""
    issuer: str = ""
    subject: str = ""
    expires: str = ""
    last_login: str = ""

    @property
    def groups_query(self) -> str:
        """The query for groups; "" if a column has them, or none are wanted."""
        return self.groups if len(self.groups.split()) > 1 else ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns to read in the row of the user."""
        groups = "" if self.groups_query else self.groups
        wanted = (*self.attributes, groups, self.subject, self.expires, self.last_login)
        return tuple(dict.fromkeys(column for column in wanted if column))


NO_FACTS: Final = FactColumns()
"""No further column is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserTable:
    """Where the users are stored.

    Args:
        table: the table's name; with a schema "app.users".
        username: the column with names.
        password: the column with hashes, as strings or bytes: bcrypt, Argon2, scrypt, PBKDF2,
            phpass, in the forms of `passwords.verify_password`.
        active: a column that is false for accounts that no one may log in to; "" if there is none.
        query: instead of all of these, a query with the parameter `:username` that returns name,
            hash and the columns of `facts`, by their names. If it has the column `active`, or a
            third one that is none of `facts`, that says whether the account is active.
        rehash: whether a phpass hash, which is weak, is replaced by a bcrypt hash in PHP's form
            when its user logs in, if the table can be written.
        facts: columns that tell more of the user.
    """

    table: str = "users"
    username: str = "username"
    password: str = "password"
    active: str = ""
    query: str = ""
    rehash: bool = True
    facts: FactColumns = NO_FACTS


def make_select(users: UserTable) -> Any:
    """Return the statement that reads a user, with the parameter `:username`."""
    import sqlalchemy

    if users.query:
        return sqlalchemy.text(users.query)
    table = make_table(users)
    return (
        sqlalchemy.select(*table.columns)
        .where(table.columns[users.username] == sqlalchemy.bindparam("username"))
        .limit(2)
    )


def make_table(users: UserTable) -> Any:
    import sqlalchemy

    schema, _, name = users.table.rpartition(".")
    names = (users.username, users.password, users.active, *users.facts.columns)
    columns: list[Any] = [sqlalchemy.column(column) for column in dict.fromkeys(names) if column]
    return sqlalchemy.table(name, *columns, schema=schema or None)


def make_update(users: UserTable) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
    """Return a function that makes the statements of a `Rehasher`."""
    table = make_table(users)
    name, password = table.columns[users.username], table.columns[users.password]

    def make(username: Any, stored: Any, made: Any) -> tuple[Any, Any]:
        update = (
            table.update()
            .where(name == username, password == stored)
            .values({users.password: made})
        )
        return update, table.select().with_only_columns(password).where(name == username)

    return make
