"""Actors on Twisted's reactor. They run inline: work without waits is done when a call returns."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python import threadable

from actorcred.actors import Dispatcher, Future, InlineDispatcher, Timer
from actorcred.actors._context import Party, thread
from actorcred.actors.timers import TimerQueue

if TYPE_CHECKING:
    from collections.abc import Coroutine, Hashable

    from actorcred.actors.dispatcher import Resident, Runnable
    from actorcred.actors.messages import Receiver

__all__ = ["ReactorDispatcher", "deferred_of", "future_of", "on_reactor", "reactor_dispatcher"]

T = TypeVar("T")
R = TypeVar("R")


class ReactorDispatcher(InlineDispatcher):
    """Runs actors on the reactor's thread.

    A message sent from that thread is handled immediately, one from another thread in a later
    iteration of the reactor. Timers use the reactor's clock. Coroutines may await Deferreds, and,
    with the asyncio reactor, anything that asyncio can await. Before the reactor runs, the sending
    thread counts as the reactor's.

    Args:
        reactor: the reactor; by default the installed one.
        clock: for the timers, such as `twisted.internet.task.Clock`; by default the reactor.
        name: for logs.
        slow_handler: seconds; handlers that take longer are logged.
    """

    def __init__(
        self,
        reactor: Any = None,
        clock: Any = None,
        name: str = "reactor",
        *,
        slow_handler: float = 0.1,
    ) -> None:
        super().__init__(name, slow_handler=slow_handler)
        if reactor is None:
            from twisted.internet import reactor
        self.reactor: Any = reactor
        self.clock: Any = clock or reactor
        self.now = self.clock.seconds  # type: ignore[method-assign]
        self._timers: _ReactorTimers = _ReactorTimers(self)

    def runs_here(self) -> bool:
        """Return whether this is the reactor's thread."""
        thread: int | None = threadable.ioThread
        return thread is None or thread == threading.get_ident()

    def run_here(self, mailbox: Resident, message: Any, reply: Receiver | None) -> bool:
        """Have an idle actor handle a message now; actors that it wakes run afterwards."""
        if not self._running.acquire(False):
            return mailbox.run_now(message, reply)
        outer, thread.dispatcher = thread.dispatcher, self
        try:
            return mailbox.run_now(message, reply)
        finally:
            thread.dispatcher = outer
            self._running.release()
            if self._ready:
                self.run_ready()

    def keeps_waiting(self, target: Party) -> bool:
        """Return whether an actor might be unable to answer while this thread waits.

        It might itself wait for the reactor.
        """
        return self.runs_here()

    def schedule(self, task: Runnable) -> None:
        """Run `task.run()` now, after the current handler, or in the reactor's next iteration."""
        self._ready.append(task)
        if self.runs_here():
            self.run_ready()
        else:
            self.reactor.callFromThread(self.run_ready)

    def call(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the reactor's thread: immediately if this is that thread."""
        if self.runs_here():
            function(*args)
        else:
            self.reactor.callFromThread(function, *args)

    def future_of(self, awaited: object) -> Future[Any] | None:
        """Return a future of what a coroutine awaits, or None if it cannot be awaited here."""
        return future_of(awaited) if isinstance(awaited, Deferred) else super().future_of(awaited)

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Run a coroutine up to its first wait, and continue it when the awaited result arrives."""
        if self.runs_here():
            return super().spawn(coroutine)
        future: Future[Any] = Future()
        self.reactor.callFromThread(lambda: future.follow(self.spawn(coroutine)))
        return future

    def offload(
        self, function: Callable[..., R], *args: Any, keys: tuple[Hashable, ...] = ()
    ) -> Future[R]:
        """Run a function that blocks or computes for long on the shared pool of threads."""
        return Dispatcher.offload(self, function, *args, keys=keys)

    def close(self, timeout: float) -> None:
        """Cancel the delayed call of the reactor."""
        self.call(self._timers.disarm)


class _ReactorTimers(TimerQueue):
    """A timer queue that uses one delayed call of the reactor."""

    def __init__(self, dispatcher: ReactorDispatcher) -> None:
        super().__init__()
        self._dispatcher = dispatcher
        self._delayed: Any = None
        self._due = 0.0

    def _push(self, timer: Timer) -> None:
        super()._push(timer)
        if self._delayed is None or timer.when < self._due:
            self._dispatcher.call(self._arm)

    def cancel(self, timer: Timer) -> None:
        super().cancel(timer)
        if not len(self) and self._delayed is not None:
            self._dispatcher.call(self._arm)

    def _arm(self) -> None:
        due = self.next_due()
        if self._delayed is not None and due == self._due:
            return
        self.disarm()
        if due is not None:
            self._due = due
            clock = self._dispatcher.clock
            self._delayed = clock.callLater(max(0.0, due - clock.seconds()), self._fire)

    def disarm(self) -> None:
        """Cancel the delayed call."""
        delayed, self._delayed = self._delayed, None
        if delayed is not None and delayed.active():
            delayed.cancel()

    def _fire(self) -> None:
        self._delayed = None
        # Timers that are added meanwhile wait for the next call. Otherwise a repeated timer of 0
        # seconds would block the reactor.
        now = self._dispatcher.now()
        while (timer := self.pop_due(now)) is not None:
            timer.fire()
        self._arm()


_lock = threading.Lock()
_dispatcher: ReactorDispatcher | None = None


def reactor_dispatcher() -> ReactorDispatcher:
    """Return the dispatcher on the installed reactor; all adapters of the process share it."""
    global _dispatcher
    with _lock:
        if _dispatcher is None:
            _dispatcher = ReactorDispatcher()
        return _dispatcher


def on_reactor(function: Callable[..., object], *args: Any) -> None:
    """Call a function on the reactor's thread: immediately if this is that thread."""
    reactor_dispatcher().call(function, *args)


def deferred_of(future: Future[T]) -> Deferred[T]:
    """Return a Deferred of a future's result; cancelling it cancels the future.

    The Deferred fires on the reactor's thread.
    """
    deferred: Deferred[T] = Deferred(lambda _: _cancel(future))
    if future.done():
        _fire(deferred, future)
    else:
        future.add_done_callback(lambda done: on_reactor(_fire, deferred, done))
    return deferred


def _cancel(future: Future[Any]) -> None:
    future.cancel()


def _fire(deferred: Deferred[Any], done: Future[Any]) -> None:
    if deferred.called:
        return  # cancelled
    try:
        result = done.get()
    except BaseException as error:
        deferred.errback(error)
    else:
        deferred.callback(result)


def future_of(deferred: Deferred[T]) -> Future[T]:
    """Return a future of a Deferred's result; cancelling it cancels the Deferred."""
    future: Future[T] = Future()
    deferred.addCallbacks(
        future.settle,
        lambda failure: future.settle_error(failure.value, failure.getTracebackObject()),
    )
    if not future.done():
        future.add_done_callback(
            lambda done: on_reactor(deferred.cancel) if done.cancelled() else None
        )
    return future
