"""The connections to a database, made by SQLAlchemy, with time-outs."""

from __future__ import annotations

from typing import Any

from actorcred.checkers.bases.blocking import BackendLimits
from actorcred.errors import AccountError

__all__ = ["make_engine"]


def make_engine(url: str, limits: BackendLimits, *, poolclass: Any = None) -> Any:
    """Return the engine of a database.

    Args:
        url: the database's URL for SQLAlchemy.
        limits: how many connections it may use, and for how long they wait.
        poolclass: how connections are kept, instead of that.

    Raises:
        AccountError: if the URL is invalid, its driver is not installed, or it cannot be used here.
    """
    import sqlalchemy

    seconds = max(1, int(limits.timeout))
    try:
        dialect = sqlalchemy.make_url(url).get_dialect()
        # A login must not fail because the database was restarted.
        settings: dict[str, Any] = {
            "pool_pre_ping": True,
            "connect_args": _bounds(dialect.driver, seconds),
        }
        if poolclass is not None:
            settings["poolclass"] = poolclass
        elif dialect.name != "sqlite":
            settings |= {"pool_size": limits.threads, "max_overflow": 0, "pool_timeout": seconds}
        engine = sqlalchemy.create_engine(url, **settings)
    except (sqlalchemy.exc.ArgumentError, sqlalchemy.exc.NoSuchModuleError):
        raise AccountError(
            "sql: needs the URL of a database, such as postgresql+psycopg://user@host/db"
        ) from None
    except ImportError as error:
        raise AccountError(
            f"sql: the driver {error.name!r} of this database is not installed"
        ) from None
    if dialect.name == "sqlite":
        sqlalchemy.event.listen(engine, "connect", _read_damaged_texts)
    if isinstance(engine.pool, sqlalchemy.pool.SingletonThreadPool):
        raise AccountError(
            "sql: an SQLite database in memory is empty; name a file, such as sqlite:///users.db"
        )
    if dialect.is_async:
        raise AccountError(
            f"sql: {dialect.driver} is a driver for asyncio; use another, such as "
            "postgresql+psycopg://"
        )
    return engine


def _bounds(driver: str, seconds: int) -> dict[str, int]:
    """Return the arguments of a driver for time-outs."""
    bounds = {
        "psycopg": {"connect_timeout": seconds, "tcp_user_timeout": seconds * 1000},
        "psycopg2": {"connect_timeout": seconds, "tcp_user_timeout": seconds * 1000},
        "pymysql": {"connect_timeout": seconds, "read_timeout": seconds, "write_timeout": seconds},
        "mysqldb": {"connect_timeout": seconds, "read_timeout": seconds, "write_timeout": seconds},
        "mysqlconnector": {"connection_timeout": seconds},
        "pysqlite": {"timeout": seconds},
    }
    return bounds.get(driver, {})


def _read_damaged_texts(connection: Any, _: object) -> None:
    """Have SQLite return a string that is not UTF-8 with replacement characters.

    The error that it would raise otherwise looks like a failure of the database.
    """
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
