"""Users in memory, hashed or in the clear."""

from __future__ import annotations

import hmac

import pytest

from actorcred import (
    PasswordRejected,
    UnauthorizedLogin,
    UsernameHashedPassword,
    UsernamePassword,
    UsernameScram,
)
from actorcred.auth.descriptors import DescriptorError
from actorcred.auth.registry import from_string
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


class Proof(UsernameScram):
    """An exchange whose client proves that it knows a password when the test says so."""

    def __init__(self, username, algorithm="SHA-256"):
        self.username, self.algorithm, self.last = username, algorithm, True
        self.verifier, self.decided = None, None

    def verify(self, verifier, decided):
        self.verifier, self.decided = verifier, decided

    def pretend(self, decided):
        self.decided = decided

    def respond(self, data):
        self.decided(data == b"right" and self.verifier is not None)


@pytest.mark.parametrize("algorithm", ["SHA-256", "SHA-512", "SHA-1"])
def test_plaintext_serves_scram(inline, algorithm):
    checker = MemoryChecker.start({"ann": "s3cret"}, plaintext=True, scram_iterations=4096)
    stage = Stage(checkers=0)
    stage.portal.register_checker(checker).get()

    def begin(name):
        proof = Proof(name, algorithm)
        return proof, stage.portal.login(proof, None, Player)

    proof, login = begin("ann")
    assert proof.iterations == 4096
    proof.respond(b"right")
    assert login.get(timeout=10).session.avatar_id == "ann"
    for name, answer in (("ann", b"wrong"), ("eve", b"right")):
        proof, login = begin(name)
        proof.respond(answer)
        with pytest.raises(UnauthorizedLogin):
            login.get(timeout=10)
    proof, login = begin("ann")
    checker.remove("ann")
    proof.respond(b"right")
    with pytest.raises(UnauthorizedLogin):
        login.get(timeout=10)


def test_plaintext_checks_a_password_and_no_empty_user(inline):
    stage = Stage(checkers=0)
    stage.portal.register_checker(MemoryChecker.start({"ann": "s3cret"}, plaintext=True)).get()

    assert stage.login("ann", "s3cret").session.avatar_id == "ann"
    for name, password in (("ann", "wrong"), ("eve", "")):
        with pytest.raises(UnauthorizedLogin):
            stage.login(name, password)


def test_users_may_stand_in_the_text_of_a_command_line(inline):
    stage = Stage(checkers=0)
    stage.portal.register_checker(from_string(r"memory:ann:s3\:cret:bob:hush")).get()

    assert stage.login("ann", "s3:cret").session.avatar_id == "ann"
    assert stage.login("bob", "hush").session.avatar_id == "bob"
    for wrong, error in (("memory:ann", "in turn"), ("memory[x=1]:ann:a", "unknown option 'x'")):
        with pytest.raises(DescriptorError, match=error):
            from_string(wrong)
