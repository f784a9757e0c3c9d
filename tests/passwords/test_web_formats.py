"""Hashes of web applications, made by the real libraries, in databases and in files."""

from __future__ import annotations

import subprocess

import pytest
import sqlalchemy

from actorcred import Portal, UnauthorizedLogin, UsernamePassword
from actorcred.auth.registry import from_string
from actorcred.passwords.hashing import (
    UnsupportedHash,
    check_format,
    hash_password,
    verify_password,
)
from tests.backends.web import PHP, WEB
from tests.helpers import Arena, Player, open_sqlite

ALL = {**WEB, **PHP}
LONG = (
    "a long sentence of more than 72 bytes, as password managers and people with fantasy make them"
)


def login(portal, name="ann", password="right"):
    return (
        portal.login(UsernamePassword(name, password), None, Player)
        .get(timeout=30)
        .session.avatar_id
    )


def serve(text):
    return Portal.start(Arena.start([]), [from_string(text)])


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
@pytest.mark.parametrize(
    "password", ["right", "sn\u00f6 \u2603", "sno\u0308", "a\tb", LONG], ids=ascii
)
def test_a_password_fits_the_hash_that_was_made_of_it_and_no_other(make, password):
    try:
        made = make(password)
    except (ValueError, subprocess.CalledProcessError):
        pytest.skip("the library refuses such a password")
    check_format(hash=made)
    cut = len(password.encode()) > 72 and made.startswith(("$2y$", "bcrypt$"))
    assert verify_password(password=password, hash=made) is not cut
    for wrong in (f"{password}x", password[:-1], password.upper(), ""):
        assert not verify_password(password=wrong, hash=made)


@pytest.fixture(scope="module")
def rows():
    return {name: make("right") for name, make in WEB.items()}


@pytest.mark.parametrize(
    "kind", [sqlalchemy.String(255), sqlalchemy.LargeBinary(255)], ids=["text", "bytes"]
)
@pytest.mark.parametrize("padding", ["", " " * 9, "\0" * 9], ids=["", "blanks", "NUL"])
def test_users_of_web_applications_log_in_by_their_tables(tmp_path, rows, kind, padding):
    url = f"sqlite:///{tmp_path}/users.db"
    engine = sqlalchemy.create_engine(url)
    columns = [
        sqlalchemy.Column("username", sqlalchemy.String(255)),
        sqlalchemy.Column("password", kind),
    ]
    table = sqlalchemy.Table("users", sqlalchemy.MetaData(), *columns)
    stored = {name: made + padding for name, made in rows.items()}
    if isinstance(kind, sqlalchemy.LargeBinary):
        stored = {name: made.encode() for name, made in stored.items()}
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(
            table.insert(), [{"username": name, "password": made} for name, made in stored.items()]
        )
    engine.dispose()
    portal = serve(f"sql:{url}")
    for name in rows:
        assert login(portal, name) == name
        with pytest.raises(UnauthorizedLogin):
            login(portal, name, "wrong")


def test_users_of_web_applications_log_in_by_files(tmp_path, rows):
    path = tmp_path / "users"
    path.write_text("".join(f"{name}:{made}:more\n" for name, made in rows.items()))
    portal = serve(f"file:{path}")
    for name in rows:
        assert login(portal, name) == name


CANNOT = {
    "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99": "a plain digest",
    "sha1$salt$" + "a" * 40: "a plain digest",
    "5f4dcc3b5aa765d61d8327deb882cf99": "a plain MD5",
    "a" * 64: "a plain digest",
    "*" + "A" * 40: "MySQL",
    "!abcdefghijklmnopqrstuvwxyz": "without a password",
    "$y$j9T$salt$" + "a" * 43: r"format \$y\$",
    "bcrypt$$2b$99$" + "a" * 21 + "u" + "a" * 31: "cost",
    "bcrypt$bcrypt$$2b$04$" + "a" * 53: "damaged",
    "bcrypt_sha256$$2b$04$short": "damaged",
    "argon2$argon2id$v=19$m=99999999,t=1,p=1$" + "A" * 22 + "$" + "A" * 43: "memory",
    "$wp$2y$04$short": "damaged",
    "$wp$1$abc": "damaged",
    "scrypt:0:8:1$salt$" + "a" * 128: "damaged",
    "scrypt:67108864:8:1$salt$" + "a" * 128: "memory",
    "scrypt:32768:8:1$salt$" + "a" * 126: "damaged",
    "pbkdf2:sha256:0$salt$" + "a" * 64: "iterations",
    "pbkdf2:sha256:99999999$salt$" + "a" * 64: "iterations",
    "pbkdf2:md4:1000$salt$" + "a" * 64: "damaged",
    "$pbkdf2-sha256$99999999$c2FsdA$" + "a" * 43: "iterations",
    "$pbkdf2-sha256$1000$c2FsdA$aaaa": "damaged",
    "$P$Z" + "a" * 30: "rounds",
    "$P$.aaaaaaaa" + "a" * 22: "rounds",
    "$H$9short": "damaged",
}


@pytest.mark.parametrize(("stored", "reason"), CANNOT.items(), ids=CANNOT)
def test_what_cannot_be_verified_is_named_with_the_remedy_of_its_store(
    tmp_path, stored, reason, caplog
):
    with pytest.raises(UnsupportedHash, match=reason):
        check_format(hash=stored)
    good = hash_password(password="right", rounds=4)
    with open_sqlite(tmp_path / "users.db") as database:
        database.execute("CREATE TABLE people (username, password)")
        database.executemany("INSERT INTO people VALUES (?, ?)", [("ann", stored), ("bob", good)])
    database.close()
    portal = serve(f"sql[table=people]:sqlite:///{tmp_path}/users.db")
    for _ in range(2):
        with pytest.raises(UnauthorizedLogin):
            login(portal)
    assert login(portal, "bob") == "bob"
    complaints = [
        record.getMessage()
        for record in caplog.records
        if "'ann' cannot log in" in record.getMessage()
    ]
    assert len(complaints) == 1
    assert complaints[0].endswith("; have the application that writes people set a new password")
    assert "htpasswd" not in caplog.text
    assert "aaaa" not in caplog.text


def test_a_file_has_a_remedy_of_its_own(tmp_path, caplog):
    path = tmp_path / "users"
    path.write_text("ann:md5$salt$5f4dcc3b5aa765d61d8327deb882cf99\n")
    serve(f"file:{path}")
    assert "too weak; make a new one with `htpasswd -B`" in caplog.text
