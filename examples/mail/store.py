"""Mailboxes in a database that SQLAlchemy reaches. What is here blocks; the realm's actors run it on threads."""

from __future__ import annotations

import time
from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from actorcred import AccountError
from examples.mail.interface import Entry

__all__ = ["Store"]

_tables = sa.MetaData()
# Names differ by case, also where the database would take them for the same.
_Name = sa.String(255).with_variant(mysql.VARCHAR(255, collation="utf8mb4_bin"), "mysql", "mariadb")
_Text = sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")

mailboxes = sa.Table(
    "mailboxes",
    _tables,
    sa.Column("owner", _Name, primary_key=True),
    sa.Column("validity", sa.Integer, nullable=False),
    sa.Column("next_uid", sa.Integer, nullable=False),
)
messages = sa.Table(
    "messages",
    _tables,
    sa.Column("owner", _Name, sa.ForeignKey("mailboxes.owner"), primary_key=True),
    sa.Column("uid", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("received", sa.Integer, nullable=False),
    sa.Column("flags", sa.String(255), nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("data", _Text, nullable=False),
)


class Store:
    """The mailboxes of all users.

    Args:
        url: of the database, as SQLAlchemy has it.

    Raises:
        AccountError: if it cannot be used.
    """

    def __init__(self, url: str) -> None:
        try:
            self._engine = sa.create_engine(url, pool_pre_ping=True)
            _tables.create_all(self._engine)
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            shown = sa.engine.make_url(url).render_as_string() if "://" in url else url
            raise AccountError(f"the database {shown} cannot be used: {type(error).__name__}") from None

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def open(self, owner: str) -> bool:
        """Make a mailbox, unless there is one; return whether it is new."""
        with self._engine.begin() as connection:
            if self._row(connection, owner) is not None:
                return False
        try:
            with self._engine.begin() as connection:
                connection.execute(mailboxes.insert().values(owner=owner, validity=int(time.time()), next_uid=1))
        except sa.exc.IntegrityError:  # another login was faster
            return False
        return True

    def exists(self, owner: str) -> bool:
        """Tell whether somebody has a mailbox."""
        with self._engine.connect() as connection:
            return self._row(connection, owner) is not None

    @staticmethod
    def _row(connection: sa.Connection, owner: str, *, lock: bool = False) -> tuple[int, int] | None:
        query = sa.select(mailboxes.c.validity, mailboxes.c.next_uid).where(mailboxes.c.owner == owner)
        row = connection.execute(query.with_for_update() if lock else query).one_or_none()
        return None if row is None else (row[0], row[1])

    def numbers(self, owner: str) -> tuple[int, int]:
        """Return the validity of a mailbox's numbers, and the next one."""
        with self._engine.connect() as connection:
            row = self._row(connection, owner)
            assert row is not None
            return row

    def entries(self, owner: str, uids: Iterable[int] | None = None) -> list[Entry]:
        """Return messages, all or some."""
        with self._engine.connect() as connection:
            return self._entries(connection, owner, uids)

    @staticmethod
    def _entries(connection: sa.Connection, owner: str, uids: Iterable[int] | None) -> list[Entry]:
        query = sa.select(messages.c.uid, messages.c.size, messages.c.received, messages.c.flags)
        query = query.where(messages.c.owner == owner).order_by(messages.c.uid)
        if uids is not None:
            query = query.where(messages.c.uid.in_(list(uids)))
        return [Entry(uid, size, received, tuple(flags.split())) for uid, size, received, flags in connection.execute(query)]

    def texts(self, owner: str, uids: Iterable[int]) -> dict[int, bytes]:
        """Return the texts of messages."""
        query = sa.select(messages.c.uid, messages.c.data).where(messages.c.owner == owner, messages.c.uid.in_(list(uids)))
        with self._engine.connect() as connection:
            return {uid: bytes(data) for uid, data in connection.execute(query)}

    def add(self, owner: str, data: bytes, flags: Iterable[str], received: int) -> Entry:
        """Put a message in."""
        with self._engine.begin() as connection:
            row = self._row(connection, owner, lock=True)
            assert row is not None
            entry = Entry(row[1], len(data), received, tuple(sorted(set(flags))))
            connection.execute(mailboxes.update().where(mailboxes.c.owner == owner).values(next_uid=entry.uid + 1))
            values = {"uid": entry.uid, "received": received, "flags": " ".join(entry.flags), "size": entry.size, "data": data}
            connection.execute(messages.insert().values(owner=owner, **values))
        return entry

    def flag(self, owner: str, uids: Iterable[int], flags: Iterable[str], mode: int) -> list[Entry]:
        """Add flags (mode 1), take them away (-1) or set them (0); return the entries."""
        with self._engine.begin() as connection:
            self._row(connection, owner, lock=True)
            for entry in self._entries(connection, owner, uids):
                now = {-1: set(entry.flags) - set(flags), 0: set(flags), 1: set(entry.flags) | set(flags)}[mode]
                here = sa.and_(messages.c.owner == owner, messages.c.uid == entry.uid)
                connection.execute(messages.update().where(here).values(flags=" ".join(sorted(now))))
            return self._entries(connection, owner, uids)

    def remove(self, owner: str, uids: Iterable[int]) -> list[int]:
        """Remove messages; return the numbers of those that were there."""
        with self._engine.begin() as connection:
            self._row(connection, owner, lock=True)
            there = [entry.uid for entry in self._entries(connection, owner, uids)]
            connection.execute(messages.delete().where(messages.c.owner == owner, messages.c.uid.in_(there)))
        return there
