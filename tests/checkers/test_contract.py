"""What every checker of names and passwords promises, shown on each of them and each dispatcher."""

from __future__ import annotations

import logging

import pytest

from actorcred import Portal, UnauthorizedLogin, UsernamePassword, actors
from actorcred.checkers.file import FileChecker
from actorcred.checkers.memory import MemoryChecker
from actorcred.checkers.sqlite import SQLiteChecker
from actorcred.passwords import PasswordPolicy, hash_password
from tests.helpers import Arena, Player

USERS = {"ann": "correct horse", "andr\u00e9": "sn\u00f6 \u2603 password", "long": "x" * 100}


def memory(tmp_path):
    return MemoryChecker.start(USERS, rounds=4)


def plaintext(tmp_path):
    return MemoryChecker.start(USERS, plaintext=True)


def file(tmp_path):
    path = tmp_path / "users.htpasswd"
    path.write_text("".join(f"{name}:{hash_password(password=word, rounds=4)}\n" for name, word in USERS.items()))
    return FileChecker.start(path)


def sqlite(tmp_path):
    checker = SQLiteChecker.start(tmp_path / "accounts.sqlite", 4, PasswordPolicy(common=frozenset()))
    for name, word in USERS.items():
        checker.add_account(name, word).get(timeout=30)
    return checker


@pytest.fixture(params=[memory, plaintext, file, sqlite])
def portal(request, dispatcher, tmp_path):
    return Portal.start(Arena.start([]), [request.param(tmp_path)])


def login(portal, name, password):
    return portal.login(UsernamePassword(name, password), None, Player).get(timeout=30).session.avatar_id


def test_the_right_password_lets_in(portal):
    for name, password in USERS.items():
        assert login(portal, name, password) == name
    assert login(portal, "andre\u0301".encode(), USERS["andr\u00e9"].encode()) == "andr\u00e9"


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ann", "wrong"),
        ("ann", ""),
        ("ann", "correct horse\0"),
        ("ann", "correct horse "),
        ("Ann", "correct horse"),
        ("nobody", "correct horse"),
        ("", ""),
        ("\0", "\0"),
        ("nobody", "\0"),
        ("long", "x" * 72),
        ("long", "x" * 99),
        ("long", "x" * 101),
        ("ann' OR 1=1 --", "x"),
        ("a" * 100_000, "b" * 100_000),
    ],
)
def test_everything_else_is_refused_in_the_same_words(portal, name, password):
    with pytest.raises(UnauthorizedLogin) as refused:
        login(portal, name, password)
    assert str(refused.value) == "login refused"


def test_many_logins_at_once_are_answered_each_its_own_way(portal):
    futures = [portal.login(UsernamePassword("ann", word), None, Player) for word in ["correct horse", "wrong"] * 20]

    for right, wrong in zip(futures[::2], futures[1::2], strict=True):
        assert right.get(timeout=30).session.avatar_id == "ann"
        with pytest.raises(UnauthorizedLogin):
            wrong.get(timeout=30)


def test_no_password_gets_into_a_log(portal, caplog):
    caplog.set_level(logging.DEBUG)
    login(portal, "ann", USERS["ann"])
    with pytest.raises(UnauthorizedLogin):
        login(portal, "ann", "a wrong secret")

    assert USERS["ann"] not in caplog.text
    assert "a wrong secret" not in caplog.text
    assert "$2b$" not in caplog.text


def test_logins_that_nobody_waits_for_are_not_hashed(tmp_path):
    checker = MemoryChecker.start({"ann": "correct horse"}, rounds=10)
    portal = Portal.start(Arena.start([]), [checker])
    futures = [portal.login(UsernamePassword("ann", "wrong"), None, Player) for _ in range(500)]
    for future in futures:
        future.cancel()

    assert login(portal, "ann", "correct horse") == "ann"  # 500 hashes would take longer than the wait
    assert actors.statistics().actors == 5
