"""Logging repeated events once per interval. The test moves the clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorcred.portal.repeats import OTHERS, Repeats, Told


def test_the_first_is_told_at_once_and_the_others_once_per_interval_with_a_count() -> None:
    repeats: Repeats[int] = Repeats(10.0)
    told = [
        one
        for moment in range(25)
        for one in repeats.note("denied", "192.0.2.7", moment, float(moment))
    ]

    assert told == [Told("192.0.2.7", 0, 1), Told("192.0.2.7", 9, 9), Told("192.0.2.7", 19, 10)]
    assert repeats.due(29.9) == []
    assert repeats.due(30.0) == [Told("192.0.2.7", 24, 5)]


def test_sources_and_kinds_are_summed_apart() -> None:
    repeats: Repeats[str] = Repeats(10.0)
    for kind, source in (("denied", "a"), ("denied", "b"), ("refused", "a")):
        assert repeats.note(kind, source, "first", 0.0) == [Told(source, "first", 1)]
    repeats.note("denied", "b", "again", 1.0)
    assert repeats.due(10.0) == [Told("b", "again", 1)]


def test_a_source_that_is_quiet_for_an_interval_is_forgotten_and_told_at_once_the_next_time() -> (
    None
):
    repeats: Repeats[str] = Repeats(10.0)
    repeats.note("denied", "a", "first", 0.0)
    repeats.note("denied", "a", "second", 1.0)
    assert repeats.due(10.0) == [Told("a", "second", 1)]
    assert repeats.due(20.0) == []
    assert len(repeats) == 0
    assert repeats.note("denied", "a", "third", 20.0) == [Told("a", "third", 1)]


def test_what_was_not_told_is_told_at_the_end() -> None:
    repeats: Repeats[str] = Repeats(10.0)
    for what in ("first", "second", "third"):
        repeats.note("denied", "a", what, 0.0)
    assert repeats.flush() == [Told("a", "third", 2)]
    assert repeats.flush() == []
    assert repeats.next_due() == float("inf")


def test_sources_that_are_too_many_are_summed_under_one_key() -> None:
    repeats: Repeats[int] = Repeats(10.0, remember=100)
    told = [
        one for number in range(10_000) for one in repeats.note("denied", str(number), number, 0.0)
    ]
    assert len(told) == 101
    assert len(repeats) == 101
    assert repeats.due(10.0) == [Told(OTHERS, 9999, 9899)]


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.floats(0, 30)), max_size=60))
def test_all_are_counted_once(moments: list[tuple[str, float]]) -> None:
    repeats: Repeats[None] = Repeats(10.0, remember=3)
    now, count = 0.0, 0
    for source, pause in moments:
        now += pause
        count += sum(one.count for one in repeats.note("denied", source, None, now))
        assert len(repeats) <= 4
    assert count + sum(one.count for one in repeats.flush()) == len(moments)
