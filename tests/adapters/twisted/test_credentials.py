"""Credentials of Twisted's become ours and back, and what cannot be checked lets nobody in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip(
    "twisted.cred", reason="Twisted is not installed: pip install 'actorcred[twisted]'"
)

from twisted.cred import credentials as theirs
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import Interface, implementer

from actorcred import Anonymous, CheckerUnavailable, UnauthorizedLogin, UsernamePassword
from actorcred import credentials as ours
from actorcred.adapters.twisted.credentials import (
    from_twisted,
    kinds_from_twisted,
    kinds_to_twisted,
    to_twisted,
)
from actorcred.exchange import UsernameDigestHash, UsernameHashedPassword

BLOB = b"\0\0\0\x0bssh-ed25519rest"


class ICard(Interface):
    """A kind of credentials that only Twisted's side knows."""


@implementer(ICard)
class Card:
    username = b"ann"


@implementer(theirs.IUsernameHashedPassword)
class Answer:
    """An answer to a challenge, which is checked as a test says."""

    def __init__(self, check: Any, username: str = "ann") -> None:
        self.username, self.checkPassword = username, check


@implementer(theirs.IUsernameDigestHash)
class Digest(Answer):
    realm, fields = b"game", {"algorithm": b"MD5-sess"}

    def checkHash(self, digest: bytes) -> bool:
        return digest == b"right"


class OurAnswer(UsernameHashedPassword):
    username, source = "ann", ""

    def check_password(self, password: bytes) -> bool:
        return password == b"s3cret"


class OurDigest(UsernameDigestHash):
    username, source, realm, algorithm = "ann", "", "game", "MD5"

    def check_password(self, password: bytes) -> bool:
        return False

    def check_hash(self, digest: str) -> bool:
        return digest == "right"


def test_what_both_sides_know_crosses_over_and_comes_back_as_it_was() -> None:
    for original in (
        theirs.UsernamePassword(b"ann", b"s3cret"),
        theirs.SSHPrivateKey(b"ann", b"ssh-ed25519", BLOB, None, None),
        Digest(None),
        Answer(None),
        Card(),
    ):
        made = from_twisted(original, "192.0.2.1")
        assert to_twisted(made) is original
        assert made.username == "ann"  # type: ignore[attr-defined]
        assert "s3cret" not in repr(made)
    assert from_twisted(theirs.Anonymous()) == Anonymous()
    assert from_twisted(password := UsernamePassword("ann", "x")) is password
    assert from_twisted(thing := SimpleNamespace()) is thing


def test_ours_are_what_twisteds_checkers_ask_for() -> None:
    password = to_twisted(UsernamePassword("ann", "s3cret"))
    key = to_twisted(ours.SSHKey("ann", BLOB, b"signed", b"signature"))

    assert (password.username, password.password) == (b"ann", b"s3cret")
    assert (key.username, key.algName, key.blob) == (b"ann", b"ssh-ed25519", BLOB)
    assert (key.sigData, key.signature) == (b"signed", b"signature")
    assert theirs.IAnonymous.providedBy(to_twisted(Anonymous()))
    assert to_twisted(OurAnswer()).checkPassword(b"s3cret")
    assert to_twisted(OurDigest()).checkHash(b"right")
    assert to_twisted(token := ours.BearerToken("t")) is token


def test_an_answer_is_checked_at_once_or_by_a_deferred_that_has_fired() -> None:
    def check(answer: Any) -> bool:
        made: Any = from_twisted(Answer(lambda password: answer))
        return made.check_password(b"s3cret")  # type: ignore[no-any-return]

    assert check(True)
    assert check(succeed(True))
    assert not check(fail(LookupError("s3cret")))
    with pytest.raises(CheckerUnavailable) as failed:
        check(Deferred())
    assert "unfired Deferred" in failed.value.detail


def test_an_answer_that_cannot_be_checked_is_refused_without_its_text() -> None:
    def check(password: bytes) -> bool:
        raise KeyError("s3cret")

    made: Any = from_twisted(Answer(check))
    with pytest.raises(UnauthorizedLogin) as failed:
        made.check_password(b"s3cret")
    assert failed.value.detail == "these credentials cannot be checked: KeyError"


def test_a_digest_says_by_which_algorithm_and_realm() -> None:
    made: Any = from_twisted(Digest(None))

    assert (made.realm, made.algorithm) == ("game", "MD5")
    assert made.check_hash("right")
    assert not made.check_hash("wrong")


def test_a_name_that_nobody_can_have_is_refused() -> None:
    with pytest.raises(UnauthorizedLogin):
        from_twisted(Answer(None, "a\nb"))


def test_kinds_cross_over_and_those_of_one_side_stand_for_themselves() -> None:
    kinds = kinds_from_twisted([theirs.IUsernamePassword, ICard])

    assert kinds[0] is UsernamePassword
    assert kinds_to_twisted(kinds) == [theirs.IUsernamePassword, ICard]
    assert kinds_to_twisted([UsernameHashedPassword]) == [theirs.IUsernameHashedPassword]
    assert kinds_to_twisted([ours.BearerToken]) == []
    assert set(kinds_to_twisted([object])) >= {theirs.IUsernamePassword, theirs.IAnonymous}
