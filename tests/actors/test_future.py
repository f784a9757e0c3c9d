"""Futures wait for threads, coroutines and callbacks alike."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pykka
import pytest

from actorcred.actors import (
    Actor,
    AlreadySet,
    AsyncioDispatcher,
    CancelledError,
    Future,
    ThreadDispatcher,
)
from actorcred.actors.future import error_of
from tests.actors.helpers import Recorder, Switching


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


def test_a_future_takes_the_result_of_another_one_or_what_is_made_of_it():
    source, plain, made, failed = Future(), Future(), Future(), Future()
    plain.follow(source)
    made.follow(source, lambda value: value + 1)
    failed.follow(source, lambda value: value["no"])
    source.set(1)

    assert (plain.get(timeout=0), made.get(timeout=0)) == (1, 2)
    with pytest.raises(TypeError, match="not subscriptable"):
        failed.get(timeout=0)


def test_a_future_of_pykka_is_adopted_and_one_of_ours_is_itself():
    theirs = pykka.ThreadingFuture()
    theirs.set("theirs")
    ours: Future[int] = Future()

    assert Future.adopt(theirs).get(timeout=10) == "theirs"
    assert Future.adopt(ours) is ours


def test_the_exception_that_is_handled_is_the_result_and_a_class_is_made_one():
    handled, of_class = Future(), Future()
    try:
        raise LookupError("handled")
    except LookupError:
        handled.set_exception()
    of_class.set_exception((LookupError, None, None))

    for future in (handled, of_class):
        with pytest.raises(LookupError):
            future.get(timeout=0)
        assert isinstance(error_of(future), LookupError)


def test_a_future_with_a_value_failed_with_nothing():
    future: Future[int] = Future()
    future.set(1)

    assert error_of(future) is None


def test_a_future_says_what_became_of_it():
    pending, done, failed = Future(), Future(), Future()
    done.set(1)
    failed.cancel()

    assert [repr(future) for future in (pending, done, failed)] == [
        f"<actorcred.actors.Future {state}>" for state in ("pending", "done", "failed")
    ]


def test_ctrl_c_in_a_callback_is_not_swallowed():
    future: Future[int] = Future()

    def interrupt(_):
        raise KeyboardInterrupt

    future.add_done_callback(interrupt)
    with pytest.raises(KeyboardInterrupt):
        future.set(1)


def test_a_callback_on_a_users_get_hook_comes_when_the_hook_answers():
    future, seen = Future(), Future()
    gate = threading.Event()
    future.set_get_hook(lambda timeout: gate.wait(10) and 1 / 0)
    future.add_done_callback(seen.settle)
    assert not seen.done()
    gate.set()

    assert seen.get(timeout=10) is future


def test_a_coroutine_of_a_loop_goes_on_at_once_with_a_result_that_is_set_on_it():
    async def main() -> int:
        future: Future[int] = Future()
        asyncio.get_running_loop().call_soon(future.set, 3)
        return await future

    assert asyncio.run(main()) == 3


def test_code_of_a_loop_lets_the_loops_actors_run_while_it_blocks_on_one():
    async def main() -> object:
        ref = Recorder.start(dispatcher=AsyncioDispatcher())
        answer = ref.ask("question", block=False)
        return answer.get(timeout=10)

    assert asyncio.run(main()) == "question"


def test_a_circle_is_told_to_whoever_waits_in_it_until_a_time_out(caplog):
    class Partner(Actor):
        def on_receive(self, message):
            other, inside = message
            if not inside:
                return other.ask((self.actor_ref, True), timeout=10)
            return other.ask("never", timeout=0.05)

    one, other = (Partner.start(dispatcher=Switching("actorcred-test")) for _ in range(2))
    with pytest.raises(pykka.Timeout):
        one.ask((other, False), timeout=10)

    assert "A wait timed out because actors wait for each other in a circle" in caplog.text
    assert "Partner (urn:uuid:" in caplog.text


def test_a_coroutine_without_a_loop_is_driven_by_the_inline_dispatcher(inline):
    future: Future[int] = Future()

    async def work() -> int:
        return await future

    answer = inline.spawn(work())
    future.set(1)
    assert answer.get(timeout=0) == 1
