"""A cell: a mailbox that runs its actor in turns. Handlers and hooks may be coroutines.

There are four kinds of turn:

* `run`: a dispatcher has the actor handle a batch of messages from the queue. If the actor was
  waiting for a future, the turn first continues what waited for it.
* `run_now`: a sender has an idle actor handle one message on the sender's thread, without the
  queue. It declines if there is no instance, or if messages are waiting in the queue.
* `answer`: the same for an asker, which gets the answer as the result of the call.
* `call_now`: the same for a call of a method by a server, which passes on what comes later.

All are called with `busy` taken, and all end with `leave`, also if the handler raises.

A handler or hook that is a coroutine ends the turn: it is spawned on the dispatcher, `waiting` is
set to its future, and the batch stops. The future then holds `busy`, so the actor handles no other
message until the coroutine is done. `mailbox` explains who may hold `busy` and why the order of
these steps matters.
"""

from __future__ import annotations

import logging
from _queue import Empty
from collections.abc import Callable, Coroutine
from time import monotonic
from types import CoroutineType
from typing import Any, Final, Protocol, TypeVar

import pykka
from pykka._envelope import Envelope
from pykka._introspection import get_attr_directly
from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr, _ActorStop

from actorcred.actors._context import current_mailbox
from actorcred.actors.future import Future, error_of
from actorcred.actors.lifecycle import Lifecycle, Living, stops_all
from actorcred.actors.messages import ControlMessage, InContext, Receiver, Revocable, describe

__all__ = ["LATER", "NOT_CALLED", "NOT_HANDLED", "Behaviour", "Cell", "Unanswered"]

logger = logging.getLogger("actorcred.actors")

BATCH = 64
"""Messages that an actor handles at most before other actors of its dispatcher have a turn."""

NOT_CALLED: Final = object()
"""Returned by `call_now` if the call must wait in the queue."""

LATER: Final = object()
"""Returned by `call_now` if the receiver gets the answer, or has got an exception."""

R = TypeVar("R")

_PYKKA_MESSAGES = frozenset({ProxyGetAttr, ProxySetAttr, _ActorStop})
_SPECIAL = frozenset({*_PYKKA_MESSAGES, InContext})


class Unanswered:
    """What `Cell.answer` returns if there is no answer yet.

    Args:
        future: of the answer; None if the message was not handled.
    """

    __slots__ = ("future",)

    def __init__(self, future: Future[Any] | None) -> None:
        self.future = future


NOT_HANDLED = Unanswered(None)


class Behaviour(Living, Protocol):
    """The part of an actor that `Cell` uses: the message handlers."""

    def on_receive(self, message: Any) -> Any:
        """Handle a message of the application."""

    def _handle_receive(self, message: Any) -> Any:
        """Handle a message of a proxy; defined by Pykka."""

    def _actor_control(self, message: ControlMessage) -> Any:
        """Handle an internal message."""

    def _actor_survives(self, error: BaseException, message: Any) -> bool:
        """Return whether the actor continues after an exception in a message without a reply."""


class Cell(Lifecycle):
    """The unbounded mailbox of an actor, which handles its messages in turns."""

    __slots__ = ()

    actor: Behaviour | None

    # -- turns -------------------------------------------------------------------------------------

    def run(self) -> None:
        """Handle a batch of messages. Called by the dispatcher, with `busy` taken."""
        token = current_mailbox.set(self)
        try:
            if self.waiting is not None:
                future, then = self.waiting
                self.waiting = None
                then(future)
            elif not self.started and not self.stopped:
                self.begin()
            self._handle_batch()
        finally:
            current_mailbox.reset(token)
            self.leave()

    def run_now(self, message: Any, reply: Receiver | None) -> bool:
        """Handle a message on the calling thread, which has taken `busy`.

        This saves a blocking ask of an idle actor two thread switches and the queue, and a server
        on the actor's own event loop one iteration of the loop.

        Returns:
            Whether the message was handled; if not, the caller must put it into the queue.
        """
        actor = self.actor
        if actor is None or self.waiting is not None or not self.empty():
            self.leave()
            return False
        token = current_mailbox.set(self)
        try:
            before = monotonic()
            self._handle(actor, message, reply)
            if (took := monotonic() - before) > self.dispatcher.slow_handler:
                self._log_slow(message, took)
            return True
        finally:
            current_mailbox.reset(token)
            self.leave()

    def answer(self, message: Any) -> Any:
        """Handle a message on the calling thread, which has taken `busy` and waits for the answer.

        Unlike `run_now` it needs no future, if the handler is not a coroutine.

        Args:
            message: the message.

        Returns:
            The answer, or an instance of `Unanswered`.

        Raises:
            BaseException: what the handler raised.
        """
        kind = type(message)
        if kind in _SPECIAL or isinstance(message, ControlMessage):
            future: Future[Any] = Future()
            future.expect_from(self)
            return Unanswered(future) if self.run_now(message, future) else NOT_HANDLED
        actor = self.actor
        if actor is None or self.waiting is not None or not self.empty():
            self.leave()
            return NOT_HANDLED
        token = current_mailbox.set(self)
        try:
            before = monotonic()
            if kind is ProxyCall:
                result = _method_of(actor, message.attr_path)(*message.args, **message.kwargs)
            else:
                result = actor.on_receive(message)
            if type(result) is CoroutineType:
                result = self._answer_later(result, message)
            if (took := monotonic() - before) > self.dispatcher.slow_handler:
                self._log_slow(message, took)
            return result
        except BaseException as error:
            if stops_all(error):
                self.break_off(actor, error, None)
            else:
                logger.info("Exception returned from %s to caller:", self.label, exc_info=error)
            raise
        finally:
            current_mailbox.reset(token)
            self.leave()

    def call_now(
        self, name: str, args: tuple[Any, ...], receiver: Callable[[R], Receiver], request: R
    ) -> Any:
        """Call a method of the actor on the calling thread, which has taken `busy`.

        For servers whose calls are mostly answered at once: it saves `run_now` the message and the
        receiver of the answer.

        Args:
            name: the method.
            args: its arguments.
            receiver: returns what gets an exception, or an answer that comes later.
            request: the argument of `receiver`.

        Returns:
            What the method returned, or `LATER`, or `NOT_CALLED`.
        """
        actor = self.actor
        if actor is None or self.waiting is not None or not self.empty():
            self.leave()
            return NOT_CALLED
        token = current_mailbox.set(self)
        try:
            before = monotonic()
            result = getattr(actor, name)(*args)
            if type(result) is CoroutineType:
                message, reply = ProxyCall((name,), args, {}), receiver(request)
                self.wait_for(
                    self.dispatcher.spawn(result), lambda done: self._answered(done, message, reply)
                )
                result = LATER
            if (took := monotonic() - before) > self.dispatcher.slow_handler:
                self._log_slow(ProxyCall((name,), args, {}), took)
            return result
        except BaseException as error:
            reply = receiver(request)
            if stops_all(error):
                self.break_off(actor, error, reply)
                raise
            reply.settle_error(error)
            return LATER
        finally:
            current_mailbox.reset(token)
            self.leave()

    def _handle_batch(self) -> None:
        """Handle up to `BATCH` messages."""
        slow = self.dispatcher.slow_handler
        before = monotonic()
        reply: Any
        for _ in range(BATCH):
            if self.empty() or self.waiting is not None:
                return
            actor = self.actor
            if actor is None:
                self.go_on_without_actor()
                return
            try:
                item = self.pop()
            except Empty:  # pragma: no cover  # a sender dropped the oldest message meanwhile
                return
            message, reply = item, None
            if type(item) is Envelope:
                message, reply = item.message, item.reply_to
            if type(message) is Revocable:
                if message.sender.revoked:
                    self.refuse(item, "the sender has lost the right to send it")
                    continue
                if (refusal := message.sender.refusal()) is not None:
                    self.refuse(item, "the sender may not send it now", refusal)
                    continue
                message = message.message
            self._handle(actor, message, reply)
            now = monotonic()
            if now - before > slow:
                self._log_slow(message, now - before)
            before = now

    def _log_slow(self, message: Any, seconds: float) -> None:
        logger.warning("%s took %.3f s for %s", self.label, seconds, describe(message))

    # -- one message -------------------------------------------------------------------------------

    def _handle(  # noqa: C901  # a table
        self, actor: Behaviour, message: Any, reply: Receiver | None
    ) -> None:
        try:
            kind = type(message)
            if kind is ProxyCall:
                result = _method_of(actor, message.attr_path)(*message.args, **message.kwargs)
            elif isinstance(message, ControlMessage):
                result = actor._actor_control(message)
            elif kind in _PYKKA_MESSAGES:
                if kind is _ActorStop:
                    self.finish(actor, reply)
                    return
                result = actor._handle_receive(message)
            elif kind is InContext:
                message.context.run(self._handle_here, actor, message.message, reply)
                return
            else:
                result = actor.on_receive(message)
        except BaseException as error:
            if stops_all(error):
                self.break_off(actor, error, reply)
                raise
            self._reply_error(error, message, reply)
        else:
            if type(result) is CoroutineType:
                self.wait_for(
                    self.dispatcher.spawn(result), lambda done: self._answered(done, message, reply)
                )
            elif reply is not None:
                reply.settle(result)

    def _handle_here(self, actor: Behaviour, message: Any, reply: Receiver | None) -> None:
        """Handle a message in the context of its sender, which names another running actor."""
        current_mailbox.set(self)
        self._handle(actor, message, reply)

    def _answered(self, done: Future[Any], message: Any, reply: Receiver | None) -> None:
        try:
            result = done.get()
        except BaseException as error:
            self._reply_error(error, message, reply)
        else:
            if reply is not None:
                reply.settle(result)

    def _answer_later(self, coroutine: Coroutine[Any, Any, Any], message: Any) -> Unanswered:
        answer: Future[Any] = Future()
        answer.expect_from(self)
        self.wait_for(
            self.dispatcher.spawn(coroutine), lambda done: self._answered(done, message, answer)
        )
        return Unanswered(answer)

    def _reply_error(self, error: BaseException, message: Any, reply: Receiver | None) -> None:
        actor = self.actor
        if reply is not None:
            if isinstance(reply, pykka.Future):  # another receiver logs what is not expected
                logger.info("Exception returned from %s to caller:", self.label, exc_info=error)
            reply.settle_error(error)
        elif actor is not None and not actor._actor_survives(error, message):
            self.fail(actor, error)

    # -- hooks -------------------------------------------------------------------------------------

    def call_hook(
        self, hook: Callable[..., Any], *args: Any, then: Callable[[BaseException | None], None]
    ) -> None:
        """Call a hook, await it if it is a coroutine, and pass its exception or None to `then`."""
        try:
            result = hook(*args)
        except BaseException as error:
            if stops_all(error):
                raise
            then(error)
        else:
            if type(result) is CoroutineType:
                self.wait_for(self.dispatcher.spawn(result), lambda done: then(error_of(done)))
            else:
                then(None)


def _method_of(actor: Any, path: tuple[str, ...]) -> Any:
    """Return what a call by a proxy reaches: a method, mostly, or that of a traversable object."""
    return getattr(actor, path[0]) if len(path) == 1 else get_attr_directly(actor, path)
