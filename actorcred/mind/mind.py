"""The mind: the avatar's link to its client, an actor that carries notifications and calls."""

from __future__ import annotations

import logging
import threading
from collections.abc import Hashable
from dataclasses import dataclass
from types import CoroutineType
from typing import Any, Protocol, cast

import pykka

from actorcred.actors import Actor, ActorRef, ControlMessage, Dispatcher, Future
from actorcred.actors.cell import Cell
from actorcred.audit import quoted
from actorcred.errors import CallError, ClientGone
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.mind.channel import NOBODY, Channel, channel_to
from actorcred.mind.outbox import Notification, Offer, Outbox, OutboxLimit

__all__ = ["CALL_TIMEOUT", "Mind", "MindRef"]


logger = logging.getLogger("actorcred.mind")

CALL_TIMEOUT = 10.0
"""Seconds that a client has for the answer to a call, unless the caller says otherwise."""

_starting = threading.RLock()


class MindOwner(Protocol):
    """What a mind needs of its session."""

    def announce(self) -> None:
        """Have the login succeed although `on_login` still runs."""

    def end(self, code: LogoutCode, detail: str = "") -> object:
        """End the session."""


class _Flush(ControlMessage):
    """Send what waits."""

    __slots__ = ()


class _GoOn(ControlMessage):
    """Send what waits: the client can take more."""

    __slots__ = ()


@dataclass(slots=True)
class _Close(ControlMessage):
    """Tell the client that the session is over, and stop."""

    reason: LogoutReason


_FLUSH, _GO_ON = _Flush(), _GoOn()


class _Call:
    """A call that waits in an outbox."""

    __slots__ = ("args", "future", "name")

    key = None

    def __init__(self, name: str, args: tuple[Any, ...]) -> None:
        self.name = name
        self.args = args
        self.future: Future[Any] = Future()

    def dropped(self) -> None:
        self.future.settle_error(
            ClientGone("the call was dropped: the client's outbox is full, or the client is gone")
        )


class MindRef(ActorRef["Mind"]):
    """What an avatar holds of its client. Every method may be called from anywhere and never blocks.

    The actor behind it starts with the first thing that it has to do: many clients are told nothing for a long time, and many
    channels can be told without it.

    Attributes:
        channel: the way to the client.
        outbox: what waits for the client; `outbox.dropped` counts what never will be sent.
        session: what ends the session that the mind belongs to, while it is open.
        dispatcher: where its actor runs, or will.
    """

    __slots__ = ("channel", "dispatcher", "outbox", "session")

    def __init__(self, channel: Channel, outbox: Outbox, dispatcher: Dispatcher) -> None:
        self.channel = channel
        self.outbox = outbox
        self.dispatcher = dispatcher
        self.session: MindOwner | None = None

    def __getattr__(self, name: str) -> Cell:
        """Start the actor when its mailbox is wanted for the first time."""
        if name != "actor_inbox":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        with _starting:
            if not self.is_started:
                Mind.launch(self, self.dispatcher)
            return self.actor_inbox

    @property
    def is_started(self) -> bool:
        """Whether there was something to do for the actor."""
        try:
            object.__getattribute__(self, "actor_inbox")
        except AttributeError:
            return False
        return True

    def notify(self, name: str, *args: Any, key: Hashable = None) -> None:
        """Send the client a notification. It never raises for a slow or dead client.

        Args:
            name: what happened.
            args: the particulars.
            key: as long as it waits, only the latest notification with the same key is kept, as the position of one
                player. None keeps all.
        """
        self.send(Notification(name, args, key))

    def send(self, notification: Notification) -> None:
        """Send a notification that may go to other minds, too; see `Group`."""
        if not self.channel.takes_notifications:
            return  # before the outbox, in which it could take the place of a call
        if self.outbox.idle and self.channel.ready():
            try:
                self.channel.notify(notification)
            except Exception:
                self._offer(notification)  # the mind finds out what is wrong with it
        else:
            self._offer(notification)

    def call(self, name: str, *args: Any, timeout: float | None = CALL_TIMEOUT) -> Future[Any]:
        """Ask the client.

        Args:
            name: what to ask for.
            args: the particulars.
            timeout: seconds for the answer; None waits as long as the session lasts.

        Returns:
            A future of the answer. It fails with `ClientGone` when there will be none, with `pykka.Timeout` in time.
        """
        call = _Call(name, args)
        if self.session is not None:
            self.session.announce()
        if not self.outbox.closed:
            call.future.expect_from(self.actor_inbox)
        if self._offer(call) in {Offer.DROPPED, Offer.OVERFLOW}:
            call.dropped()
        elif timeout is not None:
            expired = pykka.Timeout(f"the client did not answer {name!r} within {timeout:g} s")
            timer = self.actor_inbox.dispatcher.call_later(
                timeout, call.future.settle_error, expired
            )
            call.future.add_done_callback(lambda _: timer.cancel())
        return call.future

    def _offer(self, item: Notification | _Call) -> Offer:
        offer = self.outbox.offer(
            item, self.channel.size(item) if type(item) is Notification else 0
        )
        if offer is Offer.WAKE:
            self.actor_inbox.put(_FLUSH)
        elif offer is Offer.OVERFLOW:
            self.end_session(LogoutCode.OVERFLOW, f"{len(self.outbox)} notifications waiting")
        return offer

    def end_session(self, code: LogoutCode, detail: str = "") -> None:
        """End the session whose client cannot be reached; nothing happens when it is over."""
        session = self.session
        if session is not None:
            session.end(code, detail)

    def close(self, reason: LogoutReason) -> None:
        """Tell the client why, and stop. Called by the portal."""
        self.session = None
        if self.channel is NOBODY:
            self.abandon()
        else:
            self.actor_inbox.put(_Close(reason))

    def abandon(self) -> None:
        """Stop without a word to the client. Called by the portal."""
        if self.is_started:
            self.stop(block=False)
        else:
            drop_all(self.outbox)


class Mind(Actor):
    """The client of one session.

    Args:
        target: the way to the client. None: there is none. A `Channel`: the whole of it. An actor ref: the actor is
            told, or asked, to run the method of that name. A callable: `target(name, *args)`. Any other object: its
            method of that name. A method that returns a coroutine or a future holds back what follows until it is done.
        limit: how much may wait.
    """

    registered = False

    def __init__(self, ref: MindRef) -> None:
        super().__init__()
        self._actor_ref = ref
        ref.actor_inbox = self.actor_inbox
        self._channel = ref.channel
        self._held_back = False
        self._calls: set[Future[Any]] | None = None
        self._outbox = ref.outbox

    @classmethod
    def start(  # type: ignore[override]
        cls,
        target: Any = None,
        limit: OutboxLimit | None = None,
        *,
        dispatcher: Dispatcher | None = None,
    ) -> MindRef:
        """Return a mind; its actor starts when it is needed. See the class for the arguments."""
        return MindRef(
            channel_to(target),
            Outbox(limit or OutboxLimit()),
            dispatcher or cls.choose_dispatcher(),
        )

    @classmethod
    def launch(cls, ref: MindRef, dispatcher: Dispatcher) -> None:
        """Start the actor of a mind."""
        super().start(ref, dispatcher=dispatcher)
        if ref.outbox.closed:  # somebody who comes too late finds an actor that has stopped
            ref.stop(block=False)

    def _actor_control(self, message: ControlMessage) -> None:
        match message:
            case _Flush():
                self._flush()
            case _GoOn():
                self._held_back = False
                self._flush()
            case _Close(reason):
                self._close(reason)
            case _:
                super()._actor_control(message)

    def _flush(self) -> None:
        while not self._held_back and (item := self._outbox.take()) is not None:
            self._send(item)

    def _send(self, item: Any) -> None:
        if type(item) is _Call:
            self._send_call(item)
            return
        try:
            result = self._channel.notify(item)
        except Exception as error:
            self._failed(item.name, error)
        else:
            future = self._future_of(result)
            if future is not None and not future.done():
                self._held_back = True
                future.add_done_callback(lambda done: self._notified(item.name, done))
            elif future is not None:
                self._report(item.name, future)

    def _notified(self, name: str, done: Future[Any]) -> None:
        self._report(name, done)
        self.actor_inbox.put(_GO_ON)

    def _report(self, name: str, done: Future[Any]) -> None:
        try:
            done.get()
        except Exception as error:
            self._failed(name, error)

    def _send_call(self, call: _Call) -> None:
        if call.future.done():
            return
        try:
            result = self._channel.call(call.name, call.args)
        except Exception as error:
            call.future.settle_error(_as_client_gone(error))
            return
        future = self._future_of(result)
        if future is None:
            call.future.settle(result)
            return
        if future.target is not None:
            call.future.expect_from(future.target)  # the client is an actor
        if self._calls is None:
            self._calls = set()
        self._calls.add(call.future)
        call.future.add_done_callback(self._calls.discard)
        future.add_done_callback(lambda done: _pass_on(done, call.future))
        call.future.add_done_callback(lambda _: future.cancel())  # it may be the time-out

    def _future_of(self, result: Any) -> Future[Any] | None:
        if type(result) is CoroutineType:
            return self.spawn(result)
        return Future.adopt(result) if isinstance(result, pykka.Future) else None

    def _failed(self, name: str, error: Exception) -> None:
        if isinstance(error, OSError | pykka.ActorDeadError):
            cast("MindRef", self.actor_ref).end_session(LogoutCode.LOST, type(error).__name__)
        elif isinstance(error, CallError):  # what the client says, which is no fault of ours
            logger.warning("A client's %r failed: %s", name, quoted(error))
        else:
            logger.warning("A client's %r failed:", name, exc_info=error)

    def _close(self, reason: LogoutReason) -> None:
        self._flush()
        drop_all(self._outbox)
        try:
            # A client that holds us back is told all the same: this is the last that it can learn.
            self._future_of(self._channel.close(reason))
        except Exception as error:
            logger.debug("A client could not be told that its session is over: %r", error)
        self.stop()

    def on_stop(self) -> None:
        """Let nobody wait for answers that will not come."""
        drop_all(self._outbox)
        for future in list(self._calls or ()):
            future.settle_error(ClientGone("the session ended before the client answered"))


def drop_all(outbox: Outbox) -> None:
    """Close an outbox, and tell what waited in it."""
    for item in outbox.close():
        item.dropped()


def _as_client_gone(error: Exception) -> Exception:
    return (
        ClientGone("the client is gone")
        if isinstance(error, OSError | pykka.ActorDeadError)
        else error
    )


def _pass_on(done: Future[Any], to: Future[Any]) -> None:
    try:
        to.settle(done.get())
    except Exception as error:
        to.settle_error(_as_client_gone(error))
