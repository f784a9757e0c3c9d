"""A future for threads, coroutines and callbacks."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import queue
import sys
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pykka
from pykka._future import _Unset

from actorcred.actors._context import Party, current_mailbox, thread
from actorcred.actors.waits import acquire, circle_of, describe_circle, waiting_for

if TYPE_CHECKING:
    from pykka._future import GetHookFunc
    from pykka._types import OptExcInfo

__all__ = ["AlreadySet", "CancelledError", "Future", "error_of"]

logger = logging.getLogger("actorcred.actors")

T = TypeVar("T")
J = TypeVar("J")
M = TypeVar("M")
R = TypeVar("R")

NESTED = 8
"""How many callbacks of futures that are done can nest until the owner of the thread is told."""

_PENDING, _VALUE, _ERROR = 0, 1, 2

# One lock for all futures: it is held for a few byte codes only, and a lock per future would make
# each future half as big again.
_lock = threading.Lock()


class AlreadySet(queue.Full):
    """A result was set on a future that already has one. A `queue.Full`, as in Pykka."""


class Future(pykka.Future[T]):
    """A handle to a value that is available now or later.

    Everything that `pykka.Future` documents holds. In addition `await future` does not block the
    event loop, `add_done_callback` calls back without a waiting thread, and `cancel` gives up.

    `map`, `filter`, `join` and `reduce` work as in Pykka: the function runs once, in the first
    caller that requests the result, never in the actor that produces the value.
    """

    __slots__ = (
        "_callbacks",
        "_get_hook",
        "_get_hook_result",
        "_sources",
        "_state",
        "_target",
        "_value",
    )

    _value: Any
    _callbacks: list[Callable[[Any], object]] | None
    _sources: tuple[pykka.Future[Any], ...]
    _target: Party
    """The mailbox of the actor that was asked; not set if that is not known."""

    def __init__(self) -> None:
        self._state = _PENDING
        self._callbacks = None
        self._get_hook = None

    def __repr__(self) -> str:
        state = "pending" if not self._state else "done" if self._state == _VALUE else "failed"
        return f"<actorcred.actors.Future {state}>"

    # -- producer ----------------------------------------------------------------------------------

    def set(self, value: T | None = None) -> None:
        """Set the value.

        Args:
            value: what `get` returns.

        Raises:
            AlreadySet: if the future has a result or a get hook.
        """
        if not self.settle(value):
            raise AlreadySet(
                "this future already has a result or a get hook; make a new one for each answer"
            )

    def set_exception(self, exc_info: OptExcInfo | None = None) -> None:
        """Set an exception as the result.

        Args:
            exc_info: what `sys.exc_info()` returned; by default, the exception being handled.

        Raises:
            AlreadySet: if the future has a result or a get hook.
        """
        kind, error, traceback = exc_info or sys.exc_info()
        if error is None:
            if kind is None:
                raise ValueError("set_exception() needs exc_info outside of an except block")
            error = kind()
        if not self.settle_error(error, traceback):
            raise AlreadySet(
                "this future already has a result or a get hook; make a new one for each answer"
            )

    def settle(self, value: T | None = None) -> bool:
        """Set the value unless there already is a result.

        For a producer whose consumer might have cancelled.

        Returns:
            Whether this call decided the result.
        """
        return self._settle(_VALUE, value)

    def settle_error(self, error: BaseException, traceback: Any = None) -> bool:
        """Set an exception unless there already is a result; the counterpart of `settle`."""
        return self._settle(_ERROR, (error, traceback or error.__traceback__))

    def _settle(self, state: int, value: Any) -> bool:
        with _lock:
            if self._state or self._get_hook is not None:
                return False
            self._value = value
            self._state = state
            callbacks = self._callbacks
            self._callbacks = None
        if callbacks is not None:
            for callback in callbacks:
                self._run(callback)
        return True

    def cancel(self) -> bool:
        """Give up: waiting callers get `CancelledError`, and a later result is discarded.

        Returns:
            False if there already was a result.
        """
        return self.settle_error(CancelledError("the future was cancelled"))

    def cancelled(self) -> bool:
        """Return whether `cancel` decided the result."""
        return self._state == _ERROR and isinstance(self._value[0], CancelledError)

    def expect_from(self, mailbox: Party) -> None:
        """Record which actor was asked, so that deadlocks can be detected."""
        self._target = mailbox

    @classmethod
    def of(cls, value: T) -> Future[T]:
        """Return a future that has a value."""
        future: Future[T] = cls.__new__(cls)
        future._callbacks = future._get_hook = None
        future._value = value
        future._state = _VALUE
        return future

    @classmethod
    def failed(cls, error: BaseException) -> Future[T]:
        """Return a future whose result is an exception."""
        future: Future[T] = cls()
        future._value = (error, error.__traceback__)
        future._state = _ERROR
        return future

    def follow(self, source: Future[Any], function: Callable[[Any], Any] | None = None) -> None:
        """Take over the result of another future when it is done, unless there is one by then.

        Args:
            source: the other future.
            function: converts the value; what it raises is the result.
        """

        def take(_: object) -> None:
            try:
                value = source.get()
                self.settle(value if function is None else function(value))
            except BaseException as error:
                self.settle_error(error)

        source.add_done_callback(take)

    @classmethod
    def adopt(cls, future: pykka.Future[T]) -> Future[T]:
        """Return a Pykka future as an instance of this class."""
        if isinstance(future, Future):
            return future
        adopted: Future[T] = Future()
        adopted.set_get_hook(lambda timeout: future.get(timeout=timeout))
        return adopted

    # -- consumer ----------------------------------------------------------------------------------

    def done(self) -> bool:
        """Return whether `get` would return (or raise) immediately."""
        if self._get_hook is None:
            return self._state != _PENDING
        if not isinstance(self._get_hook_result, _Unset):
            return True
        return bool(self._sources) and all(
            isinstance(s, Future) and s.done() for s in self._sources
        )

    def get(self, *, timeout: float | None = None) -> T:
        """Wait for the value.

        Args:
            timeout: seconds to wait; None waits forever.

        Returns:
            The value.

        Raises:
            pykka.Timeout: if there was no result in time.
            Exception: the result, if it is an exception, with its traceback.
        """
        if self._get_hook is not None:
            return super().get(timeout=timeout)
        if not self._state and not self._wait(timeout):
            raise pykka.Timeout(f"{timeout} seconds")
        if self._state == _VALUE:
            return cast("T", self._value)
        error, traceback = self._value
        try:
            raise error.with_traceback(traceback)
        finally:
            # The traceback refers to this frame, and the frame to the future: break this cycle.
            del self, error, traceback

    def _wait(self, timeout: float | None) -> bool:
        waiter = threading.Lock()
        waiter.acquire()

        def wake(_: object) -> None:
            waiter.release()

        self.add_done_callback(wake)
        try:
            with waiting_for(self.target):
                if not self._block(waiter, timeout):
                    self._tell_of_circle()
        finally:
            if not self._state:
                self.remove_done_callback(wake)
        return bool(self._state)

    @property
    def target(self) -> Party | None:
        """The mailbox of the actor that was asked; None if that is not known."""
        return getattr(self, "_target", None)

    def _block(self, waiter: threading.Lock, timeout: float | None) -> bool:
        dispatcher, target = thread.dispatcher, self.target
        if (
            target is not None
            and asyncio._get_running_loop() is not None
            and target.dispatcher.runs_here()
        ):
            dispatcher = target.dispatcher  # also for code on the loop outside of actors
        if dispatcher is None:
            return acquire(waiter, timeout, target)
        return dispatcher.block(waiter, timeout, self)

    @staticmethod
    def _tell_of_circle() -> None:
        waiter = current_mailbox.get()
        circle = [] if waiter is None else circle_of(waiter)
        if circle:
            logger.error(
                "A wait timed out because actors wait for each other in a circle: %s",
                describe_circle(circle),
            )

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        """Call `callback(future)` when there is a result; immediately if there already is one.

        It runs in the thread that sets the result, so it must be short and must not block. What it
        raises is logged.

        Args:
            callback: called with this future.
        """
        if self._get_hook is None:
            with _lock:
                if not self._state:
                    if self._callbacks is None:
                        self._callbacks = [callback]
                    else:
                        self._callbacks.append(callback)
                    return
            outer = thread.callbacks
            if outer >= NESTED and thread.dispatcher is not None:
                thread.dispatcher.nested()
            thread.callbacks = outer + 1
            try:
                self._run(callback)
            finally:
                thread.callbacks = outer
        elif self._sources and all(isinstance(source, Future) for source in self._sources):
            _Countdown(len(self._sources), lambda: self._run(callback)).watch(
                cast("tuple[Future[Any], ...]", self._sources)
            )
        else:
            # A user's hook can block, so only a thread can wait for it.
            threading.Thread(
                target=self._run_when_hook_answers, args=(callback,), daemon=True
            ).start()

    def remove_done_callback(self, callback: Callable[[Any], object]) -> None:
        """Remove a callback that was not called yet."""
        with _lock, contextlib.suppress(ValueError):
            if self._callbacks is not None:
                self._callbacks.remove(callback)

    def _run(self, callback: Callable[[Any], object]) -> None:
        try:
            callback(self)
        except KeyboardInterrupt:
            raise
        except BaseException:
            logger.exception("A done callback of a future failed:")

    def _run_when_hook_answers(self, callback: Callable[[Any], object]) -> None:
        with contextlib.suppress(Exception):
            self.get()
        self._run(callback)

    def __await__(self) -> Generator[Any, None, T]:
        """Wait for the value in a coroutine, without blocking the event loop.

        Cancelling the wait removes the callback of this wait.
        """
        if not self._state and not self.done():
            loop = asyncio._get_running_loop()
            if loop is None:
                yield self  # a coroutine that the inline dispatcher drives
            else:
                yield from self._await_on(loop)
        if self._state == _VALUE:
            return cast("T", self._value)
        return self.get()

    __iter__ = __await__

    def _await_on(self, loop: asyncio.AbstractEventLoop) -> Generator[Any, None, None]:
        waiter = loop.create_future()

        def wake(_: object) -> None:
            if asyncio._get_running_loop() is loop:
                _release(waiter)
                return
            try:
                loop.call_soon_threadsafe(_release, waiter)
            except RuntimeError:
                logger.debug(
                    "An event loop was closed while one of its coroutines waited for a future."
                )

        self.add_done_callback(wake)
        target = self.target
        try:
            with waiting_for(target):
                yield from waiter
        except BaseException:
            self.remove_done_callback(wake)
            raise
        if target is not None:
            target.dispatcher.resumed()

    # -- derived futures ---------------------------------------------------------------------------

    def set_get_hook(self, func: GetHookFunc[T]) -> None:
        """Set a function that computes the value in `get`; see `pykka.Future.set_get_hook`."""
        self._set_hook(func, ())

    def _set_hook(self, func: GetHookFunc[T], sources: tuple[pykka.Future[Any], ...]) -> None:
        with _lock:
            if self._state:
                raise AlreadySet("this future already has a result, so it cannot get a hook")
            self._get_hook_result = _Unset()
            self._sources = sources
            self._get_hook = func

    def _derive(self, func: GetHookFunc[M], *others: pykka.Future[Any]) -> Future[M]:
        derived: Future[M] = Future()
        derived._set_hook(func, (self, *others))
        return derived

    def map(self, func: Callable[[T], M]) -> Future[M]:
        """Return a future of `func(value)`."""
        return self._derive(lambda timeout: func(self.get(timeout=timeout)))

    def filter(self: Future[Iterable[J]], func: Callable[[J], bool]) -> Future[Iterable[J]]:
        """Return a future of the items of the value for which `func(item)` is true."""
        return self._derive(lambda timeout: list(filter(func, self.get(timeout=timeout))))

    def join(self: Future[Any], *futures: pykka.Future[Any]) -> Future[Iterable[Any]]:
        """Return a future of the list of the values of this future and of `futures`."""
        return self._derive(
            lambda timeout: pykka.get_all((self, *futures), timeout=timeout), *futures
        )

    def reduce(self: Future[Iterable[J]], func: Callable[[R, J], R], *args: R) -> Future[R]:
        """Return a future of the items folded with `func`, starting from `args[0]` if given."""
        return self._derive(
            lambda timeout: functools.reduce(func, self.get(timeout=timeout), *args)
        )


def _release(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class _Countdown:
    """Calls `then` when all of some futures are done."""

    def __init__(self, count: int, then: Callable[[], object]) -> None:
        self._left = count
        self._then = then

    def watch(self, futures: Iterable[Future[Any]]) -> None:
        for future in futures:
            future.add_done_callback(self._one_is_done)

    def _one_is_done(self, _: object) -> None:
        with _lock:
            self._left -= 1
            last = self._left == 0
        if last:
            self._then()


def error_of(done: Future[Any]) -> BaseException | None:
    """Return the exception of a future that is done; None if it has a value."""
    try:
        done.get()
    except BaseException as error:
        return error
    return None
