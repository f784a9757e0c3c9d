"""A mailbox: the queue of one actor, and what a dispatcher runs when it has mail.

An idle actor is three small objects and no thread. `busy` is the whole synchronisation: whoever takes it may run the
actor, so messages are handled one at a time; whoever puts mail into a mailbox that is not busy takes it and hands the
mailbox to the dispatcher. Every envelope is therefore either handled or answered with `ActorDeadError`, also one
that comes after the actor stopped.
"""

from __future__ import annotations

import logging
import threading
from _queue import Empty, SimpleQueue
from collections.abc import Callable
from time import monotonic
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import pykka
from pykka._envelope import Envelope
from pykka._introspection import get_attr_directly
from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr, _ActorStop

from actorcred.actors import _counters, system
from actorcred.actors._context import current_mailbox, thread
from actorcred.actors.messages import REVIVE, AnsweredMessage, ControlMessage, Revocable, describe, reply_to

if TYPE_CHECKING:
    from actorcred.actors.actor import Actor
    from actorcred.actors.dispatcher import Dispatcher
    from actorcred.actors.future import Future
    from actorcred.actors.ref import Receiver
    from actorcred.actors.supervision import Blueprint, Supervisor
    from actorcred.actors.timers import Timer

__all__ = ["Mailbox", "stops_all"]

logger = logging.getLogger("actorcred.actors")

BATCH = 64
"""Messages that one actor may handle before the others of its dispatcher have a turn."""

Watcher: TypeAlias = Callable[[BaseException | None], object]

_watchers_lock = threading.Lock()
# What stands in place of the watchers once they were told, by how the actor ended.
_STOPPED: list[Watcher] = []
_CRASHED: list[Watcher] = []

_PYKKA_MESSAGES = frozenset({ProxyGetAttr, ProxySetAttr, _ActorStop})


class Mailbox(SimpleQueue):  # type: ignore[type-arg]
    """The unbounded mailbox."""

    __slots__ = (
        "actor",
        "actor_class",
        "blueprint",
        "busy",
        "dispatcher",
        "down",
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
        self.down = False
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

    def run_for(self, message: Any, reply: Receiver | None) -> bool:
        """Handle a message on the caller's thread, which waits for the answer and has taken `busy`.

        This spares a blocking ask of an idle actor two thread switches and the queue.

        Returns:
            Whether it could be handled; otherwise it has to be put into the queue.
        """
        thread.depth += 1
        previous = current_mailbox.get()
        current_mailbox.set(self)
        try:
            actor = self.actor
            if actor is None or self.waiting is not None or not self.empty():
                return False
            before = monotonic()
            self._handle(actor, message, reply)
            if (took := monotonic() - before) > self.dispatcher.slow_handler:
                self._log_slow(message, took)
            return True
        finally:
            current_mailbox.set(previous)
            thread.depth -= 1
            self._leave()

    def run_now(self, message: Any, reply: Receiver | None) -> bool:
        """Handle a message on the dispatcher's own thread, out of turn; the caller has taken `busy`.

        Returns:
            Whether it could be handled; otherwise it has to be put into the queue.
        """
        actor = self.actor
        if actor is None or self.waiting is not None or not self.empty():
            self._leave()
            return False
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
        return True

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
                self._go_on_without_actor()
                return
            try:
                item = self.pop()
            except Empty:  # a sender dropped the oldest message meanwhile
                return
            message, reply = item, None
            if type(item) is Envelope:
                message, reply = item.message, cast("Receiver | None", item.reply_to)
            if type(message) is Revocable:
                if message.sender.revoked:
                    self._refuse(item, "the sender has lost the right to send it")
                    continue
                message = message.message
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
            if kind is ProxyCall:
                path = message.attr_path
                method = getattr(actor, path[0]) if len(path) == 1 else get_attr_directly(actor, path)
                result = method(*message.args, **message.kwargs)
            elif isinstance(message, ControlMessage):
                result = actor._actor_control(message)
            elif kind in _PYKKA_MESSAGES:
                if kind is _ActorStop:
                    actor._actor_finish(reply)
                    return
                result = actor._handle_receive(message)
            else:
                result = actor.on_receive(message)
        except BaseException as error:
            if stops_all(error):
                actor._actor_break(error, reply)
                raise
            self._reply_error(error, message, reply)
        else:
            if type(result) is CoroutineType:
                self.wait_for(self.dispatcher.spawn(result), lambda done: self._answered(done, message, reply))
            elif reply is not None:
                reply.settle(result)

    def _reply_error(self, error: BaseException, message: Any, reply: Receiver | None) -> None:
        actor = self.actor
        if reply is not None:
            logger.info("Exception returned from %s to caller:", self.label, exc_info=error)
            reply.settle_error(error)
        elif actor is not None and not actor._actor_survives(error, message):
            actor._actor_fail(error)

    # -- handlers and hooks that are coroutines -----------------------------------------------------------------------

    def wait_for(self, future: Future[Any], then: Callable[[Future[Any]], None]) -> None:
        """Handle nothing until `future` is done, then call `then(future)` in the actor's context and go on."""
        self.waiting = (future, then)

    def _wake(self, _: object) -> None:
        self.dispatcher.schedule(self)

    def _answered(self, done: Future[Any], message: Any, reply: Receiver | None) -> None:
        try:
            result = done.get()
        except BaseException as error:
            self._reply_error(error, message, reply)
        else:
            if reply is not None:
                reply.settle(result)

    def call_hook(self, hook: Callable[..., Any], *args: Any, then: Callable[[BaseException | None], None]) -> None:
        """Call a hook of the actor, wait for it if it is a coroutine, and pass what it raised, or None, to `then`."""
        try:
            result = hook(*args)
        except BaseException as error:
            if stops_all(error):
                raise
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

        def begun(error: BaseException | None) -> None:
            if error is not None:
                actor._actor_fail(error, hook=False)
            elif self.supervisor is not None:
                self.supervisor.begun()

        self.call_hook(actor.on_start, then=begun)

    def crashed(self, error: BaseException) -> None:
        """End the failed instance: for good, or until the supervisor has decided."""
        self.actor = None
        if self.supervisor is None or self.blueprint is None or self.stopped:
            self.terminate(error)
        else:
            self.wait_for(self.supervisor.crashed(error), lambda answer: self._decided(answer, error))

    def _decided(self, answer: Future[float | None], error: BaseException) -> None:
        pause = None if _error_of(answer) is not None else answer.get()
        if pause is None or self.stopped:
            self._unregister()
            self.terminate(error)
        elif pause > 0:
            self.down = True
            self.dispatcher.call_later(pause, self.put, REVIVE, owner=self)
        else:
            self._begin()

    def _go_on_without_actor(self) -> None:
        """Refuse what waits. An actor that is down may be made anew, or stopped."""
        while (item := self._next()) is not None:
            if not self.down:
                self._refuse(item, "it has stopped")
            elif item is REVIVE:
                self.down = False
                self._begin()
                return
            elif type(item) is Envelope and type(item.message) is _ActorStop:
                self.down = False
                self.cancel_timers()
                self._unregister()
                self.terminate(None)
                self._refuse(item, "it has stopped")
            else:
                self._refuse(item, "it is down")

    def _unregister(self) -> None:
        if self.actor_class.registered:
            system.unregister((self,))

    # -- ending what does not end by itself ---------------------------------------------------------------------------

    def interrupt(self) -> bool:
        """Cancel the coroutine that the actor is waiting for; return whether there is one. May be called from anywhere."""
        waiting = self.waiting
        if waiting is not None:
            waiting[0].cancel()
        return waiting is not None

    def kill(self, cause: BaseException) -> None:
        """End the actor at once and without its hooks, whatever it is doing. May be called from anywhere.

        A handler that runs at this moment goes on until it returns or awaits, and nothing comes of it.
        """
        actor = self.actor
        if actor is not None:
            actor._actor_close()
        self.terminate(cause)
        self.interrupt()

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
        except BaseException as error:
            if stops_all(error):
                raise
            logger.exception("A watcher of %s failed:", self.label)

    def abandon(self, cause: BaseException) -> None:
        """End an actor whose dispatcher is gone, without its hooks. Called by the dispatcher, which holds `busy`."""
        if self.actor is not None:
            logger.error("%s is lost: %s", self.label, cause)
            self.actor._actor_close()
        self.terminate(cause)
        self._leave()

    def _next(self) -> Any:
        """Take out what waits the longest; None if nothing waits. Another thread may be doing the same."""
        if self.empty():
            return None
        try:
            return self.pop()
        except Empty:
            return None

    def _answer_for_the_dead(self) -> None:
        while (item := self._next()) is not None:
            self._refuse(item, "it has stopped")

    def _refuse(self, item: Any, why: str) -> None:
        """Answer a message that will not be handled."""
        reply = reply_to(item)
        message = item.message if type(item) is Envelope else item
        if reply is not None and type(message) is _ActorStop:
            reply.settle(None)
        elif reply is not None:
            reply.settle_error(pykka.ActorDeadError(f"{self.label} did not handle the message: {why}"))
        elif isinstance(message, AnsweredMessage):
            message.answer.settle_error(pykka.ActorDeadError(f"{self.label} did not handle the message: {why}"))
        else:
            _counters.count_dead_letter()


def stops_all(error: BaseException) -> bool:
    """Return whether an exception is to end the program, as Ctrl-C: with Pykka, all actors stop then.

    Others concern one call only: the panics of extensions in Rust, and the `SystemExit` of whatever parses a line of input
    as a command line, by which any client could end the server.
    """
    return isinstance(error, KeyboardInterrupt) or type(error) is BaseException


def _error_of(done: Future[Any]) -> BaseException | None:
    try:
        done.get()
    except BaseException as error:
        return error
    return None
