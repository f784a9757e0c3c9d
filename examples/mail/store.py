"""Mailboxes in a database, by SQLAlchemy.

The methods block; the realm's actors run them on threads.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from actorcred import AccountError
from examples.mail.interface import INBOX, Entry, Folder

__all__ = ["Store", "box_of"]

TRASH = "Trash"
"""The folder that a new mailbox has in addition to INBOX."""

PORTION = 500
"""Maximum number of messages or folders in one query."""

K = TypeVar("K", int, str)

_tables = sa.MetaData()
# Names differ by case, even in a database that compares case-insensitively.
_Name = sa.String(255).with_variant(mysql.VARCHAR(255, collation="utf8mb4_bin"), "mysql", "mariadb")
_Text = sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")

mailboxes = sa.Table(
    "mailboxes",
    _tables,
    sa.Column("owner", _Name, primary_key=True),
    sa.Column("validity", sa.Integer, nullable=False),
    sa.Column("next_uid", sa.Integer, nullable=False),
)
folders = sa.Table(
    "folders",
    _tables,
    sa.Column("owner", _Name, sa.ForeignKey("mailboxes.owner"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", _Name),  # null if the folder was deleted, so that its number is not reused
    sa.Column("subscribed", sa.Boolean, nullable=False),
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


def box_of(owner: str, folder: int) -> str:
    """Return the key of a folder's messages in the tables.

    That of INBOX is the owner's name alone, since it was once the only folder.

    No user's name has a control character.
    """
    return f"{owner}\x1f{folder}" if folder else owner


class Store:
    """The mailboxes of all users.

    Args:
        url: of the database, as for SQLAlchemy.

    Raises:
        AccountError: if the database cannot be used.
    """

    def __init__(self, url: str) -> None:
        try:
            self._engine = sa.create_engine(url, pool_pre_ping=True)
            _tables.create_all(self._engine)
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            shown = sa.engine.make_url(url).render_as_string() if "://" in url else url
            raise AccountError(
                f"the database {shown} cannot be used: {type(error).__name__}"
            ) from None

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def open(self, owner: str) -> bool:
        """Create a mailbox unless it exists; return whether it is new."""
        with self._engine.begin() as connection:
            if self._row(connection, owner) is not None:
                return False
        try:
            with self._engine.begin() as connection:
                connection.execute(
                    mailboxes.insert().values(owner=owner, validity=int(time.time()), next_uid=1)
                )
                self._create(connection, owner, TRASH)
        except sa.exc.IntegrityError:  # another login was faster
            return False
        return True

    def exists(self, owner: str) -> bool:
        """Return whether a user has a mailbox."""
        with self._engine.connect() as connection:
            return self._row(connection, owner) is not None

    @staticmethod
    def _row(connection: sa.Connection, box: str, *, lock: bool = False) -> tuple[int, int] | None:
        query = sa.select(mailboxes.c.validity, mailboxes.c.next_uid).where(
            mailboxes.c.owner == box
        )
        row = connection.execute(query.with_for_update() if lock else query).one_or_none()
        return None if row is None else (row[0], row[1])

    # -- folders -----------------------------------------------------------------------------------

    def folders(self, owner: str) -> list[Folder]:
        """Return the folders of a mailbox, INBOX first."""
        with self._engine.connect() as connection:
            inbox = self._row(connection, owner)
            assert inbox is not None
            return [Folder(INBOX, "INBOX", True, *inbox), *self._folders(connection, owner)]

    def _folders(self, connection: sa.Connection, owner: str) -> list[Folder]:
        query = sa.select(folders.c.number, folders.c.name, folders.c.subscribed).where(
            folders.c.owner == owner
        )
        rows = connection.execute(
            query.where(folders.c.name.is_not(None)).order_by(folders.c.name)
        ).all()
        counters = {}
        for some in _portions(box_of(owner, number) for number, _, _ in rows):
            found = sa.select(mailboxes.c.owner, mailboxes.c.validity, mailboxes.c.next_uid).where(
                mailboxes.c.owner.in_(some)
            )
            counters.update(
                {box: (validity, next_uid) for box, validity, next_uid in connection.execute(found)}
            )
        return [
            Folder(number, name, subscribed, *counters[box_of(owner, number)])
            for number, name, subscribed in rows
        ]

    def has_folder(self, owner: str, number: int) -> bool:
        """Return whether a mailbox has a folder other than INBOX."""
        query = sa.select(folders.c.number).where(
            folders.c.owner == owner, folders.c.number == number, folders.c.name.is_not(None)
        )
        with self._engine.connect() as connection:
            return connection.execute(query).one_or_none() is not None

    def create(self, owner: str, names: list[str]) -> None:
        """Create folders."""
        with self._engine.begin() as connection:
            self._row(connection, owner, lock=True)
            for name in names:
                self._create(connection, owner, name)

    @staticmethod
    def _create(connection: sa.Connection, owner: str, name: str) -> None:
        last = connection.execute(
            sa.select(sa.func.max(folders.c.number)).where(folders.c.owner == owner)
        ).scalar()
        number = (last or INBOX) + 1
        # The number is part of the validity, so that a folder that is deleted and created again
        # within one second has another one.
        values = {
            "owner": box_of(owner, number),
            "validity": int(time.time()) + number,
            "next_uid": 1,
        }
        connection.execute(mailboxes.insert().values(values))
        connection.execute(
            folders.insert().values(owner=owner, number=number, name=name, subscribed=True)
        )

    def rename(self, owner: str, names: dict[int, str]) -> None:
        """Rename folders, by their numbers."""
        with self._engine.begin() as connection:
            for number, name in names.items():
                self._change(connection, owner, number, name=name)

    def delete(self, owner: str, number: int) -> None:
        """Delete a folder and its messages."""
        with self._engine.begin() as connection:
            connection.execute(messages.delete().where(messages.c.owner == box_of(owner, number)))
            self._change(connection, owner, number, name=None)

    def subscribe(self, owner: str, number: int, wanted: bool) -> None:
        """Set whether a folder is subscribed."""
        with self._engine.begin() as connection:
            self._change(connection, owner, number, subscribed=wanted)

    @staticmethod
    def _change(connection: sa.Connection, owner: str, number: int, **values: object) -> None:
        connection.execute(
            folders.update()
            .where(folders.c.owner == owner, folders.c.number == number)
            .values(values)
        )

    # -- messages, by the key of a folder ----------------------------------------------------------

    def entries(self, box: str, first: int = 1) -> list[Entry]:
        """Return the messages from a number on."""
        with self._engine.connect() as connection:
            return self._entries(connection, box, messages.c.uid >= first)

    @staticmethod
    def _entries(
        connection: sa.Connection, box: str, *conditions: sa.ColumnElement[bool]
    ) -> list[Entry]:
        query = sa.select(messages.c.uid, messages.c.size, messages.c.received, messages.c.flags)
        rows = connection.execute(
            query.where(messages.c.owner == box, *conditions).order_by(messages.c.uid)
        )
        return [
            Entry(uid, size, received, tuple(flags.split())) for uid, size, received, flags in rows
        ]

    def _some(self, connection: sa.Connection, box: str, uids: Iterable[int]) -> list[Entry]:
        return [
            entry
            for some in _portions(uids)
            for entry in self._entries(connection, box, messages.c.uid.in_(some))
        ]

    def texts(self, box: str, uids: Iterable[int]) -> dict[int, bytes]:
        """Return the texts of messages."""
        query = sa.select(messages.c.uid, messages.c.data).where(messages.c.owner == box)
        with self._engine.connect() as connection:
            rows = [
                row
                for some in _portions(uids)
                for row in connection.execute(query.where(messages.c.uid.in_(some)))
            ]
            return {uid: bytes(data) for uid, data in rows}

    def add(self, box: str, data: bytes, flags: Iterable[str], received: int) -> Entry:
        """Add a message."""
        with self._engine.begin() as connection:
            return self._add(
                connection, box, data, Entry(0, len(data), received, tuple(sorted(set(flags))))
            )

    def _add(self, connection: sa.Connection, box: str, data: bytes, entry: Entry) -> Entry:
        row = self._row(connection, box, lock=True)
        assert row is not None
        entry = replace(entry, uid=row[1])
        connection.execute(
            mailboxes.update().where(mailboxes.c.owner == box).values(next_uid=entry.uid + 1)
        )
        values = {
            "uid": entry.uid,
            "received": entry.received,
            "flags": " ".join(entry.flags),
            "size": entry.size,
            "data": data,
        }
        connection.execute(messages.insert().values(owner=box, **values))
        return entry

    def flag(self, box: str, uids: list[int], flags: Iterable[str], mode: int) -> list[Entry]:
        """Add flags (mode 1), remove them (-1) or set them (0); return the entries."""
        with self._engine.begin() as connection:
            self._row(connection, box, lock=True)
            changed = []
            for entry in self._some(connection, box, uids):
                now = {
                    -1: set(entry.flags) - set(flags),
                    0: set(flags),
                    1: set(entry.flags) | set(flags),
                }[mode]
                here = sa.and_(messages.c.owner == box, messages.c.uid == entry.uid)
                connection.execute(
                    messages.update().where(here).values(flags=" ".join(sorted(now)))
                )
                changed.append(replace(entry, flags=tuple(sorted(now))))
            return changed

    def transfer(self, box: str, uids: list[int], target: str, move: bool) -> dict[int, Entry]:
        """Copy or move messages, all or none; return the new entries by the old numbers."""
        with self._engine.begin() as connection:
            for locked in sorted(
                {box, target}
            ):  # in one order, so that two transfers cannot deadlock
                self._row(connection, locked, lock=True)
            made = {}
            for entry in self._some(connection, box, uids):
                here = sa.and_(messages.c.owner == box, messages.c.uid == entry.uid)
                data = connection.execute(sa.select(messages.c.data).where(here)).scalar_one()
                made[entry.uid] = self._add(connection, target, bytes(data), entry)
                if move:
                    connection.execute(messages.delete().where(here))
            return made

    def remove(self, box: str, uids: Iterable[int]) -> list[int]:
        """Remove messages; return the numbers of those that existed."""
        with self._engine.begin() as connection:
            self._row(connection, box, lock=True)
            there = [entry.uid for entry in self._some(connection, box, uids)]
            for some in _portions(there):
                connection.execute(
                    messages.delete().where(messages.c.owner == box, messages.c.uid.in_(some))
                )
        return there


def _portions(keys: Iterable[K]) -> Iterator[list[K]]:
    """Yield numbers or keys in batches, since databases limit the parameters of a query."""
    every = sorted(keys)
    for start in range(0, len(every), PORTION):
        yield every[start : start + PORTION]
