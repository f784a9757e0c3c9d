"""A cell: the mailbox of an actor that takes its turns. Handlers and hooks may be coroutines.

A turn is `run`, in which a dispatcher has the actor handle a batch of messages, or `run_now`, in which a
caller has an idle actor handle one message without the queue. Both are called with `busy` taken and end
with `leave`; the theory of operation in `mailbox` says why.
"""

from __future__ import annotations

import logging
from _queue import Empty
from collections.abc import Callable
from time import monotonic
from types import CoroutineType
from typing import Any, Protocol, cast

from pykka._envelope import Envelope
from pykka._introspection import get_attr_directly
from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr, _ActorStop

from actorcred.actors._context import current_mailbox
from actorcred.actors.future import Future, error_of
from actorcred.actors.lifecycle import Lifecycle, Living, stops_all
from actorcred.actors.messages import ControlMessage, Receiver, Revocable, describe

__all__ = ["Behaviour", "Cell"]

logger = logging.getLogger("actorcred.actors")

BATCH = 64
"""Messages that one actor may handle before the others of its dispatcher have a turn."""

_PYKKA_MESSAGES = frozenset({ProxyGetAttr, ProxySetAttr, _ActorStop})


class Behaviour(Living, Protocol):
    """An actor, as its turns see it: what handles messages."""

    def on_receive(self, message: Any) -> Any:
        """Handle a message of the application."""

    def _handle_receive(self, message: Any) -> Any:
        """Handle a message of a proxy; Pykka's."""

    def _actor_control(self, message: ControlMessage) -> Any:
        """Handle a message between the parts of one system."""

    def _actor_survives(self, error: BaseException, message: Any) -> bool:
        """Return whether the actor goes on after an exception in a message without a reply."""


class Cell(Lifecycle):
    """The unbounded mailbox of an actor, which handles what comes in turns."""

    __slots__ = ()

    actor: Behaviour | None

    # -- turns --------------------------------------------------------------------------------------------------------

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
                self.begin()
            self._handle_batch()
        finally:
            current_mailbox.set(previous)
            self.leave()

    def run_now(self, message: Any, reply: Receiver | None) -> bool:
        """Handle a message on the calling thread, out of turn; the caller has taken `busy`.

        This spares a blocking ask of an idle actor two thread switches and the queue, and a server on the actor's own
        event loop a turn of the loop.

        Returns:
            Whether it could be handled; otherwise it has to be put into the queue.
        """
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
            self.leave()

    def _handle_batch(self) -> None:
        """Handle up to `BATCH` messages."""
        slow = self.dispatcher.slow_handler
        before = monotonic()
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
                message, reply = item.message, cast("Receiver | None", item.reply_to)
            if type(message) is Revocable:
                if message.sender.revoked:
                    self.refuse(item, "the sender has lost the right to send it")
                    continue
                message = message.message
            self._handle(actor, message, reply)
            now = monotonic()
            if now - before > slow:
                self._log_slow(message, now - before)
            before = now

    def _log_slow(self, message: Any, seconds: float) -> None:
        logger.warning("%s took %.3f s for %s", self.label, seconds, describe(message))

    # -- one message --------------------------------------------------------------------------------------------------

    def _handle(self, actor: Behaviour, message: Any, reply: Receiver | None) -> None:
        try:
            kind = type(message)
            if kind is ProxyCall:
                path = message.attr_path
                method = (
                    getattr(actor, path[0])
                    if len(path) == 1
                    else get_attr_directly(cast("Any", actor), path)
                )
                result = method(*message.args, **message.kwargs)
            elif isinstance(message, ControlMessage):
                result = actor._actor_control(message)
            elif kind in _PYKKA_MESSAGES:
                if kind is _ActorStop:
                    self.finish(actor, reply)
                    return
                result = actor._handle_receive(message)
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

    def _answered(self, done: Future[Any], message: Any, reply: Receiver | None) -> None:
        try:
            result = done.get()
        except BaseException as error:
            self._reply_error(error, message, reply)
        else:
            if reply is not None:
                reply.settle(result)

    def _reply_error(self, error: BaseException, message: Any, reply: Receiver | None) -> None:
        actor = self.actor
        if reply is not None:
            logger.info("Exception returned from %s to caller:", self.label, exc_info=error)
            reply.settle_error(error)
        elif actor is not None and not actor._actor_survives(error, message):
            self.fail(actor, error)

    # -- hooks --------------------------------------------------------------------------------------------------------

    def call_hook(
        self, hook: Callable[..., Any], *args: Any, then: Callable[[BaseException | None], None]
    ) -> None:
        """Call a hook of the actor, wait for it if it is a coroutine, and pass what it raised, or None, to `then`."""
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
