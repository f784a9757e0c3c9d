"""Keys take turns: the one with the least time is next, and none waits for another's backlog."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorcred.actors.fairness import Entry, FairQueue

Path = tuple[str, str, str]

PATHS = st.tuples(st.sampled_from("AB"), st.sampled_from("wxyz"), st.sampled_from("1234"))


def served(
    queue: FairQueue[Path], threads: int, seconds: float, cost: dict[str, float]
) -> tuple[Counter[Path], list[Path]]:
    """Let threads work for some time.

    Returns:
        The seconds that each path had, and the order in which work was started.
    """
    spent: Counter[Path] = Counter()
    order: list[Path] = []
    running: list[tuple[float, Entry[Path], float]] = []
    now = 0.0
    while now < seconds:
        while len(running) < threads and (entry := queue.take()) is not None:
            took = cost[entry.item[0]]
            running.append((now + took, entry, took))
            order.append(entry.item)
        if not running:
            break
        running.sort(key=lambda one: one[0])
        now, entry, took = running.pop(0)
        queue.finish(entry, took)
        spent[entry.item] += took  # type: ignore[assignment]
    return spent, order


def fill(queue: FairQueue[Path], *paths: Path, count: int = 1) -> None:
    for path in paths:
        for _ in range(count):
            queue.put(path, path)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_dear_work_of_one_checker_does_not_delay_the_cheap_work_of_another(threads: int) -> None:
    queue: FairQueue[Path] = FairQueue(10_000)
    fill(queue, ("dear", "x", "1"), count=1000)
    fill(queue, ("cheap", "x", "1"), count=1000)
    spent, _ = served(queue, threads, 10.0, {"dear": 0.25, "cheap": 0.002})
    # By turns the cheap ones would have had 40 jobs per thread; by time they are through.
    assert spent["cheap", "x", "1"] == pytest.approx(2.0)
    assert spent["dear", "x", "1"] > 7.5 * threads - 1.5


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_newcomer_is_next_however_much_waits(threads: int) -> None:
    queue: FairQueue[Path] = FairQueue(10_000)
    fill(queue, *(("A", "crowd", str(number)) for number in range(500)), count=4)
    served(queue, threads, 20.0, {"A": 0.25})
    fill(queue, ("A", "ann's house", "ann"))
    _, order = served(queue, threads, 1.0, {"A": 0.25})
    assert order[0] == ("A", "ann's house", "ann")


def test_a_source_has_all_threads_while_nobody_else_waits_and_is_not_worked_off_one_by_one() -> (
    None
):
    queue: FairQueue[Path] = FairQueue(100)
    fill(queue, ("A", "school", "1"), ("A", "school", "2"), ("A", "school", "3"), count=2)
    begun = [queue.take() for _ in range(4)]
    assert [entry.item[2] for entry in begun if entry is not None] == ["1", "2", "3", "1"]
    fill(queue, ("A", "home", "4"))
    entry = queue.take()
    assert entry is not None
    assert entry.item[1] == "home"


def test_accounts_of_one_source_share_evenly_and_so_do_sources() -> None:
    queue: FairQueue[Path] = FairQueue(10_000)
    fill(queue, ("A", "x", "1"), count=900)
    fill(queue, ("A", "x", "2"), ("A", "y", "3"), count=300)
    spent, _ = served(queue, 1, 60.0, {"A": 0.25})
    assert spent["A", "y", "3"] == pytest.approx(30, abs=0.5)
    assert spent["A", "x", "1"] == pytest.approx(spent["A", "x", "2"], abs=0.5)


def test_who_comes_one_at_a_time_has_no_more_than_a_share() -> None:
    queue: FairQueue[Path] = FairQueue(1000)
    fill(queue, ("A", "crowd", "1"), count=400)
    spent: Counter[str] = Counter()
    last = "alone"
    for _ in range(200):
        if last == "alone":
            fill(queue, ("A", "alone", "1"))  # again, as soon as it was served
        entry = queue.take()
        assert entry is not None
        last = entry.item[1]
        queue.finish(entry, 0.25)
        spent[last] += 1
    assert abs(spent["alone"] - spent["crowd"]) <= 2


def test_a_full_queue_drops_the_newest_of_the_heaviest_and_takes_the_newcomer() -> None:
    queue: FairQueue[Path] = FairQueue(10)
    fill(queue, ("A", "crowd", "1"), ("A", "crowd", "2"), count=4)
    fill(queue, ("A", "crowd", "3"), count=2)
    entry, dropped = queue.put(("A", "home", "ann"), ("A", "home", "ann"))
    assert entry.waiting
    assert dropped is not None
    assert dropped.item == ("A", "crowd", "2")
    entry, dropped = queue.put(("A", "crowd", "1"), ("A", "crowd", "1"))
    assert dropped is entry  # it is one of those that have the most: the newest goes
    assert not entry.waiting
    assert len(queue) == 10


def test_a_checker_whose_work_is_dear_is_full_by_seconds_and_the_others_are_not() -> None:
    queue: FairQueue[Path] = FairQueue(10_000, backlog=10.0)
    fill(queue, ("dear", "x", "0"), ("cheap", "x", "0"))
    served(queue, 1, 10.0, {"dear": 0.25, "cheap": 0.002})
    dropped = [
        queue.put(("dear", "x", str(number)), ("dear", "x", str(number)))[1] for number in range(60)
    ]
    assert dropped.count(None) == 40
    assert all(queue.put(("cheap", "x", "1"), ("cheap", "x", "1"))[1] is None for _ in range(1000))
    entry, victim = queue.put(("dear", "home", "ann"), ("dear", "home", "ann"))
    assert victim is not None
    assert victim is not entry
    assert victim.item[:2] == ("dear", "x")


def test_only_work_of_keys_of_which_nothing_runs_is_for_the_express_thread() -> None:
    queue: FairQueue[Path] = FairQueue(100)
    fill(queue, ("A", "x", "1"), ("A", "x", "2"), ("A", "x", "3"))
    assert queue.take() is not None
    assert queue.take(newcomers_only=True) is None
    fill(queue, ("A", "y", "1"), ("B", "x", "1"))
    taken = [queue.take(newcomers_only=True) for _ in range(3)]
    assert [None if entry is None else entry.item for entry in taken] == [
        ("B", "x", "1"),
        ("A", "y", "1"),
        None,
    ]


@pytest.mark.parametrize(
    "settings", [{"bound": 0}, {"bound": 1, "levels": 0}, {"bound": 1, "backlog": 0.0}]
)
def test_bounds_that_make_no_sense_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        FairQueue(**settings)  # type: ignore[arg-type]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), PATHS),
        st.tuples(st.sampled_from(["take", "express"]), st.none()),
        st.tuples(st.just("finish"), st.integers(0, 20)),
        st.tuples(st.just("discard"), st.integers(0, 50)),
    ),
    max_size=120,
)


class Model:
    """A queue, and what is known of its entries without it."""

    def __init__(self, bound: int) -> None:
        self.queue: FairQueue[Path] = FairQueue(bound, backlog=5.0)
        self.entries: list[Entry[Path]] = []
        self.waiting: list[Entry[Path]] = []
        self.running: deque[Entry[Path]] = deque()

    def put(self, path: Path) -> None:
        entry, dropped = self.queue.put(path, path)
        self.entries.append(entry)
        self.waiting.append(entry)
        if dropped is not None:
            self.waiting.remove(dropped)
            assert not dropped.waiting

    def take(self, _: None) -> None:
        entry = self.queue.take()
        assert (entry is None) == (not self.waiting)
        if entry is not None:
            busy = Counter(one.item[0] for one in self.running)
            assert busy[entry.item[0]] == min(busy[one.item[0]] for one in self.waiting)
            self._begin(entry)

    def express(self, _: None) -> None:
        entry = self.queue.take(newcomers_only=True)
        if entry is not None:
            own = [one.item for one in self.running]
            assert entry.item[:1] not in [path[:1] for path in own] or entry.item[:2] not in [
                path[:2] for path in own
            ]
            self._begin(entry)

    def _begin(self, entry: Entry[Path]) -> None:
        assert entry is next(
            one for one in self.waiting if one.item == entry.item
        )  # of one path the oldest is first
        self.waiting.remove(entry)
        self.running.append(entry)

    def finish(self, value: int) -> None:
        if self.running:
            self.running.rotate(value)
            self.queue.finish(self.running.popleft(), value / 10)

    def discard(self, value: int) -> None:
        if self.entries:
            entry = self.entries[value % len(self.entries)]
            assert self.queue.discard(entry) == (entry in self.waiting)
            if entry in self.waiting:
                self.waiting.remove(entry)


@settings(max_examples=300, deadline=None)
@given(STEPS, st.integers(1, 12))
def test_whatever_happens_all_is_counted_and_nothing_is_lost_or_served_twice(
    steps: list[tuple[str, Any]], bound: int
) -> None:
    model = Model(bound)
    for what, value in steps:
        getattr(model, what)(value)
        assert len(model.queue) == len(model.waiting) <= bound
    served_at_last = set()
    while (left := model.queue.take()) is not None:
        served_at_last.add(left)
        model.queue.finish(left, 0.1)
    assert served_at_last == set(model.waiting)


def test_keys_that_come_and_go_leave_nothing_behind() -> None:
    queue: FairQueue[Path] = FairQueue(10)
    for number in range(5000):
        queue.put(("A", str(number), "1"), ("A", "x", "1"))
        entry = queue.take()
        assert entry is not None
        queue.finish(entry, 0.25)
        gone, _ = queue.put(("A", f"gone {number}", "1"), ("A", "x", "1"))
        queue.discard(gone)
    (checker,) = queue._root.children.values()
    assert len(checker.children) <= 1025
    assert len(checker.idle) <= 2 * len(checker.children) + 17


@pytest.mark.parametrize(
    "path", [lambda key: (key,), lambda key: ("c", key), lambda key: ("c", "s", key)]
)
def test_new_keys_without_an_end_do_not_starve_one_that_had_a_turn(
    path: Callable[[str], tuple[str, ...]],
) -> None:
    queue: FairQueue[str] = FairQueue(1000)
    queue.put(path("bob"), "bob")
    entry = queue.take()
    assert entry is not None
    queue.finish(entry, 0.3)
    for number in range(30):
        queue.put(path(f"new{number}"), "new")
    queue.put(path("bob"), "bob again")
    turns = 0
    while entry is None or entry.item != "bob again":
        queue.put(path(f"newer{turns}"), "new")
        entry = queue.take()
        assert entry is not None
        queue.finish(entry, 0.3)
        turns += 1
        assert turns < 100
