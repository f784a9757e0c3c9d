"""A short run of the chaos test for each policy, and its judge."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.cluster.chaos import Plan, chaos, report
from tests.cluster.judge import GRACE, LATE, Judge

pytestmark = pytest.mark.foreign


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "seed", "cut_off"),
    [("reject", 2, "end"), ("replace", 3, "end"), ("share", 4, "end"), ("replace", 5, "hold")],
)
def test_no_user_ever_has_two_avatars_whatever_fails(
    tmp_path: Path, policy: str, seed: int, cut_off: str
) -> None:
    world = asyncio.run(chaos(Plan(8.0, seed, policy, cut_off=cut_off), tmp_path))
    report(world)
    assert not world.judge.violations
    assert world.faults.total() > 3
    assert world.outcomes["logins"] > 10


def two(begin: float = 1.0, end: float = 3.0) -> Judge:
    """Return a judge of two avatars of one user, with the first one from 0 to 2 s."""
    judge = Judge()
    judge.begin("a", 1, "ann", 10, 0.0)
    judge.begin("b", 1, "ann", 11, begin)
    judge.end("a", 1, "logout", 2.0)
    judge.end("b", 1, "logout", end)
    return judge


def test_two_avatars_at_a_time_are_seen() -> None:
    judge = two()
    judge.finish(10.0)
    assert len(judge.violations) == 1
    assert "two avatars for 1.000 s" in judge.violations[0]


def test_two_avatars_at_a_time_are_seen_while_they_live() -> None:
    judge = Judge()
    judge.begin("a", 1, "ann", 10, 0.0)
    judge.begin("b", 1, "ann", 11, 1.0)
    judge.begin("b", 2, "ben", 12, 1.0)
    judge.check(1.0 + LATE)
    assert not judge.violations
    judge.check(1.5 + LATE)
    assert "two avatars for 0.500 s" in judge.violations[0]


@pytest.mark.parametrize(("answered", "good"), [(0.9, True), (1.1, False)])
def test_an_avatar_that_is_held_may_live_beside_another_one_but_not_answer(
    answered: float, good: bool
) -> None:
    judge = Judge(hold=True)
    judge.begin("a", 1, "ann", 10, 0.0)
    judge.answer("a", 1, answered)
    judge.begin("b", 1, "ann", 11, 1.0)
    judge.answer("b", 1, 1.5)
    judge.check(1.6 + LATE)
    assert bool(judge.violations) is not good
    for node, at in (("a", 2.0), ("b", 3.0)):
        judge.end(node, 1, "logout", at)
    judge.finish(10.0)
    assert len(judge.violations) == (0 if good else 1)
    assert judge.counts["overlaps with an avatar that was held"] == good


@pytest.mark.parametrize(
    ("emptied", "answered", "good"), [(0.5, 2.5, True), (9.0, 2.5, False), (0.5, 1.5, False)]
)
def test_an_avatar_that_was_held_goes_on_after_another_one_if_nats_has_lost_all(
    emptied: float, answered: float, good: bool
) -> None:
    judge = Judge(hold=True)
    judge.begin("a", 1, "ann", 10, 0.0)
    judge.emptied(emptied)
    judge.begin("b", 1, "ann", 11, 1.0)
    judge.end("b", 1, "logout", 2.0)
    judge.answer("a", 1, answered)
    judge.end("a", 1, "logout", 3.0)
    judge.finish(10.0)
    assert bool(judge.violations) is not good


def test_one_avatar_after_the_other_is_good() -> None:
    judge = two(begin=2.0)
    judge.finish(10.0)
    assert not judge.violations
    assert judge.counts["avatars"] == 2


@pytest.mark.parametrize(("begin", "end", "good"), [(0.5, 1.9, True), (1.5, 1.9, False)])
def test_a_node_that_was_stopped_has_an_excuse_for_the_time_in_which_it_was(
    begin: float, end: float, good: bool
) -> None:
    judge = two()
    judge.pause("a", begin)
    judge.resume("a", end)
    judge.finish(10.0)
    assert good is not bool(judge.violations)


def test_a_node_that_was_stopped_must_end_its_sessions_soon_after() -> None:
    judge = two()
    judge.pause("a", 0.5)
    judge.resume("a", 1.9 - GRACE)
    judge.finish(10.0)
    assert "two avatars" in judge.violations[0]


def test_the_later_one_has_no_excuse_if_its_node_was_stopped() -> None:
    judge = two()
    judge.pause("b", 0.5)
    judge.resume("b", 1.9)
    judge.finish(10.0)
    assert "two avatars" in judge.violations[0]


def test_a_stall_that_a_node_has_noticed_is_an_excuse() -> None:
    judge = two()
    judge.stall("a", 0.5, 1.9)
    judge.finish(10.0)
    assert not judge.violations
    assert judge.counts["overlaps while the machine was slow"] == 1


def test_a_node_that_a_slow_machine_lets_go_on_late_has_an_excuse_until_then() -> None:
    judge = two()
    judge.pause("a", 0.5)
    judge.resume("a", 0.9)
    judge.stall("a", 0.4, 1.9)
    judge.finish(10.0)
    assert not judge.violations


@pytest.mark.parametrize("fence", [10, 9])
def test_a_fence_must_grow(fence: int) -> None:
    judge = Judge()
    for number, at, which in ((1, 0.0, 10), (2, 2.0, fence)):
        judge.begin("a", number, "ann", which, at)
        judge.end("a", number, "logout", at + 1)
    judge.finish(10.0)
    assert "a fence that does not grow" in judge.violations[0]


def test_a_fence_need_not_grow_if_nats_has_lost_all_in_the_same_minute() -> None:
    judge = Judge()
    for number, at, which in ((1, 0.0, 10), (2, 2.0, 9)):
        judge.begin("a", number, "ann", which, at)
        judge.end("a", number, "logout", at + 1)
        judge.emptied(1.5)
    judge.finish(10.0)
    assert not judge.violations


def test_an_avatar_that_has_not_ended_is_seen_unless_its_node_was_killed() -> None:
    judge = Judge()
    judge.begin("a", 1, "ann", 10, 0.0)
    judge.begin("b", 1, "ben", 11, 0.0)
    judge.died("a", 1.0)
    judge.finish(10.0)
    assert len(judge.violations) == 1
    assert "an avatar that never ended: ben" in judge.violations[0]


def test_an_avatar_without_a_fence_is_seen() -> None:
    judge = Judge()
    judge.begin("a", 1, "ann", None, 0.0)
    assert "without a fence" in judge.violations[0]
