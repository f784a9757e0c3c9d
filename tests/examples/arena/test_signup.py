"""Accounts that players make themselves: which names, which passwords, how many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from actorcred.actors import InlineDispatcher
from actorcred.checkers.sqlite import SQLiteChecker
from examples.arena.signup import RATE, WINDOW, SignUpRefused, SignUps

PASSWORD = "orange telescope"


class Store:
    """A store, and the time."""

    def __init__(self) -> None:
        self.time = 0.0
        self.checker: Any = SQLiteChecker.start(":memory:", rounds=4)
        self.sign_ups = SignUps(self.checker, {"dorlora"}, lambda: self.time)

    def sign_up(self, name: str, password: str = PASSWORD) -> str:
        return self.checker.actor_inbox.dispatcher.spawn(self.sign_ups(name, password)).get()

    def names(self) -> list[str]:
        return [account.name for account in self.checker.accounts().get()]


@pytest.fixture
def store(inline: InlineDispatcher) -> Iterator[Store]:
    return Store()  # type: ignore[return-value]


def test_an_account_is_made_with_its_name_as_it_is_compared(store: Store) -> None:
    assert store.sign_up("  Zoe ") == "Zoe"
    assert store.names() == ["Zoe"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Zoe", "taken"),
        ("Dorlora", "taken"),
        ("DORLORA", "taken"),
        ("guest 7", "for guests"),
        ("Guest", "for guests"),
        ("x" * 17, "at most 16 characters"),
        ("", "cannot be used"),
        ("a\nb", "cannot be used"),
    ],
)
def test_a_name_that_cannot_be_had_is_refused_with_a_reason(
    store: Store, name: str, why: str
) -> None:
    store.sign_up("Zoe")
    with pytest.raises(SignUpRefused, match=why):
        store.sign_up(name)
    assert store.names() == ["Zoe"]


@pytest.mark.parametrize(("password", "why"), [("short", "8 char"), ("password", "most common")])
def test_a_weak_password_is_refused_with_a_reason(store: Store, password: str, why: str) -> None:
    with pytest.raises(SignUpRefused, match=why):
        store.sign_up("Zoe", password)


def test_no_more_accounts_are_made_in_a_minute_than_can_be_hashed(store: Store) -> None:
    for number in range(RATE):
        store.sign_up(f"user{number}")
    with pytest.raises(SignUpRefused, match="Try again in a minute"):
        store.sign_up("late")
    store.time = WINDOW + 1
    assert store.sign_up("late") == "late"
