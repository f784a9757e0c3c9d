"""Background work is done in turns, dropped when no longer needed, and refused beyond a limit."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError

import pytest

from actorcred import actors
from actorcred.actors import Overloaded
from actorcred.actors.background import BackgroundPool, background_pool

WAIT = 30


class Crowd:
    """Occupies the ordinary threads of a pool, and perhaps one for newcomers, until `go` is set."""

    def __init__(self, pool: BackgroundPool, threads: int) -> None:
        self.go = threading.Event()
        self._there = threading.Semaphore(0)
        self._begun: set[int] = set()
        futures = [
            pool.submit(("A", False, "crowd", number), self._stay, number)
            for number in range(threads + 1)
        ]
        for _ in range(threads):
            assert self._there.acquire(timeout=WAIT)
        for number in set(range(threads + 1)) - self._begun:
            futures[number].cancel()

    def _stay(self, number: int) -> None:
        self._begun.add(number)
        if "express" not in threading.current_thread().name:
            self._there.release()
        assert self.go.wait(WAIT)


@pytest.fixture
def pool():  # type: ignore[no-untyped-def]
    made = BackgroundPool(threads=2, bound=10)
    yield made
    for workers in made.pools:
        workers.close(WAIT)


def test_a_newcomer_does_not_wait_for_a_crowd_that_has_all_threads(pool: BackgroundPool) -> None:
    crowd = Crowd(pool, 2)
    more = [pool.submit(("A", False, "crowd", "more"), lambda: None) for _ in range(5)]
    assert pool.submit(("A", False, "home", "ann"), lambda: "served").get(timeout=WAIT) == "served"
    assert (
        pool.submit(("B", False, "crowd", "more"), lambda: "served").get(timeout=WAIT) == "served"
    )
    assert len(pool) == len([one for one in more if not one.done()]) == 5
    crowd.go.set()
    for future in more:
        future.get(timeout=WAIT)


def test_a_full_pool_refuses_the_crowd_at_once_and_not_the_newcomer(pool: BackgroundPool) -> None:
    crowd = Crowd(pool, 2)
    more = [pool.submit(("A", False, "crowd", "more"), lambda: None) for _ in range(15)]
    assert [future.done() for future in more] == [False] * 10 + [True] * 5
    with pytest.raises(Overloaded):
        more[-1].get()
    for _ in range(5):
        assert (
            pool.submit(("A", False, "home", "ann"), lambda: "served").get(timeout=WAIT) == "served"
        )
        refused = [
            pool.submit(("A", False, "crowd", "more"), lambda: None).done() for _ in range(2)
        ]
        assert refused == [False, True]  # the place of the one that made room
    crowd.go.set()
    assert more[0].get(timeout=WAIT) is None
    until = (
        time.monotonic() + WAIT
    )  # a called thread counts itself off as it begins, and tells nobody
    while pool._express_called and time.monotonic() < until:
        time.sleep(0.001)
    assert not pool._express_called  # or the threads for newcomers would never be called again


def test_what_is_cancelled_leaves_the_queue_at_once_and_is_never_done(pool: BackgroundPool) -> None:
    crowd = Crowd(pool, 2)
    done: list[str] = []
    future = pool.submit(("A", False, "crowd", "more"), done.append, "it was done")
    assert len(pool) == 1
    assert future.cancel()
    assert len(pool) == 0
    crowd.go.set()
    pool.submit(("A", False, "crowd", "more"), lambda: None).get(timeout=WAIT)
    assert done == []
    with pytest.raises(CancelledError):
        future.get()


def test_an_exception_is_the_result_and_the_thread_lives_on(pool: BackgroundPool) -> None:
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            pool.submit((), lambda: 1 / 0).get(timeout=WAIT)


def test_the_process_has_one_pool_which_works_again_after_a_shutdown() -> None:
    pool = background_pool()
    for _ in range(2):
        assert background_pool() is pool
        assert pool.submit((), lambda: "served").get(timeout=WAIT) == "served"
        actors.shutdown(WAIT)
