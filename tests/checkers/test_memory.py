"""Users in memory, hashed or in the clear."""

from __future__ import annotations

import hmac

import pytest

from actorcred import PasswordRejected, UnauthorizedLogin, UsernameHashedPassword, UsernamePassword
from actorcred.checkers.memory import MemoryChecker
from tests.helpers import Player, Stage


class Challenge(UsernameHashedPassword):
    """Challenge and response, as a protocol makes it."""

    def __init__(self, username, response):
        self.username = username
        self.response = response

    def check_password(self, password):
        return hmac.compare_digest(self.response, hmac.digest(password, b"challenge", "sha256"))


def answer(password):
    return hmac.digest(password.encode(), b"challenge", "sha256")


def test_plaintext_serves_challenge_and_response(inline):
    stage = Stage(checkers=0)
    stage.portal.register_checker(MemoryChecker.start({"ann": "s3cret"}, plaintext=True)).get()

    assert (
        stage.portal.login(Challenge("ann", answer("s3cret")), None, Player).get().session.avatar_id
        == "ann"
    )
    for name, password in (("ann", "wrong"), ("eve", "s3cret"), ("eve", "\0")):
        with pytest.raises(UnauthorizedLogin):
            stage.portal.login(Challenge(name, answer(password)), None, Player).get()


def test_hashed_passwords_do_not_and_say_so(inline):
    checker = MemoryChecker.start({"ann": "s3cret"}, rounds=4)
    stage = Stage(checkers=0)
    stage.portal.register_checker(checker).get()

    assert stage.portal.list_credentials_interfaces().get() == [UsernamePassword]
    assert "s3cret" not in repr(vars(checker._actor_weakref()))


def test_users_come_and_go_and_outlive_a_crash_of_the_checker(inline):
    checker = MemoryChecker.start(rounds=4)
    stage = Stage(checkers=0)
    stage.portal.register_checker(checker).get()
    checker.add("ann", "first one")
    session = stage.login("ann", "first one").session
    checker.add("ann", "second one")
    assert not session.is_open
    checker.tell(_Bomb())
    session = stage.login("ann", "second one").session
    checker.remove("ann")
    assert not session.is_open
    with pytest.raises(UnauthorizedLogin):
        stage.login("ann", "second one")
    with pytest.raises(KeyError):
        checker.remove("ann")
    with pytest.raises(PasswordRejected, match="empty"):
        checker.add("bob", "")
    with pytest.raises(PasswordRejected, match="NUL"):
        MemoryChecker.start({"bob": "a\0b"}, rounds=4)


class _Bomb:
    """A message that crashes whoever logs it."""

    def __str__(self):
        raise ZeroDivisionError
