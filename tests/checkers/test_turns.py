"""Many wrong logins at one store starve no one else.

Neither the users of the next store, nor those who come from elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actorcred import (
    LoginDenied,
    LoginFailed,
    Portal,
    PortalOptions,
    UnauthorizedLogin,
    UsernamePassword,
)
from actorcred.actors import background
from actorcred.checkers.file import FileChecker
from actorcred.checkers.sqlite import SQLiteChecker
from actorcred.passwords.hashing import hash_password
from actorcred.passwords.policy import PasswordPolicy
from actorcred.testing import Hall, Visitor

pytestmark = pytest.mark.slow

CROWD = 60
ABREAST = 2 * (os.cpu_count() or 1) + 2
"""How many of the crowd may be through before somebody who comes last: what was under way."""


@pytest.fixture
def portal(tmp_path: Path) -> Any:
    htpasswd = tmp_path / "players.htpasswd"
    htpasswd.write_text(
        "".join(
            f"bot{number}:{hash_password(password='right', rounds=4)}\n" for number in range(CROWD)
        )
    )
    people = SQLiteChecker.start(tmp_path / "people.sqlite", 9, PasswordPolicy(common=()))
    people.add_account("ann", "correct horse").get(timeout=30)
    return Portal.start(Hall.start(), [FileChecker.start(htpasswd), people], PortalOptions())


def log_in(portal: Any, name: str, password: str, source: str) -> Any:
    return portal.login(UsernamePassword(name, password, source=source), None, Visitor)


def outcome(future: Any) -> type[LoginFailed] | None:
    try:
        future.get(timeout=60)
    except LoginFailed as error:
        return type(error)
    return None


Case = tuple[str, str, str, type[LoginFailed] | None]

CASES: list[Case] = [
    ("ann", "correct horse", "192.0.2.7", None),
    ("ann", "correct horse", "127.0.0.1", None),
    ("ann", "wrong", "2001:db8::7", UnauthorizedLogin),
    ("nobody", "wrong", "192.0.2.7", UnauthorizedLogin),
    ("bot7", "right", "192.0.2.7", None),
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("crowd", ["", "203.0.113.9"])
def test_a_crowd_of_wrong_passwords_at_the_first_store_delays_nobody_else(
    portal: Any, crowd: str, case: Case
) -> None:
    name, password, source, expected = case
    wrong = [log_in(portal, f"bot{number}", "wrong", crowd) for number in range(CROWD)]
    assert outcome(log_in(portal, name, password, source)) is expected
    # One after the other, all of them would have been through before.
    assert sum(future.done() for future in wrong) < CROWD - ABREAST
    assert {outcome(future) for future in wrong} == {UnauthorizedLogin}


def test_the_right_passwords_of_a_crowd_do_not_wait_for_its_wrong_ones_at_the_next_store(
    portal: Any,
) -> None:
    wrong = [log_in(portal, f"bot{number}", "wrong", "") for number in range(CROWD)]
    right = [log_in(portal, f"bot{number}", "right", "") for number in range(CROWD)]
    assert {outcome(future) for future in right} == {None}
    assert sum(future.done() for future in wrong) < CROWD
    assert {outcome(future) for future in wrong} == {UnauthorizedLogin}


def test_what_is_given_up_is_not_hashed(portal: Any) -> None:
    wrong = [log_in(portal, f"bot{number}", "wrong", "203.0.113.9") for number in range(CROWD)]
    for future in wrong:
        future.cancel()
    assert outcome(log_in(portal, "ann", "correct horse", "203.0.113.9")) is None
    assert len(background.background_pool()) == 0


def test_when_too_much_waits_the_crowd_is_denied_and_told_when_to_come_back(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pool_of: Callable[[int], background.BackgroundPool],
) -> None:
    people = SQLiteChecker.start(tmp_path / "people.sqlite", 9, PasswordPolicy(common=()))
    people.add_account("ann", "correct horse").get(timeout=30)
    monkeypatch.setattr(background, "_of_process", pool_of(10))
    portal = Portal.start(Hall.start(), [people])
    wrong = [log_in(portal, f"bot{number}", "wrong", "203.0.113.9") for number in range(CROWD)]
    ann = log_in(portal, "ann", "correct horse", "192.0.2.7")
    assert outcome(ann) is None
    outcomes = [outcome(future) for future in wrong]
    assert set(outcomes) == {UnauthorizedLogin, LoginDenied}
    denied = wrong[outcomes.index(LoginDenied)]
    with pytest.raises(LoginDenied, match=r"try again in \d+ s"):
        denied.get()


@pytest.fixture
def pool_of() -> Any:
    made: list[background.BackgroundPool] = []

    def make(bound: int) -> background.BackgroundPool:
        made.append(background.BackgroundPool(bound=bound))
        return made[-1]

    yield make
    for pool in made:
        for workers in pool.pools:
            workers.close(30)
