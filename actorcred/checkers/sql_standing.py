"""What has become of the rows of users who are logged in."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from actorcred.checkers.bases.user_table import UserTable, make_table
from actorcred.names import make_avatar_id
from actorcred.standing import Revocation, fingerprint, named

__all__ = ["Replaced", "RowReader", "judge"]

REMEMBERED: Final = 10_000
"""Replaced hashes that are remembered; the oldest ones are forgotten first."""


class Replaced:
    """Hashes that the checker itself has replaced at a login, which changes no password.

    Thread-safe. It keeps fingerprints, not the hashes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by: OrderedDict[str, str] = OrderedDict()

    def note(self, before: str, made: str) -> None:
        """Record a replacement."""
        with self._lock:
            self._by[fingerprint(before)] = fingerprint(made)
            while len(self._by) > REMEMBERED:
                self._by.popitem(last=False)

    def covers(self, before: str, now: str) -> bool:
        """Return whether a fingerprint is that of the hash which replaced another one's."""
        with self._lock:
            return self._by.get(before) == now


def judge(name: str, stored: object, active: bool, replaced: Replaced) -> Revocation | None:
    """Return why the user of a row may no longer be logged in; None if nothing is against it.

    Args:
        name: the name from the session, with the fingerprint of the hash that proved its login.
        stored: the hash that the row has now.
        active: whether the account is active.
        replaced: hashes that were replaced by the checker itself.
    """
    if not active:
        return Revocation.DISABLED
    _, proof = named(name)
    now = fingerprint(stored if isinstance(stored, str) else "")
    if proof and proof != now and not replaced.covers(proof, now):
        return Revocation.PASSWORD_CHANGED
    return None


class RowReader:
    """Reads the rows of many users.

    Args:
        users: where they are.
        select: the statement that reads one of them, with the parameter `:username`.
        of_the_name: whether an error of the database only concerns the name that was asked about.
    """

    def __init__(
        self, users: UserTable, select: Any, of_the_name: Callable[[Exception], bool]
    ) -> None:
        self._select = select
        self._select_all = None if users.query else _select_all(users)
        self._of_the_name = of_the_name

    def read(self, connection: Any, avatar_ids: Sequence[str]) -> dict[str, list[Any]]:
        """Return the rows of users by avatar id, an empty list for those that have none.

        An avatar id that the database cannot be asked about is missing.
        """
        found: dict[str, list[Any]] = {}
        if self._select_all is not None:
            for avatar_id, row in self._read_all(connection, avatar_ids):
                found.setdefault(avatar_id, []).append(row)
        for avatar_id in avatar_ids:
            # Those that were not found are looked up again as at a login: a row counts as gone only
            # if a login would not find it either.
            if avatar_id not in found:
                rows = self._read_one(connection, avatar_id)
                if rows is not None:
                    found[avatar_id] = rows
        return found

    def _read_all(self, connection: Any, avatar_ids: Sequence[str]) -> Iterator[tuple[str, Any]]:
        wanted = set(avatar_ids)
        names = {"usernames": list(avatar_ids)}
        for row in self._try(connection, self._select_all, names, 2 * len(avatar_ids)) or ():
            avatar_id = _avatar_id(row)
            if avatar_id in wanted:
                yield avatar_id, row

    def _read_one(self, connection: Any, avatar_id: str) -> list[Any] | None:
        rows = self._try(connection, self._select, {"username": avatar_id}, 2)
        if rows is None:
            return None
        return [row for row in rows if _avatar_id(row) == avatar_id] or rows

    def _try(
        self, connection: Any, select: Any, names: Mapping[str, object], most: int
    ) -> list[Any] | None:
        """Return the rows that a statement returns; None if it cannot be asked with these names."""
        try:
            return list(connection.execute(select, names).fetchmany(most))
        except UnicodeError:
            connection.invalidate()  # the rest of the answer might not have been read
            connection.rollback()
            return None
        except Exception as error:
            if not self._of_the_name(error):
                raise
            connection.rollback()
            return None


def _avatar_id(row: Any) -> str:
    try:
        return make_avatar_id(row[0])
    except (TypeError, ValueError):
        return ""


def _select_all(users: UserTable) -> Any:
    import sqlalchemy

    table = make_table(users)
    names: Any = sqlalchemy.bindparam("usernames", expanding=True)
    return sqlalchemy.select(*table.columns).where(table.columns[users.username].in_(names))
