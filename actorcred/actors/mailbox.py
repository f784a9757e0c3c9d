"""A mailbox: the queue of one actor, and the lock `busy` that says who may run the actor.

**Theory of operation**

An idle actor is three small objects and no thread: the actor, its mailbox and a ref. `busy` is the
whole synchronisation. It is a lock that no thread ever waits for: a thread that finds it free takes it
and may run the actor, a thread that finds it taken leaves its message in the queue and goes on. So
messages are handled one at a time, on any thread.

Who may hold `busy`:

* no thread, from the construction of the actor to `Lifecycle.start`: the lock is made taken, so early
  messages wait in the queue;
* the sender that put a message into the queue and took `busy` after that (`put`). It hands the mailbox
  to the dispatcher, and `busy` stays taken until the turn comes. So a mailbox is scheduled once,
  however many messages come;
* the thread that runs the turn (`Cell.run`);
* a caller that runs an idle actor itself, out of turn (`Cell.run_now`);
* a future, while a handler or hook that is a coroutine is under way (`waiting`). No thread runs the
  actor then, and none may. The future's callback schedules the next turn.

Leaving (`leave`) is the last act of a turn, because it gives the actor away: as soon as `busy` is free,
another thread may run the actor. After it a turn must not touch the actor or the mailbox, except for
the queue and `busy`.

What each ordering guarantees:

* A sender first puts its message into the queue and then tries to take `busy`. A turn first releases
  `busy` and then looks into the queue. The later of the two sees what the other one did: either the
  sender gets `busy`, or the turn finds the message and takes `busy` again. So no message lies in the
  queue of a free mailbox.
* `Lifecycle.terminate` first sets `stopped` and then empties the queue. A sender that saw a living
  actor puts its message into the queue nevertheless, and it is taken out by `terminate`, or by the turn
  that the sender schedules. So each envelope is handled or answered with `ActorDeadError`, also one that
  comes after the end.
* The turn sets `waiting` while it holds `busy`, and `leave` adds the callback to the future at its very
  end. If the future is done before that, the callback runs at once and finds a turn that is over.
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
    """The queue of one actor and its lock. `Lifecycle` adds the actor's life, `Cell` the turns."""

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
        """Take out the oldest message; return None if there is none. Other threads may do the same at that moment."""
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
            reply.settle_error(
                pykka.ActorDeadError(f"{self.label} did not handle the message: {why}")
            )
        elif isinstance(message, AnsweredMessage):
            message.answer.settle_error(
                pykka.ActorDeadError(f"{self.label} did not handle the message: {why}")
            )
        else:
            count_dead_letter()

    # -- whose turn it is ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Take a turn; called by the dispatcher to which the mailbox was given, with `busy` taken. `Cell` knows how."""
        raise NotImplementedError

    def run_now(self, message: Any, reply: Receiver | None) -> bool:
        """Handle a message on the calling thread, out of turn; the caller has taken `busy`. Return whether it could be.

        `Cell` knows how.
        """
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
