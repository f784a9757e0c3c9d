"""A mailbox: the message queue of one actor, and the lock `busy` that decides who may run it.

**Theory of operation**

An idle actor is three small objects (the actor, its mailbox and a ref) and no thread. `busy` is the
only synchronization between the threads that send to it and run it. No thread ever waits for this
lock. A thread that can take `busy` may run the actor; a thread that cannot leaves its message in
the queue and continues. So the actor handles one message at a time, on any thread.

A *turn* is one run of the actor: `Cell.run`, called by the dispatcher, handles a batch of messages
from the queue; `Cell.run_now`, `Cell.answer` and `Cell.call_now`, called by a sender, handle one
message without the queue. All are called with `busy` taken and end with `leave`.

**Who may hold the lock**

At most one party at a time. It need not be a thread, and it can pass `busy` to the next one:

* The mailbox itself, from its construction to `Lifecycle.start`. The lock is created taken, so
  messages that are sent before the start wait in the queue.
* A sender that has put a message into the queue and then taken `busy` (`put`). It schedules the
  mailbox with the dispatcher and passes `busy` to that turn. `busy` stays taken until the turn
  ends, so a mailbox is scheduled only once, however many messages arrive.
* The thread that runs a turn. For `run_now`, `answer` and `call_now` it has taken `busy` itself.
* A thread that changes an idle actor without a turn (`Lifecycle.take_idle`).
* A future, while the actor waits for a coroutine or for its supervisor (`waiting`). Until the
  future is done no thread may run the actor. Its callback then schedules the next turn.

`Lifecycle.kill` is the exception: it ends the actor from any thread without taking `busy`. A
handler that is running at that moment continues until it returns or awaits. Then its turn finds
that there is no actor any more, and ends.

**Why leaving is the last act of a turn**

`leave` gives the actor away. As soon as it has released `busy`, or has passed it to a future,
another thread may run the actor, even before `leave` returns. From then on the old turn must not
touch the actor or the mailbox. The only exceptions are the queue and `busy`, which are
thread-safe: `leave` uses them to check for messages that arrived in the meantime.

**What each ordering guarantees**

* *No message is left behind.* A sender first puts its message into the queue and then tries to take
  `busy`. A turn first releases `busy` and then checks the queue. Whichever is later sees what the
  other did: either the sender gets `busy`, or the turn finds the message and takes `busy` again. So
  no message stays in the queue of a mailbox whose `busy` is free.
* *Every ask is answered.* `Lifecycle.terminate` first sets `stopped` and then empties the queue. A
  sender that saw `stopped` unset can still put its message into the queue afterwards. `terminate`
  takes it out, or the turn after it does, by the first guarantee. So each ask is either handled or
  answered with `ActorDeadError`, even if it arrives after the end.
* *A turn ends before the next one begins.* A turn that must wait sets `waiting` while it holds
  `busy`, but only `leave` adds the callback to the future. If the future is done by then, the
  callback runs immediately, and the turn that it schedules cannot overlap the one that ends.
* *Messages of one sender stay in order.* A message is handled without the queue only if the queue
  is empty while `busy` is held. So it cannot overtake an earlier one.
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
    """The queue of one actor and its lock. `Lifecycle` adds start and end, `Cell` the turns."""

    __slots__ = ("actor_class", "busy", "dispatcher", "number", "waiting")

    dispatcher: Dispatcher

    def __init__(self, actor_class: type[Any]) -> None:
        self.actor_class = actor_class
        self.number = next_actor()
        self.busy = busy = Lock()
        busy.acquire()  # no thread may run the actor until it is started
        self.waiting: tuple[Future[Any], Callable[[Future[Any]], None]] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.label}>"

    @property
    def urn(self) -> str:
        """The actor's universally unique name; computed on demand, since few are needed."""
        return urn(self.number)

    @property
    def label(self) -> str:
        """The name of the actor in logs and error messages."""
        return f"{self.actor_class.__name__} ({self.urn})"

    # -- the queue ---------------------------------------------------------------------------------

    push = SimpleQueue.put
    """Append a message, or an envelope with a reply. The caller must then have the mailbox run."""

    pop = SimpleQueue.get_nowait

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Append a message or an envelope, and have the mailbox run. Never blocks."""
        self.push(item)
        if self.busy.acquire(False):
            self.dispatcher.schedule(self)

    def take(self) -> Any:
        """Take out the oldest message; return None if there is none.

        Other threads can do the same at the same time.
        """
        if self.empty():
            return None
        try:
            return self.pop()
        except Empty:
            return None

    def refuse(self, item: Any, why: str, error: Exception | None = None) -> None:
        """Answer a message that will not be handled, by default as that of a dead actor."""
        reply: Receiver | None = reply_to(item)
        message = item.message if type(item) is Envelope else item
        error = error or pykka.ActorDeadError(f"{self.label} did not handle the message: {why}")
        if reply is not None and type(message) is _ActorStop:
            reply.settle(None)
        elif reply is not None:
            reply.settle_error(error)
        elif isinstance(message, AnsweredMessage):
            message.answer.settle_error(error)
        else:
            count_dead_letter()

    # -- turns -------------------------------------------------------------------------------------

    def run(self) -> None:
        """Take a turn. Called by the dispatcher, with `busy` taken. Implemented by `Cell`."""
        raise NotImplementedError

    def run_now(self, message: Any, reply: Receiver | None) -> bool:
        """Handle a message on the calling thread, which has taken `busy`. Implemented by `Cell`.

        Returns:
            Whether the message was handled.
        """
        raise NotImplementedError

    def wait_for(self, future: Future[Any], then: Callable[[Future[Any]], None]) -> None:
        """Handle no message until `future` is done, then call `then(future)` in the next turn."""
        self.waiting = (future, then)

    def interrupt(self) -> bool:
        """Cancel the coroutine that the actor waits for. Thread-safe.

        Returns:
            Whether the actor was waiting.
        """
        waiting = self.waiting
        if waiting is not None:
            waiting[0].cancel()
        return waiting is not None

    def leave(self) -> None:
        """End a turn and give up `busy`. Must be the last act of a turn, see the theory above."""
        if self.waiting is not None:
            self.waiting[0].add_done_callback(self._wake)
            return
        self.busy.release()
        if not self.empty() and self.busy.acquire(False):
            self.dispatcher.schedule(self)

    def _wake(self, _: object) -> None:
        self.dispatcher.schedule(self)
