"""Two factors: all checkers must agree on one user, and a code may be typed behind the password."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actorcred import Checker, UnauthorizedLogin, UsernamePassword
from actorcred.auth.registry import from_string
from actorcred.checkers.memory import MemoryChecker
from actorcred.checkers.wrappers.all_of import AllOf
from actorcred.credentials import Combined, OneTimePassword
from actorcred.identity import Identity
from tests.helpers import Player, Stage

CODE = "123456"


class Codes(Checker):
    """Knows one code."""

    credential_interfaces = (OneTimePassword,)

    def request_avatar_id(self, credentials: Any) -> str:
        if credentials.code != CODE:
            raise UnauthorizedLogin("wrong code", known=True)
        return str(credentials.username)


def stage_of(*checkers: Any) -> Stage:
    stage = Stage(checkers=0)
    stage.portal.register_checker(AllOf.start(*checkers)).get(timeout=10)
    return stage


@pytest.fixture
def two_factors(inline: Any) -> Stage:
    users = {"ann": "right", "bob": "with a blank "}
    return stage_of(MemoryChecker.start(users, plaintext=True), Codes.start())


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("ann", f"right{CODE}"),
        ("ann", f"right {CODE}"),
        ("ann", "right 123 456"),
        ("bob", f"with a blank {CODE}"),
    ],
)
def test_a_code_is_typed_behind_the_password_with_or_without_blanks(
    two_factors: Stage, name: str, typed: str
) -> None:
    assert two_factors.login(name, typed).session.avatar_id == name


@pytest.mark.parametrize("typed", ["right", f"wrong {CODE}", "right 654321", CODE, "right 12345"])
def test_both_have_to_be_right(two_factors: Stage, typed: str) -> None:
    with pytest.raises(UnauthorizedLogin):
        two_factors.login("ann", typed)


def test_the_parts_may_come_apart_and_none_may_be_missing(two_factors: Stage) -> None:
    password, code = UsernamePassword("ann", "right"), OneTimePassword("ann", CODE)

    def login(*parts: Any) -> Any:
        return two_factors.portal.login(Combined(parts), None, Player).get(timeout=10)

    assert login(password, code).session.avatar_id == "ann"
    for parts in ((password,), (code,), (password, OneTimePassword("bob", CODE))):
        with pytest.raises(UnauthorizedLogin):
            login(*parts)


def test_it_takes_what_all_take_and_a_code_alone_from_one(inline: Any) -> None:
    users, codes = MemoryChecker.start({"ann": "right"}, rounds=4), Codes.start()

    assert AllOf.start(users, codes).credential_interfaces == (Combined, UsernamePassword)
    alone = AllOf.start(codes)
    assert alone.credential_interfaces == alone.offered_interfaces == (Combined, OneTimePassword)


def test_without_codes_a_password_is_what_was_typed(inline: Any) -> None:
    stage = Stage(checkers=0)
    text = "all:(memory:ann:right)(memory:ann:right)"
    stage.portal.register_checker(from_string(text)).get(timeout=10)

    assert stage.login("ann", "right").session.avatar_id == "ann"


def test_the_identity_has_what_all_of_them_say(inline: Any) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)

    class Directory(Checker):
        credential_interfaces = (UsernamePassword,)

        def request_avatar_id(self, credentials: Any) -> Identity:
            return Identity("ann", issuer="ldap", groups=frozenset({"staff"}), expires=soon)

    portal = stage_of(Directory.start(), Codes.start()).portal
    parts = (UsernamePassword("ann", "right"), OneTimePassword("ann", CODE))
    ann = portal.login(Combined(parts), None, Player).get(timeout=10).session.identity

    assert ann.methods == {"pwd", "otp", "mfa"}
    assert (ann.issuer, ann.groups, ann.expires) == ("ldap", {"staff"}, soon)


def test_two_passwords_are_one_kind_of_factor(inline: Any) -> None:
    users = [MemoryChecker.start({"ann": "right"}, plaintext=True) for _ in range(2)]

    assert stage_of(*users).login("ann", "right").session.identity.methods == {"pwd"}
