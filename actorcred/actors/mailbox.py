"""A mailbox: the queue of one actor, and what a dispatcher runs when it has mail.

An idle actor is three small objects and no thread. `busy` is the whole synchronisation: whoever takes it may run the
actor, so messages are handled one at a time; whoever puts mail into a mailbox that is not busy takes it and hands the
mailbox to the dispatcher. Every envelope is therefore either handled or answered with `ActorDeadError`, also one
that comes after the actor stopped.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from _queue import Empty, SimpleQueue
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import pykka
from pykka._envelope import Envelope
from pykka._introspection import get_attr_directly
from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr, _ActorStop

from actorcred.actors import _counters, system
from actorcred.actors._context import current_mailbox, thread

if TYPE_CHECKING:
    from actorcred.actors.actor import Actor
    from actorcred.actors.dispatcher import Dispatcher
    from actorcred.actors.future import Future
    from actorcred.actors.ref import Receiver
    from actorcred.actors.supervision import Blueprint, Supervisor
    from actorcred.actors.timers import Timer

__all__ = ["BoundedMailbox", "ControlCall", "Mailbox", "MailboxFull", "MailboxLimit", "Overflow"]

logger = logging.getLogger("actorcred.actors")

BATCH = 64
"""Messages that one actor may handle before the others of its dispatcher have a turn."""

Watcher: TypeAlias = Callable[[BaseException | None], object]

_watchers_lock = threading.Lock()
# What stands in place of the watchers once they were told, by how the actor ended.
_STOPPED: list[Watcher] = []
_CRASHED: list[Watcher] = []

_PYKKA_MESSAGES = frozenset({ProxyGetAttr, ProxySetAttr, _ActorStop})


class ControlCall(tuple[Any, ...]):
    """`ControlCall((method, *args))` has an actor run one of its methods, between the parts of one system.

    Unlike a user's `ProxyCall`, no bound of a mailbox refuses or drops it.
    """

    __slots__ = ()


class MailboxFull(Exception):
    """The mailbox of an actor is at its bound, and its policy is to refuse the sender."""


class Overflow(StrEnum):
    """What happens to a message that would take a mailbox past its bound."""

    REFUSE = "refuse"
    """The sender gets `MailboxFull`."""

    DROP_OLDEST = "drop oldest"
    """The longest waiting message goes; an ask among the dropped fails with `MailboxFull`."""

    DROP_NEWEST = "drop newest"
    """The new message goes; if it is an ask, it fails with `MailboxFull`."""


@dataclass(frozen=True, slots=True)
class MailboxLimit:
    """How many messages may wait for an actor, and what happens to the next one.

    Args:
        bound: the number of messages, at least 1. Stop requests and control calls are always accepted, and never dropped.
        overflow: the policy at the bound.
    """

    bound: int
    overflow: Overflow = Overflow.REFUSE

    def __post_init__(self) -> None:
        if self.bound < 1:
            raise ValueError(f"the bound of a mailbox must be at least 1, not {self.bound}")
        object.__setattr__(self, "overflow", Overflow(self.overflow))


class Mailbox(SimpleQueue):  # type: ignore[type-arg]
    """The unbounded mailbox."""

    __slots__ = (
        "actor",
        "actor_class",
        "blueprint",
        "busy",
        "dispatcher",
        "number",
        "started",
        "stopped",
        "supervisor",
        "timers",
        "waiting",
        "watchers",
    )

    actor: Actor | None
    dispatcher: Dispatcher

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self.actor_class = type(actor)
        self.number = _counters.next_actor()
        self.busy = threading.Lock()
        self.busy.acquire()  # until the actor is started nobody may run it
        self.started = False
        self.stopped = False
        self.waiting: tuple[Future[Any], Callable[[Future[Any]], None]] | None = None
        self.timers: set[Timer] | None = None
        self.watchers: Watcher | list[Watcher] | None = None
        self.blueprint: Blueprint | None = None
        self.supervisor: Supervisor | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.label}>"

    @property
    def urn(self) -> str:
        """The actor's universally unique name; made when it is asked for, since few are."""
        return _counters.urn(self.number)

    @property
    def label(self) -> str:
        """The name of the actor in texts for humans."""
        return f"{self.actor_class.__name__} ({self.urn})"

    # -- the queue ----------------------------------------------------------------------------------------------------

    push = SimpleQueue.put
    """Append a message, or an envelope that wants an answer. The caller then sees to it that the mailbox is run."""

    pop = SimpleQueue.get_nowait

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Append a message or an envelope, and have the mailbox run. Never blocks."""
        self.push(item)
        if self.busy.acquire(False):
            self.dispatcher.schedule(self)

    # -- running ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin the life of an actor that was constructed; called once, by `Actor.start`."""
        if self.actor_class.on_start is pykka.Actor.on_start:
            self.started = True
            self._leave()
        else:
            self.dispatcher.schedule(self)

    def run(self) -> None:
        """Handle a batch of what waits; called by the dispatcher to which the mailbox was given, with `busy` taken."""
        previous = current_mailbox.get()
        current_mailbox.set(self)
        try:
            if self.waiting is not None:
                future, then = self.waiting
                self.waiting = None
                then(future)
            elif not self.started:
                self._begin()
            self._handle_batch()
        finally:
            current_mailbox.set(previous)
            self._leave()

    def run_for(self, message: Any, reply: Receiver | None) -> None:
        """Handle a message on the caller's thread, which waits for the answer and has taken `busy`.

        This spares a blocking ask of an idle actor two thread switches and the queue.
        """
        thread.depth += 1
        previous = current_mailbox.get()
        current_mailbox.set(self)
        try:
            actor = self.actor
            if actor is not None and self.waiting is None and self.empty():
                before = monotonic()
                self._handle(actor, message, reply)
                if (took := monotonic() - before) > self.dispatcher.slow_handler:
                    self._log_slow(message, took)
            else:
                self.push(Envelope(message, cast("Any", reply)))
        finally:
            current_mailbox.set(previous)
            thread.depth -= 1
            self._leave()

    def run_now(self, message: Any, reply: Receiver | None) -> None:
        """Handle a message on the dispatcher's own thread, out of turn; the caller has taken `busy`."""
        actor = self.actor
        if actor is None or self.waiting is not None or not self.empty():
            self.push(Envelope(message, cast("Any", reply)))
            self._leave()
            return
        before = monotonic()
        previous = current_mailbox.get()
        current_mailbox.set(self)
        try:
            self._handle(actor, message, reply)
        finally:
            current_mailbox.set(previous)
            self._leave()
        if (took := monotonic() - before) > self.dispatcher.slow_handler:
            self._log_slow(message, took)

    def _leave(self) -> None:
        """End a run. It is the last act: from here on another thread may run this mailbox."""
        if self.waiting is not None:
            self.waiting[0].add_done_callback(self._wake)
            return
        self.busy.release()
        if not self.empty() and self.busy.acquire(False):
            self.dispatcher.schedule(self)

    def _handle_batch(self) -> None:
        """Handle up to `BATCH` messages."""
        slow = self.dispatcher.slow_handler
        before = monotonic()
        for _ in range(BATCH):
            if self.empty() or self.waiting is not None:
                return
            actor = self.actor
            if actor is None:
                self._answer_for_the_dead()
                return
            try:
                item = self.pop()
            except Empty:  # a sender dropped the oldest message meanwhile
                return
            message, reply = item, None
            if type(item) is Envelope:
                message, reply = item.message, cast("Receiver | None", item.reply_to)
            self._handle(actor, message, reply)
            now = monotonic()
            if now - before > slow:
                self._log_slow(message, now - before)
            before = now

    def _log_slow(self, message: Any, seconds: float) -> None:
        logger.warning("%s took %.3f s for %s", self.label, seconds, describe(message))

    def _handle(self, actor: Actor, message: Any, reply: Receiver | None) -> None:
        try:
            kind = type(message)
            if kind is ControlCall:
                result = getattr(actor, message[0])(*message[1:])
            elif kind is ProxyCall:
                path = message.attr_path
                method = getattr(actor, path[0]) if len(path) == 1 else get_attr_directly(actor, path)
                result = method(*message.args, **message.kwargs)
            elif kind in _PYKKA_MESSAGES:
                if kind is _ActorStop:
                    actor._actor_finish(reply)
                    return
                result = actor._handle_receive(message)
            else:
                result = actor.on_receive(message)
        except Exception as error:
            self._reply_error(error, reply)
        except BaseException as error:
            actor._actor_break(error, reply)
            raise
        else:
            if type(result) is CoroutineType:
                self.wait_for(self.dispatcher.spawn(result), lambda done: self._answered(done, reply))
            elif reply is not None:
                reply.settle(result)

    def _reply_error(self, error: BaseException, reply: Receiver | None) -> None:
        if reply is not None:
            logger.info("Exception returned from %s to caller:", self.label, exc_info=error)
            reply.settle_error(error)
        elif self.actor is not None:
            self.actor._actor_fail(error)

    # -- handlers and hooks that are coroutines -----------------------------------------------------------------------

    def wait_for(self, future: Future[Any], then: Callable[[Future[Any]], None]) -> None:
        """Handle nothing until `future` is done, then call `then(future)` in the actor's context and go on."""
        self.waiting = (future, then)

    def _wake(self, _: object) -> None:
        self.dispatcher.schedule(self)

    def _answered(self, done: Future[Any], reply: Receiver | None) -> None:
        try:
            result = done.get()
        except (Exception, asyncio.CancelledError) as error:
            self._reply_error(error, reply)
        else:
            if reply is not None:
                reply.settle(result)

    def call_hook(self, hook: Callable[..., Any], *args: Any, then: Callable[[BaseException | None], None]) -> None:
        """Call a hook of the actor, wait for it if it is a coroutine, and pass what it raised, or None, to `then`."""
        try:
            result = hook(*args)
        except Exception as error:
            then(error)
        else:
            if type(result) is CoroutineType:
                self.wait_for(self.dispatcher.spawn(result), lambda done: then(_error_of(done)))
            else:
                then(None)

    # -- beginning and end --------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Run `on_start`; after a restart, of a fresh instance."""
        self.started = True
        if self.actor is None:
            assert self.blueprint is not None
            try:
                self.actor = self.blueprint.construct(self)
            except Exception as error:
                logger.exception("%s could not be made anew:", self.label)
                self.crashed(error)
                return
        actor = self.actor
        self.call_hook(actor.on_start, then=lambda error: None if error is None else actor._actor_fail(error, hook=False))

    def crashed(self, error: BaseException) -> None:
        """End the failed instance: for good, or until the supervisor has decided."""
        self.actor = None
        if self.supervisor is None or self.blueprint is None or self.stopped:
            self.terminate(error)
        else:
            self.wait_for(self.supervisor(error), lambda answer: self._decided(answer, error))

    def _decided(self, answer: Future[Any], error: BaseException) -> None:
        restart = _error_of(answer) is None and answer.get()
        if restart and not self.stopped:
            self._begin()
        else:
            if self.actor_class.registered:
                system.unregister((self,))
            self.terminate(error)

    def cancel_timers(self) -> None:
        """Cancel what the actor planned to be sent."""
        timers, self.timers = self.timers, None
        for timer in timers or ():
            timer.cancel()

    def terminate(self, cause: BaseException | None) -> None:
        """Let go of the actor for good, answer what still waits, and tell the watchers."""
        self.actor = None
        self.blueprint = None
        self.stopped = True
        self.dispatcher.detach(self)
        self._answer_for_the_dead()
        with _watchers_lock:
            watchers, self.watchers = self.watchers, _STOPPED if cause is None else _CRASHED
        if watchers is not None:
            for watcher in watchers if isinstance(watchers, list) else (watchers,):
                self._tell_watcher(watcher, cause)

    def watch(self, watcher: Watcher) -> None:
        """Call `watcher(cause)` at the end of the actor, at once if that has come."""
        with _watchers_lock:
            watchers = self.watchers
            gone = watchers is _STOPPED or watchers is _CRASHED
            if watchers is None:
                self.watchers = watcher  # nearly always there is one at most, and a list would cost more than it
            elif not gone:
                self.watchers = [*watchers, watcher] if isinstance(watchers, list) else [watchers, watcher]
        if gone:
            # The exception itself is not kept: its traceback would keep the actor.
            cause = pykka.ActorDeadError(f"{self.label} had crashed before") if watchers is _CRASHED else None
            self._tell_watcher(watcher, cause)

    def _tell_watcher(self, watcher: Watcher, cause: BaseException | None) -> None:
        try:
            watcher(cause)
        except Exception:
            logger.exception("A watcher of %s failed:", self.label)

    def abandon(self, cause: BaseException) -> None:
        """End an actor whose dispatcher is gone, without its hooks. Called by the dispatcher, which holds `busy`."""
        if self.actor is not None:
            logger.error("%s is lost: %s", self.label, cause)
            self.actor._actor_close()
        self.terminate(cause)
        self._leave()

    def _answer_for_the_dead(self) -> None:
        while not self.empty():
            item = self.pop()
            reply = _reply_to(item)
            if reply is None:
                _counters.count_dead_letter()
            elif type(item.message) is _ActorStop:
                reply.settle(None)
            else:
                reply.settle_error(pykka.ActorDeadError(f"{self.label} stopped before handling the message"))


class BoundedMailbox(Mailbox):
    """A mailbox that holds at most so many messages; see `MailboxLimit`."""

    __slots__ = ("dropped", "guard", "limit")

    def __init__(self, actor: Actor, limit: MailboxLimit) -> None:
        super().__init__(actor)
        self.limit = limit
        self.dropped = 0
        self.guard = threading.Lock()

    def push(self, item: Any) -> None:  # type: ignore[override]
        """Append a message, as far as the limit allows.

        Raises:
            MailboxFull: if the limit is reached and the policy is to refuse the sender.
        """
        with self.guard:
            full = self.qsize() >= self.limit.bound and not _is_control(item)
            overflow = self.limit.overflow
            victim = item if full else None
            if full and overflow is Overflow.DROP_OLDEST:
                victim = self._oldest()
            if victim is not item:
                super().push(item)
            if full and overflow is not Overflow.REFUSE:
                self.dropped += 1
        if full and overflow is Overflow.REFUSE:
            raise MailboxFull(f"{self.label} has {self.limit.bound} messages waiting; send less, or start it with a larger bound")
        if victim is not None:
            self._drop(victim)

    def pop(self) -> Any:
        """Take the longest waiting message out."""
        with self.guard:
            return super().pop()

    def _oldest(self) -> Any:
        """Take out the longest waiting message that is not a control message."""
        waiting = [super(BoundedMailbox, self).pop() for _ in range(self.qsize())]
        oldest = next((item for item in waiting if not _is_control(item)), None)
        for item in waiting:
            if item is not oldest:
                super().push(item)
        return oldest

    def _drop(self, item: Any) -> None:
        _counters.count_dropped()
        reply = _reply_to(item)
        if reply is not None:
            reply.settle_error(MailboxFull(f"{self.label} dropped the message: its mailbox is full"))


def _is_control(item: Any) -> bool:
    message = item.message if type(item) is Envelope else item
    return type(message) in {ControlCall, _ActorStop}


def _reply_to(item: Any) -> Receiver | None:
    return item.reply_to if type(item) is Envelope else None  # type: ignore[return-value]


def _error_of(done: Future[Any]) -> BaseException | None:
    try:
        done.get()
    except (Exception, asyncio.CancelledError) as error:
        return error
    return None


def describe(message: Any) -> str:
    """Name a message for the log without its contents, which may be secret."""
    if isinstance(message, ControlCall):
        return f"{message[0]}()"
    if isinstance(message, ProxyCall | ProxyGetAttr | ProxySetAttr):
        return f"{type(message).__name__} {'.'.join(message.attr_path)}"
    return f"a {type(message).__name__}"
