"""What the listeners of a checker decide together."""

from __future__ import annotations

import pykka
import pytest

from actorcred import CheckerUnavailable
from actorcred.actors import Future
from actorcred.listeners import agreement


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


def test_the_last_answer_is_waited_for() -> None:
    first, last = Future[bool](), Future[bool]()
    agreed = agreement([first, last])
    last.settle(True)
    assert not agreed.done()
    first.settle(True)
    assert agreed.get(timeout=0) is True
