"""Users in SQL databases: real PostgreSQL and MariaDB servers, and SQLite."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import passlib.hash
import pytest
import sqlalchemy

from actorcred import (
    AccountError,
    CheckerUnavailable,
    LoginDenied,
    LoginFailed,
    MissingExtra,
    Portal,
    UnauthorizedLogin,
    UsernamePassword,
)
from actorcred.actors import Future, Overloaded
from actorcred.auth.descriptors import DescriptorError
from actorcred.auth.registry import from_string
from actorcred.checkers.bases.blocking import BackendLimits
from actorcred.checkers.sql import FactColumns, SQLChecker, UserTable, text_of
from actorcred.identity import Identity
from actorcred.passwords.hashing import UnsupportedHash, verify_password
from actorcred.portal.events import LoginRefused
from tests.backends.servers import eventually, mariadb, postgresql, running
from tests.backends.tables import HASHES, fill
from tests.helpers import Arena, Player, Stage

QUICK = BackendLimits(threads=2, waiting=4, timeout=1.0)


def sqlite(folder):
    yield f"sqlite:///{folder / 'users.db'}", None


def server(make):
    def start(folder):
        with running(make) as backend:
            yield backend.url, backend

    start.__name__ = make.__name__
    return start


@pytest.fixture(
    scope="module",
    params=[sqlite, server(postgresql), server(mariadb)],
    ids=lambda made: made.__name__,
)
def database(request, tmp_path_factory):
    """Give out the URL of a database with users, and the server if there is one."""
    generator = request.param(tmp_path_factory.mktemp("database"))
    url, backend = next(generator)
    fill(url)
    yield url, backend
    next(generator, None)


def serve(checker):
    return Portal.start(Arena.start([]), [checker])


def login(portal, name="bcrypt", password="right"):
    return (
        portal.login(UsernamePassword(name, password), None, Player)
        .get(timeout=30)
        .session.avatar_id
    )


@pytest.mark.parametrize(
    "query", ["", "SELECT username, password, is_active FROM users WHERE username = :username"]
)
def test_the_right_password_lets_in_whatever_the_hash(database, query):
    portal = serve(SQLChecker.start(database[0], UserTable(active="is_active", query=query)))
    for name in HASHES:
        assert login(portal, name) == name
        with pytest.raises(UnauthorizedLogin):
            login(portal, name, "wrong")
    assert login(portal, "andre\u0301", "sn\u00f6\u00a0\u2603") == "andr\u00e9"
    for name in (
        "old",
        "nobody",
        "broken",
        "x' OR '1'='1",
        'x" OR 1=1 --',
        "%",
        "_crypt",
        "\\",
        "bcrypt\\",
    ):
        with pytest.raises(UnauthorizedLogin):
            login(portal, name)


def test_a_name_that_the_collation_takes_for_another_is_the_same_user(database):
    portal = serve(SQLChecker.start(database[0]))
    try:
        assert login(portal, "BCRYPT") == "bcrypt"
        assert database[0].startswith("mysql")
    except UnauthorizedLogin:
        assert not database[0].startswith("mysql")


FACTS = "attributes=mail level,subject=number,expires=ends,last_login=seen,issuer=shop"

PEOPLE = {
    "ann": {"mail": "ann@example.org", "level": 3, "number": 1, "roles": "moderator, admin",
            "ends": datetime(2099, 1, 1), "seen": datetime(2026, 1, 2, 3, 4, 5)},
    "bob": {"mail": None, "level": 0, "number": 2, "roles": None, "ends": None, "seen": None},
    "gone": {"mail": None, "level": 0, "number": 3, "roles": "admin",
             "ends": datetime(2001, 1, 1), "seen": None},
}  # fmt: skip


@pytest.fixture(scope="module")
def people(database):
    """Return the URL of a database with a table of people, of whom more is known."""
    engine = sqlalchemy.create_engine(database[0])
    text = sqlalchemy.String(255)
    table = sqlalchemy.Table(
        "people",
        sqlalchemy.MetaData(),
        sqlalchemy.Column("username", text, primary_key=True),
        *(sqlalchemy.Column(name, text) for name in ("password", "mail", "roles")),
        *(sqlalchemy.Column(name, sqlalchemy.Integer) for name in ("level", "number")),
        *(sqlalchemy.Column(name, sqlalchemy.DateTime) for name in ("ends", "seen")),
    )
    roles = sqlalchemy.Table(
        "people_roles",
        table.metadata,
        sqlalchemy.Column("username", text),
        sqlalchemy.Column("role", text),
    )
    with engine.begin() as connection:
        table.metadata.create_all(connection)
        for name, facts in PEOPLE.items():
            row = {"username": name, "password": HASHES["bcrypt"]("right"), **facts}
            connection.execute(table.insert(), row)
        for role in ("Game Masters", "moderator"):
            connection.execute(roles.insert(), {"username": "ann", "role": role})
    engine.dispose()
    return database[0]


def identity_of(portal, name):
    future = portal.login(UsernamePassword(name, "right"), None, Player)
    return future.get(timeout=30).session.identity


@pytest.mark.parametrize(
    "query",
    [
        "",
        r",query=SELECT username\, password\, p.* FROM people p WHERE username = :username",
    ],
    ids=["table", "query"],
)
def test_the_identity_has_the_columns_that_the_descriptor_names(people, query):
    portal = serve(from_string(f"sql[table=people,groups=roles,{FACTS}{query}]:{people}"))
    identity = identity_of(portal, "ann")

    assert dict(identity.attributes) == {"mail": "ann@example.org", "level": 3}
    assert (identity.issuer, identity.subject) == ("shop", "1")
    assert identity.groups == {"moderator", "admin"}
    assert identity.expires == datetime(2099, 1, 1, tzinfo=UTC)
    assert identity.last_login == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    identity = identity_of(portal, "bob")
    assert (dict(identity.attributes), identity.groups) == ({"level": 0}, frozenset())
    assert (identity.expires, identity.last_login) == (None, None)
    with pytest.raises(UnauthorizedLogin):
        identity_of(portal, "gone")


def test_groups_may_come_from_a_query_of_their_own(people):
    query = "SELECT role FROM people_roles WHERE username = :username"
    portal = serve(from_string(f"sql[table=people,groups={query}]:{people}"))

    assert identity_of(portal, "ann").groups == {"Game Masters", "moderator"}
    assert identity_of(portal, "bob").groups == frozenset()
    broken = serve(from_string(f"sql[table=people,groups=SELECT role FROM nowhere]:{people}"))
    with pytest.raises(CheckerUnavailable):
        identity_of(broken, "ann")
    with pytest.raises(UnauthorizedLogin):  # before any such query
        login(broken, "ann", "wrong")


def test_a_column_that_is_not_there_is_nobodys_fault(people):
    query = r"query=SELECT username\, password FROM people WHERE username = :username"
    for options in ("table=people,attributes=nothing", f"attributes=mail,{query}"):
        with pytest.raises(CheckerUnavailable):
            identity_of(serve(from_string(f"sql[{options}]:{people}")), "ann")


def test_what_a_user_is_now_can_be_asked_without_a_login(people, inline):
    facts = FactColumns(groups="roles", expires="ends")
    checker = SQLChecker(people, UserTable(table="people", facts=facts), None)

    assert checker.current_identity("ann").groups == {"moderator", "admin"}
    assert checker.current_identity("nobody") is None
    assert checker.current_identity("gone") is None
    checker.release()
    plain = SQLChecker(people, UserTable(table="people"), None)
    assert plain.current_identity("ann") == Identity("ann")
    plain.release()


def test_a_database_that_is_down_is_unavailable_and_comes_back_without_a_restart(database):
    url, backend = database
    if backend is None:
        pytest.skip("SQLite has no server that could be down")
    portal = serve(SQLChecker.start(url, limits=BackendLimits(timeout=5.0)))
    assert login(portal) == "bcrypt"
    with backend.down(), pytest.raises(CheckerUnavailable) as unavailable:
        login(portal)
    assert url not in unavailable.value.detail
    assert login(portal) == "bcrypt"


def test_a_database_that_hangs_holds_up_a_bounded_number(database):
    url, backend = database
    if backend is None:
        pytest.skip("SQLite has no server that could hang")
    portal = serve(SQLChecker.start(url, limits=QUICK))
    assert eventually(lambda: login(portal), CheckerUnavailable) == "bcrypt"
    with backend.frozen():
        futures = [
            portal.login(UsernamePassword("bcrypt", "right"), None, Player) for _ in range(20)
        ]
        for future in futures:
            with pytest.raises(CheckerUnavailable):
                future.get(timeout=30)
    assert eventually(lambda: login(portal), CheckerUnavailable) == "bcrypt"


def test_an_account_that_is_changed_while_its_password_is_verified_lets_nobody_in(
    tmp_path, monkeypatch
):
    url = f"sqlite:///{tmp_path / 'users.db'}"
    fill(url)
    original = SQLChecker._verify

    def verify(self, password, reference):
        right = original(self, password, reference)
        with self._engine.begin() as connection:
            connection.execute(sqlalchemy.text("UPDATE users SET is_active = 0"))
        return right

    monkeypatch.setattr(SQLChecker, "_verify", verify)
    with pytest.raises(UnauthorizedLogin):
        login(serve(SQLChecker.start(url, UserTable(active="is_active"))))


def test_by_a_text(database, monkeypatch):
    monkeypatch.setenv("DATABASE", database[0])
    portal = serve(from_string("sql[active=is_active,threads=2]:${env:DATABASE}"))
    assert login(portal) == "bcrypt"
    with pytest.raises(UnauthorizedLogin):
        login(portal, "old")


def test_what_is_wrong_is_said(tmp_path):
    with pytest.raises(AccountError, match="URL of a database"):
        from_string("sql:nonsense")
    with pytest.raises(AccountError, match="driver"):
        from_string("sql:oracle://host/db")
    for memory in ("sqlite://", "sqlite:///:memory:"):
        with pytest.raises(AccountError, match="in memory is empty"):
            from_string(f"sql:{memory}")
    with pytest.raises(DescriptorError, match="unknown option 'tabel'"):
        from_string("sql[tabel=x]:sqlite://")
    portal = serve(SQLChecker.start(f"sqlite:///{tmp_path}/users.db"))
    with pytest.raises(CheckerUnavailable) as missing:  # no such table
        login(portal)
    assert "OperationalError" in missing.value.detail


@pytest.mark.parametrize("make", HASHES.values(), ids=HASHES)
def test_hashes_of_other_makers(make):
    made = make("right \u2603")
    assert verify_password(password="right \u2603", hash=made)
    for wrong in ("right", "", "right \u2603\0"):
        assert not verify_password(password=wrong, hash=made)


@pytest.mark.parametrize(
    "kind",
    [sqlalchemy.String(255), sqlalchemy.LargeBinary(255), sqlalchemy.CHAR(200)],
    ids=["text", "bytes", "padded"],
)
def test_a_weak_hash_is_replaced_in_a_column_of_any_kind(database, kind):
    weak = passlib.hash.phpass.using(rounds=8).hash("right")
    table = sqlalchemy.Table(
        "legacy",
        sqlalchemy.MetaData(),
        sqlalchemy.Column("name", sqlalchemy.String(99)),
        sqlalchemy.Column("hash", kind),
    )
    engine = sqlalchemy.create_engine(database[0])
    stored = weak.encode() if isinstance(kind, sqlalchemy.LargeBinary) else weak
    try:
        with engine.begin() as connection:
            table.create(connection)
            connection.execute(
                table.insert(), [{"name": "ann", "hash": stored}, {"name": "bob", "hash": stored}]
            )
        portal = serve(
            SQLChecker.start(
                database[0], UserTable(table="legacy", username="name", password="hash")
            )
        )
        assert login(portal, "ann") == login(portal, "ann") == "ann"
        with engine.begin() as connection:
            found = {row.name: text_of(row.hash) for row in connection.execute(table.select())}
        assert found["bob"] == weak
        assert found["ann"].startswith("$2y$")
        assert len(found["ann"]) == 60
    finally:
        with engine.begin() as connection:
            table.drop(connection)
        engine.dispose()


@pytest.fixture
def url(tmp_path):
    made = f"sqlite:///{tmp_path / 'users.db'}"
    fill(made)
    return made


def refusal_of(url, *, timeout=10.0, **table):
    """Log in in vain; return what the log says of it."""
    stage = Stage(checkers=0)
    checker = SQLChecker.start(url, UserTable(**table), BackendLimits(timeout=timeout))
    stage.portal.register_checker(checker).get(timeout=10)
    with pytest.raises(LoginFailed) as failed:
        stage.login("bcrypt", "right")
    (refused,) = stage.named(LoginRefused, 1)
    return type(failed.value), refused.detail


def test_a_query_that_returns_too_little_is_a_fault_of_the_server(url):
    kind, detail = refusal_of(url, query="SELECT username FROM users WHERE username = :username")

    assert kind is CheckerUnavailable
    assert "the query does not return a name and a hash" in detail


def test_a_row_whose_name_nobody_can_have_lets_nobody_in(url, caplog):
    query = "SELECT '', password FROM users WHERE username = :username"

    assert refusal_of(url, query=query)[0] is UnauthorizedLogin
    assert "'bcrypt' cannot log in: an avatar id must not be empty" in caplog.text


def test_a_hash_whose_verification_fails_lets_nobody_in(url, monkeypatch):
    def fail(*_):
        raise RuntimeError("s3cret")

    monkeypatch.setattr("bcrypt.checkpw", fail)
    kind, detail = refusal_of(url)

    assert kind is UnauthorizedLogin
    assert "a hash in the database cannot be used" in detail
    assert "s3cret" not in detail


def test_hashing_has_its_time_and_its_bound(url, monkeypatch):
    def never(*_, keys):
        return Future()

    def too_much(*_, keys):
        future = Future()
        future.settle_error(Overloaded("1000 waiting"))
        return future

    monkeypatch.setattr(SQLChecker, "offload", staticmethod(never))
    assert refusal_of(url, timeout=0.1)[0] is CheckerUnavailable
    monkeypatch.setattr(SQLChecker, "offload", staticmethod(too_much))
    assert refusal_of(url)[0] is LoginDenied


def test_bytes_that_are_no_text_are_no_hash():
    assert text_of(b"$2b$  ") == "$2b$"
    with pytest.raises(UnsupportedHash, match="bytes that are not text"):
        text_of(b"\xff")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("sql:", "needs the URL of a database"),
        ("sql:nonsense", "needs the URL of a database"),
        ("sql:postgresql+pg8000://host/db", "the driver 'pg8000' .* is not installed"),
    ],
)
def test_a_database_that_cannot_be_reached_so_is_said(text, error):
    with pytest.raises((AccountError, DescriptorError), match=error):
        from_string(text)


def test_without_the_extra_it_says_what_to_install(url, monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(MissingExtra, match=r"actorcred\[sql\]"):
        SQLChecker.start(url)
