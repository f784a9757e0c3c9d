"""Which checker is asked about which accounts next, and when."""

from __future__ import annotations

from actorcred.portal.enquiries import Enquiries


def made(**settings):
    return Enquiries(**{"batch": 2, "pause": 1.0, **settings})


def shown(enquiry):
    return {name: list(sessions) for name, sessions in enquiry.about.items()}


def test_names_are_asked_in_batches_one_question_at_a_time_with_a_pause():
    enquiries = made()
    for name in "abc":
        enquiries.add("sql", name, name.upper())
    assert len(enquiries) == 3
    assert enquiries.wait(5.0) == 0

    (first,) = enquiries.take(5.0)
    assert (first.checker, shown(first)) == ("sql", {"a": ["A"], "b": ["B"]})
    assert enquiries.take(9.0) == []  # it has not answered
    assert enquiries.wait(9.0) is None
    enquiries.answered(first)
    assert enquiries.wait(5.25) == 0.75
    assert enquiries.take(5.9) == []
    (second,) = enquiries.take(6.0)
    assert shown(second) == {"c": ["C"]}
    enquiries.answered(second)
    assert enquiries.take(7.0) == []
    assert len(enquiries) == 0
    assert enquiries.wait(7.0) is None


def test_sessions_of_one_name_share_a_place():
    enquiries = made()
    for session in (1, 2, 1):
        enquiries.add("sql", "ann", session)

    assert [shown(one) for one in enquiries.take(0.0)] == [{"ann": [1, 2]}]


def test_a_slow_checker_delays_no_other():
    enquiries = made()
    for checker in ("slow", "quick"):
        enquiries.add(checker, "ann", checker)
    slow, quick = enquiries.take(0.0)
    enquiries.answered(quick)
    for checker in ("slow", "quick"):
        enquiries.add(checker, "bob", checker)

    assert [one.checker for one in enquiries.take(1.0)] == ["quick"]
    enquiries.answered(slow)
    assert [one.checker for one in enquiries.take(1.0)] == ["slow"]


def test_after_a_failure_the_rest_waits_for_the_next_round():
    enquiries = made(batch=1)
    enquiries.add("sql", "ann", 1)
    enquiries.add("sql", "bob", 2)
    (asked,) = enquiries.take(0.0)
    enquiries.answered(asked, failed=True)

    assert enquiries.take(5.0) == []
    enquiries.add("sql", "bob", 2)
    assert [shown(one) for one in enquiries.take(5.0)] == [{"bob": [2]}]
