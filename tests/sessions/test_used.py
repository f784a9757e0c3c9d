"""What can be used once in a process."""

from __future__ import annotations

import pytest

from actorcred import CheckerUnavailable
from actorcred.sessions.used import Used


def test_a_key_can_be_used_once() -> None:
    used = Used()
    assert used.take("a", "use 1", until=90.0, now=0.0)
    assert not used.take("a", "use 2", until=179.0, now=89.0)
    assert used.take("b", "use 3", until=179.0, now=89.0)


def test_a_key_is_forgotten_when_what_it_stands_for_has_expired() -> None:
    used = Used()
    used.take("late", "use 4", until=90.0, now=0.0)
    used.take("soon", "use 5", until=10.0, now=0.0)
    assert used.take("soon", "use 6", until=20.0, now=10.0)
    assert not used.take("late", "use 7", until=100.0, now=10.0)
    used.take("other", "use 8", until=110.0, now=100.0)
    assert len(used) == 1


def test_if_too_many_are_remembered_nothing_more_can_be_used_rather_than_something_twice() -> None:
    used = Used(most=2)
    used.take("a", "use 9", until=10.0, now=0.0)
    used.take("b", "use 10", until=20.0, now=0.0)
    with pytest.raises(CheckerUnavailable):
        used.take("c", "use 11", until=19.0, now=9.0)
    assert not used.take("a", "use 12", until=19.0, now=9.0)
    assert used.take("c", "use 13", until=20.0, now=10.0)


def test_the_same_use_may_be_asked_about_again() -> None:
    used = Used()
    assert used.take("a", "use 1", until=90.0, now=0.0)
    assert used.take("a", "use 1", until=90.0, now=1.0)
    assert not used.take("a", "use 2", until=90.0, now=1.0)
