"""Connections to databases, and the URLs that cannot be used."""

from __future__ import annotations

import pytest
import sqlalchemy

from actorcred import AccountError
from actorcred.checkers.bases.blocking import BackendLimits
from actorcred.checkers.sql_engine import make_engine


def made(url, **settings):
    return make_engine(url, BackendLimits(threads=3, timeout=2.5), **settings)


def test_there_are_as_many_connections_as_threads():
    engine = made("postgresql+psycopg://ann@127.0.0.1:1/x")
    assert engine.pool.size() == 3
    kept = made("postgresql+psycopg://ann@127.0.0.1:1/x", poolclass=sqlalchemy.pool.NullPool)
    assert isinstance(kept.pool, sqlalchemy.pool.NullPool)


def test_a_damaged_string_in_sqlite_is_read(tmp_path):
    engine = made(f"sqlite:///{tmp_path}/x.db")
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("SELECT CAST(x'61ff' AS TEXT)")).scalar() == (
            "a\ufffd"
        )
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("users.db", "needs the URL"),
        ("nonsense://x", "needs the URL"),
        ("sqlite://", "in memory is empty"),
        ("sqlite+aiosqlite:///x.db", "asyncio|not installed"),
        ("oracle://x", "not installed"),
    ],
)
def test_what_cannot_be_used_is_said(url, why):
    with pytest.raises(AccountError, match=why):
        made(url)
