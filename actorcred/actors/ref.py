"""References to actors, which all other code holds instead of the actors themselves."""

from __future__ import annotations

from asyncio import _get_running_loop
from collections.abc import Callable
from typing import Any, Literal, TypeVar, overload

import pykka
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from actorcred.actors._context import current_mailbox, thread
from actorcred.actors.bounded_mailbox import MailboxFull
from actorcred.actors.cell import NOT_HANDLED, Cell, Unanswered
from actorcred.actors.future import Future
from actorcred.actors.lifecycle import stops_all
from actorcred.actors.messages import Receiver
from actorcred.actors.supervision import Supervisor
from actorcred.actors.timers import Timer
from actorcred.actors.waits import waiting_for

__all__ = ["ActorRef"]

A = TypeVar("A", bound=pykka.Actor)

MAX_DEPTH = 16
"""The number of blocking asks that can nest on one stack before a thread of the pool takes over."""


class ActorRef(pykka.ActorRef[A]):
    """A reference to an actor, safe to pass around; see `pykka.ActorRef`.

    It adds timers (`send_after`, `send_every`) and `watch`. It does not keep a stopped actor alive.
    """

    __slots__ = ("actor_inbox",)

    actor_inbox: Cell

    def __init__(self, mailbox: Cell) -> None:
        self.actor_inbox = mailbox

    @property
    def actor_class(self) -> type[A]:  # type: ignore[override]
        """The class of the actor."""
        return self.actor_inbox.actor_class

    @property
    def actor_urn(self) -> str:  # type: ignore[override]
        """The actor's universally unique name."""
        return self.actor_inbox.urn

    @property
    def actor_stopped(self) -> StopFlag:  # type: ignore[override]
        """A flag that is set once the actor handles no more messages."""
        return StopFlag(self.actor_inbox)

    def _actor_weakref(self) -> A | None:  # type: ignore[override]
        mailbox = self.actor_inbox
        actor: Any = mailbox.actor
        if actor is None and mailbox.asleep:
            # A proxy reads from it which methods and attributes there are, and calls none of them.
            actor = object.__new__(mailbox.actor_class)
        return actor  # type: ignore[no-any-return]

    def __str__(self) -> str:
        return self.actor_inbox.label

    def is_alive(self) -> bool:
        """Return whether the actor still handles messages."""
        return not self.actor_inbox.stopped

    def tell(self, message: Any) -> None:
        """Send a message without waiting for anything.

        Raises:
            pykka.ActorDeadError: if the actor has stopped.
            MailboxFull: if its mailbox is full and refuses.
        """
        mailbox = self.actor_inbox
        if mailbox.stopped:
            raise pykka.ActorDeadError(f"{self} not found")
        mailbox.push(message)
        if mailbox.busy.acquire(False):
            mailbox.dispatcher.schedule(mailbox)

    @overload
    def ask(
        self, message: Any, *, block: Literal[False], timeout: float | None = None
    ) -> Future[Any]: ...
    @overload
    def ask(self, message: Any, *, block: Literal[True], timeout: float | None = None) -> Any: ...
    @overload
    def ask(
        self, message: Any, *, block: bool = True, timeout: float | None = None
    ) -> Any | Future[Any]: ...
    def ask(
        self, message: Any, *, block: bool = True, timeout: float | None = None
    ) -> Any | Future[Any]:
        """Send a message and wait for the answer.

        An idle actor runs on the caller's thread if it is on a pool and the caller waits without a
        time-out, or if both are on one event loop and the caller is a coroutine.

        Args:
            message: anything.
            block: whether to wait for the answer; if False, a future is returned.
            timeout: seconds to wait when blocking; None waits forever.

        Returns:
            The answer, or a future of it.

        Raises:
            pykka.Timeout: when blocking, if there was no answer in time.
            pykka.ActorDeadError: when blocking, if the actor has stopped, or stops before it
                handles the message.
            Exception: when blocking, what the actor raised.
        """
        mailbox = self.actor_inbox
        dispatcher = mailbox.dispatcher
        if block:
            if timeout is None and dispatcher.caller_runs and mailbox.busy.acquire(False):
                answer = (
                    mailbox.answer(message)
                    if current_mailbox.get() is None
                    else _answer_deeper(mailbox, message)
                )
                if type(answer) is not Unanswered:
                    return answer
                if answer.future is not None:
                    return answer.future.get()
        elif (
            dispatcher.quota > 0
            and dispatcher.admits(current_mailbox.get())
            and mailbox.busy.acquire(False)
        ):
            answered = _answer_now(mailbox, message)
            if answered is not None:
                return answered
        future: Future[Any] = Future()
        if mailbox.stopped:
            future.settle_error(pykka.ActorDeadError(f"{self} not found"))
        else:
            future.expect_from(mailbox)
            self._enqueue(message, future)
        return future.get(timeout=timeout) if block else future

    def deliver(self, message: Any, reply: Receiver | None) -> None:
        """Send a message whose answer goes to `reply`: an `ask` without a future, for busy servers.

        An idle actor on an event loop runs immediately if the caller is on the loop's thread. So
        `reply` can already have the answer when this returns.

        Args:
            message: anything.
            reply: gets the answer, from any thread; None if the answer is not needed.

        Raises:
            pykka.ActorDeadError: without a reply, if the actor has stopped.
            MailboxFull: without a reply, if the actor's mailbox is full and refuses.
        """
        mailbox = self.actor_inbox
        if mailbox.stopped:
            self._answer_dead(reply)
            return
        dispatcher = mailbox.dispatcher
        loop = dispatcher.loop
        if loop is not None and loop is _get_running_loop():
            handled = mailbox.busy.acquire(False) and mailbox.run_now(message, reply)
        else:
            handled = (
                dispatcher.runs_here()
                and mailbox.busy.acquire(False)
                and dispatcher.run_here(mailbox, message, reply)
            )
        if not handled:
            self._enqueue(message, reply)

    def _enqueue(self, message: Any, reply: Receiver | None) -> None:
        try:
            self.actor_inbox.put(Envelope(self._queued(message), reply))  # type: ignore[arg-type]
        except MailboxFull as error:
            if reply is None:
                raise
            reply.settle_error(error)

    def _queued(self, message: Any) -> Any:
        """Return what is put into the queue for a message that must wait for its turn."""
        return message

    def _answer_dead(self, reply: Receiver | None) -> None:
        error = pykka.ActorDeadError(f"{self} not found")
        if reply is None:
            raise error
        reply.settle_error(error)

    @overload
    def stop(self, *, block: Literal[True], timeout: float | None = None) -> bool: ...
    @overload
    def stop(self, *, block: Literal[False], timeout: float | None = None) -> Future[bool]: ...
    @overload
    def stop(self, *, block: bool = True, timeout: float | None = None) -> bool | Future[bool]: ...
    def stop(self, *, block: bool = True, timeout: float | None = None) -> bool | Future[bool]:
        """Ask the actor to stop after the messages that were sent before.

        Args:
            block: whether to wait until it has stopped; if False, a future is returned.
            timeout: seconds to wait when blocking; None waits forever.

        Returns:
            True if the actor stopped, False if it was already dead; or a future of that.

        Raises:
            pykka.Timeout: when blocking, if it did not stop in time.
        """
        stopped: Future[bool] = Future()
        stopped.expect_from(self.actor_inbox)
        self.ask(_ActorStop(), block=False).add_done_callback(
            lambda answer: _settle_stopped(answer, stopped)
        )
        return stopped.get(timeout=timeout) if block else stopped

    def send_after(self, seconds: float, message: Any) -> Timer:
        """Send the actor a message in `seconds`, unless it stops or the timer is cancelled."""
        return self._plan(seconds, None, message)

    def send_every(self, seconds: float, message: Any) -> Timer:
        """Send the actor a message every `seconds` until it stops or the timer is cancelled."""
        if seconds <= 0:
            raise ValueError(f"the interval must be more than 0 seconds, not {seconds}")
        return self._plan(seconds, seconds, message)

    def _plan(self, seconds: float, interval: float | None, message: Any) -> Timer:
        mailbox = self.actor_inbox
        return mailbox.dispatcher.call_later(
            seconds, mailbox.put, message, interval=interval, owner=mailbox
        )

    def supervise(self, supervisor: Supervisor) -> None:
        """Set the supervisor of a restartable actor, unless it already has one."""
        if self.actor_inbox.supervisor is None:
            self.actor_inbox.supervisor = supervisor

    def watch(self, watcher: Callable[[BaseException | None], object]) -> None:
        """Call `watcher(cause)` when the actor has ended; immediately if it already has.

        It runs on the thread where the actor ended, so it must be short: usually it sends another
        actor a message.

        Args:
            watcher: called with None after a stop, with the exception after a crash, or with an
                `ActorDeadError` if the actor had crashed before this call.
        """
        self.actor_inbox.watch(watcher)


class StopFlag:
    """The part of `threading.Event` that Pykka documents for `actor_stopped`, at a lower cost."""

    __slots__ = ("_mailbox",)

    def __init__(self, mailbox: Cell) -> None:
        self._mailbox = mailbox

    def is_set(self) -> bool:
        """Return whether the actor handles no more messages."""
        return self._mailbox.stopped

    def wait(self, timeout: float | None = None) -> bool:
        """Wait at most `timeout` seconds until the actor has ended; return whether it has."""
        gone: Future[None] = Future()
        gone.expect_from(self._mailbox)
        self._mailbox.watch(lambda _: gone.settle())
        try:
            gone.get(timeout=timeout)
        except pykka.Timeout:
            return False
        return True


def _answer_deeper(mailbox: Cell, message: Any) -> Any:
    """Have an idle actor answer an ask that blocks another actor, on the same stack.

    See `Cell.answer`.
    """
    depth = thread.depth
    if depth >= MAX_DEPTH:
        mailbox.leave()
        return NOT_HANDLED
    thread.depth = depth + 1
    try:
        with waiting_for(mailbox):
            return mailbox.answer(message)
    finally:
        thread.depth = depth


def _answer_now(mailbox: Cell, message: Any) -> Future[Any] | None:
    """Have an idle actor answer an ask that does not block.

    Returns:
        A future of the answer; None if the message was not handled.
    """
    try:
        answer = mailbox.answer(message)
    except BaseException as error:
        if stops_all(error):
            raise
        return Future.failed(error)
    return answer.future if type(answer) is Unanswered else Future.of(answer)


def _settle_stopped(answer: Future[Any], stopped: Future[bool]) -> None:
    try:
        answer.get()
    except pykka.ActorDeadError:
        stopped.settle(False)
    except BaseException as error:
        stopped.settle_error(error)
    else:
        stopped.settle(True)
