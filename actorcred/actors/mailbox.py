"""A mailbox: the queue of one actor, and the lock `busy` that says whose turn it is to run the actor.

Theory of operation
===================

An idle actor is three small objects and no thread: the actor, its mailbox, a ref. `busy` is the whole synchronisation. It is a
lock that is never waited for: whoever finds it free and takes it may run the actor, whoever finds it taken leaves the mail
and goes on. So messages are handled one at a time, on whatever thread, and no thread waits for an actor to become free.

Who may hold `busy`:

* from construction to `Lifecycle.start`, nobody in particular: it is made taken, so that mail which comes early waits;
* whoever has put mail into the queue and took `busy` afterwards, who hands the mailbox to the dispatcher (`put`): it is held
  while the mailbox waits for its turn, so a mailbox is scheduled once, however much mail comes;
* the thread that runs the turn (`Cell.run`);
* a caller that runs an idle actor itself, out of turn (`Cell.run_now`);
* a future, while a handler or a hook that is a coroutine is under way (`waiting`): no thread runs the actor, and yet nobody else
  may. The future's callback has the dispatcher go on.

Leaving (`leave`) is the last act of a turn, because with it the actor belongs to somebody else: the moment `busy` is free,
another thread may run the actor. Nothing of the actor or the mailbox may be read or written after it, but the queue and `busy`.

What each ordering guarantees:

* A sender puts the mail in first and tries `busy` after that; the one who leaves frees `busy` first and looks into the queue
  after that. Whichever comes last sees the other's step. So there is never mail in the queue of a free mailbox with nobody to
  see it: either the sender gets `busy`, or the one who leaves finds the mail, and takes `busy` again if it still can.
* `terminate` sets `stopped` first and empties the queue after that. A sender that still saw a living actor puts its mail into
  a queue that is emptied either by `terminate` or by the turn that this mail brings about. So each envelope is handled, or is
  answered with `ActorDeadError`, also one that comes after the end.
* `waiting` is set by the turn that holds `busy`, and `leave` adds the callback at its very end. So the future may be done long
  before that: the callback then comes at once, and finds a turn that is over.
"""

from __future__ import annotations

from _queue import Empty, SimpleQueue
from collections.abc import Callable
from threading import Lock
from typing import Any

import pykka
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from actorcred.actors._counters import count_dead_letter, next_actor, urn
from actorcred.actors.dispatcher import Dispatcher
from actorcred.actors.future import Future
from actorcred.actors.messages import AnsweredMessage, Receiver, reply_to

__all__ = ["Mailbox"]


class Mailbox(SimpleQueue):  # type: ignore[type-arg]
    """The queue of one actor, and who may run the actor. What a turn is, and the life of the actor, come with subclasses."""

    __slots__ = ("actor_class", "busy", "dispatcher", "number", "waiting")

    dispatcher: Dispatcher

    def __init__(self, actor_class: type[Any]) -> None:
        self.actor_class = actor_class
        self.number = next_actor()
        self.busy = busy = Lock()
        busy.acquire()  # until the actor is started nobody may run it
        self.waiting: tuple[Future[Any], Callable[[Future[Any]], None]] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.label}>"

    @property
    def urn(self) -> str:
        """The actor's universally unique name; made when it is asked for, since few are."""
        return urn(self.number)

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

    def take(self) -> Any:
        """Take out what waits the longest; None if nothing waits. Another thread may be doing the same."""
        if self.empty():
            return None
        try:
            return self.pop()
        except Empty:
            return None

    def refuse(self, item: Any, why: str) -> None:
        """Answer a message that will not be handled."""
        reply: Receiver | None = reply_to(item)
        message = item.message if type(item) is Envelope else item
        if reply is not None and type(message) is _ActorStop:
            reply.settle(None)
        elif reply is not None:
            reply.settle_error(pykka.ActorDeadError(f"{self.label} did not handle the message: {why}"))
        elif isinstance(message, AnsweredMessage):
            message.answer.settle_error(pykka.ActorDeadError(f"{self.label} did not handle the message: {why}"))
        else:
            count_dead_letter()

    # -- whose turn it is ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Take a turn; called by the dispatcher to which the mailbox was given, with `busy` taken."""
        raise NotImplementedError

    def run_now(self, message: Any, reply: Receiver | None) -> bool:
        """Handle a message on the calling thread, out of turn; the caller has taken `busy`. Return whether it could be."""
        raise NotImplementedError

    def wait_for(self, future: Future[Any], then: Callable[[Future[Any]], None]) -> None:
        """Handle nothing until `future` is done, then call `then(future)` in the actor's context and go on."""
        self.waiting = (future, then)

    def interrupt(self) -> bool:
        """Cancel the coroutine that the actor is waiting for; return whether there is one. May be called from anywhere."""
        waiting = self.waiting
        if waiting is not None:
            waiting[0].cancel()
        return waiting is not None

    def leave(self) -> None:
        """End a turn. It is the last act: from here on another thread may run this mailbox."""
        if self.waiting is not None:
            self.waiting[0].add_done_callback(self._wake)
            return
        self.busy.release()
        if not self.empty() and self.busy.acquire(False):
            self.dispatcher.schedule(self)

    def _wake(self, _: object) -> None:
        self.dispatcher.schedule(self)
