"""Weak hashes of a web application's table are replaced at logins, and nothing else in it."""

from __future__ import annotations

import sqlite3

import passlib.hash
import pytest

from actorcred import Portal, UnauthorizedLogin, UsernamePassword
from actorcred.auth.registry import from_string
from actorcred.passwords.hashing import verify_password
from tests.backends.web import WEB, php
from tests.helpers import Arena, Player, open_sqlite

phpass = passlib.hash.phpass.using(rounds=8)


@pytest.fixture
def rows(tmp_path):
    """Give out a function that makes a table of users and one that reads it."""
    path = tmp_path / "users.db"

    def run(query, *values):
        with open_sqlite(path) as database:
            found = database.execute(query, values).fetchall()
        database.close()
        return dict(found)

    def make(users, column="password"):
        run(f"CREATE TABLE users (username, {column})")
        for name, stored in users.items():
            run("INSERT INTO users VALUES (?, ?)", name, stored)

    run.path, run.make = path, make
    run.all = lambda: run("SELECT * FROM users")
    return run


def serve(rows, options=""):
    return Portal.start(Arena.start([]), [from_string(f"sql{options}:sqlite:///{rows.path}")])


def login(portal, name="ann", password="right"):
    return (
        portal.login(UsernamePassword(name, password), None, Player)
        .get(timeout=30)
        .session.avatar_id
    )


@pytest.mark.parametrize("kind", [str, str.encode], ids=["text", "bytes"])
@pytest.mark.parametrize("ident", ["$P$", "$H$"])
def test_a_hash_of_phpass_is_replaced_by_one_that_php_reads(rows, kind, ident):
    old = phpass.using(ident=ident)
    rows.make({name: kind(old.hash("right")) for name in ("ann", "bob")})
    portal = serve(rows)
    with pytest.raises(UnauthorizedLogin):
        login(portal, password="wrong")
    before = rows.all()
    assert login(portal) == "ann"
    after = rows.all()
    assert after["bob"] == before["bob"]
    assert type(after["ann"]) is type(before["ann"])
    made = after["ann"] if kind is str else after["ann"].decode()
    assert made.startswith("$2y$12$")
    assert verify_password(password="right", hash=made)
    assert login(portal) == "ann"
    assert rows.all() == after
    assert (
        php("var_dump(password_verify($argv[1], $argv[2]));", "right", made).strip() == "bool(true)"
    )


def test_hashes_of_other_applications_stay(rows):
    users = {name: make("right") for name, make in WEB.items() if not name.startswith("phpass")}
    rows.make(users)
    portal = serve(rows)
    for name in users:
        assert login(portal, name) == name
    assert rows.all() == users


@pytest.mark.parametrize(
    "password", ["sno\u0308", "a\tb", "x" * 73], ids=["decomposed", "tab", "long"]
)
def test_a_password_that_the_application_would_hash_to_something_else_keeps_its_hash(
    rows, password
):
    users = {"ann": phpass.hash(password)}
    rows.make(users)
    assert login(serve(rows), password=password) == "ann"
    assert rows.all() == users


def test_rehashing_can_be_turned_off(rows):
    users = {"ann": phpass.hash("right")}
    rows.make(users)
    assert login(serve(rows, "[rehash=no]")) == "ann"
    query = "SELECT username, password FROM users WHERE username = :username"
    assert login(serve(rows, f"[query={query.replace(',', chr(92) + ',')}]")) == "ann"
    assert rows.all() == users


def test_a_table_that_may_not_be_written_is_said_once_and_lets_in(rows, caplog):
    users = {name: phpass.hash("right") for name in ("ann", "bob")}
    rows.make(users)
    rows("CREATE TRIGGER no BEFORE UPDATE ON users BEGIN SELECT RAISE(ABORT, 'read only'); END")
    portal = serve(rows)
    assert [login(portal, name) for name in ("ann", "bob", "ann")] == ["ann", "bob", "ann"]
    assert rows.all() == users
    assert caplog.text.count("Weak hashes in users are kept") == 1
    assert not any(stored in caplog.text for stored in users.values())


def test_a_column_that_is_too_short_keeps_its_hash(rows, caplog):
    """Old phpBB has 40 characters, and MariaDB may cut off what is longer.

    The user would be locked out.
    """
    users = {"ann": phpass.hash("right")}
    rows.make(users)
    cut = "UPDATE users SET password = substr(new.password, 1, 40) WHERE username = new.username"
    rows(
        "CREATE TRIGGER short AFTER UPDATE ON users WHEN length(new.password) > 40 "
        f"BEGIN {cut}; END"
    )
    assert login(serve(rows)) == "ann"
    assert rows.all() == users
    assert "a column is too short" in caplog.text


def test_a_table_that_is_locked_holds_up_no_login_for_long(rows):
    users = {"ann": phpass.hash("right")}
    rows.make(users)
    portal = serve(rows)
    holder = sqlite3.connect(rows.path, isolation_level=None)
    try:
        holder.execute("BEGIN IMMEDIATE")
        assert login(portal) == "ann"
        assert login(portal) == "ann"
    finally:
        holder.execute("ROLLBACK")
        holder.close()


def test_many_logins_of_a_user_at_once_all_get_in(rows):
    rows.make({"ann": phpass.hash("right")})
    portal = serve(rows, "[timeout=60]")  # six times bcrypt, on a machine that may be busy
    logins = [portal.login(UsernamePassword("ann", "right"), None, Player) for _ in range(6)]
    assert [one.get(timeout=30).session.avatar_id for one in logins] == ["ann"] * 6
    assert rows.all()["ann"].startswith("$2y$")
