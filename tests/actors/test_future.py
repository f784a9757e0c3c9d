"""Futures wait for threads, coroutines and callbacks alike."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pykka
import pytest

from actorcred.actors import Actor, AlreadySet, CancelledError, Future, ThreadDispatcher


def test_a_future_has_one_result():
    future: Future[int] = Future()
    future.set(1)

    with pytest.raises(AlreadySet):
        future.set(2)
    with pytest.raises(AlreadySet):
        future.set_exception((ValueError, ValueError("x"), None))
    with pytest.raises(AlreadySet):
        future.set_get_hook(lambda timeout: 2)
    assert future.settle(2) is False
    assert future.get() == 1


def test_get_times_out_and_can_be_repeated():
    future: Future[int] = Future()

    with pytest.raises(pykka.Timeout, match=r"0\.01 seconds"):
        future.get(timeout=0.01)
    threading.Thread(target=future.set, args=(5,)).start()
    assert future.get(timeout=10) == 5
    assert future.get() == 5


def test_several_threads_may_wait_for_one_future():
    future: Future[int] = Future()
    results: list[int] = []
    threads = [
        threading.Thread(target=lambda: results.append(future.get(timeout=10))) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    future.set(7)
    for thread in threads:
        thread.join()

    assert results == [7] * 5


def test_callbacks_run_once_and_their_failures_are_logged(caplog):
    future: Future[int] = Future()
    seen: list[int] = []
    future.add_done_callback(lambda done: 1 / 0)
    future.add_done_callback(lambda done: seen.append(done.get()))
    future.set(3)
    future.add_done_callback(lambda done: seen.append(done.get()))

    assert seen == [3, 3]
    assert "ZeroDivisionError" in caplog.text


def test_a_cancelled_future_throws_a_later_result_away():
    future: Future[int] = Future()

    assert future.cancel()
    assert future.cancelled()
    assert not future.settle(1)
    assert not future.cancel()
    with pytest.raises(CancelledError):
        future.get()


def test_an_exception_does_not_keep_its_future_alive():
    future: Future[int] = Future()
    future.set_exception((ValueError, ValueError("x"), None))
    reference = weakref.ref(future)
    gc.disable()
    try:
        with pytest.raises(ValueError, match="x"):
            future.get()
        del future
        assert reference() is None
    finally:
        gc.enable()


def test_await_does_not_block_the_loop():
    async def main() -> tuple[int, int]:
        future: Future[int] = Future()
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            for _ in range(10):
                await asyncio.sleep(0)
                ticks += 1
            threading.Thread(target=future.set, args=(1,)).start()

        task = asyncio.create_task(tick())
        result = await future
        await task
        return result, ticks

    assert asyncio.run(main()) == (1, 10)


def test_an_await_that_is_cancelled_leaves_nothing_in_the_future():
    async def main() -> Future[int]:
        future: Future[int] = Future()

        async def wait() -> None:
            await future

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return future

    future = asyncio.run(main())

    assert not future._callbacks
    future.set(1)  # nobody is left to be woken on the closed loop
    assert future.get() == 1


def test_a_result_for_a_closed_loop_harms_nobody():
    future: Future[int] = Future()
    coroutine = future.__await__()

    async def main() -> None:
        coroutine.send(None)

    asyncio.run(main())
    future.set(1)

    assert future.get() == 1
    coroutine.close()


def test_derived_futures_are_lazy_and_can_be_awaited():
    source: Future[list[int]] = Future()
    calls: list[object] = []

    def double(items):
        calls.append(items)
        return [2 * item for item in items]

    derived = source.map(double)
    assert not derived.done()
    seen: list[object] = []
    derived.add_done_callback(lambda done: seen.append(done.get()))
    source.set([1, 2, 3])

    async def main() -> list[int]:
        return await derived

    assert asyncio.run(main()) == [2, 4, 6]
    assert derived.get() == [2, 4, 6]
    assert seen == [[2, 4, 6]]
    assert calls == [[1, 2, 3]]
    assert source.filter(lambda item: item > 1).get() == [2, 3]
    assert source.reduce(lambda a, b: a + b, 10).get() == 16
    assert source.join(derived).get() == [[1, 2, 3], [2, 4, 6]]
    assert pykka.get_all([source, derived]) == [[1, 2, 3], [2, 4, 6]]


def test_a_users_get_hook_can_be_awaited_without_blocking_the_loop():
    future: Future[int] = Future()
    event = threading.Event()
    future.set_get_hook(lambda timeout: event.wait(10) and 9)

    async def main() -> int:
        asyncio.get_running_loop().call_soon(event.set)
        return await future

    assert asyncio.run(main()) == 9


def test_awaiting_an_actor_from_asyncio():
    class Echo(Actor):
        def on_receive(self, message):
            return message

    async def main() -> list[object]:
        ref = Echo.start(dispatcher=ThreadDispatcher("actorcred-test"))
        return list(await asyncio.gather(*(ref.ask(n, block=False) for n in range(20))))

    async def gather() -> list[object]:
        ref = Echo.start(dispatcher=ThreadDispatcher("actorcred-test"))
        return [await ref.ask(n, block=False) for n in range(20)]

    assert asyncio.run(gather()) == list(range(20))


def test_set_exception_outside_of_an_except_block_says_what_is_missing():
    with pytest.raises(ValueError, match="exc_info"):
        Future().set_exception()
