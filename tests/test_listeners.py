"""What the listeners of a checker decide together."""

from __future__ import annotations

from typing import Any

import pykka
import pytest

from actorcred import CheckerUnavailable
from actorcred.actors import Future
from actorcred.listeners import agreement, use_up


def settled(*values: bool | Exception) -> list[Future[bool]]:
    futures = []
    for value in values:
        future: Future[bool] = Future()
        if isinstance(value, Exception):
            future.settle_error(value)
        else:
            future.settle(value)
        futures.append(future)
    return futures


@pytest.mark.parametrize(
    ("answers", "agreed"),
    [
        ((), True),
        ((True,), True),
        ((False,), False),
        ((True, False), False),
        ((False, True), False),
        ((pykka.ActorDeadError(), True), True),
        ((pykka.ActorDeadError(), False), False),
    ],
)
def test_all_must_agree_that_have_not_stopped(
    answers: tuple[bool | Exception, ...], agreed: bool
) -> None:
    assert agreement(settled(*answers)).get(timeout=0) is agreed


def test_one_that_does_not_know_is_an_error() -> None:
    with pytest.raises(CheckerUnavailable):
        agreement(settled(True, CheckerUnavailable("cut off"))).get(timeout=0)


class Book:
    """A listener that says yes."""

    def __init__(self) -> None:
        self.uses: list[str] = []

    def use_up(self, key: str, seconds: float, use: str) -> Future[bool]:
        self.uses.append(use)
        return settled(True)[0]


def test_all_listeners_are_asked_about_the_same_use_and_each_time_about_another_one() -> None:
    books: Any = [Book(), Book()]
    assert use_up(books, "key", 90.0, "").get(timeout=0)
    assert use_up(books, "key", 90.0, "").get(timeout=0)
    assert use_up(books, "key", 90.0, "mine").get(timeout=0)
    assert books[0].uses == books[1].uses
    assert len(set(books[0].uses)) == 3
    assert books[0].uses[2] == "mine"


@pytest.mark.parametrize("seconds", [0.0, -1.0, 3600.1, float("nan")])
def test_what_lives_longer_than_is_remembered_cannot_be_used_up(seconds: float) -> None:
    with pytest.raises(ValueError, match="valid for at most 3600 s"):
        use_up([], "key", seconds, "")


def test_the_last_answer_is_waited_for() -> None:
    first, last = Future[bool](), Future[bool]()
    agreed = agreement([first, last])
    last.settle(True)
    assert not agreed.done()
    first.settle(True)
    assert agreed.get(timeout=0) is True
