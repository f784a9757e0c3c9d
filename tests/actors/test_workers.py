"""A pool of threads: calls that block hold up no other one, and no thread is left."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator

import pykka
import pytest

from actorcred import actors
from actorcred.actors import Future
from actorcred.actors._context import thread
from actorcred.actors.workers import Job, Workers, independent_pools

WAIT = 30


@pytest.fixture
def pool() -> Iterator[Workers]:
    made = Workers("actorcred-test", 1)
    yield made
    made.close(WAIT)


def test_a_call_that_waits_for_another_one_has_a_thread_in_its_place(pool: Workers) -> None:
    def nested(depth: int) -> int:
        return 0 if depth == 0 else 1 + pool.submit(nested, depth - 1).get(timeout=WAIT)

    assert pool.submit(nested, 20).get(timeout=WAIT) == 20
    assert pool.blocked == 0


def test_the_result_is_a_future_and_a_cancelled_call_is_not_made(pool: Workers) -> None:
    gate, calls = threading.Event(), list[int]()
    first = pool.submit(gate.wait, WAIT)
    second = pool.submit(calls.append, 2)
    third = pool.submit(int, "x")
    second.cancel()
    gate.set()

    assert first.get(timeout=WAIT) is True
    with pytest.raises(ValueError, match="invalid literal"):
        third.get(timeout=WAIT)
    assert calls == []


def test_a_wait_ends_with_its_time_out(pool: Workers) -> None:
    with pytest.raises(pykka.Timeout):
        pool.submit(lambda: Future[int]().get(timeout=0.01)).get(timeout=WAIT)
    assert pool.blocked == 0


def test_a_closed_pool_has_no_threads_and_can_be_used_again(pool: Workers) -> None:
    for _ in range(3):
        assert pool.submit(threading.current_thread).get(timeout=WAIT) in pool.threads
        pool.close(WAIT)
        assert pool.threads == set()


def test_a_thread_of_a_dispatcher_blocks_as_the_dispatcher_says(pool: Workers) -> None:
    owner = actors.InlineDispatcher()
    owned = Workers("actorcred-test", 1, owner=owner)

    assert owned.submit(lambda: thread.dispatcher).get(timeout=WAIT) is owner
    assert pool.submit(lambda: thread.dispatcher).get(timeout=WAIT) is pool
    owned.close(WAIT)


def test_a_shutdown_closes_the_pools_that_no_dispatcher_closes(pool: Workers) -> None:
    owned = Workers("actorcred-test", 1, owner=actors.InlineDispatcher())
    for each in (owned, pool):
        each.submit(int).get(timeout=WAIT)

    assert pool in independent_pools()
    assert owned not in independent_pools()
    actors.shutdown(WAIT)
    assert (len(pool.threads), len(owned.threads)) == (0, 1)
    owned.close(WAIT)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux knows this per thread")
def test_a_nice_pool_yields_more_than_the_process_does() -> None:
    pool = Workers("actorcred-test", 1, niceness=1)
    own = os.getpriority(os.PRIO_PROCESS, 0)

    nice = pool.submit(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())).get(
        timeout=WAIT
    )
    assert nice == min(19, own + 1)
    pool.close(WAIT)


def test_a_pool_of_no_threads_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 thread"):
        Workers("x", 0)


def test_a_thread_that_has_its_answer_already_needs_nobody_in_its_place(pool: Workers) -> None:
    assert pool.submit(lambda: pool.block(threading.Lock(), None)).get(timeout=WAIT)
    assert len(pool.threads) == 1


def test_what_waits_when_a_pool_is_closed_by_its_own_thread_is_done_later(pool: Workers) -> None:
    done = Future[str]()

    def close() -> None:
        pool.put(Job(done.set, ("done",)))
        pool.close(WAIT)

    pool.submit(close).get(timeout=WAIT)
    assert done.get(timeout=WAIT) == "done"


def test_a_pool_has_at_most_so_many_threads_and_says_so(
    pool: Workers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("actorcred.actors.workers.MAX_THREADS", 2)
    gate = threading.Event()

    def block() -> bool:
        waiter = threading.Lock()
        waiter.acquire()
        return pool.block(waiter, 0.05)

    blocked = [pool.submit(block) for _ in range(2)]
    assert [future.get(timeout=WAIT) for future in blocked] == [False, False]
    assert "All 2 threads of 'actorcred-test' are blocked" in caplog.text
    gate.set()
    assert pool.submit(int, "7").get(timeout=WAIT) == 7


def test_a_pool_goes_on_when_the_system_has_no_more_threads(
    pool: Workers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        waiting = pool.submit(int, "7")
    assert "has 0 threads and cannot get another one: can't start new thread" in caplog.text
    pool.ensure()
    assert waiting.get(timeout=WAIT) == 7
