"""The number of logins to one account that are checked at a time."""

from __future__ import annotations

import pytest

from actorcred.throttle import (
    LONGEST_NAME,
    LOOKED_AT,
    Failures,
    Penalties,
    Penalty,
    Turns,
    account_of,
)


def test_so_many_at_a_time_and_the_others_in_order():
    turns, begun = Turns(2), []
    for number in range(5):
        turns.take("ann", lambda number=number: begun.append(number) or True)
    turns.take("bob", lambda: begun.append("bob") or True)
    assert begun == [0, 1, "bob"]
    turns.leave("ann")
    assert begun == [0, 1, "bob", 2]
    for account in ("ann", "ann", "bob"):
        turns.leave(account)
    assert begun == [0, 1, "bob", 2, 3, 4]
    assert len(turns) == 1
    for _ in range(2):
        turns.leave("ann")
    assert len(turns) == 0


def test_who_has_gone_uses_no_turn():
    turns, begun = Turns(1), []
    turns.take("ann", lambda: True)
    turns.take("ann", lambda: False)
    turns.take("ann", lambda: begun.append("next") or True)
    turns.leave("ann")
    assert begun == ["next"]
    turns.leave("ann")
    assert len(turns) == 0


def test_ends_that_come_at_once_do_not_pile_up():
    turns, done = Turns(1), []

    def go():
        done.append(1)
        turns.leave("ann")
        return True

    turns.take("ann", lambda: True)
    for _ in range(10_000):
        turns.take("ann", go)
    turns.leave("ann")
    assert len(done) == 10_000
    assert len(turns) == 0


def test_one_that_fails_to_begin_keeps_nobody_out():
    turns, begun = Turns(1), []
    with pytest.raises(ZeroDivisionError):
        turns.take("ann", lambda: 1 / 0)
    assert len(turns) == 0
    turns.take("ann", lambda: begun.append("next") or True)
    assert begun == ["next"]


def test_what_counts_as_one_account():
    assert account_of("Ann") == account_of("ANN") == "ann"
    assert account_of("Stra\u00dfe") == account_of("STRASSE")
    assert len(account_of("x" * 10_000_000)) == LONGEST_NAME


def test_a_penalty_is_not_forgotten_for_a_flood_of_other_names():
    penalties = Penalties(Penalty(step=60.0, free_failures=5, longest=60.0), remember=LOOKED_AT)
    for _ in range(6):
        penalties.failed("ann", 0.0)
    for number in range(1000):
        penalties.failed(f"other{number}", 1.0)
    assert penalties.wait("ann", 1.0) == 59.0
    assert len(penalties) == LOOKED_AT


def test_where_all_have_penalties_the_longest_quiet_one_is_forgotten():
    penalties = Penalties(Penalty(step=60.0, free_failures=0, longest=60.0), remember=2)
    for number in range(3):
        penalties.failed(str(number), 0.0)
    assert [penalties.wait(str(number), 0.0) for number in range(3)] == [0.0, 60.0, 60.0]


def test_tries_during_a_penalty_are_counted_until_it_is_over_or_the_login_succeeds():
    penalties = Penalties(Penalty(step=60.0, free_failures=0, longest=60.0))
    assert penalties.denied("ann") == 0  # who has not failed has no penalty
    penalties.failed("ann", 0.0)
    assert [penalties.denied("ann") for _ in range(2)] == [1, 2]
    assert penalties.denials("ann", 0.0) == 2
    assert penalties.denials("ann", 10_000.0) == 0
    penalties.succeeded("ann")
    assert penalties.denials("ann", 0.0) == 0


def test_one_that_waits_no_more_leaves_the_line():
    turns, begun = Turns(1), []
    assert turns.take("ann", lambda: True) == 0
    tickets = [turns.take("ann", lambda n=n: begun.append(n) or True) for n in range(3)]
    assert all(tickets)
    turns.give_up("ann", tickets[0])
    turns.give_up("ann", tickets[0])
    turns.give_up("bob", 1)
    turns.leave("ann")
    assert begun == [1]
    turns.give_up("ann", tickets[2])
    turns.leave("ann")
    assert (begun, len(turns)) == ([1], 0)


def test_failures_end_with_a_login_by_the_same_spelling_alone():
    penalties = Penalties(Penalty(step=60.0, free_failures=1, longest=60.0))
    penalties.failed("ann", 0.0, "Ann")
    penalties.succeeded("ann", "ann")
    assert len(penalties) == 1
    penalties.succeeded("ann", "Ann")
    assert len(penalties) == 0
    for spelling in ("Ann", "ann"):
        penalties.failed("ann", 0.0, spelling)
    for spelling in ("Ann", "ann"):
        penalties.succeeded("ann", spelling)
    assert penalties.wait("ann", 0.0) == 60.0
    penalties.failed("ann", 10_000.0, "ann")  # the earlier ones are forgiven
    penalties.succeeded("ann", "ann")
    assert len(penalties) == 0


def penalties(**failed: int) -> Penalties:
    """Return penalties with failures at the time 0."""
    made = Penalties(Penalty(step=10.0, free_failures=2))
    for key, times in failed.items():
        made.failed(key, 0.0, key, times)
    return made


def test_failures_that_are_counted_at_once_count_like_those_one_after_the_other():
    at_once, one_by_one = penalties(ann=4), penalties()
    for _ in range(4):
        one_by_one.failed("ann", 0.0, "ann")
    assert at_once.failures == one_by_one.failures
    assert at_once.wait("ann", 0.0) == 20.0


def test_what_stands_are_the_latest_failures_that_are_not_forgiven():
    made = penalties(old=1, ann=3)
    made.failed("bob", 50.0, "Bob")
    made.failed("bob", 50.0, "bob")
    assert made.standing(50.0, 10) == [
        Failures("bob", 2, None, 0.0),
        Failures("ann", 3, "ann", 50.0),
    ]
    assert made.standing(50.0, 1) == [Failures("bob", 2, None, 0.0)]


def test_what_stands_elsewhere_is_taken_over_and_counted_once():
    here, elsewhere = penalties(ann=3), penalties()
    for _ in range(2):
        for one in here.standing(5.0, 10):
            elsewhere.merge(one, 105.0)  # on another clock
    assert elsewhere.wait("ann", 105.0) == here.wait("ann", 5.0) == 5.0
    assert elsewhere.standing(105.0, 10) == here.standing(5.0, 10)


@pytest.mark.parametrize(("there", "times"), [(2, 3), (3, 3), (5, 5)])
def test_of_two_counts_the_larger_one_stays(there, times):
    here = penalties(ann=3)
    here.merge(Failures("ann", there, "ann", 1.0), 0.0)
    assert here.failures["ann"][0] == times


def test_failures_that_are_forgiven_by_now_do_not_replace_those_here():
    here = penalties(ann=1)
    here.merge(Failures("ann", 3, "ann", 1000.0), 0.0)
    assert here.failures["ann"][0] == 1


def test_what_is_taken_over_is_bounded_like_what_fails_here():
    made = Penalties(Penalty(), remember=3)
    for number in range(10):
        made.merge(Failures(f"user{number}", 1), 0.0)
    assert len(made) == 3
