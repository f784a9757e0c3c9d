"""What can be used once in a process."""

from __future__ import annotations

import pytest

from actorcred import CheckerUnavailable
from actorcred.sessions.used import Used


def test_a_key_can_be_used_once() -> None:
    used = Used()
    assert used.take("a", 90.0, now=0.0)
    assert not used.take("a", 90.0, now=89.0)
    assert used.take("b", 90.0, now=89.0)


def test_a_key_is_forgotten_when_what_it_stands_for_has_expired() -> None:
    used = Used()
    used.take("late", 90.0, now=0.0)
    used.take("soon", 10.0, now=0.0)
    assert used.take("soon", 10.0, now=10.0)
    assert not used.take("late", 90.0, now=10.0)
    used.take("other", 10.0, now=100.0)
    assert len(used) == 1


def test_if_too_many_are_remembered_nothing_more_can_be_used_rather_than_something_twice() -> None:
    used = Used(most=2)
    used.take("a", 10.0, now=0.0)
    used.take("b", 20.0, now=0.0)
    with pytest.raises(CheckerUnavailable):
        used.take("c", 10.0, now=9.0)
    assert not used.take("a", 10.0, now=9.0)
    assert used.take("c", 10.0, now=10.0)
