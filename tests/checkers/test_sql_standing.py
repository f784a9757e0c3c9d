"""What has become of rows of users who are logged in: real PostgreSQL and MariaDB, and SQLite."""

from __future__ import annotations

import passlib.hash
import pytest
import sqlalchemy

from actorcred import CheckerUnavailable, UsernamePassword
from actorcred.checkers.bases.user_table import FactColumns
from actorcred.checkers.sql import SQLChecker, UserTable
from actorcred.checkers.sql_standing import REMEMBERED, Replaced, RowReader, judge
from actorcred.identity import Identity
from actorcred.portal.options import PortalOptions
from actorcred.standing import Revocation, Standing, fingerprint, with_proof
from tests.backends.servers import mariadb, postgresql, running
from tests.backends.tables import HASHES, USERS, fill
from tests.helpers import Player, Stage, until

pytestmark = pytest.mark.slow


def sqlite(folder):
    yield f"sqlite:///{folder / 'users.db'}"


def server(make):
    def start(folder):
        with running(make) as backend:
            yield backend.url

    start.__name__ = make.__name__
    return start


@pytest.fixture(
    scope="module",
    params=[sqlite, server(postgresql), server(mariadb)],
    ids=lambda made: made.__name__,
)
def url(request, tmp_path_factory):
    generator = request.param(tmp_path_factory.mktemp("database"))
    yield next(generator)
    next(generator, None)


@pytest.fixture
def run(url):
    """Yield what runs statements on a new table of users."""
    engine = sqlalchemy.create_engine(url)

    def run(statement, **names):
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text(statement), names)

    run("DROP TABLE IF EXISTS users")
    fill(url)
    yield run
    engine.dispose()


QUERY = "SELECT username, password, is_active FROM users WHERE username = :username"


@pytest.mark.parametrize("users", [UserTable(active="is_active"), UserTable(query=QUERY)])
def test_rows_that_are_gone_inactive_or_have_another_hash_are_told(url, run, users):
    names = {name: with_proof(name, USERS[name]) for name in ("ann", "andr\u00e9", *HASHES)}
    checker = SQLChecker(url, users, None)
    everybody = (*names.values(), "ann", "old")
    try:
        assert checker.check_standing(everybody) == Standing({"old": Revocation.DISABLED})
        run("DELETE FROM users WHERE username IN ('ann', :other)", other="andr\u00e9")
        run("UPDATE users SET is_active = :no WHERE username = 'argon2'", no=False)
        for name, made in (("bcrypt", HASHES["bcrypt"]("new")), ("scrypt", "!")):
            run("UPDATE users SET password = :m WHERE username = :n", m=made, n=name)
        run("UPDATE users SET password = NULL WHERE username = 'pbkdf2'")
        assert checker.check_standing(everybody).gone == {
            "old": Revocation.DISABLED,
            "ann": Revocation.DELETED,
            names["ann"]: Revocation.DELETED,
            names["andr\u00e9"]: Revocation.DELETED,
            names["argon2"]: Revocation.DISABLED,
            names["bcrypt"]: Revocation.PASSWORD_CHANGED,
            names["scrypt"]: Revocation.PASSWORD_CHANGED,
            names["pbkdf2"]: Revocation.PASSWORD_CHANGED,
        }
    finally:
        checker.on_stop()


def test_the_names_in_the_table_count_as_they_are_written(url, run):
    """Where ANN and ann are one user for the database, the row of one is not the other's."""
    checker = SQLChecker(url, UserTable(), None)
    try:
        run("UPDATE users SET username = 'ANN' WHERE username = 'ann'")
        proof = with_proof("ANN", USERS["ann"])
        assert checker.check_standing((proof,)) == Standing()
        run("DELETE FROM users WHERE username = 'ANN'")
        assert checker.check_standing((proof,)).gone == {proof: Revocation.DELETED}
    finally:
        checker.on_stop()


def test_a_database_without_the_table_logs_nobody_out(url, run):
    checker = SQLChecker(url, UserTable(table="nowhere"), None)
    try:
        with pytest.raises(CheckerUnavailable, match="login unavailable"):
            checker.check_standing(("ann",))
    finally:
        checker.on_stop()


def test_further_facts_are_told_and_an_end_of_the_account_counts(url, run):
    kind = "TIMESTAMP WITH TIME ZONE" if url.startswith("postgresql") else "DATETIME"
    run("ALTER TABLE users ADD roles VARCHAR(50) DEFAULT 'staff'")
    run(f"ALTER TABLE users ADD ends {kind} NULL")
    run("UPDATE users SET ends = '2020-01-01 00:00:00' WHERE username = 'bcrypt'")
    run("UPDATE users SET roles = 'staff admins' WHERE username = 'ann'")
    checker = SQLChecker(url, UserTable(facts=FactColumns(groups="roles", expires="ends")), None)
    try:
        said = checker.check_standing(("ann", "bcrypt", "broken"))
        assert said.gone == {"bcrypt": Revocation.DISABLED}
        assert said.identities["ann"].groups == {"staff", "admins"}
        assert "broken" not in said.identities  # its hash cannot be used
    finally:
        checker.on_stop()


def test_a_hash_that_the_checker_itself_replaces_is_no_new_password(url, run):
    weak = passlib.hash.phpass.using(rounds=7).hash("right")
    run("UPDATE users SET password = :weak WHERE username = 'ann'", weak=weak)
    stage = Stage(PortalOptions(standing_interval=0.1), checkers=0)
    stage.portal.register_checker(SQLChecker.start(url)).get(timeout=10)

    def login(name):
        given = UsernamePassword(name, "right")
        return stage.portal.login(given, None, Player).get(timeout=30).session

    session, other = login("ann"), login("bcrypt")
    run("UPDATE users SET password = :made WHERE username = 'bcrypt'", made=HASHES["bcrypt"]("x"))
    until(lambda: not other.is_open)
    assert session.is_open
    again = login("ann")
    run("UPDATE users SET password = :made WHERE username = 'ann'", made=HASHES["bcrypt"]("x"))
    until(lambda: not (session.is_open or again.is_open))


# -- parts ---------------------------------------------------------------------------------------


def test_only_the_replaced_hash_is_covered_and_only_so_many_are_remembered():
    replaced = Replaced()
    replaced.note("old", "new")
    assert replaced.covers(fingerprint("old"), fingerprint("new"))
    assert not replaced.covers(fingerprint("old"), fingerprint("newer"))
    assert judge(with_proof("ann", "old"), "new", True, replaced) is None
    for number in range(REMEMBERED):
        replaced.note(f"{number}", "x")
    assert not replaced.covers(fingerprint("old"), fingerprint("new"))


class OfTheName(Exception):
    pass


class Connection:
    """A connection on which some names cannot be asked about."""

    def __init__(self, rows):
        self.rows, self.calls = rows, []

    def execute(self, select, names):
        asked = names.get("usernames", [names.get("username")])
        if "bad" in asked:
            raise OfTheName
        if "odd" in asked:
            raise UnicodeDecodeError("latin-1", b"\xff", 0, 1, "x")
        if "bug" in asked:
            raise KeyError
        rows = [row for row in self.rows if row[0] in asked]
        return type("Result", (), {"fetchmany": lambda _, most: rows[:most]})()

    def rollback(self):
        self.calls.append("rollback")

    def invalidate(self):
        self.calls.append("invalidate")


def test_a_name_that_cannot_be_asked_about_shields_no_other_and_is_not_gone():
    reader = RowReader(UserTable(), "one", lambda error: isinstance(error, OfTheName))
    connection = Connection([("ann", 1), (None, 2)])
    found = reader.read(connection, ["ann", "bad", "odd", "bob"])
    assert found == {"ann": [("ann", 1)], "bob": []}
    assert connection.calls == ["rollback", "rollback", "invalidate", "rollback"]
    with pytest.raises(KeyError):
        reader.read(connection, ["bug"])


def test_of_two_rows_for_one_name_nothing_is_known(url, run):
    checker = SQLChecker(url, UserTable(), None)
    try:
        reader = RowReader(UserTable(), "one", lambda error: False)
        assert reader.read(Connection([("ann", 1), ("ann", 2)]), ["ann"]) == {
            "ann": [("ann", 1), ("ann", 2)]
        }
        assert isinstance(checker.current_identity("ann"), Identity)
    finally:
        checker.on_stop()
