"""Changes of accounts that PostgreSQL tells at once, with the triggers of the how-to."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
import sqlalchemy

from actorcred import AccountError, PortalOptions, UsernamePassword
from actorcred.auth.registry import from_string
from actorcred.checkers.sql import SQLChecker
from actorcred.checkers.sql_notify import FIRST_PAUSE, LONGEST_PAUSE, Listener, _received
from actorcred.checkers.wrappers.renaming import RenamingChecker
from actorcred.portal.events import LoggedOut
from tests.backends.servers import eventually, postgresql, running
from tests.backends.tables import HASHES, fill
from tests.helpers import Player, Stage, until

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "revocation.md"


@pytest.fixture(scope="module")
def server():
    with running(postgresql) as backend:
        yield backend


@pytest.fixture
def database(server):
    """Yield what runs statements on a new table of users with the how-to's triggers."""
    engine = sqlalchemy.create_engine(server.url, isolation_level="AUTOCOMMIT")

    def run(statement, **names):
        with engine.connect() as connection:
            return connection.execute(sqlalchemy.text(statement), names)

    run("DROP TABLE IF EXISTS users")
    run("DROP FUNCTION IF EXISTS users_changed")
    fill(server.url)
    (triggers,) = re.findall(r"```postgresql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    with engine.connect() as connection:
        connection.exec_driver_sql(triggers)
    run.listeners = lambda: run(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    ).scalar()
    yield run
    engine.dispose()


def serve(database, *checkers):
    # Without rounds: what ends a session was told.
    stage = Stage(PortalOptions(standing_interval=None), checkers=0)
    for checker in checkers:
        stage.portal.register_checker(checker).get(timeout=10)
    until(lambda: database.listeners() == len(checkers))
    return stage


def login(stage, name):
    return stage.portal.login(UsernamePassword(name, "right"), None, Player).get(timeout=10).session


def told(stage, count):
    return [(one.avatar_id, one.reason, one.detail) for one in stage.named(LoggedOut, count)]


def test_what_happens_to_a_row_counts_at_once(server, database):
    stage = serve(database, from_string(f"sql[notify=users_changed,active=is_active]:{server.url}"))
    sessions = {name: login(stage, name) for name in (*HASHES, "ann")}
    database("UPDATE users SET username = username WHERE username = 'ann'")
    database("DELETE FROM users WHERE username = 'bcrypt'")
    database("UPDATE users SET is_active = false WHERE username = 'argon2'")
    made = HASHES["bcrypt"]("another")
    database("UPDATE users SET password = :made WHERE username = 'pbkdf2'", made=made)
    assert sorted(told(stage, 3)) == [
        ("argon2", "revoked", "disabled"),
        ("bcrypt", "revoked", "deleted"),
        ("pbkdf2", "revoked", "password changed"),
    ]
    assert sessions["ann"].is_open

    database("TRUNCATE users")
    assert len(told(stage, 6)) == 6


def test_it_counts_for_sessions_under_another_name(server, database):
    checker = SQLChecker.start(server.url, notify="users_changed")
    stage = serve(database, RenamingChecker.start(checker, "corp-{}".format))
    session = login(stage, "ann")
    assert session.avatar_id == "corp-ann"
    database("DELETE FROM users WHERE username = 'ann'")
    assert told(stage, 1) == [("corp-ann", "revoked", "deleted")]


def test_what_nobody_is_called_and_nonsense_logs_nobody_out(server, database):
    stage = serve(database, SQLChecker.start(server.url, notify="users_changed"))
    session = login(stage, "ann")
    for payload in ("nobody", "a\x01b", "ann", " "):
        database("SELECT pg_notify('users_changed', :payload)", payload=payload)
    login(stage, "bcrypt")
    database("DELETE FROM users WHERE username = 'bcrypt'")
    told(stage, 1)
    assert session.is_open


def test_after_a_break_it_listens_again_and_all_are_asked_once(server, database, caplog):
    stage = serve(database, SQLChecker.start(server.url, notify="users_changed"))
    session, other = login(stage, "ann"), login(stage, "bcrypt")
    with server.down():
        until(lambda: "Changes of accounts are not told by 'users_changed' now" in caplog.text)
        assert session.is_open
    eventually(lambda: database("DELETE FROM users WHERE username = 'ann'"), Exception)
    assert told(stage, 1) == [("ann", "revoked", "deleted")]
    assert other.is_open
    until(lambda: "Changes of accounts are told again by 'users_changed'" in caplog.text)
    assert caplog.text.count("are not told by") == 1
    assert "test@" not in caplog.text
    # And it does listen: this was not a part of the questions after the break.
    until(lambda: database.listeners() == 1)
    database("DELETE FROM users WHERE username = 'bcrypt'")
    told(stage, 2)


def test_a_silent_connection_is_tested(server, database, monkeypatch):
    monkeypatch.setattr("actorcred.checkers.sql_notify.SILENCE", 0.05)
    checker = SQLChecker.start(server.url, notify="users_changed")
    stage = Stage(PortalOptions(standing_interval=None), checkers=0)
    stage.portal.register_checker(checker).get(timeout=10)
    login(stage, "ann")
    asked = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT 1' AND state = 'idle'"
    until(lambda: database(asked).scalar())
    database("DELETE FROM users WHERE username = 'ann'")
    told(stage, 1)


def test_the_connection_ends_with_the_checker(server, database):
    checker = SQLChecker.start(server.url, notify="users_changed")
    until(lambda: database.listeners() == 1)
    checker.stop(timeout=10)
    until(lambda: database.listeners() == 0)


@pytest.mark.parametrize("channel", ["x" * 64, "a\nb"])
def test_a_channel_is_a_name(channel):
    with pytest.raises(AccountError, match="name of a channel"):
        SQLChecker.start("postgresql+psycopg://x@127.0.0.1:1/x", notify=channel)


def test_other_databases_cannot_notify(tmp_path):
    with pytest.raises(AccountError, match="needs PostgreSQL with the driver psycopg"):
        SQLChecker.start(f"sqlite:///{tmp_path}/x.db", notify="users_changed")


class Broken:
    """An engine without a server."""

    dialect = sqlalchemy.make_url("postgresql+psycopg://x/x").get_dialect()()

    @staticmethod
    def raw_connection():
        raise OSError("no route")


Broken.dialect.driver = "psycopg"


def test_the_pauses_between_tries_grow_to_a_bound(monkeypatch):
    listener = Listener(Broken, "x", print, print)
    pauses = []

    def sleeps(seconds):
        pauses.append(seconds)
        if len(pauses) == 10:
            listener.close()
        return True

    monkeypatch.setattr(listener, "_sleeps", sleeps)
    listener._run()
    listener._end()
    assert pauses == [min(LONGEST_PAUSE, FIRST_PAUSE * 2**number) for number in range(10)]


def test_a_pause_ends_when_it_is_closed():
    listener = Listener(Broken, "x", print, print)
    listener.start()
    listener.close()  # the thread ends, else the test's end finds it
    assert not listener._sleeps(1000)


def test_the_other_driver_keeps_notifications_in_a_list():
    class Notification:
        payload = "ann"

    class Connection:
        notifies = [Notification(), Notification()]
        polled = 0

        def poll(self):
            self.polled += 1

    connection = Connection()
    assert list(_received(connection)) == ["ann", "ann"]
    assert (connection.polled, connection.notifies) == (1, [])
    with socket.socket() as unused:
        assert unused.fileno() >= 0
